"""What each run of a study gives for a measure of a claim: scores, logs, sample grids. Never imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.files import read_jsonl
from bench.metrics.measures import Measure, find_measure
from bench.runs.extras import read_grids
from bench.runs.folder import LOST, read_plan, run_folder
from bench.statistics.arms import Arm, ranking_direction
from bench.statistics.losses import (
    RunLosses,
    correlations_of,
    has_settled,
    last_fifth,
    opposition,
    read_losses,
    snapshot_scores,
)
from bench.statistics.results import collect, matching
from bench.statistics.summary import run_scores, twins_of


class MeasuredRuns:
    """The runs of a study, each file of them read at most once. Raises BenchError where the study was never planned."""

    def __init__(self, runs_root: Path, study: str) -> None:
        self._folder = runs_root / study
        self.plan = read_plan(runs_root, study)
        self.results = collect(runs_root, study)
        self._logs: dict[str, RunLosses] = {}

    def arm(self, label: str, protocol: str, measure: str, step: int | None = None) -> Arm:
        """Return what a row's runs give for a measure, at a snapshot's step or at the end.

        Of a share every ended run has a value, 0 or 1: a lost one is none of the good. Else a lost run has none.
        """
        found = find_measure(measure)
        assert found is not None, f"{measure} was checked when it was read"
        runs = {run["seed"]: run for run in self.plan["runs"] if (run["label"], run["protocol"]) == (label, protocol)}
        lost = self._lost_seeds(label, protocol)
        values = self._values(found, label, protocol, step)
        scores = {seed: value for seed in runs if (value := values.get(seed)) is not None and seed not in lost}
        if found.kind == "share":
            scores |= dict.fromkeys(lost, 1.0 if found.better == "lower" else 0.0)
            lost = []
        return Arm(label, tuple(sorted(scores.items())), len(runs), len(lost))

    def with_twin(self, label: str, protocol: str, measure: str, step: int | None = None) -> Arm:
        """Return the same with the runs of the row's A/A arm, where it has one: all runs of equals."""
        arms = [self.arm(label, protocol, measure, step)]
        arms += [
            self.arm(twin, protocol, measure, step) for twin, same_as in twins_of(self.plan).items() if same_as == label
        ]
        scores = tuple(score for arm in arms for score in arm.scores)
        return Arm(label, scores, sum(arm.planned for arm in arms), sum(arm.lost for arm in arms))

    def lost(self, label: str, protocol: str) -> int:
        """Return how many of a row's runs diverged or failed."""
        return len(self._lost_seeds(label, protocol))

    def _lost_seeds(self, label: str, protocol: str) -> list[int]:
        of_row = matching(self.results, label=label, protocol=protocol).drop_duplicates("seed")
        return [int(seed) for seed in of_row["seed"][of_row["state"].isin(LOST)]]

    def _values(self, measure: Measure, label: str, protocol: str, step: int | None) -> Mapping[int, float | None]:
        if measure.kind == "metric":
            return self._metric(measure.name, label, protocol, step)
        if measure.kind == "grid":
            return {
                seed: _at(grid, measure.name, step)
                for seed, run in self._done(label, protocol).items()
                if (grid := self._grids.get(run["path"])) is not None
            }
        if measure.name == "collapsed":
            rows = matching(self.results, label=label, protocol=protocol, generator=self.plan["generator"])
            return _by_seed(rows.dropna(subset=["collapsed"]).drop_duplicates("seed"), "collapsed")
        losses = {seed: self._losses(run, seed, label, protocol) for seed, run in self._done(label, protocol).items()}
        return {seed: self._of_losses(measure, run, step) for seed, run in losses.items()}

    def _metric(self, metric: str, label: str, protocol: str, step: int | None) -> dict[int, float | None]:
        if step in (None, self.plan["final_step"]):
            scored = matching(self._final, label=label, protocol=protocol, metric=metric)
            return _by_seed(scored, "score")
        at_step = matching(
            self.results,
            label=label,
            protocol=protocol,
            metric=metric,
            generator=self.plan["generator"],
            generator_steps=step,
        )
        return _by_seed(at_step.groupby("seed")["value"].mean().reset_index(), "value")

    def _of_losses(self, measure: Measure, run: RunLosses, step: int | None) -> float | None:
        better = ranking_direction(self.plan["primary_metric"]) or "lower"
        if measure.name == "opposed":
            return opposition(run)
        if measure.name == "settled":
            settled = has_settled(run)
            return None if settled is None else float(settled)
        if measure.name == "gain":
            return _gain(run.scores, step)
        if measure.name.startswith("follows."):
            return correlations_of(run, better).get(measure.of)
        logged = run.logged.get(measure.of)
        if logged is None or not len(last := last_fifth(run.steps, logged)):
            return None
        value = last.mean() if measure.name.startswith("observed.") else last[-1] - last[0]
        return float(value) if pd.notna(value) else None

    def _losses(self, run: Mapping[str, Any], seed: int, label: str, protocol: str) -> RunLosses:
        if run["path"] not in self._logs:
            scores = snapshot_scores(self.results, self.plan, label, protocol).get(seed, {})
            log = read_jsonl(run_folder(self._folder, run["path"]).log_file)
            self._logs[run["path"]] = RunLosses(protocol, label, seed, *read_losses(log), scores, None)
        return self._logs[run["path"]]

    def _done(self, label: str, protocol: str) -> dict[int, Mapping[str, Any]]:
        done = set(matching(self.results, label=label, protocol=protocol, state="done")["run"])
        return {run["seed"]: run for run in self.plan["runs"] if run["path"] in done and run["label"] == label}

    @cached_property
    def _final(self) -> pd.DataFrame:
        return run_scores(self.results, self.plan["generator"])

    @cached_property
    def _grids(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (read_grids(self._folder) or {}).get("runs", {})
        return found


def _by_seed(rows: pd.DataFrame, column: str) -> dict[int, float | None]:
    return dict(zip(rows["seed"].astype(int), rows[column].astype(float), strict=True))


def _at(grid: Mapping[str, Any], name: str, step: int | None) -> float | None:
    values = grid[name]
    if values is None or step not in (None, *grid["steps"]):
        return None
    value = values[-1 if step is None else grid["steps"].index(step)]
    return None if value is None else float(value)


def _gain(scores: Mapping[int, float], step: int | None) -> float | None:
    """Return which share of what the score gains from the first snapshot to the last was gained at a step."""
    if len(scores) < 2 or (step is not None and step not in scores):
        return None
    first, last = scores[min(scores)], scores[max(scores)]
    reached = last if step is None else scores[step]
    return None if first == last else (first - reached) / (first - last)
