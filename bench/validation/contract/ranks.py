"""One run over several processes is the run of one: the proof, objective by objective, with gloo on a CPU.

In float64 nothing but the order of sums differs, so gradients and weights must agree to rounding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from bench.config.recipe import Recipe
from bench.networks.backbone import Norm, build_networks
from bench.networks.conditioning import Batch, Conditioning
from bench.networks.switches import Switches
from bench.objectives import load
from bench.processes import Team
from bench.training.engine import EagerEngine
from bench.training.ranks import Ranks
from bench.training.schedule import IterationSettings
from bench.training.state import TrainingState
from bench.validation.contract.scene import CODES, LABELS, conditions, pictures

LOSSES_AGREE = 1e-9
GRADIENTS_AGREE = 1e-9
WEIGHTS_AGREE = 1e-6
BATCH, RESOLUTION, WIDTH, LATENT = 16, 16, 4, 8
# What switches parts on that the defaults leave out in so few steps.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {"ebgan": {"pulling_away": 0.1}, "lecam": {"start": 0}}


@dataclass(frozen=True)
class Trial:
    """What is trained: `norm` is D's where the objective allows it (else "layer"), packs where its head allows them.

    With `factor_sizes` there are labels, of which D is told by `conditioning` (None: as the objective says); an
    objective that needs some has them anyway. `coded`: with codes, also where the objective needs none; `pictured`:
    with input images, which an objective that needs some has anyway.
    """

    steps: int = 50
    norm: Norm = "batch"
    packing: int = 1
    dtype: torch.dtype = torch.float64
    factor_sizes: tuple[int, ...] = ()
    conditioning: Conditioning | None = None
    coded: bool = False
    pictured: bool = False
    switches: Switches = field(default_factory=Switches)
    recipe: Mapping[str, Any] = field(default_factory=dict)  # further keys


@dataclass(frozen=True)
class Certificate:
    """By how much `ranks` processes differ from one: relative norms of differences, over both networks.

    `losses` (all terms) and `gradients` are the first step's, `weights` those after `steps`; `alike`: all ranks ended
    with the same weights.
    """

    objective: str
    ranks: int
    steps: int
    gradients: float
    weights: float
    alike: bool
    losses: float | None = None  # None: not written down

    @property
    def holds(self) -> bool:
        of_a_step = (self.losses or 0.0) <= LOSSES_AGREE and self.gradients <= GRADIENTS_AGREE
        return self.alike and of_a_step and self.weights <= WEIGHTS_AGREE


def certify(objectives: Sequence[str], counts: Sequence[int] = (2, 4), trial: Trial | None = None) -> list[Certificate]:
    """Train objectives (names, or paths of a user's files) with one process and with each of `counts`; compare."""
    trial = trial or Trial()
    single = _trained(objectives, Ranks(), trial)
    certificates = []
    for count in counts:
        ranks = _over_ranks(count, objectives, trial)
        for index, name in enumerate(objectives):
            alone, others = single[index], [results[index] for results in ranks]
            losses, gradients, weights = map(relative_difference, others[0], alone)
            certificates.append(
                Certificate(
                    objective=name,
                    ranks=count,
                    steps=trial.steps,
                    gradients=gradients,
                    weights=weights,
                    alike=all(torch.equal(other[-1], others[0][-1]) for other in others),
                    losses=losses,
                )
            )
    return certificates


def relative_difference(value: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference relative to the norm of what was expected."""
    return float((value - expected).norm() / expected.norm())


def _over_ranks(count: int, objectives: Sequence[str], trial: Trial) -> list[list[tuple[Tensor, ...]]]:
    with tempfile.TemporaryDirectory() as folder:
        with Team(partial(_rank, count, folder, tuple(objectives), trial), count) as team:
            for rank in range(count):
                team.give(rank)
            while team.busy:
                for call in team.wait():
                    call.get()  # one rank's error is raised at once: the others would wait for it
        return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(count)]


def _rank(count: int, folder: str, objectives: Sequence[str], trial: Trial, rank: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    try:
        torch.save(_trained(objectives, Ranks(rank, count, force_group=True), trial), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def _trained(objectives: Sequence[str], ranks: Ranks, trial: Trial) -> list[tuple[Tensor, ...]]:
    """Return, for each objective, the first step's terms and gradients and the last weights, each flattened."""
    results: list[tuple[Tensor, ...]] = []
    for name in objectives:
        state = _state(name, ranks, trial)
        engine = EagerEngine(state)
        pictured = trial.pictured or state.objective.needs == "input"
        batches = partial(_batch, dtype=trial.dtype, sizes=state.settings.factor_sizes, pictured=pictured)
        parameters = [*state.D.parameters(), *state.G.parameters()]
        engine.run_iteration(0, batches)
        means = state.meter.take_means()
        losses = torch.tensor([value for group in means.values() for value in group.values()], dtype=torch.float64)
        gradients = torch.cat([value.grad.flatten() for value in parameters if value.grad is not None]).clone()
        for step in range(1, trial.steps):
            engine.run_iteration(step, batches)
        results.append((losses, gradients, torch.cat([value.detach().flatten() for value in parameters])))
    return results


def _state(name: str, ranks: Ranks, trial: Trial) -> TrainingState:
    objective = load(name).model_validate(_SETTINGS.get(name, {}))
    norm = trial.norm if trial.norm in objective.allowed_norms() else "layer"
    packing = trial.packing if objective.takes_packs() else 1
    codes = CODES if objective.needs == "codes" or trial.coded else None
    sizes = trial.factor_sizes or (LABELS if objective.needs == "labels" else ())
    pictured = trial.pictured or objective.needs == "input"
    G, D = build_networks(
        resolution=RESOLUTION,
        width=WIDTH,
        latent=LATENT,
        head=objective.head,
        norm=norm,
        seed=1,
        packing=packing,
        factor_sizes=sizes,
        conditioning=(trial.conditioning or objective.conditioning) if sizes or pictured else "none",
        codes=codes,
        answers=objective.answers(CODES),
        switches=trial.switches,
        pictures=pictured,
    )
    settings = IterationSettings(
        recipe=Recipe(norm=norm, packing=packing, instance_noise=0.1, **trial.recipe),
        latent=LATENT,
        latent_law="normal",
        generator_steps=2 * trial.steps,
        halve_every=trial.steps,
        ema_decay=0.99,
        precision="fp32",
        seed=1,
        factor_sizes=sizes,
        codes=codes,
    )
    state = TrainingState(settings, objective, G.to(trial.dtype), D.to(trial.dtype), torch.device("cpu"), ranks)
    normal, uniform = state.rng.normal, state.rng.uniform
    state.rng.normal = lambda *where: normal(*where).to(trial.dtype)  # type: ignore[method-assign]
    state.rng.uniform = lambda *where: uniform(*where).to(trial.dtype)  # type: ignore[method-assign]
    return state


def _batch(step: int, dtype: torch.dtype, sizes: tuple[int, ...], pictured: bool) -> Batch:
    generator = torch.Generator().manual_seed(step)
    images = torch.rand(BATCH, 3, RESOLUTION, RESOLUTION, generator=generator, dtype=dtype) * 2 - 1
    if pictured:
        return Batch(images, pictures(BATCH, step).to(dtype))
    return Batch(images, conditions(BATCH, sizes, step).to(dtype) if sizes else None)
