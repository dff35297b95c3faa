"""What single objectives promise beside the contract: identities, and traps that public codes fell into."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.networks.heads import Autoencoded, Encoded
from bench.objectives import load
from bench.objectives.base import Objective
from bench.objectives.ebgan import pulling_away_term
from bench.training.rng import StepRNG
from bench.validation.contract.scene import FixedStep, Scene, Variant, total


def linear(weight: Tensor) -> Any:
    return lambda images: images.flatten(1) @ weight


@pytest.mark.parametrize(("weight", "expected"), [((3.0, 4.0), 16.0), ((0.3, 0.4), 0.25)])
def test_wgan_gp_penalty_of_a_linear_discriminator(weight: tuple[float, float], expected: float) -> None:
    objective = load("wgan-gp").model_validate({"penalty_weight": 1.0})
    real = torch.randn(5, 2, dtype=torch.float64)
    terms = objective.discriminator_penalty(
        linear(torch.tensor(weight, dtype=torch.float64)), real, -2 * real, FixedStep({}, count=5)
    )
    assert terms["penalty"].item() == pytest.approx(expected, rel=1e-12)


def test_wgan_gp_norm_covers_channels_and_pixels() -> None:
    objective = load("wgan-gp").model_validate({"penalty_weight": 1.0})
    weight = torch.full((3 * 64 * 64,), 0.1, dtype=torch.float64)
    real = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    step = FixedStep({}, count=2)
    objective.discriminator_penalty(linear(weight), real, real.flip(0), step)
    assert step.observed["interpolate_gradient_norm"].item() == pytest.approx(11.0851, rel=1e-4)  # not .1732


def test_wgan_gp_draws_one_weight_per_sample() -> None:
    real = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    step = FixedStep({}, count=4)
    load("wgan-gp")().discriminator_penalty(linear(torch.ones(192, dtype=torch.float64)), real, real.flip(0), step)
    assert step.drawn == [("interpolation", (4, 1, 1, 1))]


def test_wgan_clips_every_parameter_after_the_step() -> None:
    objective = load("wgan").model_validate({"clip": 0.05})
    D = torch.nn.Linear(20, 20)
    objective.after_discriminator_step(D, FixedStep({}))
    assert max(parameter.abs().max().item() for parameter in D.parameters()) == pytest.approx(0.05)


def test_pulling_away_term() -> None:
    code = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    assert pulling_away_term(code).item() == pytest.approx(0.333333, abs=1e-6)
    assert pulling_away_term(code * 7).item() == pytest.approx(0.333333, abs=1e-6)
    assert pulling_away_term(torch.ones(4, 3)).item() == pytest.approx(1.0)
    assert pulling_away_term(torch.eye(4)).item() == 0.0


def test_pulling_away_is_the_generators_alone() -> None:
    objective = load("ebgan").model_validate({"pulling_away": 0.1})
    scene = Scene(Variant(objective, {}, {}))
    terms = {loss.name: loss.terms(scene.step()) for loss in scene.losses()}
    assert "pulling_away" not in terms["discriminator_loss"]
    assert "pulling_away" in terms["generator_loss"]


@pytest.mark.parametrize("name", ["ebgan", "began"])
def test_energies_keep_the_path_through_their_target(name: str) -> None:
    """Where the reconstruction does not answer to its input, the gradient still flows through the image itself."""
    objective = load(name)()
    image = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    D = lambda images: Autoencoded(torch.zeros_like(images), images.flatten(1))  # noqa: E731
    (gradient,) = torch.autograd.grad(
        total(objective.generator_loss(D, image, image, FixedStep(objective.initial_state()))), image
    )
    assert (gradient > 0).all()


def test_a_perfect_reconstruction_has_finite_gradients() -> None:
    objective = load("ebgan")()
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    D = lambda images: Autoencoded(images.clone(), images.flatten(1))  # noqa: E731
    (gradient,) = torch.autograd.grad(total(objective.generator_loss(D, image, image, FixedStep({}))), image)
    assert torch.isfinite(gradient).all()


def test_ebgan_hinges_each_sample() -> None:
    """Energies 2 and 12 under margin 10 give 4 on average; a hinge on the batch's mean would give 3."""
    terms = (
        load("ebgan")
        .model_validate({"margin": 10.0})
        .discriminator_loss(
            lambda images: Autoencoded(torch.zeros_like(images), images),
            torch.zeros(2, 1),
            torch.tensor([[2.0], [12.0]]),
            FixedStep({}),
        )
    )
    assert terms["fake"].item() == pytest.approx(4.0)


def test_began_k_rises_when_real_images_are_harder_and_stays_in_bounds() -> None:
    objective = load("began").model_validate({"lambda_k": 0.5})
    step = FixedStep(objective.initial_state())
    for real, fake, expected in ((4.0, 0.5, 0.75), (4.0, 0.5, 1.0), (0.1, 9.0, 0.0)):
        step.observed = {"real_error": torch.tensor(real), "fake_error": torch.tensor(fake)}
        objective.after_discriminator_step(torch.nn.Linear(1, 1), step)
        assert step.state["k"].item() == pytest.approx(expected)


def test_vae_sums_over_pixels_and_averages_the_batch() -> None:
    objective = load("vae")()
    real = torch.zeros(3, 3, 4, 4, dtype=torch.float64)
    encoded = Encoded(torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64))
    terms = objective.joint_loss(lambda images: encoded, lambda z: real + 1, real, FixedStep({}))
    assert terms["reconstruction"].item() == pytest.approx(48 / 2)
    assert terms["kl"].item() == 0.0


def test_minimax_and_nonsaturating_agree_at_zero_and_part_where_d_is_sure() -> None:
    def gradient(name: str, score: float) -> float:
        scores = torch.full((2, 1), score, dtype=torch.float64, requires_grad=True)
        loss = total(load(name)().generator_loss(lambda images: images.squeeze(1), scores, scores, FixedStep({})))
        return torch.autograd.grad(loss, scores)[0][0].item()

    assert gradient("minimax", 0.0) == pytest.approx(-0.25)
    assert gradient("nsgan", 0.0) == pytest.approx(-0.25)
    assert gradient("minimax", -30.0) == pytest.approx(0.0, abs=1e-12)
    assert gradient("nsgan", -30.0) == pytest.approx(-0.5)


def test_the_minimum_over_d_is_the_closed_form() -> None:
    """On discrete distributions the optimised discriminator reaches 2 log 2 - 2 JS (logistic), and the LSGAN value."""
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
    mixture = (p + q) / 2
    js = 0.5 * (p * (p / mixture).log()).sum() + 0.5 * (q * (q / mixture).log()).sum()
    real = torch.repeat_interleave(torch.arange(3), (10 * p).round().long())[:, None]
    fake = torch.repeat_interleave(torch.arange(3), (10 * q).round().long())[:, None]
    for name, expected in (("nsgan", 2 * math.log(2) - 2 * js), ("lsgan", 0.5 * (p * q / (p + q)).sum())):
        scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([scores], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15)
        objective = load(name)()

        def closure(objective: Objective = objective, scores: Tensor = scores, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = total(objective.discriminator_loss(lambda x: scores[x.squeeze(1)], real, fake, FixedStep({})))
            loss.backward()
            return loss

        optimizer.step(closure)
        assert closure().item() == pytest.approx(float(expected), abs=1e-9)


def test_draws_are_pure_functions_of_their_address() -> None:
    first, second = (StepRNG(5, torch.device("cpu"), {}) for _ in range(2))
    first.begin("discriminator")
    first.normal("latent", (4, 3))  # what was drawn before leaves no trace
    for draws in (first, second):
        draws.seek(7)
        draws.begin("discriminator", 2)
    assert torch.equal(first.normal("latent", (4, 3)), second.normal("latent", (4, 3)))
    assert not torch.equal(first.normal("latent", (4, 3)), second.normal("other", (4, 3)))
    first.begin("generator", 2)
    assert not torch.equal(first.normal("latent", (4, 3)), second.normal("latent", (4, 3)))
