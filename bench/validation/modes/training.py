"""One training run of a table, through the one step that every study takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench import objectives
from bench.config.problems import problems_of
from bench.data.sampler import Sampler
from bench.errors import BenchError
from bench.networks.conditioning import Batch
from bench.networks.sampling import LatentLaw, draw_latents
from bench.objectives.base import Objective
from bench.training.engine import EagerEngine
from bench.training.iteration import Batches
from bench.training.schedule import IterationSettings
from bench.training.state import TrainingState
from bench.validation.modes.counting import LOST, ModeCount, count_points
from bench.validation.modes.jobs import Job
from bench.validation.modes.networks import build_point_networks
from bench.validation.modes.tasks import LATENT, PointTask, draw_points, find_task, told

CHECK_EVERY = 100  # generator steps between two looks at whether a loss has left the finite numbers


@dataclass(frozen=True)
class Trained:
    """What became of a run. `points` are what was counted, float32 N x 2, None on stacked digits or when it diverged.

    `cpu_seconds` is the processor's time for training alone.
    """

    count: ModeCount
    diverged: bool
    generator_steps: int
    discriminator_steps: int
    cpu_seconds: float
    points: npt.NDArray[np.float32] | None = None


def train_points(job: Job) -> Trained:
    """Train one run on a mixture and count the modes of what its generator makes."""
    task = find_task(job.task)
    assert isinstance(task, PointTask)
    objective = load_objective(job)
    labels = len(task.classes)
    G, D = build_point_networks(objective.head, job.seed, job.recipe.packing, labels, job.recipe.conditioning or "none")
    real = torch.from_numpy(draw_points(task, task.training_samples, "training", job.seed) / task.scale).float()
    sampler = Sampler(len(real), job.batch, job.seed)

    def conditions(count: int) -> Tensor | None:
        return torch.eye(labels)[torch.from_numpy(told(task, count))] if labels else None

    hot = conditions(len(real))

    def batches(step: int) -> Batch:
        chosen = torch.from_numpy(sampler.batch_indices(step))
        return Batch(real[chosen], None if hot is None else hot[chosen])

    trained = play(job, objective, G, D, LATENT, batches, (labels,) if labels else ())
    if trained.diverged:
        return replace(trained, count=replace(LOST, as_told=0.0)) if labels else trained
    latents = draw_latents(latent_law(job, objective), task.samples, LATENT, job.seed, "modes")
    with torch.no_grad():
        points = (G(latents, conditions(len(latents))) * task.scale).numpy()
    return with_count(trained, count_points(task, points), points)


def play(
    job: Job,
    objective: Objective,
    G: nn.Module,
    D: nn.Module,
    latent: int,
    batches: Batches,
    factor_sizes: tuple[int, ...] = (),
) -> Trained:
    """Take a job's generator steps, up to where a loss or a weight stops being finite. The count is still LOST."""
    settings = IterationSettings(
        recipe=job.recipe,
        latent=latent,
        latent_law=latent_law(job, objective),
        generator_steps=job.generator_steps,
        halve_every=job.halve_every,
        ema_decay=0.999,
        precision="fp32",
        seed=job.seed,
        factor_sizes=factor_sizes,
    )
    state = TrainingState(settings, objective, G, D, torch.device("cpu"))
    engine = EagerEngine(state)
    began = time.process_time()
    taken, diverged = 0, False
    while taken < job.generator_steps and not diverged:
        engine.run_iteration(taken, batches)
        taken += 1
        if taken % CHECK_EVERY == 0 or taken == job.generator_steps:
            diverged = int(state.first_bad_step) >= 0 or not _all_finite(G)
    return Trained(LOST, diverged, taken, state.discriminator_steps, time.process_time() - began)


def with_count(trained: Trained, count: ModeCount, points: npt.NDArray[np.float32] | None = None) -> Trained:
    """Return a finished run with what was counted of it."""
    return Trained(
        count, False, trained.generator_steps, trained.discriminator_steps, trained.cpu_seconds, points=points
    )


def load_objective(job: Job) -> Objective:
    """Return the job's objective with its settings. Raises BenchError naming a setting that does not fit."""
    objective = objectives.load(job.objective)
    try:
        return objective.model_validate(job.settings)
    except ValidationError as error:
        problem = problems_of(error, (job.row,), objective)[0]
        raise BenchError(f"{'.'.join(map(str, problem.where))}: {problem.what}") from error


def latent_law(job: Job, objective: Objective) -> LatentLaw:
    """Return what latents are drawn from: what the objective asks for, else N(0, I)."""
    return objective.latent_law or "normal"


def _all_finite(network: nn.Module) -> bool:
    values: list[Tensor] = [parameter.detach().sum() for parameter in network.parameters()]
    return bool(torch.isfinite(torch.stack(values)).all())


def as_record(job: Job, trained: Trained) -> dict[str, Any]:
    """Return what results.jsonl keeps of a run."""
    count = trained.count
    return {
        "id": job.id,
        "task": job.task,
        "row": job.row,
        "seed": job.seed,
        "modes": count.found,
        "high_quality": count.high_quality,
        "kl": count.kl,
        **({} if count.as_told is None else {"as_told": count.as_told, "shared": count.shared}),
        "diverged": trained.diverged,
        "generator_steps": trained.generator_steps,
        "discriminator_steps": trained.discriminator_steps,
        "cpu_seconds": round(trained.cpu_seconds, 2),
    }
