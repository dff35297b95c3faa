"""What a few seeds can say: counts, means with t intervals, differences to the baseline. Never imports torch.

The unit is the run: its score is the mean over its sample seeds at the study's final step. From three seeds on a mean
has a Student t interval; below, the values stand alone. (A bootstrap interval over 3 to 5 seeds that claims 95 % covers
70 to 84 %.)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bench.errors import BenchError
from bench.files import write_atomic
from bench.metrics_info import metric_info
from bench.results import matching

CONFIDENCE = 0.95
SEEDS_FOR_INTERVAL = 3


@dataclass(frozen=True)
class Summary:
    """One metric of one entry under one protocol, at the final step, of the study's declared generator.

    Counts are runs: planned = len(values) + diverged + failed + missing; `done` includes those without a value, and
    `collapsed` is a part of `done`. `low`, `high`: the mean's 95 % interval. `basis` is "" when every planned run has a
    value, else what the mean is over ("survivors 3/5", "3/5 so far"). `rank` (1 = best) only where `unranked` is "".
    `difference` is this entry's mean less the baseline's, with a Welch interval.
    """

    protocol: str
    label: str
    objective: str
    generator: str
    metric: str
    role: str
    planned: int
    done: int
    diverged: int
    failed: int
    missing: int
    collapsed: int
    values: tuple[tuple[int, float], ...]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    median: float | None = None
    floor: float | None = None
    samples: int | None = None
    reference: str | None = None
    basis: str = ""
    rank: int | None = None
    unranked: str = ""
    baseline: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    difference_role: str = ""

    @property
    def scores(self) -> list[float]:
        """Return the values alone, in the order of the seeds."""
        return [value for _, value in self.values]

    @property
    def complete(self) -> bool:
        """Tell whether every planned run has a value."""
        return len(self.values) == self.planned

    def median_seed(self) -> int | None:
        """Return the seed of the median score, the lower one of two middle scores; None without scores."""
        ordered = sorted((value, seed) for seed, value in self.values)
        return ordered[(len(ordered) - 1) // 2][1] if ordered else None


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the Student t interval of the mean at CONFIDENCE; None below SEEDS_FOR_INTERVAL values."""
    if len(values) < SEEDS_FOR_INTERVAL:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    if error == 0:
        return mean, mean
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=error)
    return float(low), float(high)


def difference_interval(values: Sequence[float], baseline: Sequence[float]) -> tuple[float, float] | None:
    """Return Welch's interval of mean(values) - mean(baseline); None unless both have SEEDS_FOR_INTERVAL values."""
    if min(len(values), len(baseline)) < SEEDS_FOR_INTERVAL:
        return None
    if np.ptp(values) == 0 and np.ptp(baseline) == 0:
        difference = float(np.mean(values) - np.mean(baseline))
        return difference, difference
    with warnings.catch_warnings():
        # scipy warns where one side's values are all but equal: the interval then rests on the other side's spread.
        warnings.filterwarnings("ignore", message="Precision loss", category=RuntimeWarning)
        interval = stats.ttest_ind(values, baseline, equal_var=False).confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)


def run_scores(results: pd.DataFrame, generator: str) -> pd.DataFrame:
    """Return one row per finished run and metric at the final step: protocol, label, seed, metric, score, floor, ...

    A score is the mean over the sample seeds; a run that lacks one of a metric's sample seeds has no score yet.
    """
    measured = matching(results, state="done", final=True, generator=generator).dropna(subset=["value"])
    scores = (
        measured.groupby(["protocol", "label", "metric", "seed"], sort=False)
        .agg(
            score=("value", "mean"),
            sample_seeds=("value", "count"),
            floor=("floor", "mean"),
            samples=("samples", "first"),
            reference=("reference", "first"),
        )
        .reset_index()
    )
    expected = scores.groupby("metric")["sample_seeds"].transform("max")
    return scores[scores["sample_seeds"] == expected]


def summarise(results: pd.DataFrame, plan: Mapping[str, Any]) -> list[Summary]:
    """Summarise every entry and metric of a study, in the plan's order: its entries, the primary metric first.

    `results` is the table of bench.results.collect, `plan` the study's plan.json. Every entry has a row for the primary
    and each secondary metric, also where nothing was measured yet.
    """
    scores = run_scores(results, plan["generator"])
    metrics = _ordered_metrics(plan, scores)
    counts = _counts(results, plan["generator"])
    by_cell = dict(iter(scores.groupby(["protocol", "label", "metric"], sort=False)))
    summaries = [
        _summary(plan, entry, metric, counts, by_cell.get((entry["protocol"], entry["label"], metric)))
        for entry in plan["entries"]
        for metric in metrics
    ]
    return _ranked(_against_baseline(summaries, plan["baseline"]), plan["primary_metric"])


def summary_frame(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return summaries as a table, one column per field; `values` as text: "seed:value" joined by spaces."""
    rows = [
        {field.name: getattr(summary, field.name) for field in fields(Summary)}
        | {"values": " ".join(f"{seed}:{value!r}" for seed, value in summary.values)}
        for summary in summaries
    ]
    frame = pd.DataFrame(rows, columns=[field.name for field in fields(Summary)])
    return frame.astype({"rank": "Int64", "samples": "Int64"})


def write_summary(summaries: Sequence[Summary], path: Path) -> None:
    """Write summary.csv, atomically."""
    write_atomic(path, summary_frame(summaries).to_csv(index=False, lineterminator="\n"))


def half_width_in_deviations(seeds: int) -> float:
    """Return how far a mean's interval over so many seeds reaches to each side, in standard deviations of a run."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) / np.sqrt(seeds))


def _ordered_metrics(plan: Mapping[str, Any], scores: pd.DataFrame) -> list[str]:
    declared = [plan["primary_metric"], *plan["secondary"]]
    return list(dict.fromkeys([*declared, *sorted(scores["metric"].unique())]))


def _counts(results: pd.DataFrame, generator: str) -> dict[tuple[str, str], dict[str, int]]:
    runs = results.drop_duplicates(["protocol", "label", "seed"])
    fallen = matching(results, state="done", generator=generator, collapsed=True)
    fallen = fallen.drop_duplicates(["protocol", "label", "seed"])
    collapsed = fallen.groupby(["protocol", "label"]).size().to_dict()
    counts = {}
    for key, group in runs.groupby(["protocol", "label"], sort=False):
        states = group["state"]
        counts[key] = {
            "planned": len(group),
            **{state: int((states == state).sum()) for state in ("done", "diverged", "failed")},
            "collapsed": int(collapsed.get(key, 0)),
        }
    return counts  # type: ignore[return-value]


def _summary(
    plan: Mapping[str, Any],
    entry: Mapping[str, Any],
    metric: str,
    counts: Mapping[tuple[str, str], Mapping[str, int]],
    cell: pd.DataFrame | None,
) -> Summary:
    count = counts.get((entry["protocol"], entry["label"]), {})
    values: tuple[tuple[int, float], ...] = ()
    if cell is not None:
        values = tuple(sorted(zip((int(seed) for seed in cell["seed"]), map(float, cell["score"]), strict=True)))
    role = "primary" if metric == plan["primary_metric"] else "secondary" if metric in plan["secondary"] else "other"
    planned, diverged, failed = (count.get(name, 0) for name in ("planned", "diverged", "failed"))
    summary = Summary(
        protocol=entry["protocol"],
        label=entry["label"],
        objective=entry["objective"],
        generator=plan["generator"],
        metric=metric,
        role=role,
        planned=planned,
        done=count.get("done", 0),
        diverged=diverged,
        failed=failed,
        missing=planned - diverged - failed - len(values),
        collapsed=count.get("collapsed", 0),
        values=values,
    )
    if cell is None:
        return summary
    floors = cell["floor"].dropna()
    return replace(
        _described(summary),
        floor=float(floors.mean()) if len(floors) else None,
        samples=None if cell["samples"].isna().all() else int(cell["samples"].iloc[0]),
        reference=None if cell["reference"].isna().all() else str(cell["reference"].iloc[0]),
    )


def _described(summary: Summary) -> Summary:
    """Add mean, interval, deviation and median of the values, and what the mean is over."""
    scores = summary.scores
    interval = mean_interval(scores)
    basis = ""
    if summary.diverged + summary.failed:
        basis = f"survivors {len(scores)}/{summary.planned}"
    elif summary.missing:
        basis = f"{len(scores)}/{summary.planned} so far"
    return replace(
        summary,
        mean=float(np.mean(scores)),
        median=float(np.median(scores)),
        deviation=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        basis=basis,
    )


def _against_baseline(summaries: list[Summary], baseline: str) -> list[Summary]:
    """Add each entry's difference to the baseline's row of the same protocol and metric."""
    rows = {(s.protocol, s.metric): s for s in summaries if s.label == baseline}
    result = []
    for summary in summaries:
        base = rows.get((summary.protocol, summary.metric))
        interval = None
        if base is not None and base.label != summary.label:
            interval = difference_interval(summary.scores, base.scores)
        if base is None or interval is None or summary.mean is None or base.mean is None:
            result.append(replace(summary, baseline=None if base is None else baseline))
            continue
        declared = summary.role == "primary" and summary.complete and base.complete
        result.append(
            replace(
                summary,
                baseline=baseline,
                difference=summary.mean - base.mean,
                difference_low=interval[0],
                difference_high=interval[1],
                difference_role="primary" if declared else "descriptive",
            )
        )
    return result


def _ranked(summaries: list[Summary], primary: str) -> list[Summary]:
    """Rank the primary metric's rows by their means, within a protocol, and say of the others why they have no rank."""
    try:
        info = metric_info(primary)
    except BenchError:
        info = None
    better = info.better if info is not None and info.ranks else None
    noted = [
        replace(s, unranked=_why_unranked(s, better)) if s.metric == primary else replace(s, unranked="not primary")
        for s in summaries
    ]
    ranks: dict[int, int] = {}
    fit = sorted((s.protocol, index) for index, s in enumerate(noted) if not s.unranked)
    for _, group in groupby(fit, key=lambda item: item[0]):
        means = {index: noted[index].mean or 0.0 for _, index in group}
        if len(means) < 2:
            continue
        ordered = sorted(means.values(), reverse=better == "higher")
        ranks |= {index: 1 + ordered.index(mean) for index, mean in means.items()}
    return [
        replace(s, rank=ranks.get(index), unranked=s.unranked or ("" if index in ranks else "nothing to rank against"))
        for index, s in enumerate(noted)
    ]


def _why_unranked(summary: Summary, better: str | None) -> str:
    """Return why a row of the primary metric has no rank, "" when it may have one: a rank is over all planned runs."""
    if better is None:
        return "this metric never ranks"
    if summary.planned < SEEDS_FOR_INTERVAL:
        return "fewer than three seeds"
    lost = [f"{n} {word}" for n, word in ((summary.diverged, "diverged"), (summary.failed, "failed")) if n]
    if summary.missing:
        lost.append(f"{summary.missing} missing")
    return f"{' and '.join(lost)} of {summary.planned} runs" if lost else ""
