"""How iterations are carried out: eagerly, with compiled networks, or as replayed CUDA graphs.

All three take the same steps on the same draws and agree to rounding. A run uses one engine throughout, which is part
of its id; `auto` means graphs on a CUDA device and eager steps elsewhere. Where an engine cannot run an objective's
iterations, they run eagerly and `reason` says why.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch

from bench.networks.conditioning import Batch
from bench.training.graph import GraphEngine
from bench.training.iteration import Batches, dry_run, run_iteration
from bench.training.schedule import Shape
from bench.training.state import TrainingState


class Engine(Protocol):
    """What runs iterations. `reason` tells why it does so eagerly although another way was asked for."""

    @property
    def name(self) -> str: ...

    @property
    def reason(self) -> str | None: ...

    def run_iteration(self, generator_step: int, batches: Batches) -> None:
        """Take generator step number `generator_step` (the first is 0) and the discriminator steps before it.

        `batches` maps the number of a batch, counted from the run's start, to its real images and their conditions.
        """


class EagerEngine:
    """Runs iterations operation by operation."""

    name = "eager"

    def __init__(self, state: TrainingState, reason: str | None = None) -> None:
        self._state = state
        self.reason = reason

    def run_iteration(self, generator_step: int, batches: Batches) -> None:
        state = self._state
        shape = state.schedule.shape(generator_step, state.discriminator_steps)
        state.count(shape, batch=run_eagerly(state, shape, generator_step, batches))


class CompiledEngine:
    """Runs iterations with networks from torch.compile, which fuses what lies between convolutions."""

    name = "compiled"

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._eager = EagerEngine(state)
        self._compiled = False
        self.reason: str | None = None

    def run_iteration(self, generator_step: int, batches: Batches) -> None:
        if not self._compiled:
            self._compiled = True
            self._compile(generator_step, batches)
        self._eager.run_iteration(generator_step, batches)

    def _compile(self, generator_step: int, batches: Batches) -> None:
        """Compile and try one iteration; go back to the networks as they are when it does not work.

        Every lazy penalty is taken in it, so that a run compiles or does not wherever it is taken up.
        """
        state = self._state
        shape = state.schedule.shape(generator_step, state.discriminator_steps, all_penalties=True)
        state.wrap_networks(lambda network: torch.compile(network, dynamic=False))
        try:
            with warnings.catch_warnings():
                # The compiler looks at gradients that images have not.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
                dry_run(state, lambda: run_eagerly(state, shape, generator_step, batches), 1)
        except Exception as error:  # compilers fail with errors of many kinds; none may cost the run
            state.wrap_networks(lambda network: network)
            second = "double backward" in str(error)
            self.reason = (
                "the objective needs second derivatives, which torch.compile does not support"
                if second
                else f"torch.compile failed: {str(error).splitlines()[0]}"
            )


def run_eagerly(state: TrainingState, shape: Shape, generator_step: int, batches: Batches) -> int:
    """Run an iteration with Python's own numbers, uncounted. Returns how many real images a batch holds."""
    first = state.schedule.first_batch(generator_step, state.discriminator_steps)
    rates = state.schedule.learning_rates(generator_step)
    for optimizer, rate in ((state.optimizer_G, rates.generator), (state.optimizer_D, rates.discriminator)):
        for group in optimizer.param_groups:
            group["lr"] = rate
    state.rng.seek(generator_step)
    sizes = []

    def real_batch(index: int) -> Batch:
        batch = batches(first + index)
        sizes.append(len(batch.images))
        return batch

    run_iteration(state, shape, state.schedule.scalars(generator_step), real_batch)
    return sizes[-1]


def make_engine(asked: str, state: TrainingState) -> Engine:
    """Return what runs the iterations: `asked` is "auto", "eager", "compiled" or "graph"."""
    if asked == "auto":
        asked = "graph" if state.device.type == "cuda" and not state.ranks.grouped else "eager"
    if asked == "eager":
        return EagerEngine(state)
    if state.ranks.grouped:
        return EagerEngine(state, "several ranks exchange values within an iteration")
    return GraphEngine(state) if asked == "graph" else CompiledEngine(state)
