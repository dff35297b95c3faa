"""How long a spec's generator steps take here: a few of each kind, timed on noise in place of images."""

from __future__ import annotations

import time
from collections import Counter

import torch

from bench.gpus import entered
from bench.networks.conditioning import Batch
from bench.runs.plan import TrainingSpec
from bench.training.engine import Engine, make_engine
from bench.training.loop import build_state
from bench.training.schedule import Shape
from bench.training.state import TrainingState

LOOK_AHEAD = 2000  # iterations whose shapes are counted; warm-ups and lazy penalties make some differ
MOST_SHAPES = 6


def seconds_per_step(spec: TrainingSpec, device: torch.device, seconds: float = 3.0, least: int = 2) -> float:
    """Return the time of a generator step with its discriminator steps, in seconds, averaged over a run of `spec`.

    Each kind of iteration is taken once unmeasured, then for about `seconds`, and at least `least` times.
    """
    with entered(device):
        state = build_state(spec, device)
        engine = make_engine(spec.training.engine, state)
        shape = (spec.budget.batch, 3, spec.data.resolution, spec.data.resolution)
        images = torch.rand(shape, device=device).to(memory_format=torch.channels_last) * 2 - 1
        batch = told_batch(state, images)
        total = weight = 0.0
        for (step, first), often in _occurring(state, spec.budget.generator_steps):
            total += often * _timed(engine, state, batch, step, first, seconds, least)
            weight += often
        return total / weight


def told_batch(state: TrainingState, images: torch.Tensor, first: int = 0) -> Batch:
    """Return images as a batch with what a run's networks are told of them, from the `first` on.

    Each factor's values come in turn; as input pictures the images stand for themselves.
    """
    if getattr(state.G, "encoder", None) is not None:
        return Batch(images, images)
    index = torch.arange(first, first + len(images), device=images.device)
    hot = [torch.eye(size, device=images.device)[index % size] for size in state.settings.factor_sizes]
    return Batch(images, torch.cat(hot, dim=1) if hot else None)


def _occurring(state: TrainingState, generator_steps: int) -> list[tuple[tuple[int, int], int]]:
    """Return an iteration of each of the commonest shapes, its first discriminator step, and how often they occur."""
    counts: Counter[Shape] = Counter()
    where: dict[Shape, tuple[int, int]] = {}
    for step in range(min(generator_steps, LOOK_AHEAD)):
        shape = state.schedule.shape(step, state.discriminator_steps)
        counts[shape] += 1
        where.setdefault(shape, (step, state.discriminator_steps))
        state.discriminator_steps += shape.discriminator_steps
    return [(where[shape], often) for shape, often in counts.most_common(MOST_SHAPES)]


def _timed(
    engine: Engine, state: TrainingState, batch: Batch, step: int, first: int, seconds: float, least: int
) -> float:
    def iterate() -> None:
        state.discriminator_steps = first
        engine.run_iteration(step, lambda number: batch)

    iterate()
    _wait(state.device)
    began, taken = time.perf_counter(), 0
    while taken < least or time.perf_counter() - began < seconds:
        iterate()
        taken += 1
        if taken % 16 == 0:
            _wait(state.device)
    _wait(state.device)
    return (time.perf_counter() - began) / taken


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
