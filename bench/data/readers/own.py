"""The images of one's own Python file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.crops import Pixels, render_arrays
from bench.data.own import ImageSource, Part
from bench.data.readers.base import Source, Split, choose, hash_lines
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.files import sha256_file
from bench.userfile import class_in


def open_own(request: DataRequest, fetch: bool) -> Source | None:
    """Open the file at `request.path`, which is run; with `fetch`, raises BenchError when it is not there."""
    if request.path is None:
        raise BenchError('source = "own" needs a path', hint="Set `path` in the study's data to your Python file.")
    file = Path(request.path).expanduser().resolve()
    if not file.is_file():
        if fetch:
            raise BenchError(f"The data set's file {file} does not exist", hint="Set `path` in the study's data to it.")
        return None
    own = load_source(file)
    details: dict[str, Any] = {}
    return Source(
        fingerprint=hash_lines([sha256_file(file), own.version]),
        splits=lambda: (_split(own, file, "train", request, details), _split(own, file, "heldout", request, details)),
        render=partial(render_arrays, resolution=request.resolution),
        details=details,
        remedy=f"Mend {file.name}.",
    )


def load_source(file: Path) -> ImageSource:
    """Import a file and return its data set. Raises BenchError where it holds none, or cannot be made."""
    try:
        return class_in(file, ImageSource, "dataset")()  # type: ignore[type-abstract]
    except TypeError as error:
        raise BenchError(f"{file} defines a data set that cannot be made: {error}", hint="Mend the file.") from error


def image_of(own: ImageSource, part: Part, index: int) -> Pixels:
    """Return one image. Raises BenchError for what is none."""
    try:
        found = np.asarray(own.image(part, index))
    except BenchError:
        raise
    except Exception as error:  # whatever a user's code raises
        raise BenchError(
            f"{type(own).__name__}.image({part!r}, {index}) fails: {type(error).__name__}: {error}",
            hint="`bench check FILE` names what is wrong with a data set's file.",
        ) from error
    if found.dtype != np.uint8 or not (found.ndim == 2 or (found.ndim == 3 and found.shape[-1] == 3)):
        raise BenchError(
            f"{type(own).__name__}.image({part!r}, {index}) is {found.dtype} {found.shape}",
            hint="Return uint8 (H, W, 3) or grey (H, W), 0 to 255.",
        )
    return found


def _split(own: ImageSource, file: Path, part: Part, request: DataRequest, details: dict[str, Any]) -> Split:
    count = request.train_count if part == "train" else request.heldout_count
    kept = choose(range(int(own.count(part))), count, request.seed, part)
    details.update(
        kind="own file", file=file.name, source_sha256=sha256_file(file), version=own.version,
        partition="as the file says", seed=request.seed, filter="bicubic, antialiased",
    )  # fmt: skip
    return Split(len(kept), lambda start, stop: _read(own, part, kept[start:stop], request.resolution))


def _read(own: ImageSource, part: Part, indices: list[int], resolution: int) -> Pixels:
    """Return a block, N x H x W x 3; images of several sizes are scaled one by one."""
    images = [image_of(own, part, index) for index in indices]
    images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1) for image in images]
    if len({image.shape for image in images}) > 1:
        images = [render_arrays(image[None], resolution).images[0].transpose(1, 2, 0) for image in images]
    return np.stack(images)
