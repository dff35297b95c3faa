"""Reads a study's folder into what the report needs: plan, runs, results, statistics."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.files import read_json, read_jsonl
from bench.metrics.catalogue import extractor_of
from bench.metrics.settings import EvaluationSettings
from bench.runs.extras import read_backbones, read_external, read_forgives, read_grids
from bench.runs.folder import EffectiveState, RunFolder, Status, evaluation_settings, read_plan, run_folder
from bench.statistics import (
    CollapseCounts,
    Comparison,
    Limit,
    Mixture,
    Resolution,
    Stability,
    Standing,
    StudyStatistics,
    Summary,
    collapse_counts,
    study_statistics,
)
from bench.statistics.results import collect, matching, reported_state


@dataclass(frozen=True)
class Run:
    """One planned run and what lies in its folder.

    `code` are the hashes of what trained it, `proved` those of other versions that give the same bits.
    """

    label: str
    protocol: str
    objective: str
    seed: int
    path: str
    folder: RunFolder
    state: EffectiveState
    status: Status
    environment: dict[str, Any] | None
    architecture: dict[str, Any] | None
    code: dict[str, str]
    proved: tuple[dict[str, str], ...]
    sample_steps: tuple[int, ...]
    collapsed: bool

    @property
    def name(self) -> str:
        return f"{self.label}, {self.protocol}, seed {self.seed}"


@dataclass(frozen=True)
class Entry:
    """One row of the comparison under one protocol."""

    label: str
    protocol: str
    objective: str
    card: dict[str, Any]
    settings: dict[str, Any]
    recipe: dict[str, Any]
    deviations: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    same_as: str | None = None  # an A/A arm: the entry that this one repeats on other seeds


@dataclass(frozen=True)
class Study:
    """Everything that is known about a study. An A/A arm (`twins`) is no entry: only its runs stand among the runs."""

    plan: dict[str, Any]
    settings: EvaluationSettings
    entries: tuple[Entry, ...]
    results: pd.DataFrame
    statistics: StudyStatistics
    twins: tuple[Entry, ...] = ()
    # What `bench.runs.extras` keeps beside the plan.
    forgives: dict[str, Any] | None = None
    external: tuple[dict[str, Any], ...] = ()
    backbones: dict[str, Any] | None = None
    grids: dict[str, Any] | None = None

    @property
    def summaries(self) -> tuple[Summary, ...]:
        return self.statistics.summaries

    @cached_property
    def _comparison_by_key(self) -> dict[tuple[str, str], Comparison]:
        return {(c.protocol, c.label): c for c in self.statistics.comparisons}

    @cached_property
    def _standing_by_key(self) -> dict[tuple[str, str], Standing]:
        return {(s.protocol, s.label): s for s in self.statistics.standings}

    @cached_property
    def _stability_by_key(self) -> dict[tuple[str, str], Stability]:
        return {(s.protocol, s.label): s for s in self.statistics.stability}

    @cached_property
    def _summary_by_key(self) -> dict[tuple[str, str, str], Summary]:
        return {(s.protocol, s.label, s.metric): s for s in self.summaries}

    @property
    def protocols(self) -> list[str]:
        return list(dict.fromkeys(entry.protocol for entry in self.entries))

    @property
    def data_title(self) -> str:
        """What the images are called; plans of older versions have their source alone."""
        return str(self.plan.get("data_title", self.plan["data"]["source"]))

    @property
    def primary(self) -> str:
        return str(self.plan["primary_metric"])

    @property
    def extractor(self) -> str:
        """Return the extractor of the primary metric; FID and IS are Inception's."""
        return extractor_of(self.primary)

    @property
    def seeds(self) -> list[int]:
        return list(self.plan["seeds"])

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for entry in self.all_entries for run in entry.runs)

    @property
    def all_entries(self) -> tuple[Entry, ...]:
        """Return the entries and the A/A arm: for what is said of runs, not of methods."""
        return (*self.entries, *self.twins)

    @cached_property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(entry.label for entry in self.entries))

    @property
    def objectives(self) -> dict[str, str]:
        """Return each entry's objective by its label, in the plan's order."""
        return {entry.label: entry.objective for entry in self.entries}

    def entries_of(self, protocol: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.protocol == protocol]

    def seeds_of(self, label: str, protocol: str) -> list[int]:
        return [run.seed for run in self.runs if (run.label, run.protocol) == (label, protocol)]

    def summary(self, entry: Entry, metric: str) -> Summary:
        return self._summary_by_key[entry.protocol, entry.label, metric]

    def find_summary(self, protocol: str, label: str) -> Summary | None:
        """Return the primary metric's summary of an entry, None where the protocol has no such row."""
        return self._summary_by_key.get((protocol, label, self.primary))

    def comparison(self, entry: Entry) -> Comparison | None:
        """Return an entry's comparison with the baseline, None for the baseline itself and where there is none."""
        return self._comparison_by_key.get((entry.protocol, entry.label))

    def standing(self, entry: Entry) -> Standing | None:
        return self._standing_by_key.get((entry.protocol, entry.label))

    def stability(self, entry: Entry) -> Stability:
        return self._stability_by_key[entry.protocol, entry.label]

    @cached_property
    def collapse_counts(self) -> CollapseCounts:
        """How many runs of each row collapsed, by the study's rule and by the default one."""
        return collapse_counts(self.results, {**self.plan, "evaluation": self.settings.model_dump(mode="json")})

    @cached_property
    def _mixture_by_key(self) -> dict[tuple[str, str, str], Mixture]:
        return {(m.protocol, m.label, m.metric): m for m in self.statistics.mixtures}

    def mixture(self, entry: Entry, metric: str) -> Mixture | None:
        """Return what is known of a row whose runs are of two kinds in a declared metric, None where they are not."""
        return self._mixture_by_key.get((entry.protocol, entry.label, metric))

    def limit(self, entry: Entry) -> Limit | None:
        """Return what the seeds could have decided of an entry's comparison with the baseline; None of no test."""
        return self._limit_by_key.get((entry.protocol, entry.label))

    @cached_property
    def _limit_by_key(self) -> dict[tuple[str, str], Limit]:
        return {(x.protocol, x.first): x for x in self.statistics.limits if x.kind == "baseline"}

    def resolution(self, protocol: str, metric: str) -> Resolution | None:
        matches = (r for r in self.statistics.resolutions if (r.protocol, r.metric) == (protocol, metric))
        return next(matches, None)

    def summaries_of(self, protocol: str, metric: str) -> Iterator[tuple[Entry, Summary]]:
        return ((entry, self.summary(entry, metric)) for entry in self.entries_of(protocol))

    def floor_of(self, metric: str) -> tuple[str, int] | None:
        """Return of which real images a metric's floor is ("heldout" or "train") and of how many; None: not known."""
        lines = matching(self.results, metric=metric).dropna(subset=["floor_source", "floor_samples"])
        if lines.empty:
            return None
        return str(lines["floor_source"].iloc[0]), int(lines["floor_samples"].iloc[0])

    @cached_property
    def metrics(self) -> list[str]:
        """Return the metrics that have a summary, the primary first."""
        return list(dict.fromkeys(summary.metric for summary in self.summaries))

    def headline_metrics(self) -> list[str]:
        """Return the primary metric and those beside it: always a coverage, and precision never without recall."""
        shown = [self.primary, *self.plan["secondary"]]
        if not any(metric.startswith("coverage_") for metric in shown):
            shown.append(f"coverage_{self.extractor}")
        for metric in list(shown):
            if metric.startswith("precision_"):
                shown.append(metric.replace("precision_", "recall_"))
        return [metric for metric in dict.fromkeys(shown) if metric in self.metrics]


def load_study(runs_root: Path, name: str) -> Study:
    """Read runs_root/<name>. Raises BenchError when it was never planned or its runs share no table."""
    plan = read_plan(runs_root, name)
    results = collect(runs_root, name)
    collapsed = set(matching(results, generator=plan["generator"], collapsed=True)["run"])
    runs: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for planned in plan["runs"]:
        run = _read_run(runs_root / name, planned, planned["path"] in collapsed)
        runs[run.label, run.protocol].append(run)
    return replace(
        assembled(plan, results, runs),
        forgives=read_forgives(runs_root / name, plan["evaluation_id"]),
        external=read_external(runs_root / name),
        backbones=read_backbones(runs_root / name, plan["evaluation_id"]),
        grids=read_grids(runs_root / name),
    )


def assembled(plan: dict[str, Any], results: pd.DataFrame, runs: Mapping[tuple[str, str], Sequence[Run]]) -> Study:
    """Return the study of a plan and its results. `runs` by label and protocol; without them no more than tables."""
    entries = tuple(
        Entry(
            label=entry["label"],
            protocol=entry["protocol"],
            objective=entry["objective"],
            card=entry["card"],
            settings=entry["settings"],
            recipe=entry.get("recipe", {}),
            deviations=tuple(entry["deviations"]),
            notes=(*entry["notes"], *_added_by_hand(plan, entry)),
            runs=tuple(runs.get((entry["label"], entry["protocol"]), ())),
            same_as=entry.get("same_as"),
        )
        for entry in plan["entries"]
    )
    compared = tuple(entry for entry in entries if not entry.same_as)
    twins = tuple(entry for entry in entries if entry.same_as)
    return Study(plan, evaluation_settings(plan), compared, results, study_statistics(results, plan), twins)


def _added_by_hand(plan: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[str]:
    """Return a row's notes on what of it the study's file does not define."""
    row = entry["label"], entry["protocol"]
    seeds = [run["seed"] for run in plan["runs"] if (run["label"], run["protocol"]) == row and run.get("added")]
    if entry.get("added"):
        yield "Added by hand: the study’s file does not define this row."
    if seeds:
        yield f"Added by hand, beyond the study’s seeds: {', '.join(map(str, sorted(seeds)))}."


def read_log(run: Run) -> list[dict[str, Any]]:
    """Return a run's log, oldest line first."""
    return read_jsonl(run.folder.log_file)


def _read_run(study_folder: Path, planned: dict[str, Any], collapsed: bool) -> Run:
    folder = run_folder(study_folder, planned["path"])
    status = folder.status()
    spec = read_json(folder.spec_file) if folder.spec_file.exists() else {}
    steps = (re.fullmatch(r"step-(\d+)\.png", path.name) for path in folder.samples.glob("step-*.png"))
    return Run(
        label=planned["label"],
        protocol=planned["protocol"],
        objective=planned["objective"],
        seed=planned["seed"],
        path=planned["path"],
        folder=folder,
        state=reported_state(folder, status),
        status=status,
        environment=_read_if_there(folder.environment_file),
        architecture=_read_if_there(folder.architecture_file),
        code=spec.get("code", {}),
        proved=tuple(folder.proved_code()),
        sample_steps=tuple(sorted(int(match[1]) for match in steps if match)),
        collapsed=collapsed,
    )


def _read_if_there(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    values = read_json(path)
    assert isinstance(values, dict)
    return values
