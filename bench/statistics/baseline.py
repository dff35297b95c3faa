"""Each entry against the declared baseline: difference, verdict, and how little a permutation test could have said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.statistics.arms import NEVER_RANKS, Arm, Better, Test, ranking_direction, untested
from bench.statistics.families import Judged, judge_family
from bench.statistics.intervals import ALPHA, SEEDS_FOR_INTERVAL
from bench.statistics.significance import difference_interval
from bench.statistics.summary import Summary

Verdict = Literal["", "better", "worse", "lost", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """One entry against another, the baseline, under one protocol on one metric.

    `difference` is the label's mean less the baseline's, over the runs that have a score, with Welch's 95 % interval.
    `test` is "Welch", or "ranks" where a planned run of either was lost (or no score varies): an exact permutation test
    of ranks with lost runs last. `p_holm` is its `p` adjusted for the `family` of comparisons that the plan holds under
    this protocol; `verdict` is of the label, at 5 %, or "lost" where none of its planned runs finished and the baseline
    has a score, whatever the test could say. Where `unjudged` says why, there is neither p nor verdict.

    `permutation_p` stands beside it, unadjusted: of the mean difference, or of the ranks. It could not have been below
    `permutation_smallest_p`; `permutation_could_pass` tells whether that passes Holm's first step, ALPHA / family.
    `correlation` is Pearson's over the `shared_seeds`; no test uses it.
    """

    protocol: str
    metric: str
    label: str
    baseline: str
    role: str
    planned: int
    scored: int
    lost: int
    baseline_planned: int
    baseline_scored: int
    baseline_lost: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    family: int
    unjudged: str
    correlation: float | None
    shared_seeds: int
    test: Test = ""
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = ""
    permutation_p: float | None = None
    permutation_smallest_p: float | None = None
    permutation_exact: bool | None = None
    permutation_could_pass: bool | None = None


def compare_to_baseline(
    summaries: Sequence[Summary], baseline: str, without: Collection[str] = (), better: Better | None = None
) -> list[Comparison]:
    """Compare every entry's primary metric to the baseline's, within each protocol that has the baseline as a row.

    Holm's family is every planned comparison of the protocol, so that a verdict never falls as missing runs come in.
    Labels in `without` (an A/A arm) take no part. `better` says which way the metric is better, where the catalogue
    does not know it.
    """
    primary = [s for s in summaries if s.role == "primary" and s.label not in without]
    compared: list[Comparison] = []
    for base in (s for s in primary if s.label == baseline):
        rows = [s for s in primary if s.protocol == base.protocol and s.label != baseline]
        compared += _compare(rows, base, better or ranking_direction(base.metric))
    return compared


def compare_same(first: Summary, again: Summary) -> Comparison:
    """Compare an objective with itself on other seeds (A/A): `again` against `first`, as one comparison, uncorrected.

    One such verdict is right or wrong by luck; how often it is wrong comes from simulation. Raises BenchError when the
    two are not one objective on one metric and protocol, or share a seed.
    """
    for what in ("objective", "metric", "protocol"):
        if getattr(first, what) != getattr(again, what):
            raise BenchError(
                f"{first.label} and {again.label} differ in their {what}, so they are no A/A comparison",
                hint="An A/A arm is the baseline once more, on other seeds.",
            )
    shared = sorted(dict(first.values).keys() & dict(again.values).keys())
    if shared:
        raise BenchError(
            f"{first.label} and {again.label} share the seeds {', '.join(map(str, shared))}: the same runs twice",
            hint="Give the A/A arm seeds of its own.",
        )
    return replace(_compare([again], first, ranking_direction(first.metric))[0], role="a/a")


def seed_correlation(first: Arm, second: Arm) -> tuple[float | None, int]:
    """Return Pearson's correlation of two arms' scores over their shared seeds, and how many there are.

    None below SEEDS_FOR_INTERVAL shared seeds or where one side has no spread to speak of.
    """
    one, other = dict(first.scores), dict(second.scores)
    seeds = sorted(one.keys() & other.keys())
    pairs = np.array([(one[seed], other[seed]) for seed in seeds], dtype=np.float64)
    if len(seeds) < SEEDS_FOR_INTERVAL or np.any(np.ptp(pairs, axis=0) <= 1e-12 * np.abs(pairs).max(axis=0)):
        return None, len(seeds)
    return float(stats.pearsonr(pairs[:, 0], pairs[:, 1]).statistic), len(seeds)


def verdict_of(judged: Judged, scored: int, other_scored: int) -> Verdict:
    """Return the verdict of the first arm of a comparison; the arms have so many runs with a score.

    An arm without any is "lost" where the other has one: that needs no test, and with few seeds and a large family no
    test could say it.
    """
    if scored == 0 and other_scored > 0:
        return "lost"
    if judged.decided:
        return "better" if judged.first_is_better else "worse"
    return "undecided"


def _compare(rows: Sequence[Summary], base: Summary, better: Better | None) -> list[Comparison]:
    compared = [_described(row, base, len(rows), better) for row in rows]
    tested = [row.arm for row, comparison in zip(rows, compared, strict=True) if not comparison.unjudged]
    if better is None or not tested:
        return compared
    judged = iter(judge_family([(arm, base.arm) for arm in tested], len(rows), better, permute_all=True))
    return [comparison if comparison.unjudged else _decided(comparison, next(judged)) for comparison in compared]


def _decided(comparison: Comparison, judged: Judged) -> Comparison:
    """Add a comparison's test, and what a permutation test says beside it."""
    permutation = judged.permutation
    assert permutation is not None
    return replace(
        comparison,
        test=judged.test,
        p=judged.p,
        p_holm=judged.p_holm,
        verdict=verdict_of(judged, comparison.scored, comparison.baseline_scored),
        permutation_p=permutation.p,
        permutation_smallest_p=permutation.smallest_p,
        permutation_exact=permutation.exact,
        permutation_could_pass=permutation.smallest_p <= ALPHA / comparison.family,
    )


def _described(row: Summary, base: Summary, family: int, better: Better | None) -> Comparison:
    """Return a comparison without its tests."""
    interval = difference_interval(row.scores, base.scores)
    correlation, shared_seeds = seed_correlation(row.arm, base.arm)
    return Comparison(
        protocol=row.protocol,
        metric=row.metric,
        label=row.label,
        baseline=base.label,
        role=row.role,
        planned=row.planned,
        scored=len(row.values),
        lost=row.arm.lost,
        baseline_planned=base.planned,
        baseline_scored=len(base.values),
        baseline_lost=base.arm.lost,
        difference=None if row.mean is None or base.mean is None else row.mean - base.mean,
        difference_low=interval[0] if interval else None,
        difference_high=interval[1] if interval else None,
        family=family,
        unjudged=NEVER_RANKS if better is None else untested(row.arm, base.arm),
        correlation=correlation,
        shared_seeds=shared_seeds,
    )
