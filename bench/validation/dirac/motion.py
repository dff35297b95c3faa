"""The game set in motion: its flow, its discrete steps, and its linearisation at the equilibrium."""

from __future__ import annotations

import cmath
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from bench.validation.dirac.game import DiracGan, Order, Place

Numbers = NDArray[np.float64]
_EVALUATIONS = 20_000  # what solving one flow may cost before it counts as too rough to be solved
_EULER_STEP = 0.02
_BEYOND = 1e3  # where a path counts as lost


@dataclass(frozen=True)
class Path:
    """A path through the game: theta and psi at equally spaced times. It ends early where it is lost to infinity."""

    times: Numbers
    theta: Numbers
    psi: Numbers

    @property
    def radius(self) -> Numbers:
        """The distance from the equilibrium at the origin."""
        return np.hypot(self.theta, self.psi)


def flow(game: DiracGan, start: Place, duration: float, *, samples: int = 801, tolerance: float = 1e-5) -> Path:
    """Follow the gradient flow from `start`, the objective's state held there.

    Solved by Runge-Kutta to a relative `tolerance`, of eighth order where that is fine; by Euler steps of 0.02 where
    the field jumps, at the origin or wherever else it stops the solver.
    """
    if linearise(game) is not None:
        path = _solved(game, start, duration, samples, tolerance)
        if path is not None:
            return path
    count = max(samples - 1, round(duration / _EULER_STEP))

    def euler(place: Place) -> Place:
        theta_rate, psi_rate = game.velocity(place)
        size = duration / count
        return replace(place, theta=place.theta + size * theta_rate, psi=place.psi + size * psi_rate)

    return _walked(euler, start, duration, count)


def steps(
    game: DiracGan, start: Place, rate: float, count: int, order: Order = "alternating", discriminator_steps: int = 1
) -> Path:
    """Take `count` discrete steps of size `rate` as training does with plain gradient descent, the state following."""
    return _walked(lambda place: game.step(place, rate, order, discriminator_steps), start, rate * count, count)


def linearise(game: DiracGan) -> Numbers | None:
    """Return the Jacobian of the velocity by (theta, psi) at the origin, or None where the field jumps there.

    Central differences over the points (+-h, +-h), which avoid the axes, where some losses have kinks; two h tell a
    slope from a jump, and extrapolate to h = 0.
    """
    coarse, fine = (_jacobian(game, h) for h in (1e-4, 1e-5))
    if not np.all(np.isfinite(fine)) or np.abs(fine).max() > 3 * np.abs(coarse).max() + 1e-3:
        return None
    return (10 * fine - coarse) / 9


def eigenvalues(game: DiracGan) -> tuple[complex, complex] | None:
    """Return the Jacobian's eigenvalues at the origin, the smaller real part first; None where the field jumps there.

    Trace and determinant are rounded to eight digits, so that a double eigenvalue is not torn apart by rounding errors.
    """
    matrix = linearise(game)
    if matrix is None:
        return None
    half_trace, determinant = (round(float(value), 8) for value in (np.trace(matrix) / 2, np.linalg.det(matrix)))
    root = cmath.sqrt(half_trace**2 - determinant)
    return half_trace - root, half_trace + root


def _jacobian(game: DiracGan, h: float) -> Numbers:
    state = game.objective.initial_state()
    at = {
        (a, b): np.array(game.velocity(Place(a * h, b * h, state)), dtype=np.float64) for a in (1, -1) for b in (1, -1)
    }
    by_theta = at[1, 1] + at[1, -1] - at[-1, 1] - at[-1, -1]
    by_psi = at[1, 1] - at[1, -1] + at[-1, 1] - at[-1, -1]
    return np.stack([by_theta, by_psi], axis=1) / (4 * h)


class _TooRoughError(Exception):
    """The solver keeps halving its step."""


def _solved(game: DiracGan, start: Place, duration: float, samples: int, tolerance: float) -> Path | None:
    evaluations = 0

    def field(time: float, where: Numbers) -> tuple[float, float]:
        nonlocal evaluations
        evaluations += 1
        if evaluations > _EVALUATIONS:
            raise _TooRoughError
        return game.velocity(Place(float(where[0]), float(where[1]), start.state))

    def lost(time: float, where: Numbers) -> float:
        return float(_BEYOND - np.max(np.abs(where)))

    lost.terminal = True  # type: ignore[attr-defined]
    times = np.linspace(0, duration, samples)
    try:
        solution = solve_ivp(
            field,
            (0, duration),
            [start.theta, start.psi],
            method="RK45" if tolerance > 1e-7 else "DOP853",
            t_eval=times,
            events=lost,
            rtol=tolerance,
            atol=tolerance * 1e-2,
        )
    except _TooRoughError:
        return None
    if solution.status < 0:
        return None
    return Path(times[: solution.y.shape[1]], solution.y[0], solution.y[1])


def _walked(move: Callable[[Place], Place], start: Place, duration: float, count: int) -> Path:
    places = [start]
    while len(places) <= count and max(abs(places[-1].theta), abs(places[-1].psi)) < _BEYOND:
        places.append(move(places[-1]))
    times = np.linspace(0, duration, count + 1)[: len(places)]
    return Path(times, np.array([place.theta for place in places]), np.array([place.psi for place in places]))
