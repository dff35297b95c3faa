"""What the game does, in words, judged from simulated paths alone."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from bench.validation.dirac.motion import Numbers, Path

NEAR = 0.05  # of the start's distance: this near, G counts as having reached the data
STEADY = 0.05  # a relative change of the swing below this counts as none
NEARER = 1 / 3  # the second start's distance, as a share of the first's


class Behaviour(StrEnum):
    """The kinds of motion, from G's view: does theta come to 0, where the real point is?"""

    CONVERGES = "converges"
    CLOSES_IN = "closes in slowly"  # not there by the end, but always nearer
    CIRCLES = "circles"  # keeps the distance that it starts with, whichever that is
    CYCLE = "ends in a cycle"  # settles at a distance of its own
    STOPS_SHORT = "stops short"  # rests away from the data
    SPIRALS_OUT = "spirals out"
    DRIFTS = "drifts away"
    ESCAPES = "escapes"


def behaviour_of(path: Path, from_nearer: Callable[[], Path]) -> Behaviour:
    """Say what the game does, by the largest |theta| in each third of its path.

    Whether a steady swing is a circle or a cycle takes a second path, `from_nearer`, begun at a third of the distance:
    circles keep theirs, a cycle has its own.
    """
    reach = path.radius[0]
    if not np.all(np.isfinite(path.radius)) or path.radius.max() > 20 * reach:
        return Behaviour.ESCAPES
    tail = slice(-max(len(path.times) // 10, 2), None)
    if np.abs(path.theta[tail]).max() < NEAR * reach:
        return Behaviour.CONVERGES
    if max(np.ptp(path.theta[tail]), np.ptp(path.psi[tail])) < 1e-3 * reach:
        return Behaviour.STOPS_SHORT
    first, second, third = _swings(path)
    if third < (1 - STEADY) * second:
        return Behaviour.CLOSES_IN
    if third > (1 + STEADY) * second:
        return Behaviour.SPIRALS_OUT if _turns(path) else Behaviour.DRIFTS
    if abs(first / third - 1) > STEADY:
        return Behaviour.CYCLE
    ratio = _swings(from_nearer())[2] / third
    return Behaviour.CIRCLES if abs(ratio / NEARER - 1) < STEADY else Behaviour.CYCLE


def _swings(path: Path) -> tuple[float, float, float]:
    first, second, third = (float(np.abs(part).max()) for part in np.array_split(path.theta, 3))
    return first, second, third


def _turns(path: Path) -> bool:
    """Tell whether theta changes its direction in the later two thirds."""
    later: Numbers = np.diff(path.theta[len(path.theta) // 3 :])
    return bool((later > 0).any() and (later < 0).any())
