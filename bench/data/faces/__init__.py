"""Drawn faces: a data set that needs no download, whose every image is a pure function of (seed, index).

Ten discrete factors say what is in the picture, continuous traits say how it is seen. Five of the factors are the
*mode factors*: uniform, independent, and never hidden by another one, so that a classifier (`bench.data.judge`)
can count which of the 1,080 modes a generator reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.faces.drawing import draw_pixels
from bench.data.faces.geometry import Array, clamped
from bench.data.faces.parts import PART_COLOURS, PARTS, part_numbers, parts_picture, recoloured
from bench.data.faces.sampling import (
    FACTORS,
    HELDOUT_START,
    MODE_FACTORS,
    TRAITS,
    Face,
    check_factor,
    face,
    factors,
    mode_count,
    mode_factors,
    mode_index,
)
from bench.data.faces.sampling import faces as sampled
from bench.errors import BenchError

__all__ = [
    "FACTORS",
    "HELDOUT_START",
    "MODE_FACTORS",
    "PARTS",
    "PART_COLOURS",
    "RESOLUTIONS",
    "TRAITS",
    "Face",
    "check_factor",
    "describe",
    "draw",
    "draw_face",
    "draw_faces",
    "draw_faces_and_parts",
    "face",
    "factors",
    "mode_count",
    "mode_factors",
    "mode_index",
    "part_numbers",
    "parts_picture",
    "recoloured",
]

RESOLUTIONS = (32, 64, 128)


def draw(who: Face, resolution: int = 64) -> npt.NDArray[np.uint8]:
    """Draw one face: uint8 (R, R, 3). A 32-pixel picture is the 2x2 mean of the 64-pixel one."""
    return np.ascontiguousarray(_planes(who, resolution).transpose(1, 2, 0))


def draw_face(seed: int, index: int, resolution: int = 64) -> npt.NDArray[np.uint8]:
    """Draw the face at `index` of the set that `seed` names: uint8 (R, R, 3)."""
    return draw(face(seed, index), resolution)


def draw_faces(
    seed: int,
    indices: Sequence[int] | range | npt.NDArray[np.integer[Any]],
    resolution: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw several faces: uint8 (N, 3, R, R). Each depends on its own index alone.

    `progress(drawn, total)` is called after every hundredth face and at the end.
    """
    wanted = [int(index) for index in indices]
    pictures = np.empty((len(wanted), 3, resolution, resolution), dtype=np.uint8)
    for start in range(0, len(wanted), 100):
        for offset, who in enumerate(sampled(seed, wanted[start : start + 100])):
            pictures[start + offset] = _planes(who, resolution)
        if progress is not None:
            progress(min(start + 100, len(wanted)), len(wanted))
    return pictures


def draw_faces_and_parts(
    seed: int, indices: Sequence[int] | range | npt.NDArray[np.integer[Any]], resolution: int = 64
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw several faces, uint8 (N, 3, R, R), and the part that each pixel shows most of: (N, R, R), places in PARTS.

    The pictures are those of `draw_faces`. At 32 pixels a part's share is the mean over 2x2 pixels, as colours are.
    """
    wanted = [int(index) for index in indices]
    pictures = np.empty((len(wanted), 3, resolution, resolution), dtype=np.uint8)
    numbers = np.empty((len(wanted), resolution, resolution), dtype=np.uint8)
    for place, who in enumerate(sampled(seed, wanted)):
        drawn = _drawn(who, resolution, parts=True)
        pictures[place] = _picture(drawn[:3], resolution)
        numbers[place] = _at(drawn[3:], resolution).argmax(axis=0)
    return pictures, numbers


def describe(chosen: Mapping[str, int]) -> str:
    """Say in a short English sentence what a face's factors show, for instance as an image's alternative text."""
    words = {name: FACTORS[name][check_factor(name, chosen[name])] for name in FACTORS}
    hair = "bald" if words["hair_style"] == "bald" else f"{words['hair_style']} {words['hair_colour']} hair"
    beards = {"none": "", "moustache": "a moustache", "goatee": "a goatee", "full": "a full beard"}
    mouths = {"neutral": "a closed mouth", "smile": "a smile", "open": "an open mouth", "frown": "a frown"}
    eyes = "" if words["glasses"] == "sunglasses" else f"{words['eyes']} eyes"
    worn = {"none": "", "glasses": "glasses", "sunglasses": "sunglasses"}[words["glasses"]]
    hat = "" if words["hat"] == "none" else f"a {words['hat']}"
    details = [hair, eyes, mouths[words["mouth"]], beards[words["beard"]], worn, hat, f"a {words['shirt']} shirt"]
    listed = [detail for detail in details if detail]
    return (
        f"A drawn face with {words['skin']} skin: {', '.join(listed[:-1])} and {listed[-1]},"
        f" before a {words['background']} background."
    )


def _planes(who: Face, resolution: int) -> npt.NDArray[np.uint8]:
    return _picture(_drawn(who, resolution), resolution)


def _drawn(who: Face, resolution: int, parts: bool = False) -> Array:
    if resolution not in RESOLUTIONS:
        raise BenchError(f"Faces are drawn at 32, 64 or 128 pixels, not {resolution}")
    return draw_pixels(who, max(resolution, 64), parts)


def _picture(colours: Array, resolution: int) -> npt.NDArray[np.uint8]:
    rounded: npt.NDArray[np.uint8] = (_at(clamped(colours * 255.0, 0.0, 255.0), resolution) + 0.5).astype(np.uint8)
    return rounded


def _at(planes: Array, resolution: int) -> Array:
    """Return planes that were drawn at 64 pixels or more at the resolution: 2x2 means for 32."""
    if planes.shape[1] == resolution:
        return planes
    means: Array = (planes[:, ::2, ::2] + planes[:, 1::2, ::2] + planes[:, ::2, 1::2] + planes[:, 1::2, 1::2]) * 0.25
    return means
