"""Finite at the extremes, and in fp32 where it counts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.validation.contract.linear import FLAT, LinearNetworks
from bench.validation.contract.report import Problem
from bench.validation.contract.scene import Scene, Variant, answers_of, losses_on, total

GAINS = (1e4, -1e4, 0.0)
_BATCHES = ("opposite", "equal", "random")
_COUNT = 4
_PENALTY_TOLERANCE = 2e-3  # a single rounding to bf16 costs up to 4e-3


def extremes_are_finite(variant: Variant) -> Iterator[Problem]:
    """Try outputs of +-1e4 and 0, equal and opposite images: losses and their gradients stay finite.

    With the gain's sign alone, an autoencoder reconstructs perfectly, as the negative, and as zeros.
    """
    told = set()
    for batch in _BATCHES:
        for gain in GAINS:
            for name, what in _not_finite(variant, batch, gain):
                if name not in told:
                    told.add(name)
                    yield Problem(
                        f"{name}{what} where D's outputs are about {gain:g} on {batch} real and generated images",
                        "Use softplus for log(sigmoid); torch.linalg.vector_norm for a norm that may be 0, and a small "
                        "constant under the root where a penalty differentiates it twice.",
                    )


def penalties_are_in_fp32(variant: Variant) -> Iterator[Problem]:
    """Under bf16 autocast, as the loop sets it: terms are fp32, and penalties are what they are without it."""
    scene = Scene(variant, dtype=torch.float32)
    losses = scene.losses()
    full = {loss.name: loss.terms(scene.step()) for loss in losses}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = {loss.name: loss.terms(scene.step()) for loss in losses}
    for loss, terms in mixed.items():
        for term, value in terms.items():
            if value.dtype != torch.float32:
                yield Problem(
                    f'{loss}\'s term "{term}" is {str(value.dtype).removeprefix("torch.")} under mixed precision',
                    "Widen what is summed over pixels: `widened(...)` from bench.objectives.base.",
                )
            actual, expected = value.item(), full[loss][term].item()
            off = abs(actual - expected) / max(abs(expected), 1e-3)
            if loss == "discriminator_penalty" and not off <= _PENALTY_TOLERANCE:
                yield Problem(
                    f'the penalty\'s term "{term}" is {actual:.6g} under mixed precision and {expected:.6g} in fp32, '
                    f"{100 * off:.2g} % apart",
                    "Take its gradient with input_gradient(D, images), which leaves mixed precision for it.",
                )


def _not_finite(variant: Variant, batch: str, gain: float) -> Iterator[tuple[str, str]]:
    """Yield each loss that is not finite, or whose gradient is not, and what it is instead."""
    objective = variant.objective
    players = LinearNetworks(objective.head, torch.float32, gain, answers_of(objective))
    real, fake = _images(batch, objective.fakes_per_real)
    made = fake.clone().requires_grad_()
    for loss in losses_on(objective, players.judge, players.generator_of(FLAT), real, fake, lambda: made):
        value = total(loss.terms(variant.step(torch.float32, _COUNT)))
        if not value.isfinite():
            yield loss.name, f" is {value.item()}"
        elif value.requires_grad:
            gradients = torch.autograd.grad(value, [*players.weights(), made], allow_unused=True)
            if not all(gradient is None or gradient.isfinite().all() for gradient in gradients):
                yield loss.name, f" is {value.item():.6g} but its gradient is not finite"


def _images(batch: str, fakes_per_real: int) -> tuple[Tensor, Tensor]:
    counts = _COUNT, _COUNT * fakes_per_real
    if batch == "random":
        generator = torch.Generator().manual_seed(8)
        real, fake = (torch.rand(count, *FLAT, generator=generator) * 2 - 1 for count in counts)
        return real, fake
    return torch.ones(counts[0], *FLAT), torch.full((counts[1], *FLAT), 1.0 if batch == "equal" else -1.0)
