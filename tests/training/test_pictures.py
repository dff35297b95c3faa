"""Training with input pictures: both players are told those of the real batch, engines and ranks agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, study
from torch import Tensor

from bench.networks.conditioning import Batch
from bench.runs.plan import make_plan
from bench.training.engine import CompiledEngine, EagerEngine
from bench.training.graph import GraphEngine
from bench.training.iteration import run_iteration
from bench.training.loop import build_state
from bench.training.state import TrainingState
from bench.validation.contract.ranks import Trial, certify
from bench.validation.contract.watching import on_the_device

DATA = {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60, "input": "edges"}
PATCHES = {"width": 4, "latent": 8, "patch": 22}


def state_of(objective: str = "pix2pix", settings: dict[str, Any] | None = None, **recipe: Any) -> TrainingState:
    backbone = recipe.pop("backbone", {"width": 4, "latent": 8})
    entry = {"objective": objective, "label": "row", "settings": settings or {}, "recipe": recipe or None}
    plan = make_plan(study(objectives=(entry,), data=DATA, backbone=backbone))
    return build_state(plan.runs[0].training, CPU)


def batch(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    return Batch(
        *(
            (torch.rand(8, 3, 32, 32, generator=random) * 2 - 1).to(memory_format=torch.channels_last)
            for _ in ("image", "input")
        )
    )


@contextmanager
def told_to(state: TrainingState) -> Iterator[dict[str, list[Tensor]]]:
    """Note every condition that G and D are called with."""
    seen: dict[str, list[Tensor]] = {"G": [], "D": []}
    call_G, call_D = state.call_G, state.call_D

    def noting(name: str, call: Any) -> Any:
        def noted(samples: Tensor, condition: Tensor) -> Any:
            seen[name].append(condition)
            return call(samples, condition)

        return noted

    state.call_G, state.call_D = noting("G", call_G), noting("D", call_D)
    try:
        yield seen
    finally:
        state.call_G, state.call_D = call_G, call_D


@pytest.mark.parametrize("objective", ["pix2pix", "wgan-gp", "cramer", "vae", "ebgan", "r3gan", "san", "lecam"])
def test_both_players_are_told_the_pictures_of_the_real_batch(objective: str) -> None:
    state = state_of(objective)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    expected = batch(0).condition
    assert expected is not None
    assert seen["G"]
    assert seen["D"]
    for condition in (*seen["G"], *seen["D"]):
        assert torch.equal(condition, expected.repeat(len(condition) // 8, 1, 1, 1))
    assert state.rng.labels is None


def test_the_generator_is_held_near_the_target_at_its_index() -> None:
    state = state_of(settings={"adversarial_weight": 0.0}, discriminator_steps=2)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    assert len(seen["D"]) == 4  # real and fake in both of D's steps, and nothing in G's
    last = state_of(settings={"adversarial_weight": 0.0}, discriminator_steps=2)
    fakes: list[Tensor] = []
    call_G = last.call_G
    last.call_G = lambda *given: fakes.append(call_G(*given)) or fakes[-1]  # type: ignore[func-returns-value]
    EagerEngine(last).run_iteration(0, batch)
    error = float((fakes[-1].detach() - batch(1).images).abs().mean())
    assert float(last.meter.sums["observed/l1"]) == pytest.approx(error, rel=1e-6)
    assert float(last.meter.sums["generator/l1"]) == pytest.approx(100 * error, rel=1e-6)


ROWS = [
    ("pix2pix", {}, {}),
    ("pix2pix", {"base": "wgan-gp"}, {"discriminator_steps": 2, "lazy_penalty": 2}),
    ("pix2pix", {"base": "r3gan"}, {"backbone": PATCHES}),
    ("nsgan", {}, {"packing": 2, "norm": "spectral"}),
    ("nsgan", {}, {"conditioning": "none"}),
    ("vae", {}, {}),
]


@pytest.mark.parametrize(("objective", "settings", "recipe"), ROWS)
def test_recorded_iterations_are_eager_ones_under_other_pictures_than_at_the_recording(
    objective: str, settings: dict[str, Any], recipe: dict[str, Any]
) -> None:
    eager, recorded = (state_of(objective, settings, **dict(recipe)) for _ in range(2))
    graphs = GraphEngine(recorded)
    for step in range(3):
        EagerEngine(eager).run_iteration(step, batch)
        graphs.run_iteration(step, batch)
    assert all(torch.equal(*pair) for pair in zip(eager.tensors(), recorded.tensors(), strict=True))


@pytest.mark.parametrize("backbone", [{"width": 4, "latent": 8}, PATCHES])
def test_no_iteration_with_pictures_waits_for_the_device(backbone: dict[str, Any]) -> None:
    state = state_of(settings={"base": "wgan-gp"}, backbone=backbone)
    graphs = GraphEngine(state)
    graphs.run_iteration(0, batch)
    shape = state.schedule.shape(1, state.discriminator_steps)
    graphs._rng.seek(1)
    graphs._set_scalars(1)
    with on_the_device():
        run_iteration(state, shape, graphs._scalars, graphs._reals.__getitem__)


def test_networks_that_are_told_pictures_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # all of it but the code it makes
    eager, compiled = state_of(), state_of()
    engine = CompiledEngine(compiled)
    EagerEngine(eager).run_iteration(0, batch)
    engine.run_iteration(0, batch)
    assert engine.reason is None
    for one, other in zip(eager.G.parameters(), compiled.G.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_rows_with_pictures_over_ranks() -> None:
    trial = Trial(steps=2, norm="batch", packing=2, pictured=True)
    certificates = certify(["nsgan", "wgan-gp", "vae", "pix2pix"], (2,), trial)
    assert all(certificate.holds for certificate in certificates), certificates
