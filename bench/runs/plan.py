"""Study → ordered run specs. A run's id is the hash of everything that decides its weights."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from bench.config.models import Backbone, Budget, Entry, Protocol, Study, Training, expanded_entries
from bench.config.problems import Problem, problems_of
from bench.config.recipe import Recipe, Table
from bench.data import DataRequest
from bench.errors import BenchError, suggest
from bench.files import read_json, write_record
from bench.metrics.settings import EvaluationSettings
from bench.objectives import is_file, load, source_file
from bench.runs.folder import PLAN_FILE, SCHEMA, EffectiveState, RunFolder, check_schema
from bench.runs.identity import code_hash, objective_hash
from bench.runs.portable import training_id
from bench.runs.registered import registrations
from bench.validation.certificates import rank_certificate
from bench.version import __version__

if TYPE_CHECKING:
    from bench.objectives.base import LeastBudget, Objective, Published

PlanState = Literal["planned", "running", "interrupted", "done", "diverged", "failed", "stale"]


class ObjectiveSpec(Table):
    """Which objective, with every setting spelled out. `source_sha256` is part of a user's own file's identity."""

    name: str
    file: str | None = None
    source_sha256: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class TrainingSpec(Table):
    """Everything that decides a run's weights. Where data lies (`data.path`) is no part of what it is."""

    objective: ObjectiveSpec
    data: DataRequest
    backbone: Backbone
    recipe: Recipe
    budget: Budget
    training: Training
    seed: int

    def id(self) -> str:
        """Return ten hexadecimal digits: the same specification gives the same id on every machine."""
        return training_id(self.model_dump(mode="json"))


class RunSpec(Table):
    """spec.json: one entry, one seed, trained once. `code` tells which source made it, and is not part of the id."""

    schema_: int = Field(SCHEMA, alias="schema")
    id: str
    study: str
    label: str
    protocol: Protocol
    training: TrainingSpec
    evaluation: EvaluationSettings
    code: dict[str, str]

    @property
    def folder(self) -> Path:
        """Return the run's folder below its study's."""
        return Path(f"{self.label}-{self.protocol}") / f"seed-{self.training.seed}-{self.id}"

    @property
    def name(self) -> str:
        """Return what messages call the run: label, protocol and seed."""
        return f"{self.label}-{self.protocol}/seed-{self.training.seed}"

    def write(self, path: Path) -> None:
        write_record(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Read a spec.json. Raises BenchError when it is damaged or from another version."""
        values = read_json(path)
        check_schema(values, path)
        try:
            return cls.model_validate_json(json.dumps(values))
        except ValidationError as error:
            problem = problems_of(error, (), cls)[0]
            raise BenchError(
                f"{path} cannot be read: {'.'.join(map(str, problem.where))} {problem.what}",
                hint="It was edited or written by another version: move the run's folder away and run again.",
            ) from error


@dataclass(frozen=True)
class PlannedEntry:
    """One row of the comparison under one protocol, resolved."""

    label: str
    protocol: Protocol
    objective: type[Objective]
    spec: ObjectiveSpec
    recipe: Recipe
    deviations: tuple[str, ...]
    notes: tuple[str, ...]
    least_budget: LeastBudget | None = None
    same_as: str | None = None  # an A/A arm: the entry that this one repeats on other seeds


@dataclass(frozen=True)
class Plan:
    """A study's entries and runs, seed by seed. With several slots the longest runs start first.

    An A/A arm's runs come last. They are runs of the baseline and lie with it: `label_of` alone tells them apart, so
    that they are the same runs when the baseline's seeds are extended to them.
    """

    study: Study
    entries: tuple[PlannedEntry, ...]
    runs: tuple[RunSpec, ...]

    def label_of(self, run: RunSpec) -> str:
        """Return the label of the entry that a run belongs to."""
        twin = run.label == self.study.baseline and run.training.seed in self.study.twin_seeds
        return self.study.twin_label if twin else run.label

    def select(self, patterns: tuple[str, ...]) -> list[RunSpec]:
        """Return the runs whose label matches one of `patterns` (labels or globs; none means all)."""
        if not patterns:
            return list(self.runs)
        labels = sorted({entry.label for entry in self.entries})
        for pattern in patterns:
            if not any(fnmatchcase(label, pattern) for label in labels):
                raise BenchError(
                    f'Study "{self.study.name}" has no entry "{pattern}"{suggest(pattern, labels)}',
                    hint=f"It has: {', '.join(labels)}. A glob such as 'wgan*' works too (in quotes).",
                )
        return [run for run in self.runs if any(fnmatchcase(self.label_of(run), pattern) for pattern in patterns)]

    def write(self, runs_root: Path) -> Path:
        """Write plan.json, which results, status and report read; see docs/results.md for its keys."""
        path = runs_root / self.study.name / PLAN_FILE
        predicted = registrations(path, self.study.predictions, lambda: self._finished(runs_root))
        write_record(path, self._as_json() | ({"predictions": predicted} if predicted else {}))
        return path

    def _finished(self, runs_root: Path) -> int:
        folders = (RunFolder(runs_root / self.study.name / run.folder) for run in self.runs)
        return sum(folder.effective_state() in ("done", "diverged") for folder in folders)

    def _as_json(self) -> dict[str, Any]:
        study = self.study
        return {
            "schema": SCHEMA,
            "bench_version": __version__,
            "study": study.name,
            "title": study.title,
            "notice": study.notice,
            "caption": study.caption,
            "baseline": study.baseline,
            "primary_metric": study.primary_metric,
            "secondary": list(study.secondary_metrics),
            "generator": study.generator,
            "final_step": study.budget.generator_steps,
            "seeds": list(study.seeds),
            "protocols": sorted({entry.protocol for entry in self.entries}),
            "data": study.data.model_dump(mode="json", exclude={"path"}),  # whose machine it lies on is no part of it
            "data_title": study.data.title,
            "backbone": {"resolution": study.data.resolution, **study.backbone.model_dump(mode="json")},
            "schedule": {
                **study.budget.model_dump(mode="json"),
                "learning_rate": controlled_recipe(study).learning_rate_generator,
            },
            "recipe": controlled_recipe(study).model_dump(mode="json"),
            "training": study.training.model_dump(mode="json"),
            "evaluation": study.evaluation.model_dump(mode="json"),
            "evaluation_id": study.evaluation.id(),
            "entries": [
                {
                    "label": entry.label,
                    "objective": entry.spec.name,
                    "protocol": entry.protocol,
                    "settings": entry.spec.settings,
                    "recipe": entry.recipe.model_dump(mode="json"),
                    "card": card_of(entry.objective),
                    **({"source_sha256": entry.spec.source_sha256} if entry.spec.source_sha256 else {}),
                    "deviations": list(entry.deviations),
                    "notes": list(entry.notes),
                    **({"same_as": entry.same_as} if entry.same_as else {}),
                }
                for entry in self.entries
            ],
            "runs": [
                {
                    "path": run.folder.as_posix(),
                    "label": self.label_of(run),
                    "objective": run.training.objective.name,
                    "protocol": run.protocol,
                    "seed": run.training.seed,
                    "id": run.id,
                }
                for run in self.runs
            ],
        }


def card_of(objective: type[Objective]) -> dict[str, Any]:
    """Return an objective's card as JSON values, with what was measured of the package's own over several ranks."""
    packaged = objective.__module__.startswith("bench.objectives.")
    return {**objective.describe(), "ranks": rank_certificate(objective.name()) if packaged else ""}


def controlled_recipe(study: Study) -> Recipe:
    """Return the recipe that every row of the study shares under `controlled`."""
    return study.recipe.over(Recipe())


def published_recipe(card: Published, shared: Recipe) -> Recipe:
    """Return the recipe that authors state, with what they leave open as the study shares it."""
    stated = {
        "optimizer": card.optimizer,
        "learning_rate_discriminator": card.learning_rate_discriminator,
        "learning_rate_generator": card.learning_rate_generator,
        "betas": card.betas,
        "discriminator_steps": card.discriminator_steps,
        "norm": card.norm,
    }
    return shared.model_copy(update=stated)


def make_plan(study: Study) -> Plan:
    """Resolve every entry of a study under every protocol into a Plan. Imports torch; writes nothing.

    Raises BenchError listing all unfit settings.

        plan = bench.make_plan(bench.load_study("quick"))
        [run.name for run in plan.runs]                           # ["nsgan-controlled/seed-0", ...]
    """
    problems: list[str] = _unused_settings(study)
    entries: list[PlannedEntry] = []
    for entry in expanded_entries(study):
        try:
            entries.extend(_plan_entry(study, entry))
        except BenchError as error:
            problems.append(error.message)
    rows = Counter((entry.label, entry.protocol) for entry in entries)
    problems += [
        f"{times} rows are called {label} ({protocol})" for (label, protocol), times in rows.items() if times > 1
    ]
    if problems:
        raise BenchError(
            f'Study "{study.name}" cannot be planned:\n  ' + "\n  ".join(problems),
            hint="Nothing was run. Fix these in the file (or on the command line) and run the command again.",
        )
    code = code_hash("training")
    repeated = [entry for entry in entries if study.twin_seeds and entry.label == study.baseline]
    twins = [replace(entry, label=study.twin_label, same_as=entry.label) for entry in repeated]
    runs = [_run_spec(study, entry, seed, code) for seed in study.seeds for entry in entries]
    runs += [_run_spec(study, entry, seed, code) for seed in study.twin_seeds for entry in repeated]
    return Plan(study, (*entries, *twins), tuple(runs))


def run_state(run: RunSpec, folder: RunFolder, images: Mapping[str, str] | None = None) -> PlanState:
    """Return a run's state; `stale` when it was begun or finished by other code than the present, or on other `images`.

    Code of another text counts as the same where the run was accepted as one of it. `images` are `present_images`.
    """
    state: EffectiveState = folder.effective_state()
    if state in ("planned", "running"):
        return state
    if folder.saw_others_than(images):
        return "stale"
    if state in ("done", "diverged") and folder.damaged_snapshots():
        state = "interrupted"  # it cannot be measured: only training gives the snapshot back
    code = RunSpec.read(folder.spec_file).code
    return state if code == run.code or folder.accepted_code(run.code) else "stale"


def _unused_settings(study: Study) -> list[str]:
    """Name the settings given to all rows that no row's objective has."""
    known = {name for entry in study.objectives for name in load(entry.objective).model_fields}
    return [
        f"settings.{name}: no row's objective has this setting{suggest(name, known)}"
        for name in study.settings
        if name not in known
    ]


def _plan_entry(study: Study, entry: Entry) -> list[PlannedEntry]:
    objective = load(entry.objective)
    given = {name: value for name, value in study.settings.items() if name in objective.model_fields}
    lacking = tuple(f'"{name}" has no meaning for this objective' for name in study.settings if name not in given)
    given |= entry.settings
    try:
        settings = objective.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        found = problems_of(error, (entry.label,), objective)
        raise BenchError("\n  ".join(_setting_mistake(problem) for problem in found)) from error
    file = source_file(entry.objective)
    own = is_file(entry.objective)
    controlled_spec = ObjectiveSpec(
        name=objective.name(),
        file=str(file) if own else None,
        source_sha256=objective_hash(file) if own else None,
        settings=settings,
    )
    shared = controlled_recipe(study)
    planned = []
    notes: tuple[str, ...]
    protocols: tuple[Protocol, ...] = ("custom",) if entry.recipe is not None else study.protocols
    for protocol in protocols:
        recipe, spec, notes = shared, controlled_spec, ()
        if protocol == "published":
            recipe, spec = _published(objective, controlled_spec, given, shared)
        elif protocol == "custom" and entry.recipe is not None:
            recipe = entry.recipe.over(shared)
        else:
            notes = objective.card.controlled_notes
        if recipe.norm not in objective.norms:
            raise BenchError(
                f'{entry.label}: norm "{recipe.norm}" couples the samples of a batch, which {objective.name()} does '
                f"not allow; use one of {', '.join(objective.norms)}"
            )
        instance = objective.model_validate(spec.settings)
        recipe, without = _fitting(instance, recipe, entry)
        least = instance.least_budget(recipe.discriminator_steps)
        planned.append(
            PlannedEntry(
                label=entry.label,
                protocol=protocol,
                objective=objective,
                spec=spec,
                recipe=recipe,
                deviations=(*_deviations(recipe, shared), *_other_settings(spec, controlled_spec)),
                notes=(*notes, *lacking, *without, *_too_short(study, least)),
                least_budget=least,
            )
        )
    return planned


def _published(
    objective: type[Objective], spec: ObjectiveSpec, given: Mapping[str, Any], shared: Recipe
) -> tuple[Recipe, ObjectiveSpec]:
    """Return the authors' recipe and settings; the settings that the study gives stand above the authors'."""
    card = objective.card.published
    settings = objective.model_validate({**card.settings, **given}).model_dump(mode="json")
    return published_recipe(card, shared), spec.model_copy(update={"settings": settings})


def _too_short(study: Study, least: LeastBudget | None) -> tuple[str, ...]:
    if least is None or study.budget.generator_steps >= least.generator_steps:
        return ()
    return (f"A row means something from {least.generator_steps:,} generator steps on: {least.reason}.",)


def _fitting(objective: Objective, recipe: Recipe, entry: Entry) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe without what has no meaning for the objective, and what was left out, in words.

    Raises BenchError where the entry itself asks for it.
    """
    unfit = {}
    if objective.head not in ("score", "sliced", "embedding"):
        unfit["packing"] = f"its discriminator's {objective.head} head judges single images"
    if objective.updates == "joint":
        unfit["instance_noise"] = "it has no discriminator"
    if not objective.has_penalty():
        unfit["lazy_penalty"] = "it has no penalty that can be taken lazily"
    if objective.latent_law is not None:
        unfit["latent_law"] = f"its latents are {objective.latent_law} by definition"
    neutral = Recipe()
    asked = {name: why for name, why in unfit.items() if getattr(recipe, name) != getattr(neutral, name)}
    for name, why in asked.items():
        if entry.recipe is not None and getattr(entry.recipe, name) is not None:
            raise BenchError(f"{entry.label}: {name} has no meaning for {objective.name()}: {why}")
    update = {name: getattr(neutral, name) for name in asked}
    return recipe.model_copy(update=update), tuple(f"without {name}: {why}" for name, why in asked.items())


def _deviations(recipe: Recipe, shared: Recipe) -> tuple[str, ...]:
    """Name every value of `recipe` that is not the shared one, leaving out what its optimiser does not read."""
    unread = {"adam": {"alpha"}, "rmsprop": {"betas"}}[recipe.optimizer]
    own, common = recipe.model_dump(mode="json"), shared.model_dump(mode="json")
    return tuple(f"{key} {_show(own[key])}" for key in own if key not in unread and own[key] != common[key])


def _other_settings(spec: ObjectiveSpec, controlled: ObjectiveSpec) -> tuple[str, ...]:
    """Name every setting of the objective that is not the controlled entry's."""
    return tuple(f"{key} {_show(value)}" for key, value in spec.settings.items() if value != controlled.settings[key])


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_show(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return "(" + ", ".join(_show(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _setting_mistake(problem: Problem) -> str:
    value = "" if problem.value is None else f" = {_show(problem.value)}"
    return f"{'.'.join(map(str, problem.where))}{value}: {problem.what}"


def _run_spec(study: Study, entry: PlannedEntry, seed: int, code: str) -> RunSpec:
    backbone = study.backbone
    law = entry.objective.latent_law or entry.recipe.latent_law
    if law is not None:
        backbone = backbone.model_copy(update={"latent_law": law})
    training = TrainingSpec(
        objective=entry.spec,
        data=study.data,
        backbone=backbone,
        recipe=entry.recipe,
        budget=study.budget,
        training=study.training,
        seed=seed,
    )
    file = Path(entry.spec.file) if entry.spec.file else source_file(entry.spec.name)
    built_on = [source_file(name) for name in entry.objective.model_validate(entry.spec.settings).parts()]
    return RunSpec(
        schema=SCHEMA,
        id=training.id(),
        study=study.name,
        label=entry.label,
        protocol=entry.protocol,
        training=training,
        evaluation=study.evaluation,
        code={"objective": objective_hash(file, *built_on), "training": code},
    )
