"""What an objective needs beside the two networks and a batch, found by running its losses."""

from __future__ import annotations

import math

import torch

from bench.objectives.base import Objective
from bench.validation.contract.batches import takes_input_gradients
from bench.validation.contract.scene import COUNT, Scene, Variant, total, variants


def needs(cls: type[Objective]) -> tuple[str, ...]:
    """Return what the objective, with its default settings, asks of the loop, in a few words each."""
    objective = cls()
    tried = [variant for variant in variants(cls) if variant.objective == objective]
    state = objective.initial_state()
    asked_for = {
        "labels": objective.needs == "labels",
        "codes": objective.needs == "codes",
        "input images": objective.needs == "input",
        "one update of both networks": objective.updates == "joint",
        f"{objective.fakes_per_real} generated batches": objective.fakes_per_real > 1,
        "real images in G's step": any(_generator_sees_real(variant) for variant in tried),
        "input gradients": any(takes_input_gradients(variant) for variant in tried),
        "the whole batch at once": any(_couples_samples(variant) for variant in tried),
        f"state ({', '.join(state)})": bool(state),
        "a change of D after its step": any(_changes_discriminator(variant) for variant in tried),
        f"{objective.latent_law} latents": objective.latent_law is not None,
    }
    return tuple(need for need, wanted in asked_for.items() if wanted)


def _generator_sees_real(variant: Variant) -> bool:
    """Tell whether G's loss depends on real images: it is not finite where they are not."""
    scene = Scene(variant)
    scene.real = torch.full_like(scene.real, math.nan)
    return any(not total(loss.terms(scene.step())).isfinite() for loss in scene.losses() if loss.player == "G")


def _couples_samples(variant: Variant) -> bool:
    """Tell whether a player's loss is something else than the mean of itself over halves of the batch."""
    if variant.objective.updates == "joint":
        return False  # G's batch norm couples the samples of every joint loss
    scene = Scene(variant)
    first, second = torch.arange(COUNT).chunk(2)
    for whole, *halves in zip(scene.losses(), scene.losses(first), scene.losses(second), strict=True):
        of_halves = [
            total(loss.terms(scene.step(half))).item() for loss, half in zip(halves, (first, second), strict=True)
        ]
        if not math.isclose(sum(of_halves) / 2, total(whole.terms(scene.step())).item(), rel_tol=1e-9, abs_tol=1e-10):
            return True
    return False


def _changes_discriminator(variant: Variant) -> bool:
    scene = Scene(variant)
    before = [parameter.detach().clone() for parameter in scene.D.parameters()]
    step = scene.step()
    for loss in scene.losses():
        if loss.player == "D":
            loss.terms(step)
    variant.objective.after_discriminator_step(scene.D, step)
    return not all(torch.equal(*pair) for pair in zip(before, scene.D.parameters(), strict=True))
