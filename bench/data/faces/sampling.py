"""What is in a picture: ten discrete factors and the continuous traits, both hashed from (seed, index)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from bench.errors import BenchError, suggest

FACTORS: dict[str, tuple[str, ...]] = {
    "skin": ("porcelain", "light", "tan", "brown", "deep brown"),
    "background": ("sand", "silver", "green", "coral", "violet", "blue"),
    "shirt": ("red", "yellow", "green", "blue"),
    "glasses": ("none", "glasses", "sunglasses"),
    "hat": ("none", "cap", "beanie"),
    "hair_style": ("bald", "short", "parted", "curly", "long"),
    "hair_colour": ("black", "brown", "blond", "red", "grey"),
    "eyes": ("brown", "blue", "green"),
    "mouth": ("neutral", "smile", "open", "frown"),
    "beard": ("none", "moustache", "goatee", "full"),
}
"""The values of each factor, in the order of their numbers."""

MODE_FACTORS = ("skin", "background", "shirt", "glasses", "hat")
"""The factors whose combinations are counted as modes."""

HELDOUT_START = 1_000_000
"""Indices below it are for training, those from here on are held out."""

TRAITS: dict[str, tuple[float, float]] = {
    # Pose, in radians, and place, in half picture widths.
    "yaw": (-0.42, 0.42),
    "pitch": (-0.12, 0.16),
    "roll": (-0.20, 0.20),
    "shift_x": (-0.08, 0.08),
    "shift_y": (-0.04, 0.05),
    "scale": (0.94, 1.07),
    # Shape.
    "head_width": (0.94, 1.06),
    "head_height": (0.95, 1.04),
    "taper": (0.06, 0.20),
    "jaw": (0.00, 0.10),
    "ear_size": (0.85, 1.15),
    "nose_size": (0.85, 1.20),
    "eye_size": (0.90, 1.10),
    "eye_openness": (0.70, 1.10),
    "gaze_x": (-0.30, 0.30),
    "gaze_y": (-0.15, 0.15),
    "brow_height": (-0.02, 0.05),
    "brow_tilt": (-0.22, 0.22),
    "brow_weight": (0.80, 1.30),
    "mouth_width": (0.85, 1.15),
    "mouth_opening": (0.75, 1.20),
    "shoulders": (0.92, 1.08),
    "collar": (0.0, 1.0),
    # Light: direction, cast and strength.
    "light_x": (-0.80, 0.80),
    "light_y": (0.15, 0.65),
    "warmth": (-1.0, 1.0),
    "strength": (0.85, 1.15),
    "glow_x": (-0.90, 0.90),
    "glow_y": (-0.90, 0.30),
    "glow": (0.10, 0.32),
    # Colours.
    "skin_hue": (-1.0, 1.0),
    "blush": (0.2, 1.0),
    "hair_shade": (0.88, 1.12),
    "shirt_shade": (0.90, 1.10),
    "hat_colour": (0.0, 1.0),
    "hat_shade": (0.90, 1.10),
    # Hair and hat.
    "hairline": (-0.05, 0.05),
    "hair_volume": (0.0, 1.0),
    "hair_length": (0.0, 1.0),
    "hair_phase": (0.0, 6.283),
    "parting": (-1.0, 1.0),
    "hat_height": (0.0, 1.0),
    "frame": (0.94, 1.06),
    "glare": (0.0, 1.0),
}
"""Lowest and highest value of each continuous trait, all uniform. Append only: a trait's place is its random number."""


@dataclass(frozen=True)
class Face:
    """One picture before it is drawn: `factors` by name as numbers, `traits` by name in the ranges of TRAITS."""

    factors: Mapping[str, int]
    traits: Mapping[str, float]


def face(seed: int, index: int) -> Face:
    """Return the face at `index` of the set that `seed` names. The same arguments give the same face everywhere."""
    return faces(seed, [index])[0]


def faces(seed: int, indices: Sequence[int] | range) -> list[Face]:
    """Return the faces at `indices`, each the one that `face` returns."""
    found = []
    for numbers in _uniforms(seed, indices, len(FACTORS) + len(TRAITS)):
        chosen = {
            name: int(number * len(kinds)) for (name, kinds), number in zip(FACTORS.items(), numbers, strict=False)
        }
        rest = numbers[len(FACTORS) :]
        traits = {
            name: low + (high - low) * number for (name, (low, high)), number in zip(TRAITS.items(), rest, strict=True)
        }
        found.append(Face(chosen, traits))
    return found


def factors(seed: int, index: int) -> dict[str, int]:
    """Return the ten factors of one face, by name, as numbers into FACTORS."""
    return dict(face(seed, index).factors)


def mode_count() -> int:
    """Return how many modes there are: the product of the mode factors' sizes, 1,080."""
    return prod(len(FACTORS[name]) for name in MODE_FACTORS)


def mode_index(chosen: Mapping[str, int]) -> int:
    """Return the mode of a face's factors, from 0 to `mode_count() - 1`; the last mode factor changes fastest."""
    index = 0
    for name in MODE_FACTORS:
        index = index * len(FACTORS[name]) + check_factor(name, chosen[name])
    return index


def mode_factors(index: int) -> dict[str, int]:
    """Return the five mode factors that `mode_index` turns into `index`."""
    if not 0 <= index < mode_count():
        raise BenchError(f"There is no mode {index}: modes are numbered 0 to {mode_count() - 1}")
    chosen = {}
    for name in reversed(MODE_FACTORS):
        index, chosen[name] = divmod(index, len(FACTORS[name]))
    return {name: chosen[name] for name in MODE_FACTORS}


def check_factor(name: str, value: int) -> int:
    """Return `value` if it is one of the factor's numbers; raises BenchError otherwise."""
    if name not in FACTORS:
        raise BenchError(f'There is no factor "{name}"{suggest(name, FACTORS)}', hint=f"Factors: {', '.join(FACTORS)}")
    if not 0 <= value < len(FACTORS[name]):
        raise BenchError(f'Factor "{name}" has the values 0 to {len(FACTORS[name]) - 1}, not {value}')
    return value


def _uniforms(seed: int, indices: Sequence[int] | range, count: int) -> list[list[float]]:
    """Return `count` numbers in [0, 1) for each index, hashed from (seed, index): SplitMix64 (Steele et al. 2014).

    Integer arithmetic alone decides them, so that no library version and no processor can change a face.
    """
    if len(indices) and min(indices) < 0:
        raise BenchError(f"A face's index is 0 or more, not {min(indices)}")
    start = _mix(_mix(np.array([[seed % 2**64]], dtype=np.uint64)) + np.array(indices, dtype=np.uint64)[:, None])
    counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = _mix(start + counters) >> np.uint64(11)
    numbers: list[list[float]] = (bits.astype(np.float64) * 2.0**-53).tolist()
    return numbers


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
