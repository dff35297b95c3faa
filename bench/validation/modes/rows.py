"""The rows of the tables: every objective under the shared recipe, with what is declared to differ. No torch.

Image-scale defaults (a margin of 20, a clip of 0.01, a penalty weight of 10) mean nothing in a plane of unit size. What
stands in their place, and where more discriminator steps are needed, is declared here and printed beside the row.
Nothing was chosen on seeds that are reported: pilots used seeds from 1000 up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import objectives
from bench.config.recipe import Recipe, RecipeOverrides
from bench.errors import BenchError, suggest
from bench.validation.modes.tasks import PointTask, Task

STACKED_ROWS = ("nsgan", "pacgan2", "wgan-gp", "r1r2", "r3gan")
PACKINGS = (2, 3, 4)


@dataclass(frozen=True)
class Declared:
    """What a row sets above the objective's defaults and the shared recipe.

    `steps` is the row's share of the task's generator steps, `batch` its own batch (None: the task's).
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: RecipeOverrides = field(default_factory=RecipeOverrides)
    steps: float = 1.0
    batch: int | None = None


@dataclass(frozen=True)
class Row:
    """A row: an objective (a name, or the path of a user's own file) and what is declared for it."""

    label: str
    objective: str
    declared: Declared

    def recipe(self, task: Task) -> Recipe:
        """Return the recipe of the row's runs; with labels D is told them as the row says, or else its objective."""
        recipe = self.declared.recipe.over(task.recipe)
        if not (isinstance(task, PointTask) and task.classes) or recipe.conditioning is not None:
            return recipe
        return recipe.model_copy(update={"conditioning": objectives.load(self.objective).conditioning})

    def generator_steps(self, task: Task, steps: int | None) -> int:
        """Return the row's generator steps; `steps` stands in place of the task's."""
        return max(1, round((steps or task.generator_steps) * self.declared.steps))

    def batch(self, task: Task) -> int:
        """Return the images of a batch. A packed row gets as many packs as the others get samples, as in PacGAN."""
        return (self.declared.batch or task.batch) * self.recipe(task).packing

    def protocol(self, task: Task, steps: int | None = None) -> str:
        """Say in words what the row does otherwise than the shared protocol; "" for nothing."""
        recipe = self.declared.recipe.model_dump(exclude_none=True)
        parts = [f"{key} {_text(value)}" for key, value in self.declared.settings.items()]
        parts += [f"{key} {_text(value)}" for key, value in recipe.items()]
        if self.batch(task) != task.batch:
            parts.append(f"batch {self.batch(task)}")
        if self.declared.steps != 1:
            parts.append(f"{self.generator_steps(task, steps):,} generator steps")
        return ", ".join(parts).replace("_", " ")


# WGAN-GP's authors weigh the penalty by 0.1 on their toy data; zero-centred penalties take the same.
_TOY_PENALTY, _TOY_GAMMA = {"penalty_weight": 0.1}, {"gamma": 0.1}
# Critics that their authors train more often than G: as many networks' steps as the others, in fewer of G's.
_CRITIC = RecipeOverrides(discriminator_steps=5)
_CRITIC_STEPS = 0.4
_POINTS: Mapping[str, Declared] = MappingProxyType(
    {
        "wgan": Declared({"clip": 0.1}, _CRITIC, _CRITIC_STEPS),
        "wgan-gp": Declared(_TOY_PENALTY, _CRITIC, _CRITIC_STEPS),
        "wgan-lp": Declared(_TOY_PENALTY, _CRITIC, _CRITIC_STEPS),
        "dragan": Declared(_TOY_PENALTY),
        "cramer": Declared(_TOY_PENALTY),
        "mmd-gan": Declared(_TOY_PENALTY, batch=64),  # its kernels see all pairs
        "r1": Declared(_TOY_GAMMA),
        "r1r2": Declared(_TOY_GAMMA),
        "r3gan": Declared(_TOY_GAMMA),
        "fisher": Declared({"rho": 0.1}),
        "sobolev": Declared({"rho": 0.01}),
        "lecam": Declared({"start": 100}),
        "ebgan": Declared({"margin": 1.0}),
        "began": Declared({"lambda_k": 0.01}),
        "vae": Declared({"noise_scale": 0.05}),
    }
)
_STACKED: Mapping[str, Declared] = MappingProxyType(
    {"r1r2": Declared({"gamma": 1.0}), "r3gan": Declared({"gamma": 1.0})}
)
_UNTOLD, _PROJECTION = RecipeOverrides(conditioning="none"), RecipeOverrides(conditioning="projection")
_OVER_MINIMAX = {"base": "minimax"}  # of which it is known what it minimises: 2 JS
AC_WEIGHTS = (0.1, 0.5, 1.0)
# Rows of tasks with labels that are not called by an objective's name.
_TOLD: Mapping[str, Mapping[str, tuple[str, Declared]]] = MappingProxyType(
    {
        "ring-labels": {
            "nsgan-untold": ("nsgan", Declared(recipe=_UNTOLD)),
            "nsgan-projection": ("nsgan", Declared(recipe=_PROJECTION)),
            **{name: (name, Declared()) for name in ("nsgan", "acgan", "tacgan", "adcgan", "contragan", "reacgan")},
            "matching": ("matching", Declared()),
        },
        "overlap": {
            "minimax": ("minimax", Declared()),
            "minimax-untold": ("minimax", Declared(recipe=_UNTOLD)),
            **{
                f"acgan-{weight:g}": ("acgan", Declared({**_OVER_MINIMAX, "generator_weight": weight}))
                for weight in AC_WEIGHTS
            },
            "tacgan": ("tacgan", Declared(_OVER_MINIMAX)),
            "adcgan": ("adcgan", Declared(_OVER_MINIMAX)),
        },
    }
)


def row_names(task: Task) -> list[str]:
    """Return the labels of a task's rows: all in the plane, a few of stacked digits and of tasks with labels."""
    if task.name in _TOLD:
        return list(_TOLD[task.name])
    if not isinstance(task, PointTask):
        return list(STACKED_ROWS)
    return sorted([*objectives.unlabelled_names(), *(f"pacgan{packing}" for packing in PACKINGS)])


def find_rows(asked: Sequence[str], task: Task) -> list[Row]:
    """Return the rows asked for, all of the task's when none is. Raises BenchError for what is neither row nor file."""
    return [_row(name, task) for name in dict.fromkeys(asked or row_names(task))]


def _row(name: str, task: Task) -> Row:
    if name in _TOLD.get(task.name, {}):
        objective, declared = _TOLD[task.name][name]
        return Row(name, objective, declared)
    table = _POINTS if isinstance(task, PointTask) else _STACKED
    packed = {f"pacgan{packing}": packing for packing in PACKINGS}
    if name in packed:
        plain = table.get("nsgan", Declared())
        return Row(name, "nsgan", replace(plain, recipe=plain.recipe.model_copy(update={"packing": packed[name]})))
    if objectives.is_file(name):
        return Row(Path(name).stem.replace("_", "-"), str(objectives.source_file(name)), Declared())
    known = [*objectives.names(), *packed, *_TOLD.get(task.name, ())]
    if name not in known:
        raise BenchError(
            f'There is no row "{name}"{suggest(name, known)}',
            hint="`bench list objectives` shows the objectives; pacgan2 to pacgan4, and a path ending in .py work too.",
        )
    if objectives.load(name).needs and task.name not in _TOLD:
        raise BenchError(f"{name} needs {objectives.load(name).needs}, which these points and digits do not have")
    return Row(name, name, table.get(name, Declared()))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
