"""Images of files, block by block: a folder, a zip, NumPy's .npz and .npy, parquet shards.

Whoever wrote them: image files are bounded in bytes and pixels, arrays are read as numbers alone.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.data.build import unusable_images
from bench.data.crops import CELEBA_CROPS, Encoded, Pixels, render_arrays, render_files
from bench.data.readers.archives import archive_kind, check_is_data, read_file, read_member
from bench.data.readers.folder import SUFFIXES, image_names
from bench.errors import BenchError, suggest
from bench.limits import MOST_PHOTO_PIXELS

BLOCK = 250
RECIPES = ("square", "none", *CELEBA_CROPS)
_REMEDY = "Replace these images or take them away."
_WAYS = "Name a folder or a zip of images, a .npz or .npy of uint8, or parquet shards."

Blocks = Iterator[Pixels]


def count_and_blocks(
    path: Path, resolution: int | None, recipe: str = "square", most: int | None = None
) -> tuple[int, Blocks]:
    """Return how many images lie at `path`, and blocks of them, uint8 (N, 3, R, R), in a fixed order.

    `most`: where there are more, only `drawn_places` of them. `resolution` None takes arrays as they are, which must be
    square, and image files at 64 pixels. Raises BenchError, at once or while blocks are taken, for what holds no images
    or some that cannot be used.
    """
    if recipe not in RECIPES:
        raise BenchError(f"{recipe!r} is no recipe{suggest(recipe, RECIPES)}", hint=f"There are: {', '.join(RECIPES)}.")
    if not path.exists():
        raise BenchError(f"There is nothing at {path}", hint=_WAYS)
    if path.is_file() and path.suffix in (".npy", ".npz"):
        return _array_file(path, resolution, most)
    return _image_files(path, resolution or 64, recipe, most)


def drawn_places(count: int, most: int | None) -> Sequence[int]:
    """Return which of `count` images are taken where no more than `most` are wanted: all, or a fixed random choice.

    Generated images often lie class by class, so that the first ones, or every tenth, would be no sample of them.
    """
    if most is None or count <= most:
        return range(count)
    drawn: list[int] = np.sort(np.random.default_rng(0).choice(count, most, replace=False)).tolist()
    return drawn


def _image_files(path: Path, resolution: int, recipe: str, most: int | None) -> tuple[int, Blocks]:
    places: Sequence[Any]
    shards = sorted(path.rglob("*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []
    names = image_names(path)[0] if path.is_dir() else []
    archive: zipfile.ZipFile | None = None
    if shards and not names:
        from bench.data.readers.parquet import open_rows

        places, read = open_rows(shards)
    elif path.is_dir():
        places = names

        def read(some: Sequence[Any]) -> list[Encoded]:
            return [read_file(path / name, name) for name in some]
    else:
        archive = opened = _open_zip(path)
        places = sorted((info for info in opened.infolist() if _is_image(info)), key=lambda info: info.filename)

        def read(some: Sequence[Any]) -> list[Encoded]:
            return [read_member(opened, info) for info in some]

    if not places:
        raise BenchError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})", hint="Name where the images lie.")
    places = [places[place] for place in drawn_places(len(places), most)]
    return len(places), _rendered(path, places, read, recipe, resolution, archive)


def _rendered(
    path: Path,
    places: Sequence[Any],
    read: Callable[[Sequence[Any]], list[Encoded]],
    recipe: str,
    resolution: int,
    archive: zipfile.ZipFile | None,
) -> Blocks:
    """Yield decoded blocks. Of a source with bad images, all in the rest of it are named, and none is yielded."""
    with closing(archive) if archive is not None else _Nothing():
        bad: list[tuple[str, str]] = []
        for at in range(0, len(places), BLOCK):
            block = render_files(read(places[at : at + BLOCK]), recipe, resolution)
            bad.extend(block.bad)
            if not bad:
                yield block.images
        if bad:
            raise unusable_images(str(path), bad, _REMEDY)


class _Nothing:
    """Nothing to close."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _open_zip(path: Path) -> zipfile.ZipFile:
    check_is_data(path, _WAYS)
    if kind := archive_kind(path):
        raise BenchError(f"{path} is {kind}, which bench does not read", hint=f"Unpack it. {_WAYS}")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BenchError(f"{path} is not a complete zip archive ({error})", hint=_WAYS) from error


def _is_image(info: zipfile.ZipInfo) -> bool:
    """Tell whether a member is an image that a folder would have shown: macOS hides copies in `__MACOSX/._name`."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(info.filename).parts)
    return not info.is_dir() and not hidden and Path(info.filename).suffix.lower() in SUFFIXES


def _array_file(path: Path, resolution: int | None, most: int | None) -> tuple[int, Blocks]:
    """Open an array of images, in .npz the only one or the one with a name of images, by its header alone."""
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                shape, layout = _header(path, file)
            places = drawn_places(shape[0], most)
            return len(places), _array_blocks(path, lambda: path.open("rb"), shape, layout, resolution, places)
        with zipfile.ZipFile(path) as archive:
            member = _image_array(path, archive)
            with archive.open(member) as entry:
                shape, layout = _header(path, entry)
        places = drawn_places(shape[0], most)
        return len(places), _array_blocks(path, lambda: _member(path, member), shape, layout, resolution, places)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise BenchError(f"{path} holds no array that can be read ({error})", hint=_WAYS) from error


def _image_array(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith(".npy")]
    named = [name for name in ("images.npy", "samples.npy", "arr_0.npy") if name in names]
    if not named and len(names) != 1:
        raise BenchError(
            f"{path} holds {len(names)} arrays, and none is called images, samples or arr_0",
            hint="Write it with numpy.savez(FILE, images=array).",
        )
    return named[0] if named else names[0]


def _member(path: Path, member: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(member)


def _header(path: Path, file: IO[bytes]) -> tuple[tuple[int, ...], str]:
    """Return an array's shape and how its images lie: "last", "first" (colours) or "grey"."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, kind = read(file)
    last, first = len(shape) == 4 and shape[-1] == 3, len(shape) == 4 and shape[1] == 3
    if kind != np.uint8 or fortran or not (last or first or len(shape) == 3):
        order = ", in Fortran's order" if fortran else ""
        raise BenchError(
            f"{path} holds {kind} {shape}{order}: images must be uint8 (N, H, W, 3), (N, 3, H, W) or (N, H, W)",
            hint="Floats in [-1, 1] become bytes by (127.5 * x + 127.5).round().clip(0, 255).astype('uint8').",
        )
    if not shape[0] or np.prod(shape[1:], dtype=float) > 3 * MOST_PHOTO_PIXELS:
        raise BenchError(f"{path} holds {shape[0]} images of {shape[1:]}, which cannot be used", hint=_WAYS)
    return shape, "last" if last else "first" if first else "grey"


def _array_blocks(
    path: Path,
    opened: Callable[[], IO[bytes]],
    shape: tuple[int, ...],
    layout: str,
    resolution: int | None,
    places: Sequence[int],
) -> Blocks:
    height, width = shape[2:4] if layout == "first" else shape[1:3]
    if resolution is None and height != width:
        raise BenchError(
            f"The images of {path} are {width}x{height} pixels, not square",
            hint="Give a resolution of 64 (or 32, 128) to crop them.",
        )
    one = int(np.prod(shape[1:]))
    step = max(min(BLOCK, (64 << 20) // one), 1)
    taken = np.zeros(shape[0], dtype=np.bool_)
    taken[places] = True
    with opened() as file:
        _header(path, file)
        for at in range(0, shape[0], step):
            wanted = min(step, shape[0] - at)
            content = file.read(wanted * one)
            if len(content) != wanted * one:
                raise BenchError(f"{path} is cut off: it holds fewer images than it says", hint="Copy it again.")
            block = np.frombuffer(content, np.uint8).reshape(wanted, *shape[1:])[taken[at : at + wanted]]
            if len(block):
                yield _as_planes(block, layout, resolution)


def _as_planes(block: Pixels, layout: str, resolution: int | None) -> Pixels:
    if layout == "first":
        block = block.transpose(0, 2, 3, 1)
    elif layout == "grey":
        block = np.repeat(block[..., None], 3, axis=-1)
    if resolution is not None and block.shape[1:3] != (resolution, resolution):
        return render_arrays(np.ascontiguousarray(block), resolution).images
    return np.ascontiguousarray(block.transpose(0, 3, 1, 2))
