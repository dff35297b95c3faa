"""Images from wherever they lie, an array, a folder or a zip, as one array of bytes in memory."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.build import unusable_images
from bench.data.crops import Encoded, Pixels, Rendered, render_arrays, render_files
from bench.data.readers.archives import check_is_data, read_file, read_member
from bench.data.readers.folder import SUFFIXES, image_names
from bench.errors import BenchError

_BLOCK = 250
_REMEDY = "Replace these images or take them away."


def load_images(source: npt.ArrayLike | str | Path, *, resolution: int | None = None) -> npt.NDArray[np.uint8]:
    """Return images as an array (N, 3, R, R) of uint8, 0 to 255, in RGB.

    source      an array of uint8, (N, H, W, 3), (N, 3, H, W) or grey (N, H, W); or the path of a folder or a zip of
                images, taken with everything below it in the order of their paths
    resolution  R: the largest centred square is scaled to it by Pillow's bicubic filter, which antialiases. None takes
                arrays as they are, which must then be square, and files at 64 pixels

    All images lie in memory at once: 12 KB each at 64 pixels. Raises BenchError where the array has another type or
    shape, the path holds no images, or a file does not decode.

        bench.load_images("samples/", resolution=64).shape        # (10000, 3, 64, 64)
    """
    if isinstance(source, str | Path):
        return _from_files(Path(source).expanduser(), resolution or 64)
    return _from_array(np.asarray(source), resolution)


def _from_array(array: npt.NDArray[Any], resolution: int | None) -> Pixels:
    last, first = array.ndim == 4 and array.shape[-1] == 3, array.ndim == 4 and array.shape[1] == 3
    if array.dtype != np.uint8 or not (last or first or array.ndim == 3):
        raise BenchError(
            f"Images must be uint8 of shape (N, H, W, 3), (N, 3, H, W) or (N, H, W); these are {array.dtype} "
            f"{array.shape}",
            hint="Floats in [-1, 1] become bytes by (127.5 * x + 127.5).round().clip(0, 255).astype('uint8').",
        )
    if array.ndim == 3:
        array = np.repeat(array[..., None], 3, axis=-1)
    elif not last:
        array = array.transpose(0, 2, 3, 1)
    height, width = array.shape[1:3]
    if resolution is not None and (height, width) != (resolution, resolution):
        return render_arrays(array, resolution).images
    if height != width:
        raise BenchError(
            f"The images are {width}x{height} pixels, not square", hint="Give resolution=64 (or 32, 128) to crop them."
        )
    return np.require(array.transpose(0, 3, 1, 2), requirements=["C", "W"])  # torch takes no read-only memory


def _from_files(path: Path, resolution: int) -> Pixels:
    if path.is_dir():
        names, _ = image_names(path)
        blocks = [
            render_files([read_file(path / name, name) for name in names[at : at + _BLOCK]], "square", resolution)
            for at in range(0, len(names), _BLOCK)
        ]
    elif path.is_file():
        blocks = _blocks_of_zip(path, resolution)
    else:
        raise BenchError(f"There is no folder or zip {path}", hint="Name where the images lie.")
    if not blocks:
        raise BenchError(f"{path} holds no images ({', '.join(sorted(SUFFIXES))})", hint="Name where the images lie.")
    if bad := [image for block in blocks for image in block.bad]:
        raise unusable_images(str(path), bad, _REMEDY)
    return np.concatenate([block.images for block in blocks])


def _blocks_of_zip(path: Path, resolution: int) -> list[Rendered]:
    check_is_data(path, "Name a folder or a zip of images.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BenchError(f"{path} is not a complete zip archive ({error})", hint=_REMEDY) from error
    with archive:
        members = sorted((info for info in archive.infolist() if _is_image(info)), key=lambda info: info.filename)
        return [
            render_files(_read(archive, members[at : at + _BLOCK]), "square", resolution)
            for at in range(0, len(members), _BLOCK)
        ]


def _is_image(info: zipfile.ZipInfo) -> bool:
    """Tell whether a member is an image that a folder would have shown: macOS hides copies in `__MACOSX/._name`."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(info.filename).parts)
    return not info.is_dir() and not hidden and Path(info.filename).suffix.lower() in SUFFIXES


def _read(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[Encoded]:
    return [read_member(archive, info) for info in members]
