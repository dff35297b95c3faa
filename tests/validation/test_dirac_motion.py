"""The Dirac-GAN in motion: flows and discrete steps against what can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bench.objectives import load
from bench.validation.dirac.behaviour import Behaviour, behaviour_of
from bench.validation.dirac.game import DiracGan, Order, Place
from bench.validation.dirac.motion import Path, flow, steps
from bench.validation.dirac.predictions import PREDICTIONS
from bench.validation.dirac.survey import portrait


def game_of(name: str, **settings: Any) -> DiracGan:
    return DiracGan(load(name).model_validate(settings))


def flow_of(name: str, theta: float, psi: float, duration: float, *, tolerance: float = 1e-5, **settings: Any) -> Path:
    game = game_of(name, **settings)
    return flow(game, game.start(theta, psi), duration, samples=101, tolerance=tolerance)


def test_minimax_conserves_the_radius() -> None:
    path = flow_of("minimax", 1.0, 0.8, 15.0, tolerance=1e-10)
    assert path.theta.min() < -1  # it has been round
    np.testing.assert_allclose(path.radius, path.radius[0], rtol=1e-8)


def test_the_non_saturating_radius_falls_as_eight_over_t() -> None:
    """Averaged over a turn, d r^2/dt = -r^4/8: 1/r^2 = 1/r_0^2 + t/8."""
    path = flow_of("nsgan", 0.6, 0.6, 80.0)
    assert path.radius[-1] ** 2 * (8 / path.radius[0] ** 2 + 80) / 8 == pytest.approx(1, abs=0.02)


def test_rasgan_closes_in_twice_as_fast() -> None:
    path = flow_of("rasgan", 0.6, 0.6, 40.0)
    assert path.radius[-1] ** 2 * (4 / path.radius[0] ** 2 + 40) / 4 == pytest.approx(1, abs=0.02)


def test_lecam_closes_in_as_four_over_lambda_t() -> None:
    turns = 4 * math.pi  # two whole ones: it pays on one half of each
    path = flow_of("lecam", 0.3, 0.3, turns, start=0, weight=1.0)
    assert path.radius[-1] ** 2 * (4 / path.radius[0] ** 2 + turns) / 4 == pytest.approx(1, abs=0.05)


def test_hinge_circles_inside_its_margins_and_comes_back_to_them() -> None:
    inside = flow_of("hinge", 1.0, 0.9, 8.0, tolerance=1e-9)
    np.testing.assert_allclose(inside.radius, inside.radius[0], rtol=1e-7)
    outside = steps(game_of("hinge"), Place(1.8, 1.2, {}), 0.05, 400)
    assert outside.radius[-130:].max() == pytest.approx(math.sqrt(2), rel=0.03)  # a turn; steps make it an ellipse


def test_clipping_ends_on_the_circle_of_the_bound() -> None:
    path = flow_of("wgan", 1.0, 0.3, 12.0, clip=0.5)
    np.testing.assert_allclose(path.radius[-20:], 0.5, rtol=1e-3)


def test_sobolev_settles_on_rayleighs_cycle() -> None:
    """The multiplier at 0: psi' = -theta + 2 rho (1 - psi^2) psi has, to first order in rho, the amplitude 2/sqrt 3."""
    path = flow_of("sobolev", 0.4, 0.2, 30.0, rho=0.15)
    assert path.radius[-25:].mean() == pytest.approx(2 / math.sqrt(3), rel=0.02)


def test_a_slope_held_at_one_stops_the_generator_short() -> None:
    """Where lambda >= 1 (over nsgan: (sqrt 5 - 1)/4) the flow rests at theta = 2 lambda (4 lambda), psi = 0."""
    for name, weight, where in (("wgan-gp", 1.2, 2.4), ("dragan", 0.5, 2.0)):
        path = steps(game_of(name, penalty_weight=weight), Place(1.2, 0.6, {}), 0.1, 400)
        assert (path.theta[-1], path.psi[-1]) == pytest.approx((where, 0), abs=0.02)


def test_ebgan_arrives_in_finite_time() -> None:
    """From (1.2, 0.6): at speeds -1 and -2 to (0.9, 0), then theta alone at -1, there at t = 1.2."""
    path = flow_of("ebgan", 1.2, 0.6, 2.0, margin=20.0)
    at = {time: int(np.argmin(np.abs(path.times - time))) for time in (0.3, 0.9, 1.3)}
    assert (path.theta[at[0.3]], path.psi[at[0.3]]) == pytest.approx((0.9, 0.0), abs=0.05)
    assert (path.theta[at[0.9]], path.psi[at[0.9]]) == pytest.approx((0.3, 0.0), abs=0.05)
    assert (path.theta[at[1.3]], path.psi[at[1.3]]) == pytest.approx((0.0, 0.0), abs=0.05)


def test_the_vae_descends_alone() -> None:
    path = flow_of("vae", 1.2, 0.6, 3.0)
    assert path.theta[-1] == pytest.approx(1.2 * math.exp(-3), rel=1e-3)
    assert path.psi[-1] == 0.6


def test_simultaneous_steps_spiral_out() -> None:
    """wgan: r^2 grows by exactly 1 + h^2 a step; minimax: by 1 + h^2 s(u)^2, 1.00289318 for h = 0.2 at (1, -1)."""
    path = steps(game_of("wgan", clip=100.0), Place(1.0, 0.5, {}), 0.2, 20, "simultaneous")
    np.testing.assert_allclose(path.radius[1:] ** 2 / path.radius[:-1] ** 2, 1.04, rtol=1e-13)
    path = steps(game_of("minimax"), Place(1.0, -1.0, {}), 0.2, 20, "simultaneous")
    slopes = 1 / (1 + np.exp(-path.theta * path.psi))
    np.testing.assert_allclose(path.radius[1:] ** 2 / path.radius[:-1] ** 2, 1 + (0.2 * slopes[:-1]) ** 2, rtol=1e-13)
    assert path.radius[1] ** 2 / path.radius[0] ** 2 == pytest.approx(1.00289318, abs=5e-9)


def test_alternating_wgan_steps_conserve_an_ellipse() -> None:
    """psi' = psi - h theta, then theta' = theta + h psi', keep theta^2 + psi^2 - h theta psi.

    The sign of the last term changes with the order, and again with D high on fakes: with both, as it is usually given,
    G first and D high on fakes, it is the same.
    """
    path = steps(game_of("wgan", clip=100.0), Place(1.0, 0.5, {}), 0.2, 200)
    kept = path.theta**2 + path.psi**2 - 0.2 * path.theta * path.psi
    np.testing.assert_allclose(kept, kept[0], rtol=1e-12)
    other = path.theta**2 + path.psi**2 + 0.2 * path.theta * path.psi
    assert np.ptp(other) > 0.1 * other[0]


@pytest.mark.parametrize("discriminator_steps", [1, 4])
def test_alternating_steps_are_stable_up_to_a_bound(discriminator_steps: int) -> None:
    """nsgan at the origin, f'(0) = 1/2: the map's eigenvalues lie on the unit circle while sqrt(n_d) h / 2 <= 2."""
    game, h = game_of("nsgan"), 1e-5

    def radius(rate: float) -> float:
        columns = []
        for theta, psi in ((h, 0.0), (0.0, h)):
            place = game.step(Place(theta, psi, {}), rate, discriminator_steps=discriminator_steps)
            columns.append((place.theta / h, place.psi / h))
        return float(np.abs(np.linalg.eigvals(np.array(columns).T)).max())

    bound = 4 / math.sqrt(discriminator_steps)
    assert radius(0.3 * bound) == pytest.approx(1, abs=1e-6)
    assert radius(0.97 * bound) == pytest.approx(1, abs=1e-6)
    assert radius(1.03 * bound) > 1.1


@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_a_joint_objective_moves_both_at_once(order: Order) -> None:
    assert game_of("vae").step(Place(1.0, 0.5, {}), 0.1, order) == Place(0.9, 0.5, {})


def test_the_state_follows_the_discrete_steps() -> None:
    """began: k rises while the real error is the larger; fisher: the multiplier falls while Omega is below 1."""
    began = game_of("began", lambda_k=0.1)
    place = began.step(began.start(0.9, 1.0), 0.01)
    assert place.state["k"] == pytest.approx(0.1 * (0.5 * 1.0 - 0.1))
    fisher = game_of("fisher", rho=0.1)
    place = fisher.step(fisher.start(1.0, 0.5), 0.01)
    assert place.state["multiplier"] == pytest.approx(0.1 * (0.125 - 1))


def made_path(theta: np.ndarray[Any, np.dtype[np.float64]], psi: np.ndarray[Any, np.dtype[np.float64]]) -> Path:
    return Path(np.linspace(0, 30, len(theta)), theta, psi)


@pytest.mark.parametrize(
    ("radius", "expected"),
    [
        (lambda t: np.exp(-t / 3), Behaviour.CONVERGES),
        (lambda t: (1 + t / 4) ** -0.5, Behaviour.CLOSES_IN),
        (lambda t: np.ones_like(t), Behaviour.CIRCLES),
        (lambda t: 0.5 + 0.5 * np.exp(-t), Behaviour.CYCLE),
        (lambda t: np.exp(t / 20), Behaviour.SPIRALS_OUT),
        (lambda t: np.exp(t / 3), Behaviour.ESCAPES),
    ],
)
def test_words_for_turning_paths(radius: Any, expected: Behaviour) -> None:
    t = np.linspace(0, 30, 601)
    path = made_path(radius(t) * np.cos(2 * t), radius(t) * np.sin(2 * t))
    nearer = made_path(path.theta / 3, path.psi / 3)
    assert behaviour_of(path, lambda: nearer) is expected


def test_words_for_other_paths() -> None:
    t = np.linspace(0, 30, 601)
    circle = made_path(np.cos(2 * t), np.sin(2 * t))
    assert behaviour_of(circle, lambda: circle) is Behaviour.CYCLE  # from nearer it comes to the same circle
    resting = made_path(2 - np.exp(-t), np.exp(-t))
    assert behaviour_of(resting, lambda: resting) is Behaviour.STOPS_SHORT
    leaving = made_path(1 + t / 3, np.ones_like(t))
    assert behaviour_of(leaving, lambda: leaving) is Behaviour.DRIFTS
    lost = made_path(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert behaviour_of(lost, lambda: lost) is Behaviour.ESCAPES


CHEAP = ("nsgan", "r1", "lsgan", "vae")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in CHEAP else pytest.mark.slow) for n in sorted(PREDICTIONS)]
)
def test_the_portrait_does_what_is_predicted(name: str) -> None:
    found = portrait(name)
    assert found.flow_does is PREDICTIONS[name].behaviour
    assert found.agrees
