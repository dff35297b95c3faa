"""Rows at equal device seconds: what each had reached when the first row had all its runs at their end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.formatting import NOTHING, decimals, format_count, format_duration, format_number
from bench.report.figures.captioned import metric_curves, metric_floor
from bench.report.metric_text import describe_metric, format_mean_interval, metric_heading, unscored_runs
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.tables import floor_detail
from bench.report.study import Entry, Study
from bench.statistics import mean_interval
from bench.statistics.results import labels_in


def equal_seconds_table(study: Study, protocol: str) -> Table | None:
    """Return each row's primary metric at the device seconds that the quickest row took with the slowest of its runs.

    So that one row is whole at its final step, and no row is asked for more than every row spent. A run's value is that
    of its last snapshot at or before that time. Runs that did not come to their end take no part. None where fewer than
    two rows have snapshots with known times.
    """
    metric = study.settings.snapshot_metric(study.primary)
    curves = _of_done_runs(study, protocol, metric)
    if curves["label"].nunique() < 2 or curves["generator_steps"].nunique() < 2:
        return None
    budget = float(curves.groupby("label")["device_seconds"].max().min())
    reached = curves[curves["device_seconds"] <= budget]
    better = describe_metric(metric).better
    there = labels_in(curves, study.labels)
    entries = [entry for entry in study.entries_of(protocol) if entry.label in there]
    rows = [
        _row(study, entry, curves[curves["label"] == entry.label], reached[reached["label"] == entry.label], better)
        for entry in entries
    ]
    floor = metric_floor(study, protocol, metric)
    if floor is not None:
        cells = (
            Cell("real against real", floor_detail(study, metric)),
            *[Cell(format_number(floor), numeric=True)] * 2,
        )
        rows.append(Row((*cells, Cell(""), Cell(""), Cell("")), "floor"))
    devices = {(run.environment or {}).get("device") for entry in entries for run in entry.runs} - {None}
    mixed = " Runs were computed on several devices, whose seconds are not alike." if len(devices) > 1 else ""
    return Table(
        f"equal-seconds-{protocol}",
        f"At equal device seconds, {protocol} protocol: {describe_metric(metric).title} of each run’s last snapshot at "
        f"or before {format_duration(budget)} of training, when the quickest row had brought its last run to the final "
        "step; mean and interval over the done runs that had a snapshot by then (their number, of all planned ones). "
        "A row of several generator steps mixes them, one of each run. Only snapshots are known: between two, a run "
        f"may have been further. Descriptive.{mixed}",
        (
            Heading("objective"),
            Heading(metric_heading(metric), metric, numeric=True),
            Heading("best snapshot until then", metric, numeric=True),
            Heading("generator step", numeric=True),
            Heading("seconds used", numeric=True),
            Heading("runs"),
        ),
        tuple(rows),
    )


def _of_done_runs(study: Study, protocol: str, metric: str) -> pd.DataFrame:
    """Return the curves of the runs that are done and measured up to the final step, where their times are known."""
    done = {(run.label, run.seed) for run in study.runs if run.protocol == protocol and run.state == "done"}
    curves = metric_curves(study, protocol, metric).dropna(subset=["device_seconds"])
    final = curves[curves["generator_steps"] == study.plan["final_step"]]
    whole = done & set(zip(final["label"], final["seed"], strict=True))
    kept = [key in whole for key in zip(curves["label"], curves["seed"], strict=True)]
    return curves[np.array(kept, dtype=bool)]


def _row(study: Study, entry: Entry, mine: pd.DataFrame, reached: pd.DataFrame, better: str | None) -> Row:
    absent = tuple(unscored_runs(study.summary(entry, study.primary)))
    if reached.empty:
        first = f"first snapshot after {format_duration(float(mine['device_seconds'].min()))}"
        nothing = Cell(NOTHING, numeric=True)
        runs = Cell(f"0 of {len(entry.runs)}", badges=absent)
        return Row((Cell(entry.label), Cell(NOTHING, first, numeric=True), *[nothing] * 3, runs))
    last = reached.loc[reached.groupby("seed")["generator_steps"].idxmax()]
    by_seed = reached.groupby("seed")["value"]
    best = by_seed.max() if better == "higher" else by_seed.min()
    steps = sorted({int(step) for step in last["generator_steps"]})
    told = format_count(steps[0]) if len(steps) == 1 else f"{format_count(steps[0])} to {format_count(steps[-1])}"
    return Row(
        (
            Cell(entry.label),
            _mean_cell(list(last["value"])),
            Cell(format_number(float(best.mean())), numeric=True) if better else Cell(NOTHING, numeric=True),
            Cell(told, numeric=True, sort=float(steps[0])),
            Cell(f"{last['device_seconds'].mean():,.0f}", numeric=True),
            Cell(f"{len(last)} of {len(entry.runs)}", badges=absent),
        )
    )


def _mean_cell(values: list[float]) -> Cell:
    mean, bounds = sum(values) / len(values), mean_interval(values)
    places = decimals(mean)
    told = format_mean_interval(values, *bounds, places) if bounds else ""
    return Cell(format_number(mean, places), told, numeric=True, sort=mean)
