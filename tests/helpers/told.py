"""What tests of labels, codes and pictures share: what networks are told, and iterations recorded as graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bench.training.engine import EagerEngine
from bench.training.graph import GraphEngine
from bench.training.iteration import Batches, run_iteration
from bench.training.state import TrainingState
from bench.validation.contract.watching import on_the_device


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


def recorded_as_eager(eager: TrainingState, recorded: TrainingState, batch: Batches, steps: int) -> bool:
    """Tell whether so many iterations, recorded as graphs and replayed, end with the bits of eager ones."""
    graphs = GraphEngine(recorded)
    for step in range(steps):
        EagerEngine(eager).run_iteration(step, batch)
        graphs.run_iteration(step, batch)
    return all(torch.equal(*pair) for pair in zip(eager.tensors(), recorded.tensors(), strict=True))


def run_without_waiting(state: TrainingState, batch: Batches) -> None:
    """Run an iteration as it is recorded; raises where it reads a value back from the device."""
    graphs = GraphEngine(state)
    graphs.run_iteration(0, batch)
    shape = state.schedule.shape(1, state.discriminator_steps)
    graphs._rng.seek(1)
    graphs._set_scalars(1)
    with on_the_device():
        run_iteration(state, shape, graphs._scalars, graphs._reals.__getitem__)
