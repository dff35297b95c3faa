"""One test over all objectives, found by discovery: golden numbers, gradients, and who may touch whom."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.networks import Autoencoded, Encoded, build_networks
from bench.objectives import load, names
from bench.objectives.base import Golden, Objective, Step, Terms
from bench.objectives.ebgan import pulling_away_term
from bench.training.draws import Draws

ALL = names()
GOLDEN = [(name, golden) for name in ALL for golden in load(name).card.golden]


class FixedStep(Step):
    """Draws from one generator, so that a loss can be computed twice with the same draws."""

    def __init__(self, state: dict[str, float], dtype: torch.dtype = torch.float64) -> None:
        self.state = {name: torch.tensor(value, dtype=dtype) for name, value in state.items()}
        self.observed: dict[str, Tensor] = {}

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def total(terms: Terms) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def stand_in(objective: Objective, images: Tensor) -> Any:
    """A discriminator whose score (or energy) of an image of one pixel is that pixel's value."""
    if objective.head == "autoencoder":
        return Autoencoded(torch.zeros_like(images), images)
    return images.squeeze(1)


@pytest.mark.parametrize(("name", "golden"), GOLDEN, ids=[f"{name}-{index}" for index, (name, _) in enumerate(GOLDEN)])
def test_golden_numbers(name: str, golden: Golden) -> None:
    objective = load(name).model_validate(dict(golden.settings))
    step = FixedStep({**objective.initial_state(), **golden.state})
    real = torch.tensor(golden.real, dtype=torch.float64)[:, None]
    fake = torch.tensor(golden.fake, dtype=torch.float64)[:, None]

    D = partial(stand_in, objective)

    if golden.joint is not None:
        assert golden.encoded is not None
        encoded = Encoded(*(torch.tensor([values], dtype=torch.float64) for values in golden.encoded))
        terms = objective.joint_loss(lambda images: encoded, lambda z: real, real, step)
        assert total(terms).item() == pytest.approx(golden.joint, abs=6e-7)
        return
    assert total(objective.discriminator_loss(D, real, fake, step)).item() == pytest.approx(
        golden.discriminator, abs=6e-7
    )
    assert total(objective.generator_loss(D, fake, real, step)).item() == pytest.approx(golden.generator, abs=6e-7)
    objective.after_discriminator_step(torch.nn.Linear(1, 1), step)
    for key, value in golden.state_after.items():
        assert step.state[key].item() == pytest.approx(value, abs=1e-9)


def test_every_objective_has_golden_numbers() -> None:
    assert all(load(name).card.golden for name in ALL)


@pytest.fixture(params=ALL)
def objective(request: pytest.FixtureRequest) -> Objective:
    cls = load(request.param)
    return cls.model_validate({"pulling_away": 0.1} if request.param == "ebgan" else {})


def small_players(objective: Objective) -> tuple[Any, Any, Tensor, Tensor]:
    norm = "layer"
    G, D = build_networks(resolution=16, width=4, latent=8, head=objective.head, norm=norm, seed=3)
    G, D = G.double(), D.double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():  # away from the tiny initial weights, so that differences show
        for network in (G, D):
            for parameter in network.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.15, generator=generator)
    real = torch.rand(6, 3, 16, 16, generator=generator, dtype=torch.float64) * 2 - 1
    z = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    return G, D, real, z


def player_losses(objective: Objective, G: Any, D: Any, real: Tensor, z: Tensor) -> dict[str, Any]:
    """Return, by network, the loss that it minimises, as functions of nothing: for finite differences."""
    step = FixedStep(dict.fromkeys(objective.initial_state(), 0.3))
    if objective.updates == "joint":
        loss = lambda: total(objective.joint_loss(D, G, real, step))  # noqa: E731
        return {"G": loss, "D": loss}
    return {
        "D": lambda: total(objective.discriminator_loss(D, real, G(z).detach(), step)),
        "G": lambda: total(objective.generator_loss(D, G(z), real, step)),
    }


def test_finite_differences_of_every_loss(objective: Objective) -> None:
    G, D, real, z = small_players(objective)
    losses = player_losses(objective, G, D, real, z)
    for network, key in ((D, "D"), (G, "G")):
        parameters = [parameter for parameter in network.parameters() if parameter.dim() > 1]
        gradients = torch.autograd.grad(losses[key](), parameters)
        generator = torch.Generator().manual_seed(11)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            h = 1e-6
            with torch.no_grad():
                parameter += h * direction
            above = losses[key]().item()
            with torch.no_grad():
                parameter -= 2 * h * direction
            below = losses[key]().item()
            with torch.no_grad():
                parameter += h * direction
            expected = (gradient * direction).sum().item()
            assert (above - below) / (2 * h) == pytest.approx(expected, rel=2e-4, abs=1e-6)


def test_the_discriminators_loss_gives_the_generator_no_gradient(objective: Objective) -> None:
    if objective.updates == "joint":
        pytest.skip("one loss moves both networks")
    G, D, real, z = small_players(objective)
    total(objective.discriminator_loss(D, real, G(z).detach(), FixedStep(objective.initial_state()))).backward()
    assert all(parameter.grad is None for parameter in G.parameters())
    assert any(parameter.grad is not None for parameter in D.parameters())


def test_the_generators_loss_gives_a_frozen_discriminator_no_gradient(objective: Objective) -> None:
    if objective.updates == "joint":
        pytest.skip("one loss moves both networks")
    G, D, real, z = small_players(objective)
    D.requires_grad_(False)
    total(objective.generator_loss(D, G(z), real, FixedStep(objective.initial_state()))).backward()
    assert all(parameter.grad is None for parameter in D.parameters())
    assert all(parameter.grad is not None for parameter in G.parameters())


def test_extreme_scores_give_finite_losses_and_gradients(objective: Objective) -> None:
    if objective.updates == "joint" or objective.head != "score":
        pytest.skip("a decoder's output is bounded by tanh")
    for scale in (1e4, -1e4, 0.0):
        real = torch.full((4, 3, 4, 4), 1.0, dtype=torch.float32, requires_grad=True)
        weight = torch.full((48,), scale / 48, requires_grad=True)
        step = FixedStep(objective.initial_state(), torch.float32)
        D = lambda images: images.flatten(1) @ weight  # noqa: E731,B023
        for terms in (
            objective.discriminator_loss(D, real, -real.detach(), step),
            objective.generator_loss(D, real, real.detach(), step),
        ):
            (gradient,) = torch.autograd.grad(total(terms), weight)
            assert torch.isfinite(total(terms))
            assert torch.isfinite(gradient).all()


def test_a_joint_permutation_of_the_batch_changes_nothing(objective: Objective) -> None:
    if objective.updates == "joint":
        pytest.skip("its draws are addressed by the place in the batch")
    G, D, real, z = small_players(objective)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    fake = G(z).detach()

    class SameForAll(FixedStep):
        def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
            return torch.full(shape, 0.3, dtype=torch.float64)

    for first, second in (
        (
            objective.discriminator_loss(D, real, fake, SameForAll(objective.initial_state())),
            objective.discriminator_loss(D, real[order], fake[order], SameForAll(objective.initial_state())),
        ),
        (
            objective.generator_loss(D, fake, real, SameForAll(objective.initial_state())),
            objective.generator_loss(D, fake[order], real[order], SameForAll(objective.initial_state())),
        ),
    ):
        assert total(first).item() == pytest.approx(total(second).item(), rel=1e-12)


def test_cards_are_complete_and_plain_json(objective: Objective) -> None:
    import json

    card = type(objective).describe()
    json.dumps(card, allow_nan=False)
    assert card["name"] in ALL
    assert bool(card["joint_loss"]) == (objective.updates == "joint")
    assert objective.card.published.norm in objective.norms
    assert all(setting["description"] for setting in card["settings"].values())
    type(objective).model_validate(dict(objective.card.published.settings))


def linear(weight: Tensor) -> Any:
    return lambda images: images.flatten(1) @ weight


@pytest.mark.parametrize(("weight", "expected"), [((3.0, 4.0), 16.0), ((0.3, 0.4), 0.25)])
def test_wgan_gp_penalty_of_a_linear_discriminator(weight: tuple[float, float], expected: float) -> None:
    objective = load("wgan-gp").model_validate({"penalty_weight": 1.0})
    real = torch.randn(5, 2, dtype=torch.float64)
    terms = objective.discriminator_loss(
        linear(torch.tensor(weight, dtype=torch.float64)), real, -2 * real, FixedStep({})
    )
    assert terms["penalty"].item() == pytest.approx(expected, rel=1e-12)


def test_wgan_gp_norm_covers_channels_and_pixels() -> None:
    objective = load("wgan-gp").model_validate({"penalty_weight": 1.0})
    weight = torch.full((3 * 64 * 64,), 0.1, dtype=torch.float64)
    real = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    step = FixedStep({})
    objective.discriminator_loss(linear(weight), real, real.flip(0), step)
    assert step.observed["interpolate_gradient_norm"].item() == pytest.approx(11.0851, rel=1e-4)  # not .1732


def test_wgan_gp_draws_one_weight_per_sample() -> None:
    shapes = []

    class Noting(FixedStep):
        def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
            shapes.append(shape)
            return super().uniform(purpose, shape)

    real = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    load("wgan-gp")().discriminator_loss(linear(torch.ones(192, dtype=torch.float64)), real, real.flip(0), Noting({}))
    assert shapes == [(4, 1, 1, 1)]


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
    _, D, real, _ = small_players(objective)
    assert "pulling_away" not in objective.discriminator_loss(D, real, real, FixedStep({}))
    assert "pulling_away" in objective.generator_loss(D, real, real, FixedStep({}))


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
    first, second = (Draws(5, torch.device("cpu"), {}) for _ in range(2))
    first.begin("discriminator", 0)
    first.normal("latent", (4, 3))  # what was drawn before leaves no trace
    for draws in (first, second):
        draws.begin("discriminator", 7, 2)
    assert torch.equal(first.normal("latent", (4, 3)), second.normal("latent", (4, 3)))
    assert not torch.equal(first.normal("latent", (4, 3)), second.normal("other", (4, 3)))
    first.begin("generator", 7, 2)
    assert not torch.equal(first.normal("latent", (4, 3)), second.normal("latent", (4, 3)))
