"""pix2pix over its bases: worked numbers, which part D has in G's gradient, and losses of patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.objectives import load, names, unlabelled_names
from bench.objectives.base import Objective, input_gradient
from bench.validation.contract.scene import FixedStep, Scene, Variant, pictures, total

REAL, FAKE = (torch.tensor(values, dtype=torch.float64) for values in ((2.0, -1.0, 0.5), (0.3, -1.2, 0.7)))
TARGET, OUTPUT = (
    torch.tensor(values, dtype=torch.float64) for values in (((0.5, -0.5), (1.0, -1.0)), ((0.25, -0.5), (0.0, -0.5)))
)
PATCHES = (  # three images of two patches
    torch.tensor(((2.0, -1.0), (0.5, 1.0), (-0.5, 0.0)), dtype=torch.float64),
    torch.tensor(((0.3, -1.2), (0.7, -0.4), (1.0, 0.2)), dtype=torch.float64),
)
SCORED = [name for name in unlabelled_names() if load(name).head == "score"]
BASES = [name for name in SCORED if not load(name)().parts()]


def made(**settings: Any) -> Objective:
    return load("pix2pix").model_validate(settings)


def losses(objective: Objective, said_of_real: Tensor, said_of_fake: Tensor) -> tuple[float, float]:
    """Return D's and G's loss where D says these scores of TARGET and OUTPUT."""

    def said(images: Tensor) -> Tensor:
        return said_of_real if images is TARGET else said_of_fake

    step = FixedStep(objective.initial_state())
    return (
        total(objective.discriminator_loss(said, TARGET, OUTPUT, step)).item(),
        total(objective.generator_loss(said, OUTPUT, TARGET, step)).item(),
    )


@pytest.mark.parametrize(
    ("settings", "discriminator", "generator"),
    [
        ({}, 1.378363, 44.556941),
        ({"base": "lsgan"}, 1.211667, 44.653333),
        ({"base": "hinge"}, 1.833333, 43.816667),
        ({"l1_weight": 0.0}, 1.378363, 0.806941),
        ({"adversarial_weight": 0.0, "l1_weight": 1.0}, 1.378363, 0.4375),
    ],
)
def test_losses_are_the_worked_numbers(settings: dict[str, Any], discriminator: float, generator: float) -> None:
    assert losses(made(**settings), REAL, FAKE) == pytest.approx((discriminator, generator), abs=6e-7)


def test_patches_are_averaged_as_worked_by_hand() -> None:
    assert losses(load("nsgan")(), *PATCHES) == pytest.approx((1.456665, 0.707540), abs=6e-7)
    assert losses(made(l1_weight=0.0), *PATCHES) == pytest.approx((1.456665, 0.707540), abs=6e-7)


def test_with_no_adversarial_weight_the_discriminator_has_no_part_in_the_generators_gradient() -> None:
    gradients = []
    for scale in (1.0, -50.0):
        scene = Scene(Variant.of(load("pix2pix"), {"adversarial_weight": 0.0}, {}))
        assert scene.D.head is not None
        scene.D.head.weight.data *= scale
        (loss,) = [loss for loss in scene.losses() if loss.player == "G"]
        weights = list(scene.G.parameters())
        gradients.append(torch.autograd.grad(total(loss.terms(scene.step())), weights))
    assert any(bool(gradient.any()) for gradient in gradients[0])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("base", ["nsgan", "wgan-gp", "r3gan"])
def test_without_the_error_it_is_its_base(base: str) -> None:
    """Terms of both losses and the penalty are the base's own, on the networks of a scene with input images."""
    over = Scene(Variant.of(load("pix2pix"), {"base": base, "l1_weight": 0.0}, {}))
    plain = load(base)()
    for method in ("discriminator_loss", "generator_loss", "discriminator_penalty"):
        given = (over.fake, over.real) if method == "generator_loss" else (over.real, over.fake)
        mine, its = (
            getattr(objective, method)(over.judge(), *given, over.step())
            for objective in (over.variant.objective, plain)
        )
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in its)


def test_the_norms_and_the_state_are_the_bases() -> None:
    assert "batch" in made().allowed_norms()
    assert "batch" not in made(base="wgan-gp").allowed_norms()
    assert made(base="fisher").initial_state() == load("fisher")().initial_state()
    for base in ("ebgan", "acgan", "pix2pix", "vae"):
        with pytest.raises(ValidationError, match="no score head"):
            made(base=base)
    assert {name for name in names() if load(name).needs == "input"} == {"pix2pix"}


@pytest.mark.parametrize("name", BASES)
def test_patches_that_agree_are_one_score(name: str) -> None:
    """Every loss and penalty of P equal scores is that of one, whatever D's weights and however many patches."""
    values = []
    for patches in (0, 5):
        scene = Scene(Variant.of(load(name), {}, {}))
        judge = scene.judge()

        def said(images: Tensor, judge: Any = judge, patches: int = patches) -> Tensor:
            scores: Tensor = judge(images)
            return scores[:, None].expand(-1, patches) if patches else scores

        step, objective = scene.step(), scene.variant.objective
        terms = objective.discriminator_loss(said, scene.real, scene.fake, step)
        terms |= objective.discriminator_penalty(said, scene.real, scene.fake, step)
        terms |= {f"G {k}": v for k, v in objective.generator_loss(said, scene.fake, scene.real, step).items()}
        values.append({key: value.item() for key, value in terms.items()})
    assert values[0] == pytest.approx(values[1], rel=1e-9)


@pytest.mark.parametrize("name", ["rsgan", "r3gan", "rasgan", "ralsgan", "rahinge"])
def test_a_relativistic_loss_pairs_patch_with_patch(name: str) -> None:
    """It is the mean of the losses at each patch; with all patches in one list it would not be."""
    objective = load(name)()
    of_patches = [losses(objective, real, fake) for real, fake in zip(*(each.T for each in PATCHES), strict=True)]
    together = losses(objective, *PATCHES)
    assert together == pytest.approx(tuple(torch.tensor(of_patches).double().mean(0).tolist()), rel=1e-6)
    exchanged = losses(objective, PATCHES[0], PATCHES[1].flip(1))
    assert together[0] != pytest.approx(exchanged[0])


def test_an_input_gradient_does_not_grow_with_the_number_of_patches() -> None:
    images = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.randn(12, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradient = input_gradient(lambda points: points.flatten(1) @ weights, images)
    torch.testing.assert_close(gradient, weights.mean(1).expand(4, -1))


@pytest.mark.parametrize("base", ["wgan-gp", "dragan", "r1", "r3gan"])
def test_penalties_differentiate_images_and_not_pictures(base: str) -> None:
    scene = Scene(Variant.of(load("pix2pix"), {"base": base}, {}))
    scene.condition = pictures(6).requires_grad_()
    D, bright = scene.judge(), scene.condition.detach().mean((1, 2, 3))
    penalty = scene.variant.objective.discriminator_penalty
    values = [
        total(penalty(judge, scene.real, scene.fake, scene.step()))
        for judge in (D, lambda images: D(images) + 100 * bright)
    ]
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-9)
    other = Scene(Variant.of(load("pix2pix"), {"base": base}, {}))
    other.condition = pictures(6, start=6)
    moved = total(penalty(other.judge(), scene.real, scene.fake, scene.step())).item()
    assert moved != pytest.approx(values[0].item(), rel=1e-6)  # D is told the picture where its gradient is taken
