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
from bench.data.faces.geometry import clamped
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
    "RESOLUTIONS",
    "TRAITS",
    "Face",
    "check_factor",
    "describe",
    "draw",
    "draw_face",
    "draw_faces",
    "face",
    "factors",
    "mode_count",
    "mode_factors",
    "mode_index",
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
    if resolution not in RESOLUTIONS:
        raise BenchError(f"Faces are drawn at 32, 64 or 128 pixels, not {resolution}")
    levels = clamped(draw_pixels(who, max(resolution, 64)) * 255.0, 0.0, 255.0)
    if resolution == 32:
        levels = (levels[:, ::2, ::2] + levels[:, 1::2, ::2] + levels[:, ::2, 1::2] + levels[:, 1::2, 1::2]) * 0.25
    rounded: npt.NDArray[np.uint8] = (levels + 0.5).astype(np.uint8)
    return rounded
