"""The archive: a zip whose archive.json names every member with its size and SHA-256.

It is written so that the same members give the same bytes (names in order, one fixed date), and read as something that
a stranger made: names, kinds and sizes are checked before a byte is unpacked, and no more is read than was declared.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench import limits
from bench.errors import BenchError
from bench.files import disk_error, parsed_json, sha256_file
from bench.runs.folder import PLAN_FILE

CONTENTS = "archive.json"
SCHEMA = 1
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

# What can be wrong with a member.
CHANGED = "was changed after the archive was written"
DAMAGED = "is damaged and cannot be read"
MISSING = "is missing"
STRANGE = "is not one of the archive's own files"

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_COMPRESSED_ALREADY = {".png", ".webp", ".safetensors"}
_BLOCK = 1 << 20
_MOST_BYTES = {
    PLAN_FILE: limits.MOST_PLAN_BYTES,
    "manifest.json": limits.MOST_PLAN_BYTES,
    CONTENTS: limits.MOST_DIRECTORY_BYTES,
    ".json": limits.MOST_TEXT_BYTES,
    ".jsonl": limits.MOST_LINES_BYTES,
    ".png": limits.MOST_PICTURE_BYTES,
    ".safetensors": limits.MOST_WEIGHTS_BYTES,
}
# What reading a JSON value of another shape than expected raises.
UNSOUND = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, AssertionError, RecursionError)
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


def write_archive(path: Path, folder: Path, about: Mapping[str, Any], progress: Progress) -> None:
    """Pack every file below `folder` into a new zip at `path`, with `about` and all checksums in archive.json.

    Raises BenchError when the disk is full; nothing is left at `path` then.
    """
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    files = {name: {"sha256": sha256_file(folder / name), "bytes": (folder / name).stat().st_size} for name in names}
    total = sum(int(str(file["bytes"])) for file in files.values())
    contents = {"schema": SCHEMA, **about, "bytes": total, "files": files}
    text = (json.dumps(contents, indent=1, ensure_ascii=False) + "\n").encode()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
            unfinished = Path(place) / path.name
            with zipfile.ZipFile(unfinished, "x") as archive:
                archive.writestr(_info(CONTENTS, len(text)), text)
                done = 0
                for name in names:
                    size = (folder / name).stat().st_size
                    info = _info(name, size)
                    with (folder / name).open("rb") as source, archive.open(info, "w") as target:
                        shutil.copyfileobj(source, target, _BLOCK)
                    done += size
                    progress("packing", done, total)
            unfinished.replace(path)
    except OSError as error:
        raise disk_error(path, error) from error


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3  # Unix, wherever it is written
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = size
    stored = PurePosixPath(name).suffix in _COMPRESSED_ALREADY
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    return info


@dataclass(frozen=True)
class Archive:
    """An archive that is open for reading. `contents` is its archive.json; `sha256` that of the whole file."""

    path: Path
    contents: dict[str, Any]
    sha256: str
    _zip: zipfile.ZipFile
    _infos: dict[str, zipfile.ZipInfo]

    @property
    def study(self) -> str:
        return str(self.contents["study"])

    @property
    def names(self) -> list[str]:
        """Return the members that archive.json declares, whether they are there or not."""
        return list(self.contents["files"])

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 that archive.json declares for a member, None where it declares none."""
        declared = self.contents["files"].get(name)
        return None if declared is None else str(declared["sha256"])

    def check(self, progress: Progress) -> dict[str, str]:
        """Read every member and return what is wrong, by name: CHANGED, DAMAGED, MISSING or STRANGE; {} for nothing."""
        found = dict.fromkeys(sorted(self._infos.keys() - self.contents["files"].keys()), STRANGE)
        done = 0
        for name, declared in self.contents["files"].items():
            if name not in self._infos:
                found[name] = MISSING
            elif (digest := self._digest_found(name)) != declared["sha256"]:
                found[name] = CHANGED if digest else DAMAGED
            done += declared["bytes"]
            progress("checking", done, self.contents["bytes"])
        return found

    def read(self, name: str) -> bytes:
        """Return a member's bytes. Raises BenchError when it is missing or cannot be read."""
        if name not in self._infos:
            raise BenchError(f"{self.path} lacks {name}", hint="Ask for the archive once more.")
        try:
            return b"".join(self._blocks(name))
        except _UNREADABLE as error:
            raise BenchError(f"{name} in {self.path} cannot be read: {error}") from error

    def read_json(self, name: str) -> Any:
        """Return a member's JSON value. Raises BenchError when it is none, passes a bound, or was changed."""
        content = self.read(name)
        try:
            limits.bounded_json(content, most_bytes(name))
        except ValueError as error:
            raise BenchError(f"{name} in {self.path} is not valid JSON: {error}") from error
        return parsed_json(content, self.path / name)

    def extract(self, names: Collection[str], folder: Path, progress: Progress) -> None:
        """Write members below `folder`, which holds none of them yet. Raises BenchError when one cannot be read."""
        total, done = sum(self._infos[name].file_size for name in names), 0
        free = shutil.disk_usage(folder).free
        if total > free:
            raise BenchError(
                f"{self.path} unpacks to {total:,} bytes, and {folder} has room for {free:,}",
                hint="Free some disk space and type the same command again.",
            )
        for name in names:
            target = folder / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                file = target.open("xb")
            except OSError as error:
                raise disk_error(target, error) from error
            with file:
                self._extract(name, target, file)
            done += self._infos[name].file_size
            progress("unpacking", done, total)

    def _extract(self, name: str, target: Path, file: IO[bytes]) -> None:
        blocks = self._blocks(name)
        while True:
            try:
                block = next(blocks, None)
            except _UNREADABLE as error:
                raise BenchError(f"{name} in {self.path} cannot be read: {error}") from error
            if block is None:
                return
            try:
                file.write(block)
            except OSError as error:
                raise disk_error(target, error) from error

    def _digest_found(self, name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            for block in self._blocks(name):
                digest.update(block)
        except _UNREADABLE:
            return None
        return digest.hexdigest()

    def _blocks(self, name: str) -> Iterator[bytes]:
        """Yield a member's content; zipfile itself stops at the size in the directory, which was checked."""
        with self._zip.open(self._infos[name]) as file:
            while block := file.read(_BLOCK):
                yield block


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive that `bench export` wrote. Reads its directory and archive.json alone.

    Raises BenchError when it is none, was written by another version of the format, or holds what no archive needs and
    a trap would: names that leave the folder, links, names that come twice, sizes beyond reason.
    """
    if path.is_dir():
        raise BenchError(
            f"{path} is a folder, not an archive",
            hint="Name the .zip itself. Where a browser unpacked it, pack it again: "
            f"cd {path}; zip -r ../{path.name}.zip .",
        )
    try:
        file = _BoundedFile(io.FileIO(path))
    except FileNotFoundError as error:
        raise BenchError(f"There is no {path}", hint="Name the file that `bench export` wrote.") from error
    except OSError as error:
        raise BenchError(f"Cannot read {path}: {error.strerror or error}") from error
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except (*_UNREADABLE, ValueError) as error:
            raise BenchError(f"{path} is no archive of bench: {error}", hint="Is it whole? Fetch it again.") from error
        members = archive.infolist()
        if len(members) > limits.MOST_MEMBERS:
            raise _trap(path, f"it has {len(members):,} members, more than {limits.MOST_MEMBERS:,}")
        infos: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            if info.is_dir() and info.file_size == 0:  # other tools that pack the folder again write these
                _refuse_trap(path, info, info.filename.removesuffix("/"))
                continue
            _refuse_trap(path, info, info.filename)
            if info.filename in infos:
                raise _trap(path, f"{info.filename!r} is in it twice")
            infos[info.filename] = info
        grown = sum(info.file_size for info in infos.values())
        if grown > limits.MOST_RATIO * path.stat().st_size:  # members that share their bytes are each small enough
            raise _trap(path, f"it would grow to {grown:,} bytes")
        but_weights = sum(info.file_size for name, info in infos.items() if not name.endswith(".safetensors"))
        if but_weights > limits.MOST_UNPACKED_BYTES:
            raise _trap(path, f"it would grow to {but_weights:,} bytes without its weights")
        contents = _contents(path, archive, infos.pop(CONTENTS, None))
        yield Archive(path, contents, sha256_file(path), archive, infos)


def _contents(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo | None) -> dict[str, Any]:
    if info is None:
        inner = next((name for name in archive.namelist() if name.endswith(f"/{CONTENTS}")), None)
        where = f": {inner} lies in a folder" if inner else ""
        pack = "It was packed again with a folder around: pack what is in that folder, not the folder."
        hint = pack if inner else "Name a file that `bench export` wrote."
        raise BenchError(f"{path} holds no {CONTENTS}{where}", hint=hint)
    try:
        values = limits.bounded_json(archive.read(info), limits.MOST_DIRECTORY_BYTES)
    except (*_UNREADABLE, ValueError) as error:
        raise BenchError(f"{CONTENTS} in {path} cannot be read: {error}", hint="Fetch it again.") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise BenchError(f"{path} was written by another version of bench", hint="Use the version that wrote it.")
    for fault in _faults(values):
        raise BenchError(f"{CONTENTS} in {path} does not say what an archive holds: {fault}", hint="Fetch it again.")
    return values


def _faults(contents: dict[str, Any]) -> Iterator[str]:
    """Name what archive.json lacks of what reading relies on, or has of another kind."""
    files, study = contents.get("files"), contents.get("study")
    if not isinstance(study, str) or not is_plain(study) or "/" in study:
        yield f"study is {_shown(study)}"
    if not isinstance(files, dict):
        yield f"files is {_shown(files)}"
        return
    for name, file in files.items():
        if not is_plain(name):
            yield f"files has the name {_shown(name)}"
        elif not isinstance(file, dict) or not re.fullmatch("[0-9a-f]{64}", str(file.get("sha256"))):
            yield f"files.{name} has no sha256"
        elif type(file.get("bytes")) is not int or file["bytes"] < 0:
            yield f"files.{name}.bytes is {_shown(file.get('bytes'))}"
        else:
            continue
        return
    if contents.get("bytes") != sum(file["bytes"] for file in files.values()):
        yield f"bytes is {_shown(contents.get('bytes'))}, not the sum over its files"


def _shown(value: Any) -> str:
    return f"{json.dumps(value)[:40]}"


def is_plain(name: str) -> bool:
    """Tell whether a member's name stays below the folder that it is unpacked in, on every system."""
    parts = name.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not any(
        character in '\\:*?"<>|' or ord(character) < 32 for character in name
    )


def _refuse_trap(path: Path, info: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if not is_plain(name):
        raise _trap(path, f"{name!r} is no plain name below its folder")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _trap(path, f"{name!r} is a link or a device")
    if info.flag_bits & 1:
        raise _trap(path, f"{name!r} is encrypted")
    if info.file_size > most_bytes(name):
        raise _trap(path, f"{name!r} has {info.file_size:,} bytes, more than {most_bytes(name):,}")
    if info.file_size >= limits.RATIO_FROM_BYTES and info.file_size > limits.MOST_RATIO * max(info.compress_size, 1):
        raise _trap(path, f"{name!r} would grow from {info.compress_size:,} to {info.file_size:,} bytes")


def most_bytes(name: str) -> int:
    """Return how many bytes a member may have, by its name."""
    plain = PurePosixPath(name)
    return _MOST_BYTES.get(plain.name) or _MOST_BYTES.get(plain.suffix) or limits.MOST_REPORT_BYTES


class _BoundedFile(io.BufferedReader):
    """A zip that is read by pieces: `zipfile` asks for the whole directory at once, as large as the file says it is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > limits.MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory has {size:,} bytes, more than {limits.MOST_DIRECTORY_BYTES:,}")
        return super().read(size)


def _trap(path: Path, what: str) -> BenchError:
    return BenchError(
        f"{path} is refused, nothing was unpacked: {what}",
        hint="`bench export` writes no such archive. Ask whoever sent it.",
    )
