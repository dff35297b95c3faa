"""Rows at equal device seconds: what each had reached when the quickest run came to its end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.figures import metric_curves
from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Study
from bench.report.words import NOTHING, count, decimals, describe_metric, interval, number
from bench.statistics import mean_interval
from bench.wording import duration


def equal_seconds_table(study: Study, protocol: str) -> Table | None:
    """Return each row's primary metric at the largest number of device seconds that every row reached.

    A run's value is that of its last snapshot at or before that time. None where fewer than two rows have snapshots
    with known times. Runs that did not come to their end take no part.
    """
    metric = study.settings.snapshot_metric(study.primary)
    done = {(run.label, run.seed) for run in study.runs if run.protocol == protocol and run.state == "done"}
    curves = metric_curves(study, protocol, metric).dropna(subset=["device_seconds"])
    kept = [key in done for key in zip(curves["label"], curves["seed"], strict=True)]
    curves = curves[np.array(kept, dtype=bool)]
    if curves["label"].nunique() < 2 or curves["generator_steps"].nunique() < 2:
        return None
    budget = float(curves.groupby(["label", "seed"])["device_seconds"].max().min())
    reached = curves[curves["device_seconds"] <= budget]
    better = describe_metric(metric).better
    rows = []
    for label in study.labels:
        mine = curves[curves["label"] == label]
        if len(mine):
            rows.append(_row(label, mine, reached[reached["label"] == label], better))
    runs = [run for entry in study.entries_of(protocol) for run in entry.runs]
    devices = {(run.environment or {}).get("device") for run in runs} - {None}
    mixed = " Runs were computed on several devices, whose seconds are not alike." if len(devices) > 1 else ""
    return Table(
        f"equal-seconds-{protocol}",
        f"At equal device seconds, {protocol} protocol: {describe_metric(metric).title} of each run’s last snapshot at "
        f"or before {duration(budget)} of training, the most that every row reached; mean and interval over seeds. "
        f"Only snapshots are known: between two, a row may have been further. Descriptive.{mixed}",
        (
            Heading("objective"),
            Heading("at that time", metric, numeric=True),
            Heading("best snapshot until then", metric, numeric=True),
            Heading("generator step", numeric=True),
            Heading("seconds used", numeric=True),
            Heading("runs", numeric=True),
        ),
        tuple(rows),
    )


def _row(label: str, mine: pd.DataFrame, reached: pd.DataFrame, better: str | None) -> Row:
    runs = mine["seed"].nunique()
    if reached.empty:
        first = f"first snapshot after {duration(float(mine['device_seconds'].min()))}"
        return Row(
            (Cell(label), Cell(NOTHING, first, numeric=True), *[Cell(NOTHING, numeric=True)] * 3, Cell(f"0/{runs}"))
        )
    last = reached.loc[reached.groupby("seed")["generator_steps"].idxmax()]
    by_seed = reached.groupby("seed")["value"]
    best = by_seed.max() if better == "higher" else by_seed.min()
    steps = sorted({int(step) for step in last["generator_steps"]})
    told = count(steps[0]) if len(steps) == 1 else f"{count(steps[0])} to {count(steps[-1])}"
    return Row(
        (
            Cell(label),
            _mean_cell(list(last["value"])),
            Cell(number(float(best.mean())), numeric=True) if better else Cell(NOTHING, numeric=True),
            Cell(told, numeric=True, sort=float(steps[0])),
            Cell(f"{last['device_seconds'].mean():,.0f}", numeric=True),
            Cell(f"{len(last)}/{runs}", numeric=True),
        )
    )


def _mean_cell(values: list[float]) -> Cell:
    mean, bounds = sum(values) / len(values), mean_interval(values)
    places = decimals(mean)
    return Cell(number(mean, places), detail=interval(*bounds, places) if bounds else "", numeric=True, sort=mean)
