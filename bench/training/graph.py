"""Iterations recorded once per shape as a CUDA graph and replayed, so that the host launches one graph an iteration.

All that differs between two iterations of the same shape is put into tensors at fixed places before each replay: the
batches of real images with their conditions, every random draw, the learning rates, the noise level, the average's
weight and the step's number. Losses, sums and the divergence flag stay on the device until the log asks for them.

Where nothing can be captured (no CUDA device, an operation that waits for the device) the same recorded-shape iteration
is simply carried out: `reason` says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.gpus import entered
from bench.networks.conditioning import Batch
from bench.training.iteration import Batches, dry_run, run_iteration
from bench.training.rng import DrawAddress, StaticStepRNG
from bench.training.schedule import Scalars, Shape
from bench.training.state import TrainingState

# How an optimiser begins to say that it was made for a capture that is not under way.
NOT_CAPTURED = "This instance was constructed with capturable=True"
NOT_CAPTURABLE = "an iteration cannot be captured"


@dataclass(frozen=True)
class _Recorded:
    replay: Callable[[], None]
    draws: set[DrawAddress]


class GraphEngine:
    """Runs iterations by replaying them. `reason` tells why nothing is captured; None while it is."""

    name = "graph"

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._device = state.device
        self.reason = None if self._device.type == "cuda" else "CUDA graphs need a CUDA device"
        self._rng = StaticStepRNG(state.rng)
        state.rng = self._rng
        self._reals: list[Batch] = []
        self._recorded: dict[Shape, _Recorded] = {}
        self._pool: Any = None
        self._stream = None if self.reason else torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._scalars = Scalars(
            generator_step=torch.zeros((), dtype=torch.int64, device=self._device),
            noise_level=torch.zeros((), device=self._device),
            ema_weight=torch.zeros((), device=self._device),
        )
        self._rates = self._rates_on_the_device()

    def run_iteration(self, generator_step: int, batches: Batches) -> None:
        """Take generator step number `generator_step` (the first is 0) and the discriminator steps before it."""
        state, schedule = self._state, self._state.schedule
        shape = schedule.shape(generator_step, state.discriminator_steps)
        first = schedule.first_batch(generator_step, state.discriminator_steps)
        self._rng.seek(generator_step)
        self._set_scalars(generator_step)
        for index in range(shape.batches):
            self._put_batch(index, batches(first + index))
        if shape not in self._recorded:
            self._recorded[shape] = self._record(shape)
        recorded = self._recorded[shape]
        self._rng.refill(recorded.draws)
        recorded.replay()
        state.count(shape, batch=len(self._reals[0].images))

    def _record(self, shape: Shape) -> _Recorded:
        """Carry the iteration out a few times, undo that, and capture it."""

        def work() -> None:
            run_iteration(self._state, shape, self._scalars, self._reals.__getitem__)

        self._rng.requested = set()
        if self._stream is None:
            self._dry_run(work)
            return _Recorded(work, self._rng.requested)
        with entered(self._device):  # a capture on another device than the current one fails
            here = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(here)
            with torch.cuda.stream(self._stream):
                self._dry_run(work)
            here.wait_stream(self._stream)
            replay = self._captured(work) if self.reason is None else work
        return _Recorded(replay, self._rng.requested)

    def _dry_run(self, work: Callable[[], None]) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", NOT_CAPTURED)  # it will be captured next
            dry_run(self._state, work)

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        except RuntimeError as error:
            torch.cuda.synchronize(self._device)
            self._state.rng.observed.clear()
            self.reason = f"{NOT_CAPTURABLE}: {str(first_error(error)).splitlines()[0]}"
            return work
        # Graphs share their scratch memory: they never run at once, and nothing is kept in it between two of them.
        self._pool = graph.pool()
        return graph.replay

    def _put_batch(self, index: int, batch: Batch) -> None:
        if index == len(self._reals):
            self._reals.append(Batch(*(None if part is None else part.clone() for part in batch)))  # type: ignore[arg-type]
            return
        for place, part in zip(self._reals[index], batch, strict=True):
            if place is not None and part is not None:
                place.copy_(part, non_blocking=True)

    def _set_scalars(self, generator_step: int) -> None:
        now, rates = self._state.schedule.scalars(generator_step), self._state.schedule.learning_rates(generator_step)
        for place, value in (
            (self._scalars.generator_step, now.generator_step),
            (self._scalars.noise_level, now.noise_level),
            (self._scalars.ema_weight, now.ema_weight),
            (self._rates[self._state.optimizer_G], rates.generator),
            (self._rates[self._state.optimizer_D], rates.discriminator),
        ):
            assert isinstance(place, Tensor)
            assert not isinstance(value, Tensor)
            place.fill_(value)

    def _rates_on_the_device(self) -> dict[torch.optim.Optimizer, Tensor]:
        """Let both optimisers read their learning rate from the device, where their step counts lie as well."""
        on_cuda = self._device.type == "cuda"
        # CUDA kernels take the rate in fp32 from the device; elsewhere optimisers read the number itself, on the host.
        place, dtype = (self._device, torch.float32) if on_cuda else (torch.device("cpu"), torch.float64)
        rates = {}
        for optimizer in (self._state.optimizer_G, self._state.optimizer_D):
            rates[optimizer] = torch.zeros((), dtype=dtype, device=place)
            for group in optimizer.param_groups:
                group["lr"] = rates[optimizer]
                group["capturable"] = on_cuda
            for state in optimizer.state.values():
                if "step" in state:  # SGD counts none
                    state["step"] = state["step"].to(self._device)
        return rates


def first_error(error: BaseException) -> BaseException:
    """Return the first of a chain of RuntimeErrors: ending a broken capture raises another over what broke it."""
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return error
