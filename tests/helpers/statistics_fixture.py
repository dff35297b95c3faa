"""Makes tables of results in memory, as bench.statistics.results.collect returns them: for tests of the statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.statistics.results import COLUMNS

# What stands for a run that has no score.
DIVERGED, FAILED, PLANNED, UNEVALUATED = "diverged", "failed", "planned", "unevaluated"
Fate = float | str


def study_of(
    entries: Mapping[str, Sequence[Fate]],
    metric: str = "fd_lite0",
    baseline: str = "nsgan",
    protocols: Sequence[str] = ("controlled",),
    first_seeds: Mapping[str, int] | None = None,
    collapsed: Mapping[tuple[str, int], bool | None] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table and the plan of a study whose entries have these scores, one per seed, or fates."""
    rows = []
    for protocol in protocols:
        for label, fates in entries.items():
            for seed, fate in enumerate(fates, start=(first_seeds or {}).get(label, 0)):
                verdict = (collapsed or {}).get((label, seed), False)
                rows.append(run_row(label, protocol, seed, fate, metric) | {"collapsed": verdict})
    return typed(rows), plan_for(list(entries), metric, baseline, protocols)


def run_row(label: str, protocol: str, seed: int, fate: Fate, metric: str) -> dict[str, Any]:
    """Return one row of a table: a run's score at the final step, or a run without any."""
    run = {"study": "example", "label": label, "objective": label.split("-")[0], "protocol": protocol, "seed": seed}
    run |= {"run": f"{label}-{protocol}/{seed}", "device_seconds": 60.0}
    if isinstance(fate, str):
        return run | {"state": "done" if fate == UNEVALUATED else fate, "final": fate == UNEVALUATED}
    measured = {"generator_steps": 900, "final": True, "generator": "raw", "sample_seed": 0, "metric": metric}
    return run | {"state": "done"} | measured | {"value": fate, "floor": 1.0, "samples": 1000, "reference": "heldout"}


def typed(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table with the columns and types of results.csv."""
    return pd.DataFrame(
        {column.name: pd.array([row.get(column.name) for row in rows], dtype=column.dtype) for column in COLUMNS}
    )


def plan_for(labels: Sequence[str], metric: str, baseline: str, protocols: Sequence[str]) -> dict[str, Any]:
    """Return what the statistics read of a plan.json."""
    return {
        "study": "example",
        "baseline": baseline,
        "primary_metric": metric,
        "secondary": [],
        "generator": "raw",
        "entries": [
            {"label": label, "objective": label.split("-")[0], "protocol": protocol}
            for label in labels
            for protocol in protocols
        ],
    }
