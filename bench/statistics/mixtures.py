"""Rows whose runs are of two kinds, collapsed and not: how large a share collapsed, and what the rest score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.statistics.intervals import mean_interval, rate_interval
from bench.statistics.results import matching
from bench.statistics.summary import Summary, within_bounds


@dataclass(frozen=True)
class Mixture:
    """One declared metric of a row of which some runs collapsed and some did not.

    The t interval of such a row's mean assumes one law, and does not hold: where 10 to 20 % of all runs collapse, few
    seeds often see none of them, and it covers the mean 67 times in 100 or less. What does hold is the share of
    collapsed runs among the `judged` ones (scored, and known whether collapsed) with its Clopper-Pearson interval, and
    the mean of the `rest` with Student's, both at 95 %; the latter from three runs on.
    """

    protocol: str
    label: str
    metric: str
    judged: int
    collapsed: int
    collapsed_share: float
    collapsed_share_low: float
    collapsed_share_high: float
    collapsed_mean: float
    rest: int
    rest_mean: float
    rest_deviation: float | None
    rest_low: float | None
    rest_high: float | None


def mixtures(results: pd.DataFrame, plan: Mapping[str, Any], summaries: Sequence[Summary]) -> list[Mixture]:
    """Return a row for each declared metric (primary, secondary) of each entry whose scored runs are of two kinds.

    Whether a run collapsed is what `results` says of the study's declared generator.
    """
    known = matching(results, state="done", generator=plan["generator"]).dropna(subset=["collapsed"])
    runs = known.drop_duplicates(["protocol", "label", "seed"]).to_dict("records")
    collapse = {(run["protocol"], run["label"], run["seed"]): bool(run["collapsed"]) for run in runs}
    rows = []
    for summary in summaries:
        if summary.role == "other":
            continue
        where = [(summary.protocol, summary.label, seed) for seed, _ in summary.values]
        collapsed = [score for key, score in zip(where, summary.scores, strict=True) if collapse.get(key) is True]
        rest = [score for key, score in zip(where, summary.scores, strict=True) if collapse.get(key) is False]
        if collapsed and rest:
            rows.append(_mixture(summary, collapsed, rest))
    return rows


def _mixture(summary: Summary, collapsed: Sequence[float], rest: Sequence[float]) -> Mixture:
    judged = len(collapsed) + len(rest)
    share = rate_interval(len(collapsed), judged)
    assert share is not None
    interval = within_bounds(mean_interval(rest), summary.metric, rest)
    return Mixture(
        protocol=summary.protocol,
        label=summary.label,
        metric=summary.metric,
        judged=judged,
        collapsed=len(collapsed),
        collapsed_share=len(collapsed) / judged,
        collapsed_share_low=share[0],
        collapsed_share_high=share[1],
        collapsed_mean=float(np.mean(collapsed)),
        rest=len(rest),
        rest_mean=float(np.mean(rest)),
        rest_deviation=float(np.std(rest, ddof=1)) if len(rest) > 1 else None,
        rest_low=interval[0] if interval else None,
        rest_high=interval[1] if interval else None,
    )
