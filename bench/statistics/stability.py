"""How often an entry's runs are lost or collapse, with exact intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.statistics.intervals import rate_interval
from bench.statistics.results import matching


@dataclass(frozen=True)
class Stability:
    """What became of one entry's planned runs under one protocol.

    `loss_rate` is that of runs that diverged or failed among those that have ended (done, diverged or failed);
    `collapse_rate` that of collapsed runs among the done ones whose generator could be judged. Both with
    Clopper-Pearson intervals at 95 %, None of no runs.
    """

    protocol: str
    label: str
    planned: int
    done: int
    diverged: int
    failed: int
    judged: int
    collapsed: int
    loss_rate: float | None
    loss_rate_low: float | None
    loss_rate_high: float | None
    collapse_rate: float | None
    collapse_rate_low: float | None
    collapse_rate_high: float | None


def stability(results: pd.DataFrame, plan: Mapping[str, Any]) -> list[Stability]:
    """Count what became of every entry's runs, in the plan's order; collapse is of the study's declared generator."""
    run = ["protocol", "label", "seed"]
    states = results.drop_duplicates(run).groupby(["protocol", "label", "state"]).size().to_dict()
    known = matching(results, state="done", generator=plan["generator"]).dropna(subset=["collapsed"])
    verdicts = known.drop_duplicates(run).groupby(["protocol", "label", "collapsed"]).size().to_dict()
    planned = results.drop_duplicates(run).groupby(["protocol", "label"]).size().to_dict()
    rows = []
    for entry in plan["entries"]:
        key = (entry["protocol"], entry["label"])
        done, diverged, failed = (int(states.get((*key, state), 0)) for state in ("done", "diverged", "failed"))
        collapsed = int(verdicts.get((*key, True), 0))
        judged = collapsed + int(verdicts.get((*key, False), 0))
        loss, collapse = _rate(diverged + failed, done + diverged + failed), _rate(collapsed, judged)
        count = int(planned.get(key, 0))
        rows.append(Stability(*key, count, done, diverged, failed, judged, collapsed, *loss, *collapse))
    return rows


def _rate(count: int, of: int) -> tuple[float | None, float | None, float | None]:
    interval = rate_interval(count, of)
    return (None, None, None) if interval is None else (count / of, *interval)
