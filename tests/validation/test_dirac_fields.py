"""The Dirac-GAN's velocities against closed forms, and the eigenvalues and critical strengths that follow from them.

u = theta psi. D is high on reals, so that psi is minus what it is in Mescheder et al. (1801.04406) and their f'(t) is
s(-t), s the logistic function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.objectives import load, unlabelled_names
from bench.validation.dirac.game import DiracGan, Place, vector_field
from bench.validation.dirac.motion import eigenvalues, linearise
from bench.validation.dirac.predictions import PREDICTIONS

Field = Callable[[float, float], tuple[float, float]]
PLACES = [(1.2, 0.6), (-0.7, 1.1), (0.4, -1.7), (-1.9, -0.3), (2.1, 1.4), (1.9, -1.2)]


def s(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def sign(t: float) -> float:
    return math.copysign(1, t)


def nonsaturating(theta: float, psi: float) -> tuple[float, float]:
    """L_D = sp(0) + sp(u), L_G = sp(-u)."""
    return psi * s(-theta * psi), -theta * s(theta * psi)


def hinge(theta: float, psi: float) -> tuple[float, float]:
    """L_D = 1 + [1 + u]_+, L_G = -u."""
    return psi, -theta if theta * psi > -1 else 0.0


def plus(field: Field, damping: Callable[[float, float], float]) -> Field:
    """A field whose D pays a penalty: `damping` is what it adds to psi's velocity."""
    return lambda theta, psi: (field(theta, psi)[0], field(theta, psi)[1] + damping(theta, psi))


def twice(field: Field, factor: float = 2.0) -> Field:
    return lambda theta, psi: (factor * field(theta, psi)[0], factor * field(theta, psi)[1])


def wgan(theta: float, psi: float) -> tuple[float, float]:
    """L_D = u, L_G = -u."""
    return psi, -theta


def least_squares(a: float, b: float, c: float) -> Field:
    """L_D = b^2/2 + (u - a)^2/2, L_G = (u - c)^2/2."""
    return lambda theta, psi: (-(theta * psi - c) * psi, -(theta * psi - a) * theta)


def ralsgan(theta: float, psi: float) -> tuple[float, float]:
    """C(x) - m_f = -u and C(fake) - m_r = u, so that L_D = 2 (u + 1)^2 and L_G = 2 (u - 1)^2."""
    return 4 * (1 - theta * psi) * psi, -4 * (1 + theta * psi) * theta


def rahinge(theta: float, psi: float) -> tuple[float, float]:
    """In the same way L_D = 2 [1 + u]_+ and L_G = 2 [1 - u]_+."""
    u = theta * psi
    return 2 * psi if u < 1 else 0.0, -2 * theta if u > -1 else 0.0


def fisher(rho: float, multiplier: float) -> Field:
    """Omega = u^2/2: L_D = u - m (1 - Omega) + rho (1 - Omega)^2 / 2."""

    def damping(theta: float, psi: float) -> float:
        u = theta * psi
        return (rho * (1 - 0.5 * u**2) - multiplier) * u * theta

    return plus(wgan, damping)


def sobolev(rho: float, multiplier: float) -> Field:
    """Omega = psi^2: the same with the slope. At m = 0 this is Rayleigh's oscillator."""
    return plus(wgan, lambda theta, psi: 2 * (rho * (1 - psi**2) - multiplier) * psi)


def kernel_slopes(t: float) -> tuple[float, float]:
    """First and second derivative of the sum over alpha of (1 + t^2 / (2 alpha))^-alpha."""
    alphas = (0.2, 0.5, 1.0, 2.0, 5.0)
    first = -t * sum((1 + t**2 / (2 * a)) ** (-a - 1) for a in alphas)
    second = sum(
        -((1 + t**2 / (2 * a)) ** (-a - 1)) + t**2 * (a + 1) / a * (1 + t**2 / (2 * a)) ** (-a - 2) for a in alphas
    )
    return first, second


def mmd(theta: float, psi: float) -> tuple[float, float]:
    """MMD^2 = 2 (K(0) - K(u)); the witness's slope halfway is w = 2 psi K'(u/2); the activations cost u^2/2."""
    u = theta * psi
    at_u, (at_half, curved) = kernel_slopes(u)[0], kernel_slopes(u / 2)
    w, w_by_psi = 2 * psi * at_half, 2 * at_half + u * curved
    return 2 * at_u * psi, -2 * at_u * theta - 2 * (abs(w) - 1) * sign(w) * w_by_psi - u * theta


def cramer(weight: float) -> Field:
    """L_G = 2|u|; f(0) - f(theta) = 2|u|, and f falls by 2|psi| on every unit from 0 to theta."""
    return lambda theta, psi: (
        -2 * abs(psi) * sign(theta),
        sign(psi) * (2 * abs(theta) - 4 * weight * (2 * abs(psi) - 1)),
    )


def slope_one(weight: float, field: Field, *, one_sided: bool = False) -> Field:
    """weight (|psi| - 1)^2 on top, or only while |psi| > 1."""

    def damping(theta: float, psi: float) -> float:
        excess = abs(psi) - 1
        return -2 * weight * sign(psi) * (max(excess, 0) if one_sided else excess)

    return plus(field, damping)


def autoencoding(k: float, margin: float = math.inf) -> Field:
    """D remembers psi: L_D = |psi| - k |psi - theta| while that is below the margin, L_G = |psi - theta|."""
    return lambda theta, psi: (
        sign(psi - theta),
        -sign(psi) + (k * sign(psi - theta) if abs(psi - theta) < margin else 0.0),
    )


CLOSED_FORMS: list[tuple[str, dict[str, Any], dict[str, float], Field]] = [
    ("minimax", {}, {}, lambda theta, psi: (psi * s(theta * psi), -theta * s(theta * psi))),
    ("minimax", {"real_label": 0.9}, {}, lambda theta, psi: (psi * s(theta * psi), -theta * s(theta * psi))),
    ("nsgan", {}, {}, nonsaturating),
    ("rsgan", {}, {}, nonsaturating),
    ("rasgan", {}, {}, twice(nonsaturating)),
    ("rasgan", {"halved": True}, {}, nonsaturating),
    ("ralsgan", {}, {}, ralsgan),
    ("rahinge", {}, {}, rahinge),
    ("hinge", {}, {}, hinge),
    ("san", {}, {}, hinge),
    ("san", {"base": "nsgan"}, {}, nonsaturating),
    ("lecam", {}, {}, hinge),  # it sleeps for its first thousand steps
    ("lecam", {"start": 0, "weight": 0.25}, {}, plus(hinge, lambda theta, psi: 0.5 * max(-theta * psi, 0) * theta)),
    ("lecam", {"start": 0, "weight": 0.25, "sides": "two"}, {}, plus(hinge, lambda theta, psi: -0.5 * theta**2 * psi)),
    ("wgan", {"clip": 5.0}, {}, wgan),
    ("wgan-gp", {"penalty_weight": 0.7}, {}, slope_one(0.7, wgan)),
    ("wgan-lp", {"penalty_weight": 0.7}, {}, slope_one(0.7, wgan, one_sided=True)),
    ("dragan", {"penalty_weight": 0.7}, {}, slope_one(0.7, nonsaturating)),
    ("fisher", {"rho": 0.2}, {"multiplier": 0.0}, fisher(0.2, 0.0)),
    ("fisher", {"rho": 0.2}, {"multiplier": -0.3}, fisher(0.2, -0.3)),
    ("sobolev", {"rho": 0.2}, {"multiplier": 0.0}, sobolev(0.2, 0.0)),
    ("sobolev", {"rho": 0.2}, {"multiplier": -0.3}, sobolev(0.2, -0.3)),
    ("lsgan", {}, {}, least_squares(0, 1, 1)),
    ("lsgan", {"fake_label": -1.0, "generator_label": 0.0}, {}, least_squares(-1, 1, 0)),
    ("lsgan", {"fake_label": -1.0}, {}, least_squares(-1, 1, 1)),
    ("r1", {"gamma": 0.7}, {}, plus(nonsaturating, lambda theta, psi: -0.7 * psi)),
    ("r1r2", {"gamma": 0.7}, {}, plus(nonsaturating, lambda theta, psi: -1.4 * psi)),
    ("r3gan", {"gamma": 0.7}, {}, plus(nonsaturating, lambda theta, psi: -1.4 * psi)),
    ("mmd-gan", {}, {}, mmd),
    ("cramer", {"penalty_weight": 0.7}, {}, cramer(0.7)),
    ("ebgan", {"margin": 20.0}, {}, autoencoding(1.0)),
    ("ebgan", {"margin": 1.5}, {}, autoencoding(1.0, 1.5)),
    ("began", {}, {"k": 0.0}, autoencoding(0.0)),
    ("began", {}, {"k": 0.6}, autoencoding(0.6)),
    ("vae", {"noise_scale": 0.5}, {}, lambda theta, psi: (-4 * theta, 0.0)),
]


@pytest.mark.parametrize(
    ("name", "settings", "state", "closed_form"),
    CLOSED_FORMS,
    ids=[f"{name} {settings or ''}".strip() for name, settings, _, _ in CLOSED_FORMS],
)
def test_the_losses_own_gradients_are_the_closed_form(
    name: str, settings: dict[str, Any], state: dict[str, float], closed_form: Field
) -> None:
    objective = load(name).model_validate(settings)
    game = DiracGan(objective)
    for theta, psi in PLACES:
        found = game.velocity(Place(theta, psi, objective.initial_state() | state))
        assert found == pytest.approx(closed_form(theta, psi), abs=1e-10), (theta, psi)


@pytest.mark.parametrize("name", unlabelled_names())
def test_every_objective_can_be_played(name: str) -> None:
    """Also one without a closed form here: its velocity is finite, and the same when asked for again."""
    objective = load(name)()
    for theta, psi in PLACES:
        first = vector_field(objective, theta, psi)
        assert all(map(math.isfinite, first))
        assert vector_field(objective, theta, psi) == first


def test_predictions_name_objectives() -> None:
    assert set(PREDICTIONS) <= set(unlabelled_names())


@pytest.mark.parametrize("name", sorted(PREDICTIONS))
def test_eigenvalues_are_those_predicted(name: str) -> None:
    prediction = PREDICTIONS[name]
    objective = load(name).model_validate(dict(prediction.settings))
    found = eigenvalues(DiracGan(objective))
    if prediction.eigenvalues is None:
        assert found is None
        return
    expected = prediction.eigenvalues(objective)
    assert found is not None
    np.testing.assert_allclose(np.sort_complex(np.round(found, 7)), np.sort_complex(np.round(expected, 7)), atol=1e-6)


def eigenvalues_of(name: str, **settings: Any) -> tuple[complex, complex]:
    found = eigenvalues(DiracGan(load(name).model_validate(settings)))
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "critical"), [("r1", 1.0), ("r1r2", 0.5), ("r3gan", 0.5)])
def test_damping_is_critical_where_it_should_be(name: str, critical: float) -> None:
    """-g/2 +- sqrt(g^2/4 - 1/4) with g = gamma under R1 and 2 gamma under R1 and R2: a double rate at g = 1."""
    below, at, above = (eigenvalues_of(name, gamma=factor * critical) for factor in (0.6, 1.0, 1.7))
    assert below == pytest.approx((-0.3 - 0.4j, -0.3 + 0.4j), abs=1e-7)
    assert at == pytest.approx((-0.5, -0.5), abs=1e-7)
    root = math.sqrt(0.85**2 - 0.25)
    assert above == pytest.approx((-0.85 - root, -0.85 + root), abs=1e-7)


def test_far_above_the_critical_strength_the_generator_creeps() -> None:
    """At R1's default, gamma = 10, the slower rate is about 1 / (4 gamma)."""
    assert eigenvalues_of("r1")[1].real == pytest.approx(-1 / 40, rel=0.01)


def test_least_squares_labels() -> None:
    """(0, 1, 1): psi = 0 rests, and the origin is defective; (-1, 1, 1) turns; (-1, 1, 0): theta = 0 rests."""
    default = load("lsgan")()
    assert all(vector_field(default, theta, 0.0) == (0, 0) for theta in (-1.5, 0.3, 2.0))
    np.testing.assert_allclose(linearise(DiracGan(default)), [[0, 1], [0, 0]], atol=1e-7)
    assert eigenvalues_of("lsgan", fake_label=-1.0) == pytest.approx((-1j, 1j), abs=1e-7)
    pearson = load("lsgan").model_validate({"fake_label": -1.0, "generator_label": 0.0})
    assert all(vector_field(pearson, 0.0, psi) == (0, 0) for psi in (-1.5, 0.3, 2.0))
    np.testing.assert_allclose(linearise(DiracGan(pearson)), [[0, 0], [-1, 0]], atol=1e-7)


class Noisy:
    """A game whose points all carry independent N(0, sigma^2): the mean over Gauss-Hermite pairs."""

    def __init__(self, name: str, sigma: float) -> None:
        self.objective = load(name)()
        nodes, weights = np.polynomial.hermite_e.hermegauss(4)
        weights = weights / weights.sum()
        self.games = [
            (first * second, DiracGan(self.objective, ((sigma * real, sigma * fake),)))
            for real, first in zip(nodes, weights, strict=True)
            for fake, second in zip(nodes, weights, strict=True)
        ]

    def velocity(self, place: Place) -> tuple[float, float]:
        mean = sum(weight * np.array(game.velocity(place)) for weight, game in self.games)
        return float(mean[0]), float(mean[1])


@pytest.mark.parametrize(
    ("name", "squared"), [("nsgan", 1.2), ("nsgan", 2.0), ("nsgan", 3.0), ("minimax", 1.2), ("rsgan", 1.2)]
)
def test_instance_noise_damps_the_logistic_losses(name: str, squared: float) -> None:
    """-q/4 +- sqrt(q^2/16 - 1/4) at q = sigma^2, critical at 2: each loss's curvature, 1/4, meets sigma^2 twice."""
    found: Any = eigenvalues(Noisy(name, math.sqrt(squared)))  # type: ignore[arg-type]
    root = complex(squared**2 / 16 - 0.25) ** 0.5
    assert found == pytest.approx((-squared / 4 - root, -squared / 4 + root), abs=1e-6)


def test_instance_noise_does_nothing_for_a_linear_loss() -> None:
    found: Any = eigenvalues(Noisy("wgan-lp", 1.5))  # type: ignore[arg-type]
    assert found == pytest.approx((-1j, 1j), abs=1e-7)


def test_clipping_holds_the_flow_at_its_bound() -> None:
    game = DiracGan(load("wgan").model_validate({"clip": 0.5}))
    assert game.start(1.0, 0.9).psi == 0.5
    assert game.velocity(Place(-1.0, 0.5, {})) == (0.5, 0.0)  # D wants more and may not have it
    assert game.velocity(Place(1.0, 0.5, {})) == pytest.approx((0.5, -1.0))
