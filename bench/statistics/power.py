"""What a number of seeds can resolve, and how many more would decide a pair: by the noncentral t distribution."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from bench.errors import BenchError
from bench.statistics.arms import Arm
from bench.statistics.baseline import compare_to_baseline
from bench.statistics.intervals import ALPHA, SEEDS_FOR_INTERVAL, SEEDS_FOR_VERDICT
from bench.statistics.limits import fewest_seeds_for_ranks
from bench.statistics.pairs import check_pair, compare_pairs
from bench.statistics.results import matching
from bench.statistics.significance import welch_tests
from bench.statistics.summary import Summary, summarise, twins_of

Floats = npt.NDArray[np.float64]

POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Resolution:
    """The smallest gap between two entries that a table's seeds resolve: 80 times in 100, by a two-sided t test at 5 %.

    For a single comparison; for Holm's first step over the `comparisons` with a baseline; and over all `pairs`. Gaps
    are in standard deviations of a run and in the metric's unit, at the `deviation` pooled over the entries, whose own
    range from `least_deviation` to `greatest_deviation`: between two steady entries less is resolved, between two
    unsteady ones more is needed. Deviations and gaps in units are None until two runs of an entry are scored.

    `within_run_deviation` is that between the `sample_seeds` of one run, pooled over runs: the evaluation's noise. A
    score is their mean, so `deviation` holds a part of it (`evaluation_deviation`). None where runs have one.
    """

    protocol: str
    metric: str
    seeds: int
    comparisons: int
    pairs: int
    deviation: float | None
    least_deviation: float | None
    greatest_deviation: float | None
    single_gap_in_deviations: float
    baseline_gap_in_deviations: float
    pairs_gap_in_deviations: float
    single_gap: float | None
    baseline_gap: float | None
    pairs_gap: float | None
    within_run_deviation: float | None
    sample_seeds: int | None

    @property
    def evaluation_deviation(self) -> float | None:
        """Return how far runs would spread if nothing but their evaluation's latents differed; None: not known."""
        if self.within_run_deviation is None or self.sample_seeds is None:
            return None
        return self.within_run_deviation / float(np.sqrt(self.sample_seeds))


@dataclass(frozen=True)
class MoreSeeds:
    """How many seeds would decide between two entries, should the gap and the spreads be what they have been so far.

    Decide: 80 times in 100, by Welch's test at `alpha`, 5 % over the `family` of comparisons: Holm's first step, the
    hardest. `decided` means that the report tells the two apart already; `p_holm` is the p it does or does not do so
    by (None: not judged), and Welch's `p` is unadjusted. `seeds_needed` is per entry, in all; `first_more` and
    `second_more` beyond those planned now, and `device_seconds` what they cost. `seeds_at_widest` and
    `seeds_at_narrowest` are needed if the true gap stands at the far or the near end of its 95 % interval. None beyond
    MOST_SEEDS, and where the interval's near end is no gap at all. `unanswered` says why there is no number.
    """

    protocol: str
    metric: str
    first: str
    second: str
    first_seeds: int
    second_seeds: int
    family: int
    alpha: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    decided: bool = False
    seeds_needed: int | None = None
    seeds_at_widest: int | None = None
    seeds_at_narrowest: int | None = None
    first_more: int | None = None
    second_more: int | None = None
    device_seconds: float | None = None
    unanswered: str = ""


def detectable_gap(seeds: int, alpha: float = ALPHA) -> float:
    """Return the gap, in standard deviations of a run, that a two-sample t test finds with probability POWER.

    Two-sided at `alpha`, so many seeds in each arm, equal variances; at least two seeds.
    """
    freedom = 2 * seeds - 2
    threshold = stats.t.isf(alpha / 2, freedom)
    return float(special.nctdtrinc(freedom, 1 - POWER, threshold) * np.sqrt(2 / seeds))


def fewest_seeds(gaps: Floats, first_variances: Floats, second_variances: Floats, alphas: Floats) -> list[int | None]:
    """Return the fewest seeds per arm with which Welch's test at `alpha` finds each gap with probability POWER.

    None beyond MOST_SEEDS. Power grows with the seeds, so that halving the range finds them.
    """
    total = first_variances + second_variances
    with np.errstate(divide="ignore", invalid="ignore"):
        share = total**2 / (first_variances**2 + second_variances**2)

        def enough(seeds: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
            freedom, centre = (seeds - 1) * share, gaps / np.sqrt(total / seeds)
            threshold = stats.t.isf(alphas / 2, freedom)
            # scipy has no value far from the centre, where power is 1.
            power = np.where(centre > threshold + 30, 1.0, stats.nct.sf(threshold, freedom, centre))
            return np.asarray(power >= POWER)

        low = np.full(len(gaps), SEEDS_FOR_VERDICT - 1)
        high = np.full(len(gaps), MOST_SEEDS + 1)
        while np.any(high - low > 1):
            middle = (low + high) // 2
            found = enough(middle)
            open_still = high - low > 1
            high, low = np.where(open_still & found, middle, high), np.where(open_still & ~found, middle, low)
    return [int(seeds) if seeds <= MOST_SEEDS else None for seeds in high]


def resolutions(
    summaries: Sequence[Summary],
    without: Collection[str] = (),
    within: Mapping[tuple[str, str], tuple[float, int]] | None = None,
) -> list[Resolution]:
    """Return what every table resolves, one per protocol and metric; none where fewer than two seeds are planned.

    `within`: what `within_runs` returns.
    """
    tables: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        if summary.label not in without:
            tables.setdefault((summary.protocol, summary.metric), []).append(summary)
    return [
        _resolution(rows, *(within or {}).get(key, (None, None)))
        for key, rows in tables.items()
        if min(row.planned for row in rows) > 1 and len(rows) > 1
    ]


def resolve(
    first: Arm,
    second: Arm,
    family: int = 1,
    seconds_per_run: tuple[float | None, float | None] = (None, None),
    protocol: str = "",
    metric: str = "",
    verdict: tuple[bool, float | None] = (False, None),
) -> MoreSeeds:
    """Return how many seeds would decide between two entries that are one of `family` comparisons.

    `seconds_per_run`: device seconds of one run of each, None where not known. `verdict`: whether the family's own
    tests tell the two apart, and their p after Holm's correction. The gap seen so far is a guess at the true one: read
    the number together with its two companions.
    """
    decided, p_holm = verdict
    answer = MoreSeeds(
        protocol, metric, first.label, second.label, first.planned, second.planned, family, ALPHA / family
    )
    answer = replace(answer, decided=decided, p_holm=p_holm)
    reason = _unplannable(first, second, answer.alpha)
    test = None if reason else welch_tests([(first.values, second.values)])[0]
    if test is None:
        return replace(answer, unanswered=reason or "no score varies: there is no spread to plan by")
    gap = float(first.values.mean() - second.values.mean())
    near, far = sorted((abs(test.low), abs(test.high)))
    if test.low <= 0 <= test.high:
        near = 0.0
    sizes = np.array([abs(gap), far, near])
    at_gap, at_far, at_near = fewest_seeds(
        sizes,
        np.full(3, first.values.var(ddof=1)),
        np.full(3, second.values.var(ddof=1)),
        np.full(3, answer.alpha),
    )
    answer = replace(
        answer,
        difference=gap,
        difference_low=test.low,
        difference_high=test.high,
        p=test.p,
        seeds_needed=at_gap,
        seeds_at_widest=at_far,
        seeds_at_narrowest=at_near,
    )
    return _priced(answer, seconds_per_run)


def resolve_in_study(results: pd.DataFrame, plan: Mapping[str, Any], first: str, second: str) -> list[MoreSeeds]:
    """Return, per protocol that has both entries, how many seeds would decide between them on the primary metric.

    The family is that of the table the pair stands in: comparisons with the baseline if one of them is it, else all
    pairs. That table's verdict says whether the present runs decide. Raises BenchError for a label that the study
    lacks, for an A/A arm, for a pair under no common protocol, and for a metric that never ranks.
    """
    check_pair(plan, first, second)
    twins = twins_of(plan)
    primary = [s for s in summarise(results, plan) if s.role == "primary" and s.label not in twins]
    verdicts = _verdicts(primary, plan["baseline"], first, second)
    seconds = device_seconds_per_run(results)
    answers = []
    for protocol in dict.fromkeys(s.protocol for s in primary):
        rows = {s.label: s for s in primary if s.protocol == protocol}
        if first in rows and second in rows:
            family = len(rows) - 1 if plan["baseline"] in (first, second) else comb(len(rows), 2)
            costs = seconds.get((protocol, first)), seconds.get((protocol, second))
            arms = rows[first].arm, rows[second].arm
            answers.append(resolve(*arms, max(family, 1), costs, protocol, plan["primary_metric"], verdicts[protocol]))
    if not answers:
        raise BenchError(f'"{first}" and "{second}" share no protocol in study "{plan["study"]}"')
    return answers


def _verdicts(
    primary: Sequence[Summary], baseline: str, first: str, second: str
) -> dict[str, tuple[bool, float | None]]:
    """Return, by protocol, whether the report tells two entries apart and by which p after Holm's correction."""
    if baseline in (first, second):
        return {
            comparison.protocol: (comparison.verdict in ("better", "worse", "lost"), comparison.p_holm)
            for comparison in compare_to_baseline(primary, baseline)
            if comparison.label in (first, second)
        }
    return {
        pair.protocol: (bool(pair.winner), pair.p_holm)
        for pair in compare_pairs(primary)
        if {pair.first, pair.second} == {first, second}
    }


def device_seconds_per_run(results: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the mean training time of the done runs by (protocol, label), in device seconds."""
    done = matching(results, state="done").dropna(subset=["device_seconds"])
    runs = done.groupby(["protocol", "label", "seed"])["device_seconds"].max().reset_index()
    means = runs.groupby(["protocol", "label"])["device_seconds"].mean().reset_index()
    return {(row["protocol"], row["label"]): float(row["device_seconds"]) for row in means.to_dict("records")}


def _resolution(rows: Sequence[Summary], within_run: float | None, sample_seeds: int | None) -> Resolution:
    # Seeds that were added to single rows promise nothing of the others.
    seeds, comparisons, pairs = min(row.planned for row in rows), len(rows) - 1, comb(len(rows), 2)
    spread = [(len(row.values) - 1, row.deviation) for row in rows if row.deviation is not None]
    deviation = None
    if spread:
        deviation = float(np.sqrt(np.average([d**2 for _, d in spread], weights=[freedom for freedom, _ in spread])))
    single, baseline, all_pairs = (detectable_gap(seeds, ALPHA / family) for family in (1, comparisons, pairs))
    return Resolution(
        protocol=rows[0].protocol,
        metric=rows[0].metric,
        seeds=seeds,
        comparisons=comparisons,
        pairs=pairs,
        deviation=deviation,
        least_deviation=min((d for _, d in spread), default=None),
        greatest_deviation=max((d for _, d in spread), default=None),
        single_gap_in_deviations=single,
        baseline_gap_in_deviations=baseline,
        pairs_gap_in_deviations=all_pairs,
        single_gap=None if deviation is None else single * deviation,
        baseline_gap=None if deviation is None else baseline * deviation,
        pairs_gap=None if deviation is None else all_pairs * deviation,
        within_run_deviation=within_run,
        sample_seeds=sample_seeds,
    )


def _unplannable(first: Arm, second: Arm, alpha: float) -> str:
    """Return why no number of seeds can be told, "" when one may."""
    lost = [f"{arm.lost} of {arm.planned} runs of {arm.label}" for arm in (first, second) if arm.lost]
    if lost:
        seeds = fewest_seeds_for_ranks(alpha)
        return f"{' and '.join(lost)} lost: ranks decide, not a t test, and they can only from {seeds} seeds per entry"
    if min(len(first.scores), len(second.scores)) < SEEDS_FOR_INTERVAL:
        return f"fewer than {SEEDS_FOR_INTERVAL} runs of each have a score: there is no spread to plan by"
    return ""


def _priced(answer: MoreSeeds, seconds_per_run: tuple[float | None, float | None]) -> MoreSeeds:
    """Add how many seeds are still to be run and what they cost: none where the pair is decided."""
    if answer.decided:
        return replace(answer, first_more=0, second_more=0, device_seconds=0.0)
    if answer.seeds_needed is None:
        return replace(answer, unanswered=f"at this gap and spread more than {MOST_SEEDS:,} seeds per entry")
    more = max(answer.seeds_needed - answer.first_seeds, 0), max(answer.seeds_needed - answer.second_seeds, 0)
    costs = [(count, seconds) for count, seconds in zip(more, seconds_per_run, strict=True) if count]
    known = [count * seconds for count, seconds in costs if seconds is not None]
    total = sum(known) if len(known) == len(costs) else None
    return replace(answer, first_more=more[0], second_more=more[1], device_seconds=total)
