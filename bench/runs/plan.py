"""Study → ordered run specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.config.models import Entry, Protocol, Study, expanded_entries, names_on_backbones, on_backbone
from bench.errors import BenchError, suggest
from bench.files import write_record
from bench.objectives import load, source_file
from bench.runs.added import AddedSeeds, Additions, read_additions, write_additions
from bench.runs.fitting import told_twice, unfit_backbone, unused_conditioning
from bench.runs.folder import PLAN_FILE, SCHEMA, EffectiveState, RunFolder
from bench.runs.identity import code_hash, objective_hash
from bench.runs.registered import registrations
from bench.runs.rows import PlannedEntry, controlled_recipe, plan_entry, published_recipe
from bench.runs.spec import ObjectiveSpec, RunSpec, TrainingSpec
from bench.validation.certificates import rank_certificate
from bench.version import __version__

if TYPE_CHECKING:
    from bench.objectives.base import Objective

# The specs are imported from here by the training code, whose import lines are part of its hash.
__all__ = [
    "ObjectiveSpec",
    "Plan",
    "PlanState",
    "PlannedEntry",
    "RunSpec",
    "TrainingSpec",
    "card_of",
    "code_of",
    "controlled_recipe",
    "make_plan",
    "published_recipe",
    "run_state",
]

PlanState = Literal["planned", "running", "interrupted", "done", "diverged", "failed", "stale"]


@dataclass(frozen=True)
class Plan:
    """A study's entries and runs, seed by seed; `added` is what of them bench.toml does not have.

    An A/A arm's runs come last. They are runs of the baseline and lie with it: `label_of` alone tells them apart, so
    that they are the same runs when the baseline's seeds are extended to them.
    """

    study: Study
    entries: tuple[PlannedEntry, ...]
    runs: tuple[RunSpec, ...]
    added: Additions = field(default_factory=Additions)

    def label_of(self, run: RunSpec) -> str:
        """Return the label of the entry that a run belongs to."""
        twin = run.label == self.study.baseline and run.training.seed in self.study.twin_seeds
        return self.study.twin_label if twin else run.label

    def is_added(self, run: RunSpec) -> bool:
        """Tell whether a run was added by hand: its row, or its seed."""
        return self._has_added_seed(run) or any(
            entry.added for entry in self.entries if (entry.label, entry.protocol) == (run.label, run.protocol)
        )

    def select(
        self,
        patterns: Sequence[str] = (),
        seeds: Collection[int] | None = None,
        protocols: Collection[str] = (),
    ) -> list[RunSpec]:
        """Return the runs of these labels (or globs), seeds and protocols; what is not given leaves nothing out.

        Raises BenchError where the plan has no such label, seed or protocol, or no run of all of them.
        """
        self._require("protocol", protocols, {entry.protocol for entry in self.entries})
        self._require("seed", seeds or (), {run.training.seed for run in self.runs})
        chosen = self._matching(patterns)
        selected = [
            run
            for run in self.runs
            if (self.label_of(run), run.protocol) in chosen
            and (not protocols or run.protocol in protocols)
            and (seeds is None or run.training.seed in seeds)
        ]
        if not selected:
            raise BenchError(
                f'Study "{self.study.name}" has no run of that label, seed and protocol together',
                hint="`bench plan` shows its runs.",
            )
        return selected

    def with_seeds(self, seeds: Collection[int], patterns: Sequence[str] = (), protocols: Collection[str] = ()) -> Plan:
        """Return the plan with these seeds added to the rows of these labels and protocols, where the study lacks them.

        A seed of the A/A arm is lacked by the rows that `patterns` name; without any it asks for that arm alone.
        Raises BenchError for an unknown label or protocol.
        """
        self._require("protocol", protocols, {entry.protocol for entry in self.entries})
        chosen = self._matching(patterns)
        known = set() if patterns else {*self.study.twin_seeds}
        rows = [
            AddedSeeds(label=entry.label, protocol=entry.protocol, seeds=more)
            for entry in self.entries
            if (entry.label, entry.protocol) in chosen
            and not entry.same_as
            and (not protocols or entry.protocol in protocols)
            and (more := tuple(sorted({*seeds} - _own_seeds(self.study, entry.label) - known)))
        ]
        added = self.added.joined(Additions(seeds=tuple(rows)))
        return self if added == self.added else make_plan(self.study, added)

    def dangling(self) -> list[str]:
        """Return the rows, as label and protocol, that seeds were added to and that the study has no more."""
        rows = {(entry.label, entry.protocol) for entry in self.entries}
        return [f"{row.label}-{row.protocol}" for row in self.added.seeds if (row.label, row.protocol) not in rows]

    def whole(self, runs_root: Path) -> Plan:
        """Return the plan with all that was added by hand to the study below `runs_root`."""
        added = read_additions(runs_root, self.study.name).joined(self.added)
        return self if added == self.added else make_plan(self.study, added)

    def on_every_backbone(self) -> list[Plan]:
        """Return this plan and, with what was added to it by hand, those of its study on the other backbones."""
        others = [on_backbone(self.study, one.name) for one in self.study.backbones]
        return [self, *(make_plan(study, self.added) for study in others)]

    def write(self, runs_root: Path) -> Path:
        """Write plan.json, which results, status and report read, and what was added; see docs/results.md."""
        path = runs_root / self.study.name / PLAN_FILE
        write_additions(runs_root, self.study.name, self.added)
        predicted = registrations(path, self.study.predictions, lambda: self._finished(runs_root))
        write_record(path, self._as_json() | ({"predictions": predicted} if predicted else {}))
        return path

    def _matching(self, patterns: Sequence[str]) -> set[tuple[str, Protocol]]:
        """Return the rows that `patterns` name, by label and protocol; all where there are none."""
        labels = sorted({entry.label for entry in self.entries})
        for pattern in patterns:
            if not any(fnmatchcase(label, pattern) for label in labels):
                raise BenchError(
                    f'Study "{self.study.name}" has no entry "{pattern}"{suggest(pattern, labels)}',
                    hint=f"It has: {', '.join(labels)}. A glob such as 'wgan*' works too (in quotes).",
                )
        return {
            (entry.label, entry.protocol)
            for entry in self.entries
            if not patterns or any(fnmatchcase(entry.label, pattern) for pattern in patterns)
        }

    def _require(self, what: str, asked: Collection[Any], there: Collection[Any]) -> None:
        unknown = sorted({*asked} - {*there})
        if unknown:
            raise BenchError(
                f'Study "{self.study.name}" has no {what} {", ".join(map(str, unknown))}',
                hint=f"It has: {', '.join(map(str, sorted(there)))}. bench.toml says which there are.",
            )

    def _has_added_seed(self, run: RunSpec) -> bool:
        return run.training.seed not in _own_seeds(self.study, run.label)

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
            **({"backbones": others} if (others := names_on_backbones(study)) else {}),
            "schedule": {
                **study.budget.model_dump(mode="json"),
                "learning_rate": controlled_recipe(study).learning_rate_generator,
            },
            "recipe": controlled_recipe(study).model_dump(mode="json"),
            "training": study.training.model_dump(mode="json"),
            "evaluation": study.evaluation.portable().model_dump(mode="json"),
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
                    **({"added": True} if entry.added else {}),
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
                    **({"added": True} if self._has_added_seed(run) else {}),
                }
                for run in self.runs
            ],
        }


def card_of(objective: type[Objective]) -> dict[str, Any]:
    """Return an objective's card as JSON values, with what was measured of the package's own over several ranks."""
    packaged = objective.__module__.startswith("bench.objectives.")
    return {**objective.describe(), "ranks": rank_certificate(objective.name()) if packaged else ""}


def make_plan(study: Study, added: Additions | None = None) -> Plan:
    """Resolve every entry of a study under every protocol into a Plan. Imports torch; writes nothing.

    `added` is what was added to the study by hand. Raises BenchError listing all unfit settings.

        plan = bench.make_plan(bench.load_study("quick"))
        [run.name for run in plan.runs]                           # ["nsgan-controlled/seed-0", ...]
    """
    added = added or Additions()
    problems = [*_unused_settings(study), *unused_conditioning(study), *told_twice(study), *unfit_backbone(study)]
    entries: list[PlannedEntry] = []
    own = expanded_entries(study)
    by_hand = expanded_entries(study, added.entries({entry.label for entry in study.objectives}))
    for entry in (*own, *by_hand):
        try:
            entries += [replace(row, added=entry in by_hand) for row in plan_entry(study, entry)]
        except BenchError as error:
            problems.append(error.message + (_way_out(entry) if entry in by_hand else ""))
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
    specs = {(entry.label, entry.protocol): _Specs(study, entry, code) for entry in entries}
    runs = [specs[row].run(seed) for seed in study.seeds for row in specs]
    runs += [specs[entry.label, entry.protocol].run(seed) for seed in study.twin_seeds for entry in repeated]
    runs += [
        specs[label, protocol].run(seed)
        for label, protocol in specs
        for seed in added.seeds_of(label, protocol)
        if seed not in _own_seeds(study, label)
    ]
    return Plan(study, (*entries, *twins), tuple(runs), added)


def _own_seeds(study: Study, label: str) -> set[int]:
    """Return the seeds that bench.toml gives a row; the baseline also has its A/A arm's."""
    return {*study.seeds, *(study.twin_seeds if label == study.baseline else ())}


def code_of(objective: ObjectiveSpec, training: str | None = None) -> dict[str, str]:
    """Return the hashes of the code, as it is here, that trains runs of an objective; `training` where it is known."""
    file = Path(objective.file) if objective.file else source_file(objective.name)
    parts = load(objective.file or objective.name).model_validate(objective.settings).parts()
    hashed = objective_hash(file, *map(source_file, parts))
    return {"objective": hashed, "training": training or code_hash("training")}


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


def _way_out(entry: Entry) -> str:
    return f" (added by hand: `bench remove {entry.label.partition('@')[0]}` takes it out)"


def _unused_settings(study: Study) -> list[str]:
    """Name the settings given to all rows that no row's objective has."""
    known = {name for entry in study.objectives for name in load(entry.objective).model_fields}
    return [
        f"settings.{name}: no row's objective has this setting{suggest(name, known)}"
        for name in study.settings
        if name not in known
    ]


class _Specs:
    """Makes the runs of one row."""

    def __init__(self, study: Study, entry: PlannedEntry, code: str) -> None:
        law = entry.objective.latent_law or entry.recipe.latent_law
        self._study, self._entry = study, entry
        self._backbone = study.backbone.model_copy(update={"latent_law": law} if law is not None else {})
        self._code = code_of(entry.spec, code)

    def run(self, seed: int) -> RunSpec:
        study, entry = self._study, self._entry
        training = TrainingSpec(
            objective=entry.spec,
            data=study.data,
            backbone=self._backbone,
            recipe=entry.recipe,
            budget=study.budget,
            training=study.training,
            seed=seed,
        )
        return RunSpec(
            schema=SCHEMA,
            id=training.id(),
            study=study.name,
            label=entry.label,
            protocol=entry.protocol,
            training=training,
            evaluation=study.evaluation.used(),
            code=self._code,
        )
