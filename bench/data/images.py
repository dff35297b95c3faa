"""Images from wherever they lie, an array or files, as one array of bytes: in memory, or mapped from a file.

Files are a folder or a zip of images, NumPy's .npz and .npy, and parquet shards. They are read block by block
(`bench.data.streams`): `map_images` never holds more than one block.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.crops import Pixels, render_arrays
from bench.data.streams import count_and_blocks
from bench.errors import BenchError
from bench.files import disk_error


def load_images(
    source: npt.ArrayLike | str | Path, *, resolution: int | None = None, recipe: str = "square"
) -> npt.NDArray[np.uint8]:
    """Return images as an array (N, 3, R, R) of uint8, 0 to 255, in RGB.

    source      an array of uint8, (N, H, W, 3), (N, 3, H, W) or grey (N, H, W); or a path: a folder or a zip of images,
                with everything below it in the order of their paths, a .npz or .npy of such an array, or parquet shards
    resolution  R: the largest centred square is scaled to it by Pillow's bicubic filter, which antialiases. None takes
                arrays as they are, which must then be square, and images of files at 64 pixels
    recipe      how images of files are cropped: "square", "none", or one of CelebA's crops such as "crop128"

    All images lie in memory at once: 12 KB each at 64 pixels. Raises BenchError where the array has another type or
    shape, the path holds no images, or a file does not decode.

        bench.load_images("samples/", resolution=64).shape        # (10000, 3, 64, 64)
    """
    if isinstance(source, str | Path):
        _, blocks = count_and_blocks(Path(source).expanduser(), resolution, recipe)
        return np.concatenate(list(blocks))
    return _from_array(np.asarray(source), resolution)


def map_images(
    source: Path, folder: Path, *, resolution: int | None = None, recipe: str = "square", most: int | None = None
) -> npt.NDArray[np.uint8]:
    """Return images of files as `load_images` does, mapped from a new file in `folder`: memory does not grow with them.

    `most`: no more than so many, by a fixed random choice (`drawn_places`). Raises BenchError as it does, and where the
    disk is too full.
    """
    count, blocks = count_and_blocks(source.expanduser(), resolution, recipe, most)
    path = folder / f"images-{len(list(folder.iterdir()))}.npy"
    at = 0
    try:
        # Ordinary writes, not a map that is written to: a full disk is then an error, not a signal.
        with path.open("wb") as file:
            for block in blocks:
                if at == 0:
                    _refuse_full_disk(source, folder, count * block[0].nbytes)
                    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *block.shape[1:])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(block).data)
                at += len(block)
    except OSError as error:
        raise disk_error(path, error) from error
    mapped: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _refuse_full_disk(source: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BenchError(
            f"The images of {source} take {needed / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free there",
            hint="Free some disk space, measure fewer images, or set TMPDIR to another folder.",
        )


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
            f"The images are {width}x{height} pixels, not square",
            hint="Give the resolution 64 (or 32, 128) to crop them.",
        )
    return np.require(array.transpose(0, 3, 1, 2), requirements=["C", "W"])  # torch takes no read-only memory
