"""The ten parts of a drawn face, and pictures of which part each pixel shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.faces.sampling import Face
from bench.errors import BenchError

PART_COLOURS: dict[str, tuple[int, int, int]] = {
    "background": (0, 0, 0),
    "hair": (128, 128, 128),
    "shirt": (0, 0, 255),
    "skin": (255, 128, 0),
    "brows": (255, 0, 255),
    "eyes": (255, 255, 255),
    "mouth": (255, 0, 0),
    "beard": (0, 255, 0),
    "hat": (255, 255, 0),
    "glasses": (0, 255, 255),
}
"""Each part's colour in a picture of parts, RGB, in the order of the parts' numbers: any two differ by 127 or more."""

PARTS = tuple(PART_COLOURS)

HIDDEN_FACTORS = ("skin", "background", "shirt", "hair_colour", "eyes")
HIDDEN_TRAITS = (
    *("light_x", "light_y", "warmth", "strength", "glow_x", "glow_y", "glow"),
    *("skin_hue", "blush", "hair_shade", "shirt_shade", "hat_colour", "hat_shade"),
)
"""What a map of parts hides: every colour, and the light."""

_PALETTE = np.array(list(PART_COLOURS.values()), dtype=np.uint8)


def parts_picture(numbers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8]:
    """Turn part numbers (N, R, R), places in PARTS, into pictures (N, 3, R, R)."""
    return np.ascontiguousarray(_PALETTE[numbers].transpose(0, 3, 1, 2))


def part_numbers(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the part numbers (N, R, R) of pictures (N, 3, R, R): the inverse of `parts_picture`.

    Raises BenchError for a colour that is no part's.
    """
    fits = (pictures[:, None] == _PALETTE[None, :, :, None, None]).all(axis=2)
    if not fits.any(axis=1).all():
        raise BenchError("A picture of parts holds a colour that is no part's")
    numbers: npt.NDArray[np.uint8] = fits.argmax(axis=1).astype(np.uint8)
    return numbers


def recoloured(face: Face, other: Face) -> Face:
    """Return a face with all that its map of parts hides taken from another one: its map stays the same."""
    factors = {**face.factors, **{name: other.factors[name] for name in HIDDEN_FACTORS}}
    return Face(factors, {**face.traits, **{name: other.traits[name] for name in HIDDEN_TRAITS}})
