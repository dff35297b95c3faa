"""What each loss is at its best discriminator: found by optimising free scores, compared with the closed form.

Distributions are discrete, their weights tenths, so that a batch of ten holds every point as often as it should. A
discriminator is a table of free scores, one per point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from torch import Tensor, nn

from bench.networks.heads import Autoencoded, sliced
from bench.objectives import load
from bench.objectives.base import Objective, Terms
from bench.objectives.mmd_gan import biased_mmd, gaussian_mixture, unbiased_mmd
from bench.validation.dirac.game import StillStep

P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
Q = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
PAIRS = pytest.mark.parametrize(("p", "q"), [(P, Q), (Q, P), (P, P)], ids=["p-q", "q-p", "equal"])


def total(terms: Terms) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def batch(weights: Tensor, size: int = 10) -> Tensor:
    """Return the points' numbers, each as often as its weight says."""
    counts = (weights * size).round().long()
    assert counts.sum() == size
    return torch.repeat_interleave(torch.arange(len(weights)), counts).double()[:, None]


def looked_up(scores: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda points: scores[points[:, 0].long()]


def optimise(loss: Callable[[Tensor], Tensor], start: Tensor) -> tuple[Tensor, float]:
    """Return where a smooth loss is least, and its value there."""
    values = start.clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [values], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        value = loss(values)
        value.backward()
        return value

    solver.step(closure)
    return values.detach(), loss(values).item()


def optimise_each(loss: Callable[[Tensor], Tensor], count: int, low: float, high: float) -> tuple[Tensor, float]:
    """Do the same for a loss with kinks that is a sum over the values: along one after the other."""
    values = torch.full((count,), 0.5 * (low + high), dtype=torch.float64)
    for index in range(count):

        def along(value: float, index: int = index) -> float:
            moved = values.clone()
            moved[index] = value
            return loss(moved).item()

        values[index] = minimize_scalar(along, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).x
    return values, loss(values).item()


def best(objective: Objective, p: Tensor, q: Tensor, state: dict[str, float] | None = None) -> tuple[Tensor, float]:
    """Return the best scores of a discriminator, and D's least loss."""
    real, fake = batch(p), batch(q)
    start = torch.linspace(-0.1, 0.1, len(p), dtype=torch.float64)
    step = StillStep(objective.initial_state() | (state or {}))
    return optimise(lambda scores: total(objective.discriminator_loss(looked_up(scores), real, fake, step)), start)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


def tv(p: Tensor, q: Tensor) -> float:
    return 0.5 * (p - q).abs().sum().item()


def triangular(p: Tensor, q: Tensor) -> float:
    return ((p - q).square() / (p + q)).sum().item()


@PAIRS
@pytest.mark.parametrize("name", ["minimax", "nsgan"])
def test_logistic_is_the_jensen_shannon_divergence(name: str, p: Tensor, q: Tensor) -> None:
    scores, value = best(load(name)(), p, q)
    assert value == pytest.approx(2 * math.log(2) - 2 * js(p, q).item(), abs=1e-12)
    torch.testing.assert_close(scores, (p / q).log(), rtol=0, atol=1e-6)


@PAIRS
def test_a_smoothed_label_scales_the_optimal_probability(p: Tensor, q: Tensor) -> None:
    scores, value = best(load("nsgan").model_validate({"real_label": 0.9}), p, q)
    torch.testing.assert_close(scores.sigmoid(), 0.9 * p / (p + q), rtol=0, atol=1e-6)
    if p is q:
        assert value == pytest.approx(1.376278, abs=1e-6)
        torch.testing.assert_close(scores, torch.full_like(p, -0.200671), rtol=0, atol=1e-6)


@PAIRS
@pytest.mark.parametrize("labels", [(0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)])
def test_least_squares(labels: tuple[float, float, float], p: Tensor, q: Tensor) -> None:
    a, b, c = labels
    objective = load("lsgan").model_validate({"fake_label": a, "real_label": b, "generator_label": c})
    scores, value = best(objective, p, q)
    assert value == pytest.approx(0.5 * (b - a) ** 2 * (p * q / (p + q)).sum().item(), abs=1e-12)
    torch.testing.assert_close(scores, (b * p + a * q) / (p + q), rtol=0, atol=1e-7)


def test_least_squares_labels_that_meet_the_papers_condition_give_the_triangular_divergence() -> None:
    """2 C(G) is the sum of (p - q)^2 / (p + q) for (-1, 1, 0), which is not Pearson's, and is not for (0, 1, 1)."""
    for labels, holds in (((-1.0, 1.0, 0.0), True), ((0.0, 1.0, 1.0), False)):
        a, b, c = labels
        objective = load("lsgan").model_validate({"fake_label": a, "real_label": b, "generator_label": c})
        scores, _ = best(objective, P, Q)
        twice = ((P + Q) * (scores - c).square()).sum().item()
        assert (abs(twice - triangular(P, Q)) < 1e-9) is holds


@PAIRS
def test_hinge_is_total_variation(p: Tensor, q: Tensor) -> None:
    objective, real, fake = load("hinge")(), batch(p), batch(q)
    scores, value = optimise_each(
        lambda s: total(objective.discriminator_loss(looked_up(s), real, fake, StillStep({}))), len(p), -3, 3
    )
    assert value == pytest.approx(2 * (1 - tv(p, q)), abs=1e-8)
    decided = p != q  # elsewhere any score between the margins is as good
    torch.testing.assert_close(scores[decided], (p - q)[decided].sign(), rtol=0, atol=1e-7)


@PAIRS
def test_ebgan_is_total_variation_times_the_margin(p: Tensor, q: Tensor) -> None:
    margin = 1.5
    objective, real, fake = load("ebgan").model_validate({"margin": margin}), batch(p), batch(q)

    def loss(energies: Tensor) -> Tensor:
        D = lambda points: Autoencoded(points + looked_up(energies)(points)[:, None], points)  # noqa: E731
        return total(objective.discriminator_loss(D, real, fake, StillStep({})))

    energies, value = optimise_each(loss, len(p), 0, 3)
    assert value == pytest.approx(margin * (1 - tv(p, q)), abs=1e-8)
    decided = p != q
    torch.testing.assert_close(energies[decided], margin * (q > p)[decided].double(), rtol=0, atol=1e-7)


@PAIRS
def test_rsgan_is_the_divergence_of_pairs_from_swapped_pairs(p: Tensor, q: Tensor) -> None:
    """With every pair as often as p x q says: log 2 - JS(p x q, q x p), at log(p / q) up to a constant."""
    objective, ten = load("rsgan")(), torch.ones(10, 1, dtype=torch.float64)
    real, fake = torch.kron(batch(p), ten), torch.kron(ten, batch(q))
    scores, value = optimise(
        lambda s: total(objective.discriminator_loss(looked_up(s), real, fake, StillStep({}))), torch.zeros_like(p)
    )
    pairs = torch.outer(p, q)
    assert value == pytest.approx(math.log(2) - js(pairs, pairs.T).item(), abs=1e-12)
    expected = (p / q).log()
    torch.testing.assert_close(scores - scores.mean(), expected - expected.mean(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("p", "q"), [(P, Q), (Q, P)])
def test_fisher_at_its_constraint(p: Tensor, q: Tensor) -> None:
    """The objective's own multiplier steps bring Omega to 1; the gap of means is then the chi-square distance."""
    objective = load("fisher").model_validate({"rho": 1.0})
    step, real, fake = StillStep(objective.initial_state()), batch(p), batch(q)
    scores = torch.tensor([0.1, 0.0, -0.1], dtype=torch.float64)
    for _ in range(60):
        scores, _ = optimise(lambda s: total(objective.discriminator_loss(looked_up(s), real, fake, step)), scores)
        objective.after_discriminator_step(nn.Identity(), step)
    assert step.observed["omega"].item() == pytest.approx(1.0, abs=1e-7)
    assert ((p - q) * scores).sum().item() == pytest.approx(math.sqrt(2 * triangular(p, q)), abs=1e-7)
    shape = (p - q) / (p + q)
    torch.testing.assert_close(scores / scores.norm(), shape / shape.norm(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rho_omega", [0.5, 2.0])
def test_fishers_multiplier_rises_while_the_moment_is_too_large(rho_omega: float) -> None:
    objective, step = load("fisher").model_validate({"rho": 0.1}), StillStep({"multiplier": 0.0})
    step.observed["omega"] = torch.tensor(rho_omega, dtype=torch.float64)
    objective.after_discriminator_step(nn.Identity(), step)
    assert step.state["multiplier"].item() == pytest.approx(0.1 * (rho_omega - 1))


@PAIRS
@pytest.mark.parametrize(("weight", "anchor"), [(0.3, 0.8), (1.0, 0.2)])
def test_lecam_over_wgan_is_the_triangular_divergence(weight: float, anchor: float, p: Tensor, q: Tensor) -> None:
    """With squares on both sides and anchors held at alpha and -alpha, for 2 lambda alpha < 1."""
    still = 1 - 1e-12  # a decay that keeps the anchors where they are
    objective = load("lecam").model_validate(
        {"base": "wgan", "weight": weight, "sides": "two", "start": 0, "decay": still}
    )
    scores, _ = best(objective, p, q, {"real_anchor": anchor, "fake_anchor": -anchor, "anchored_steps": 1e16})
    strength = 1 / (2 * weight) - anchor
    torch.testing.assert_close(scores, strength * (p - q) / (p + q), rtol=0, atol=1e-7)
    assert ((p - q) * scores).sum().item() == pytest.approx(strength * triangular(p, q), abs=1e-7)


@pytest.mark.parametrize("name", ["minimax", "nsgan"])
def test_what_the_generator_descends_on_at_the_optimal_discriminator(name: str) -> None:
    """minimax: 2 JS(p, q); nsgan: KL(q, p) - 2 JS(p, q). The gradient by q, up to a constant, as q sums to 1."""
    objective = load(name)()
    scores, _ = best(objective, P, Q)
    points = torch.arange(3, dtype=torch.float64)[:, None]
    cost = torch.stack(
        [total(objective.generator_loss(looked_up(scores), x[None], x[None], StillStep({}))) for x in points]
    )
    q = Q.clone().requires_grad_()
    divergence = 2 * js(P, q) if name == "minimax" else kl(q, P) - 2 * js(P, q)
    (expected,) = torch.autograd.grad(divergence, q)
    torch.testing.assert_close(cost - cost.mean(), expected - expected.mean(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("theta", [2.0, -0.7])
def test_a_clipped_linear_discriminator_is_the_distance_times_the_clip(theta: float) -> None:
    objective, D = load("wgan").model_validate({"clip": 0.05}), nn.Linear(1, 1, bias=False).double()
    real, fake = torch.zeros(2, 1, dtype=torch.float64), torch.full((2, 1), theta, dtype=torch.float64)
    solver = torch.optim.SGD(D.parameters(), lr=0.1)
    for _ in range(30):
        solver.zero_grad()
        total(objective.discriminator_loss(lambda x: D(x).squeeze(1), real, fake, StillStep({}))).backward()
        solver.step()
        objective.after_discriminator_step(D, StillStep({}))
    assert D.weight.item() == pytest.approx(-0.05 * math.copysign(1, theta))
    value = total(objective.discriminator_loss(lambda x: D(x).squeeze(1), real, fake, StillStep({}))).item()
    assert value == pytest.approx(-0.05 * abs(theta))


@pytest.mark.parametrize("name", ["wgan-gp", "wgan-lp"])
def test_a_gradient_penalty_lets_the_slope_overshoot(name: str) -> None:
    """At distance t the best slope is 1 + t / (2 lambda), and D's loss -t - t^2 / (4 lambda)."""
    t, weight = 3.0, 10.0
    objective = load(name).model_validate({"penalty_weight": weight})
    real, fake = torch.zeros(2, 1, dtype=torch.float64), torch.full((2, 1), t, dtype=torch.float64)

    def loss(slope: Tensor) -> Tensor:
        D = lambda points: (points * slope).squeeze(1)  # noqa: E731
        return total(
            objective.discriminator_loss(D, real, fake, StillStep({}))
            | objective.discriminator_penalty(D, real, fake, StillStep({}))
        )

    slope, value = optimise(loss, torch.tensor([-0.9], dtype=torch.float64))
    assert slope.item() == pytest.approx(-1.15, abs=1e-9)
    assert value == pytest.approx(-3.225, abs=1e-9)


def quantiles(count: int) -> Tensor:
    """Return equally likely points that stand for N(0, 1)."""
    return torch.tensor(norm.ppf((torch.arange(count).double() + 0.5) / count), dtype=torch.float64)


@pytest.mark.parametrize(("sigma", "scale", "shift"), [(2.0, 1.0, (1.0,)), (1.0, 0.5, (0.3, -0.8))])
def test_mmd_of_two_gaussians(sigma: float, scale: float, shift: tuple[float, ...]) -> None:
    """2 (s^2 / (s^2 + 2 v))^(d/2) (1 - exp(-|shift|^2 / (2 (s^2 + 2 v)))) for kernel width s and variance v."""
    one = scale * torch.cartesian_prod(*[quantiles(900 if len(shift) == 1 else 40)] * len(shift)).reshape(
        -1, len(shift)
    )
    other = one + torch.tensor(shift, dtype=torch.float64)
    width = sigma**2 + 2 * scale**2
    far = sum(value**2 for value in shift)
    expected = 2 * (sigma**2 / width) ** (len(shift) / 2) * (1 - math.exp(-far / (2 * width)))
    found = biased_mmd(one, other, lambda squared: torch.exp(-squared / (2 * sigma**2))).item()
    assert found == pytest.approx(expected, rel=0.015)
    if len(shift) == 1:
        assert expected == pytest.approx(0.130567, abs=1e-6)


def test_mmd_of_a_few_points() -> None:
    one = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    other = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    assert biased_mmd(one, other, gaussian_mixture).item() == pytest.approx(0.661816, abs=1e-6)
    assert unbiased_mmd(one, other, gaussian_mixture).item() == pytest.approx(-0.401588, abs=1e-6)
    same = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert biased_mmd(same, same, gaussian_mixture).item() == 0.0
    assert unbiased_mmd(same, same, gaussian_mixture).item() < 0


@pytest.mark.parametrize("theta", [1.5, -0.4, 0.0])
def test_cramer_is_the_energy_distance_of_two_points(theta: float) -> None:
    real, fake = torch.zeros(3, 1, dtype=torch.float64), torch.full((6, 1), theta, dtype=torch.float64)
    loss = total(load("cramer")().generator_loss(lambda points: points, fake, real, StillStep({})))
    assert loss.item() == pytest.approx(2 * abs(theta))


def standard_normals() -> tuple[Tensor, Tensor]:
    points = quantiles(20_000)[:, None]
    return points, points + 1


@pytest.mark.parametrize(
    ("name", "value", "score"),
    [
        ("nsgan", 1.163451, lambda x: 0.5 - x),
        ("lsgan", 0.198986, lambda x: (0.5 - x).sigmoid()),
        ("hinge", 1.234150, lambda x: (0.5 - x).sign()),
    ],
)
def test_the_optimal_scores_of_two_normals(name: str, value: float, score: Callable[[Tensor], Tensor]) -> None:
    """N(0, 1) against N(1, 1), whose optimal logit is 1/2 - x; D's loss there by quadrature."""
    real, fake = standard_normals()
    terms = load(name)().discriminator_loss(lambda x: score(x).squeeze(1), real, fake, StillStep({}))
    assert total(terms).item() == pytest.approx(value, abs=2e-4)


@pytest.mark.parametrize(
    ("name", "value"), [("rsgan", math.log(2)), ("rasgan", 2 * math.log(2)), ("ralsgan", 2.0), ("rahinge", 2.0)]
)
def test_relativistic_losses_know_scores_only_up_to_a_constant(name: str, value: float) -> None:
    objective, real, fake = load(name)(), batch(P), batch(Q)

    def both_players(scores: Tensor) -> tuple[Tensor, Tensor]:
        D, step = looked_up(scores), StillStep({})
        return (
            total(objective.discriminator_loss(D, real, fake, step)),
            total(objective.generator_loss(D, fake, real, step)),
        )

    assert [loss.item() for loss in both_players(torch.zeros(3, dtype=torch.float64))] == pytest.approx([value, value])
    scores = torch.tensor([0.4, -0.3, 0.9], dtype=torch.float64, requires_grad=True)
    for here, moved in zip(both_players(scores), both_players(scores + 17), strict=True):
        assert here.item() == pytest.approx(moved.item())
        (slope,) = torch.autograd.grad(here, scores)
        torch.testing.assert_close(slope, torch.autograd.grad(moved, scores)[0], rtol=0, atol=1e-12)
        assert slope.sum().item() == pytest.approx(0.0, abs=1e-12)


def test_slicing_parts_what_trains_the_direction_from_what_trains_the_rest() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(4, dtype=torch.float64, generator=generator, requires_grad=True)
    out = sliced(features, weight)
    torch.testing.assert_close(out.function, features @ weight)
    torch.testing.assert_close(out.direction, out.function)
    by_function: Any = torch.autograd.grad(out.function[:3].sum(), (features, weight), retain_graph=True)
    by_direction: Any = torch.autograd.grad(
        out.direction[:3].sum(), (features, weight), allow_unused=True, retain_graph=True
    )
    unit = weight.detach() / weight.detach().norm()
    assert by_direction[0] is None
    assert by_direction[1] @ unit == pytest.approx(0.0, abs=1e-12)  # turns the direction, keeps the length
    torch.testing.assert_close(by_function[1], (by_function[1] @ unit) * unit)  # changes the length alone
    assert by_function[0].abs().sum() > 0
