"""One row per entry and metric: counts, mean, median, interquartile mean, rank, difference to the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import BenchError
from bench.files import write_atomic
from bench.metrics.catalogue import averaged_over_seeds, metric_info
from bench.statistics.arms import NEVER_RANKS, Arm, Better, pooled_ranks, ranking_direction
from bench.statistics.frames import frame_of
from bench.statistics.intervals import (
    SEEDS_FOR_INTERVAL,
    interquartile_interval,
    interquartile_mean,
    mean_interval,
)
from bench.statistics.results import matching
from bench.statistics.significance import difference_intervals


@dataclass(frozen=True)
class Summary:
    """One metric of one entry under one protocol, at the final step, of the study's declared generator.

    Counts are runs: planned = len(values) + diverged + failed + missing; `done` includes those without a value, and
    `collapsed` is a part of `done`. `low`, `high`: the mean's 95 % interval, within what the metric can be;
    those of the interquartile mean are given for the primary metric. `basis` is "" when every planned run has a value,
    else what the mean is over ("survivors 3/5", "3/5 so far"). `rank` (1 = best) only where `unranked` is "", over all
    planned runs: by the "mean", or, once a run of the protocol was lost, by the "mean rank" of all its runs, lost ones
    last (`ranked_by`). `difference` is this entry's mean less the baseline's, with a Welch interval.
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
    interquartile_mean: float | None = None
    interquartile_low: float | None = None
    interquartile_high: float | None = None
    floor: float | None = None
    samples: int | None = None
    reference: str | None = None
    basis: str = ""
    rank: int | None = None
    ranked_by: str = ""
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

    @property
    def arm(self) -> Arm:
        """Return the runs as comparisons take them."""
        return Arm(self.label, self.values, self.planned, self.diverged + self.failed)

    def median_seed(self) -> int | None:
        """Return the seed of the median score, the lower one of two middle scores; None without scores."""
        ordered = sorted((value, seed) for seed, value in self.values)
        return ordered[(len(ordered) - 1) // 2][1] if ordered else None


def run_scores(results: pd.DataFrame, generator: str) -> pd.DataFrame:
    """Return one row per finished run and metric at the final step: protocol, label, seed, metric, score, floor, ...

    A score is the mean over the sample seeds, `variance` their sample variance (none of one); a run that lacks one of a
    metric's sample seeds has no score yet. A value that is no finite number is no value.
    """
    final = matching(results, state="done", final=True, generator=generator)
    measured: pd.DataFrame = final[np.isfinite(final["value"].to_numpy(dtype=np.float64, na_value=np.nan))]
    scores: pd.DataFrame = (
        measured.groupby(["protocol", "label", "metric", "seed"], sort=False)
        .agg(
            score=("value", "mean"),
            variance=("value", "var"),
            sample_seeds=("value", "count"),
            floor=("floor", "mean"),
            samples=("samples", "first"),
            reference=("reference", "first"),
        )
        .reset_index()
    )
    expected = scores.groupby("metric")["sample_seeds"].transform("max")
    return scores[scores["sample_seeds"] == expected]


def within_runs(
    results: pd.DataFrame, generator: str, without: Collection[str] = ()
) -> dict[tuple[str, str], tuple[float, int]]:
    """Return, by protocol and metric, the deviation between a run's sample seeds, pooled over runs, and their number.

    It is the evaluation's own noise. Labels in `without` take no part; nothing where each run has one sample seed.
    """
    scores = run_scores(results, generator)
    repeated = scores[(scores["sample_seeds"] > 1) & ~scores["label"].isin(list(without))]
    # Every run of a metric has as many sample seeds, so their variances weigh the same.
    pooled = repeated.groupby(["protocol", "metric"], sort=False).agg(
        variance=("variance", "mean"), sample_seeds=("sample_seeds", "first")
    )
    return {
        (row["protocol"], row["metric"]): (float(np.sqrt(row["variance"])), int(row["sample_seeds"]))
        for row in pooled.reset_index().to_dict("records")
    }


def twins_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return the plan's A/A arms: label to the label that it repeats on other seeds."""
    return {entry["label"]: entry["same_as"] for entry in plan["entries"] if entry.get("same_as")}


def summarise(results: pd.DataFrame, plan: Mapping[str, Any]) -> list[Summary]:
    """Summarise every entry and metric of a study, in the plan's order: its entries, the primary metric first.

    `results` is the table of bench.statistics.results.collect, `plan` the study's plan.json. Every entry has a row for
    the primary and each secondary metric, also where nothing was measured yet. An A/A arm gets no rank and no
    difference.
    """
    scores = run_scores(results, plan["generator"])
    metrics = _ordered_metrics(plan, scores)
    counts = _counts(results, plan["generator"])
    by_cell: dict[tuple[str, str, str], list[dict[Any, Any]]] = {}
    for row in scores.to_dict("records"):
        by_cell.setdefault((row["protocol"], row["label"], row["metric"]), []).append(row)
    summaries = [
        _summary(plan, entry, metric, counts, by_cell.get((entry["protocol"], entry["label"], metric), []))
        for entry in plan["entries"]
        for metric in metrics
    ]
    twins = twins_of(plan)
    compared, primary = _against_baseline(summaries, plan["baseline"], twins), plan["primary_metric"]
    return ranked(compared, primary, ranking_direction(primary), twins)


def summary_frame(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return summaries as a table, one column per field; `values` as text: "seed:value" joined by spaces."""
    return frame_of(summaries, Summary)


def write_summary(summaries: Sequence[Summary], path: Path) -> None:
    """Write summary.csv, atomically."""
    write_atomic(path, summary_frame(summaries).to_csv(index=False, lineterminator="\n"))


def _ordered_metrics(plan: Mapping[str, Any], scores: pd.DataFrame) -> list[str]:
    declared = [plan["primary_metric"], *plan["secondary"]]
    return list(dict.fromkeys([*declared, *filter(averaged_over_seeds, sorted(scores["metric"].unique()))]))


def _counts(results: pd.DataFrame, generator: str) -> dict[tuple[str, str], dict[str, int]]:
    runs = results.drop_duplicates(["protocol", "label", "seed"])
    collapsed_rows = matching(results, state="done", generator=generator, collapsed=True)
    collapsed_runs = collapsed_rows.drop_duplicates(["protocol", "label", "seed"])
    collapsed = collapsed_runs.groupby(["protocol", "label"]).size().to_dict()
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
    runs: Sequence[Mapping[Any, Any]],
) -> Summary:
    count = counts.get((entry["protocol"], entry["label"]), {})
    values = tuple(sorted((int(run["seed"]), float(run["score"])) for run in runs))
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
    if not runs:
        return summary
    floors, samples, references = (
        [run[key] for run in runs if not pd.isna(run[key])] for key in ("floor", "samples", "reference")
    )
    return replace(
        described(summary),
        floor=float(np.mean(floors)) if floors else None,
        samples=int(samples[0]) if samples else None,
        reference=str(references[0]) if references else None,
    )


def described(summary: Summary) -> Summary:
    """Add mean, median and interquartile mean of the values, their intervals, and what they are over."""
    scores = summary.scores
    interval = within_bounds(mean_interval(scores), summary.metric, scores)
    middle = interquartile_interval(scores) if summary.role == "primary" else None
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
        interquartile_mean=float(interquartile_mean(scores)),
        interquartile_low=middle[0] if middle else None,
        interquartile_high=middle[1] if middle else None,
        basis=basis,
    )


def within_bounds(
    interval: tuple[float, float] | None, metric: str, scores: Sequence[float]
) -> tuple[float, float] | None:
    """Return a mean's interval without what the metric cannot be, such as a coverage below 0 or above 1."""
    try:
        info = metric_info(metric)
    except BenchError:  # of another version of bench
        return interval
    if interval is None:
        return None
    least = interval[0] if info.low is None else max(interval[0], min(info.low, *scores))
    most = interval[1] if info.high is None else min(interval[1], max(info.high, *scores))
    return least, most


def _against_baseline(summaries: list[Summary], baseline: str, without: Collection[str]) -> list[Summary]:
    """Add each entry's difference to the baseline's row of the same protocol and metric."""
    rows = {(s.protocol, s.metric): s for s in summaries if s.label == baseline}
    bases = [None if s.label in without else rows.get((s.protocol, s.metric)) for s in summaries]
    pairs = [
        (s.scores, base.scores if base is not None and base.label != s.label else [])
        for s, base in zip(summaries, bases, strict=True)
    ]
    result = []
    for summary, base, interval in zip(summaries, bases, difference_intervals(pairs), strict=True):
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


def ranked(
    summaries: Sequence[Summary], primary: str, better: Better | None, without: Collection[str] = ()
) -> list[Summary]:
    """Rank the primary metric's rows within a protocol, and say of the others why they have no rank."""
    noted = [
        replace(s, unranked=_why_unranked(s, better, s.label in without) if s.metric == primary else "not primary")
        for s in summaries
    ]
    places: dict[int, tuple[int, str]] = {}
    fit = sorted((s.protocol, index) for index, s in enumerate(noted) if not s.unranked)
    for _, group in groupby(fit, key=lambda item: item[0]):
        indices = [index for _, index in group]
        rows = [noted[index] for index in indices]
        if better is not None and len(rows) > 1 and any(row.values for row in rows):
            places |= dict(zip(indices, _places(rows, better), strict=True))
    return [
        replace(s, rank=places[index][0], ranked_by=places[index][1])
        if index in places
        else replace(s, unranked=s.unranked or "nothing to rank against")
        for index, s in enumerate(noted)
    ]


def _places(rows: Sequence[Summary], better: Better) -> list[tuple[int, str]]:
    """Return each row's rank and what it is ranked by: a mean over survivors would flatter, so a loss changes it."""
    by = "mean" if all(row.complete for row in rows) else "mean rank"
    if by == "mean":
        keys = [(row.mean or 0.0) * (1 if better == "lower" else -1) for row in rows]
    else:
        keys = [float(ranks.mean()) for ranks in pooled_ranks([row.arm for row in rows], better)]
    ordered = sorted(keys)
    return [(1 + ordered.index(key), by) for key in keys]


def _why_unranked(summary: Summary, better: Better | None, aside: bool) -> str:
    """Return why a row of the primary metric has no rank, "" when it may have one: a rank is over all planned runs."""
    if better is None:
        return NEVER_RANKS
    if aside:
        return "takes no part"
    if summary.planned < SEEDS_FOR_INTERVAL:
        return "fewer than three seeds"
    return f"{summary.missing} missing of {summary.planned} runs" if summary.missing else ""
