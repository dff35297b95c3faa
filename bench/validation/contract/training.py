"""Ten real training steps: they stay finite, go on bit for bit where they were cut, and take packed samples."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.config.recipe import Recipe
from bench.networks.backbone import build_networks
from bench.networks.conditioning import Batch
from bench.objectives.base import Objective
from bench.runs.plan import published_recipe
from bench.training.engine import EagerEngine
from bench.training.schedule import IterationSettings
from bench.training.state import TrainingState
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import (
    CODES,
    COUNT,
    LABELS,
    LATENT,
    RESOLUTION,
    WIDTH,
    Variant,
    conditions,
    controlled_norm,
    pictures,
)

STEPS = 10
CUT_AT = 5


def training_stays_finite(variant: Variant) -> Iterator[Problem]:
    """Train the defaults under the controlled recipe, cut and resumed, and the authors' settings under theirs."""
    objective, published = variant.objective, variant.objective.card.published
    defaults, authors = (type(objective).model_validate(dict(settings)) for settings in ({}, published.settings))
    if objective not in (defaults, authors):
        raise NotApplicable("only defaults and published settings are trained")
    if objective == defaults:
        yield from _trained_and_cut(objective, controlled_recipe(objective))
    if objective == authors and published.norm in objective.allowed_norms():
        state = _state(objective, published_recipe(published, Recipe()))
        _train(state, 0, STEPS)
        yield from _not_finite(state, "under its published recipe")


def packed_samples_work(variant: Variant) -> Iterator[Problem]:
    """Train two steps in which D judges pairs of images as one sample (PacGAN)."""
    objective = variant.objective
    if not objective.takes_packs():
        raise NotApplicable(f"D's {objective.head} head rebuilds, encodes or recognises single images")
    state = _state(objective, controlled_recipe(objective).model_copy(update={"packing": 2}))
    _train(state, 0, 2)
    yield from _not_finite(state, "with packing 2")


def controlled_recipe(objective: Objective) -> Recipe:
    return Recipe(norm=controlled_norm(objective))


def _trained_and_cut(objective: Objective, recipe: Recipe) -> Iterator[Problem]:
    state = _state(objective, recipe)
    _train(state, 0, CUT_AT)
    saved = copy.deepcopy(state.state_dict())
    _train(state, CUT_AT, STEPS)
    problems = list(_not_finite(state, "under the controlled recipe"))
    yield from problems
    if problems:
        return
    resumed = _state(objective, recipe)
    resumed.load_state_dict(saved)
    _train(resumed, CUT_AT, STEPS)
    if not _equal(state.state_dict(), resumed.state_dict()):
        yield Problem(
            f"cut after step {CUT_AT} and resumed, training ends elsewhere than without the cut",
            "Keep nothing on the object or in the module: state belongs into initial_state(), which checkpoints save.",
        )


def _train(state: TrainingState, start: int, end: int) -> None:
    engine = EagerEngine(state)
    for generator_step in range(start, end):
        batches = partial(_batch, sizes=state.settings.factor_sizes, pictured=state.objective.needs == "input")
        engine.run_iteration(generator_step, batches)


def _not_finite(state: TrainingState, how: str) -> Iterator[Problem]:
    bad = int(state.first_bad_step)
    weights = [*state.G.parameters(), *state.D.parameters()]
    states = {name: float(value) for name, value in state.rng.state.items() if not value.isfinite().all()}
    if bad >= 0 or not all(weight.isfinite().all() for weight in weights):
        terms = ", ".join(
            f"{name} {float(value):.4g}"
            for name, value in state.meter.sums.items()
            if name.startswith(("discriminator/", "generator/"))
        )
        yield Problem(
            f"{how}, training is not finite from step {max(bad, 0) + 1} on (sums of terms: {terms})",
            "If the extremes pass, the loss grows without bound: it needs a penalty, or a smaller learning rate.",
        )
    for name, value in states.items():
        yield Problem(f"{how}, the state {name} is {value} after {STEPS} steps", "Keep it finite, as by a clamp.")


def _state(objective: Objective, recipe: Recipe) -> TrainingState:
    sizes = LABELS if objective.needs == "labels" else ()
    codes = CODES if objective.needs == "codes" else None
    G, D = build_networks(
        resolution=RESOLUTION,
        width=WIDTH,
        latent=LATENT,
        head=objective.head,
        norm=recipe.norm,
        seed=1,
        packing=recipe.packing,
        factor_sizes=sizes,
        conditioning=objective.conditioning if sizes or objective.needs == "input" else "none",
        codes=codes,
        answers=objective.answers(CODES),
        pictures=objective.needs == "input",
    )
    settings = IterationSettings(
        recipe=recipe,
        latent=LATENT,
        latent_law=objective.latent_law or "normal",
        generator_steps=STEPS,
        halve_every=STEPS,
        ema_decay=0.999,
        precision="fp32",
        seed=1,
        factor_sizes=sizes,
        codes=codes,
    )
    return TrainingState(settings, objective, G, D, torch.device("cpu"))


def _batch(discriminator_steps: int, sizes: tuple[int, ...], pictured: bool) -> Batch:
    generator = torch.Generator().manual_seed(discriminator_steps)
    images = torch.rand(COUNT, 3, RESOLUTION, RESOLUTION, generator=generator) * 2 - 1
    condition = conditions(COUNT, sizes, discriminator_steps).float() if sizes else None
    if pictured:
        condition = pictures(COUNT, discriminator_steps).float()
    return Batch(images.contiguous(memory_format=torch.channels_last), condition)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)
