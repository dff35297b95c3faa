"""Where the numbered CelebA images lie: a zip that is read in place, or the folder that was unpacked from it."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.crops import Encoded
from bench.data.readers.base import hash_lines
from bench.errors import BenchError
from bench.limits import MOST_IMAGE_BYTES

_NUMBERED = re.compile(r"(?:^|[/\\])(\d{6})\.(?:jpe?g|png)$", re.IGNORECASE)


@dataclass(frozen=True)
class Container:
    """Files that hold CelebA images.

    kind         zip, folder or parquet
    fingerprint  a cheap hash of the content
    locate       official file number -> where the image lies, in whatever terms `read` understands
    read         reads images at such places, in this process; what cannot be read is reported in `Encoded.problem`
    attributes   where the files hold attributes too: (what holds them, its bytes or its rows by file number) for the
                 attributes asked for
    """

    kind: str
    fingerprint: str
    locate: Callable[[], dict[int, Any]]
    read: Callable[[Sequence[Any]], list[Encoded]]
    details: dict[str, Any] = field(default_factory=dict)
    attributes: Callable[[Sequence[str]], tuple[str, bytes | dict[int, list[int]]]] | None = None


_MAGIC = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"\x1f\x8b", "a gzip archive (.tar.gz, .tgz)"),
    (0, b"BZh", "a bzip2 archive (.tar.bz2)"),
    (0, b"\xfd7zXZ\x00", "an xz archive (.tar.xz)"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive (.tar.zst)"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
)


def archive_kind(path: Path) -> str | None:
    """Return what kind of archive a file is that bench does not read, by its first bytes; None for any other file."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    return next((kind for at, magic, kind in _MAGIC if start[at : at + len(magic)] == magic), None)


def file_number(name: str) -> int | None:
    """The official number in a file name such as img_align_celeba/000001.jpg, or None."""
    match = _NUMBERED.search(name)
    return int(match.group(1)) if match else None


def check_is_data(path: Path, remedy: str) -> None:
    """Raise BenchError when a file is not what its name says: an HTML page, a git-lfs pointer, or empty."""
    try:
        with path.open("rb") as file:
            start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    except OSError as error:
        raise BenchError(f"Cannot read {path}: {error.strerror or error}") from error
    if start.startswith((b"<!doctype html", b"<html")):
        raise BenchError(
            f"{path} is an HTML page, not the file itself (Google Drive sends one when its quota is used up)",
            hint=f"Delete the file. {remedy}",
        )
    if start.startswith(b"version https://git-lfs"):
        raise BenchError(f"{path} is a git-lfs pointer, not the file itself", hint="Type `git lfs pull` in its folder.")
    if not start:
        raise BenchError(f"{path} is empty", hint=f"Delete the file. {remedy}")


@contextmanager
def open_zip(path: Path, remedy: str) -> Iterator[Container]:
    """Open a zip of numbered images; nothing is unpacked. Raises BenchError when it is no complete zip."""
    check_is_data(path, remedy)
    if kind := archive_kind(path):
        raise BenchError(
            f"{path} is {kind}, which bench does not read", hint=f"Unpack it, and set `path` to the folder. {remedy}"
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BenchError(
            f"{path} is not a complete zip archive ({error}); it has {path.stat().st_size:,} bytes,"
            " the official img_align_celeba.zip has about 1.4 billion",
            hint=f"A download was probably cut off: delete the file. {remedy}",
        ) from error
    with archive:
        members = [info for info in archive.infolist() if file_number(info.filename) is not None]
        yield Container(
            kind="zip",
            fingerprint=hash_lines(f"{info.filename} {info.CRC:08x} {info.file_size}" for info in members),
            locate=lambda: by_number(path, ((info.filename, info) for info in members)),
            read=lambda infos: [read_member(archive, info) for info in infos],
            details={"file": path.name},
            attributes=_attributes_in(archive),
        )


def _attributes_in(
    archive: zipfile.ZipFile,
) -> Callable[[Sequence[str]], tuple[str, bytes | dict[int, list[int]]]] | None:
    """Return how to read the list of attributes that an archive holds (Kaggle's has one); None where it holds none."""
    listed = [name for name in archive.namelist() if name.rsplit("/", 1)[-1].startswith("list_attr_celeba.")]
    return (lambda _: (listed[0], archive.read(listed[0]))) if listed else None


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Encoded:
    if info.file_size > MOST_IMAGE_BYTES:
        return Encoded(info.filename, b"", f"has {info.file_size:,} bytes, more than {MOST_IMAGE_BYTES:,}")
    try:
        return Encoded(info.filename, archive.read(info))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        return Encoded(info.filename, b"", f"cannot be read from the archive ({error})")


def open_folder_of_numbers(folder: Path) -> Container:
    """Open an unpacked folder of numbered images (000001.jpg and so on)."""
    numbered = sorted(name for name in _names_in(folder) if file_number(name) is not None)
    return Container(
        kind="folder",
        fingerprint=hash_lines(identities(folder, numbered)),
        locate=lambda: by_number(folder, ((name, folder / name) for name in numbered)),
        read=lambda paths: [read_file(path, path.name) for path in paths],
        details={"file": folder.name},
    )


def has_numbers(folder: Path) -> bool:
    """Whether a numbered image lies directly in `folder`."""
    return folder.is_dir() and any(file_number(name) is not None for name in _names_in(folder))


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise BenchError(
            f"Cannot read the folder {folder}: {error.strerror or error}", hint="Check its rights."
        ) from error


def identities(folder: Path, names: Sequence[str]) -> list[str]:
    """Return a line for each file that changes with it: name, size, time. Raises BenchError, naming others.

    Others are links that lead nowhere, folders, and pipes, which would be waited for.
    """
    lines, wrong = [], []
    for name in names:
        try:
            found = (folder / name).stat()
        except OSError as error:
            link = (folder / name).is_symlink()
            wrong.append(f"{name} {'is a link that leads nowhere' if link else error.strerror or error}")
            continue
        if stat.S_ISREG(found.st_mode):
            lines.append(f"{name} {found.st_size} {found.st_mtime_ns}")
        else:
            wrong.append(f"{name} is no file")
    if wrong:
        shown = "".join(f"\n  {text}" for text in wrong[:10])
        more = f"\n  and {len(wrong) - 10:,} more" if len(wrong) > 10 else ""
        raise BenchError(
            f"{folder}: {len(wrong):,} of {len(names):,} images cannot be read:{shown}{more}",
            hint="Bring them back, or take these entries away.",
        )
    return lines


def read_file(path: Path, name: str) -> Encoded:
    try:
        if (size := path.stat().st_size) > MOST_IMAGE_BYTES:
            return Encoded(name, b"", f"has {size:,} bytes, more than {MOST_IMAGE_BYTES:,}")
        return Encoded(name, path.read_bytes())
    except OSError as error:
        return Encoded(name, b"", f"cannot be read ({error.strerror or error})")


def by_number(where: Path, named: Iterable[tuple[str, Any]]) -> dict[int, Any]:
    """Map official numbers to places; raises BenchError when two files have the same number."""
    places: dict[int, Any] = {}
    names: dict[int, str] = {}
    for name, place in named:
        number = file_number(name)
        if number is None:
            continue
        if number in places:
            raise BenchError(
                f"{where} holds image {number:06d} twice: {names[number]} and {name}",
                hint="Keep only the aligned images (img_align_celeba) in it.",
            )
        places[number], names[number] = place, name
    return places
