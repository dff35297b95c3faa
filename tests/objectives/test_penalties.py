"""Penalties at the batch itself: one pass of the discriminator serves the loss and the penalty."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, study

from bench.networks.conditioning import Batch
from bench.objectives.base import CachedOutputs, input_gradient
from bench.runs.plan import make_plan
from bench.training.engine import EagerEngine
from bench.training.loop import build_state
from bench.training.state import TrainingState

OVER_R1 = {"base": "r1"}
ROWS: list[tuple[str, dict[str, Any], int]] = [
    ("r1", {}, 1),
    ("r1r2", {}, 2),
    ("r3gan", {}, 2),
    ("lecam", OVER_R1, 1),
    ("san", OVER_R1, 1),
]


def state_of(name: str, settings: dict[str, Any], precision: str = "fp32", **recipe: Any) -> TrainingState:
    entry = {"objective": name, "label": "row", "settings": settings, "recipe": {"norm": "layer", **recipe}}
    training = {"snapshots": 2, "log_every": 2, "precision": precision}
    return build_state(make_plan(study(objectives=(entry,), training=training)).runs[0].training, CPU)


def iterated(state: TrainingState) -> tuple[int, dict[str, torch.Tensor]]:
    """Take one iteration; return how often D was called, and its gradients, which the generator step leaves alone."""
    calls = []
    state.D.register_forward_hook(lambda *_: calls.append(1))
    EagerEngine(state).run_iteration(
        0, lambda step: Batch(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(step)) * 2 - 1)
    )
    return len(calls), {name: p.grad.clone() for name, p in state.D.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("name", "settings", "spared"), ROWS)
def test_one_pass_gives_the_gradients_of_two(
    name: str, settings: dict[str, Any], spared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, shared = iterated(state_of(name, settings))
    apart = state_of(name, settings)
    monkeypatch.setattr(type(apart.objective), "penalised_at", lambda self: ())
    calls_apart, gradients = iterated(apart)
    assert calls_apart - calls == spared
    assert shared.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        assert torch.allclose(shared[parameter], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max())), (
            parameter
        )


@pytest.mark.parametrize(("precision", "recipe"), [("bf16", {}), ("fp32", {"lazy_penalty": 4})])
def test_a_penalty_in_fp32_or_in_a_step_of_its_own_has_its_own_pass(precision: str, recipe: dict[str, Any]) -> None:
    calls, _ = iterated(state_of("r1", {}, precision, **recipe))
    assert calls == 4  # real and fake, the penalty, the generator's step


def test_the_gradient_is_taken_in_what_was_heard_of_the_same_images() -> None:
    calls = []

    def square(images: torch.Tensor) -> torch.Tensor:
        calls.append(images)
        return images.square().sum((1, 2, 3))

    images = torch.rand(3, 3, 2, 2, requires_grad=True)
    cached = CachedOutputs(square)
    cached(images)
    assert torch.allclose(input_gradient(cached, images), 2 * images.flatten(1))
    assert len(calls) == 1
    assert torch.allclose(input_gradient(cached, images.detach()), 2 * images.flatten(1))
    assert len(calls) == 2
