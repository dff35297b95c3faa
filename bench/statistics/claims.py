"""What runs decide of claims: each is supported, refuted or undecided. Never imports torch.

A claim holds for every arm that it is about: it is supported by the largest p over its comparisons (an intersection-
union test, Berger 1982, Technometrics 24, 295-300), and refuted by any of them (Bonferroni over them). Twice the
smaller of the two is corrected by Holm over all claims of the file, so that the chance of any wrong verdict is at most
5 %. docs/claims.md explains the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from bench.config.arms import ArmName, find_arm
from bench.config.claims import Claim
from bench.config.models import Config
from bench.errors import BenchError
from bench.metrics.measures import Measure, find_measure
from bench.statistics.arms import Arm, untested
from bench.statistics.baseline import seed_correlation
from bench.statistics.intervals import ALPHA, CONFIDENCE, SEEDS_FOR_INTERVAL, mean_interval, rate_interval
from bench.statistics.measures import MeasuredRuns
from bench.statistics.predictions import p_better
from bench.statistics.significance import difference_interval, holm

Verdict = Literal["supported", "refuted", "undecided"]
OneSided = Callable[[float], float]
REPEATABILITY = float(stats.norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt(2))
"""What two single runs of equals differ by at most in 95 of 100 cases, in their standard deviations (ISO 5725-6)."""


@dataclass(frozen=True)
class Compared:
    """One arm of a claim against another arm, or against a number (`second` is None).

    `difference` is the first arm's mean less the other's, or less the number, over the runs that have a value, with its
    95 % interval: of the mean difference within seeds where both arms have the same, else Welch's; of shares Newcombe's
    or Clopper and Pearson's. `p_support` and `p_refute` are one-sided, uncorrected; `open_because` says why there are
    none. `tolerance` is None where it has no part in the verdict. `spread` is the standard deviation between runs of
    the arm `than` and its A/A arm; `correlation` is that of both arms' values within seeds.
    """

    of: ArmName
    than: ArmName | None
    first: Arm
    second: Arm | None
    test: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    spread: float | None = None
    correlation: float | None = None
    p_support: float | None = None
    p_refute: float | None = None
    open_because: str = ""


@dataclass(frozen=True)
class ClaimResult:
    """A claim and what its runs decide. `p_holm` is corrected over all claims; `lost` counts runs of all its arms."""

    claim: Claim
    measure: Measure
    compared: tuple[Compared, ...]
    seeds: int
    lost: int
    verdict: Verdict = "undecided"
    p_support: float | None = None
    p_refute: float | None = None
    p_holm: float | None = None
    open_because: str = ""

    @property
    def deciding(self) -> Compared:
        """Return the comparison that a verdict hangs on: what refutes most surely, else what supports least surely."""
        if self.verdict == "refuted":
            return min(self.compared, key=lambda one: _p(one.p_refute))
        return max(self.compared, key=lambda one: _p(one.p_support))


def judge_claims(config: Config, runs_root: Path) -> list[ClaimResult]:
    """Answer every claim of a file from the runs that are there."""
    studies: dict[str, MeasuredRuns | None] = {}

    def runs_of(study: str) -> MeasuredRuns | None:
        if study not in studies:
            try:
                studies[study] = MeasuredRuns(runs_root, study)
            except BenchError:
                if (runs_root / study / "plan.json").exists():
                    raise
                studies[study] = None
        return studies[study]

    return decided([_measured(claim, config, runs_of) for claim in config.claims])


def decided(results: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Return results with their verdicts; those that are open take part in Holm's family as p = 1."""
    smaller = [min(1.0, 2 * min(_p(one.p_support), _p(one.p_refute))) for one in results]
    return [
        one if one.open_because else replace(one, p_holm=float(p), verdict=_verdict(one, float(p)))
        for one, p in zip(results, holm(smaller) if smaller else [], strict=True)
    ]


def joined_result(claim: Claim, compared: Sequence[Compared], lost: int = 0) -> ClaimResult:
    """Return a claim's result of its comparisons, before the correction over all claims."""
    measure = find_measure(claim.measure)
    assert measure is not None
    seeds = max(arm.planned for one in compared for arm in (one.first, one.second) if arm is not None)
    result = ClaimResult(claim, measure, tuple(compared), seeds, lost)
    if why := next((one.open_because for one in compared if one.open_because), ""):
        return replace(result, open_because=why)
    return replace(
        result,
        p_support=max(_p(one.p_support) for one in compared),
        p_refute=min(1.0, len(compared) * min(_p(one.p_refute) for one in compared)),
    )


def compare(
    claim: Claim, of: ArmName, than: ArmName | None, first: Arm, second: Arm | None, spread: float | None = None
) -> Compared:
    """Test one arm of a claim against the other, or against its level.

    `spread`: the standard deviation between runs of equals, for a tolerance that the claim does not say.
    """
    measure = find_measure(claim.measure)
    assert measure is not None
    level = claim.level or 0.0
    tolerance = None
    if claim.needs_tolerance:
        tolerance = claim.tolerance or (None if spread is None else REPEATABILITY * spread)
    correlation = None if second is None else seed_correlation(first, second)[0]
    result = Compared(of, than, first, second, tolerance=tolerance, spread=spread, correlation=correlation)
    result = _described(measure, result, level)
    why = _untested(first) if second is None else untested(first, second)
    lost = first.lost + (second.lost if second else 0)
    if not why and lost and measure.better is None:
        why = f"{lost} of the runs were lost, and no value of this measure is the worst"
    if not why and claim.needs_tolerance and tolerance is None:
        why = "too few runs of equals to know the A/A spread"
    if why:
        return replace(result, open_because=why)
    test, below, above = _tests(measure, first, second, level)
    support, refute = _two_sides(claim, below, above, tolerance or 0.0)
    return replace(result, test=test, p_support=support, p_refute=refute)


def _measured(claim: Claim, config: Config, runs_of: Callable[[str], MeasuredRuns | None]) -> ClaimResult:
    compared, lost = [], dict[ArmName, int]()

    def measured(name: str) -> tuple[ArmName, Arm]:
        arm = find_arm(config, name)
        runs, planned = runs_of(arm.study), len(config.study(arm.study).seeds)
        row = None if runs is None else runs.arm(arm.label, arm.protocol, claim.measure, claim.step)
        lost[arm] = 0 if runs is None else runs.lost(arm.label, arm.protocol)
        # A plan of before the row was written has none of its runs.
        return arm, replace(row, label=name) if row is not None and row.planned else Arm(name, (), planned)

    than, second = measured(claim.than) if claim.than else (None, None)
    spread = None
    if than is not None and (runs := runs_of(than.study)) is not None:
        equals = runs.with_twin(than.label, than.protocol, claim.measure, claim.step).values
        spread = float(equals.std(ddof=1)) if len(equals) >= SEEDS_FOR_INTERVAL else None
    for name in claim.of:
        of, first = measured(name)
        compared.append(compare(claim, of, than, first, second, spread))
    return joined_result(claim, compared, sum(lost.values()))


def _two_sides(claim: Claim, below: OneSided, above: OneSided, tolerance: float) -> tuple[float, float]:
    """Return the one-sided p values against the claim being false, and against its being true."""
    if claim.direction == "same":  # two one-sided tests (Schuirmann 1987)
        return max(above(-tolerance), below(tolerance)), min(1.0, 2 * min(above(tolerance), below(-tolerance)))
    margin = tolerance if claim.refuted_by == "no difference" else 0.0
    if claim.direction == "lower":
        return below(0.0), above(-margin)
    return above(0.0), below(margin)


def _tests(measure: Measure, first: Arm, second: Arm | None, level: float) -> tuple[str, OneSided, OneSided]:
    """Return the test's name and its one-sided p values that the difference is below, and above, a number."""
    if measure.kind == "share":
        return _of_shares(first, second, level)
    whole = first.complete and (second is None or second.complete)
    if second is None or (whole and _seeds(first) == _seeds(second)):
        values = first.values - (level if second is None else second.values)
        if whole and np.ptp(values) > 1e-12 * np.abs(values).max():
            return "t" if second is None else "paired t", *_of_mean(values)
        if second is None or whole:
            worst = math.inf if measure.better == "lower" else -math.inf
            return "signs", *_of_signs(np.concatenate([values, np.full(first.lost, worst)]))
    if measure.better == "higher":
        return (
            "Welch" if whole else "ranks",
            lambda bound: p_better(second, first, "higher", by=-bound),
            lambda bound: p_better(first, second, "higher", by=bound),
        )
    return (
        "Welch" if whole else "ranks",
        lambda bound: p_better(first, second, "lower", by=-bound),
        lambda bound: p_better(second, first, "lower", by=bound),
    )


def _of_mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[OneSided, OneSided]:
    return (
        lambda bound: float(stats.ttest_1samp(values, bound, alternative="less").pvalue),
        lambda bound: float(stats.ttest_1samp(values, bound, alternative="greater").pvalue),
    )


def _of_signs(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[OneSided, OneSided]:
    """Of values that are all equal, or of which some were lost: how many lie on one side."""
    return (
        lambda bound: float(stats.binomtest(int((values < bound).sum()), len(values), alternative="greater").pvalue),
        lambda bound: float(stats.binomtest(int((values > bound).sum()), len(values), alternative="greater").pvalue),
    )


def _of_shares(first: Arm, second: Arm | None, level: float) -> tuple[str, OneSided, OneSided]:
    count, of = int(first.values.sum()), len(first.values)
    if second is None:
        return (
            "binomial",
            lambda bound: float(stats.binomtest(count, of, level, alternative="less").pvalue),
            lambda bound: float(stats.binomtest(count, of, level, alternative="greater").pvalue),
        )
    other = int(second.values.sum())
    table = np.array([[count, of - count], [other, len(second.values) - other]])
    return (
        "Fisher",
        lambda bound: float(stats.fisher_exact(table, alternative="less").pvalue),
        lambda bound: float(stats.fisher_exact(table, alternative="greater").pvalue),
    )


def _described(measure: Measure, result: Compared, level: float) -> Compared:
    """Add the difference and its interval, as far as there are values."""
    first, second = result.first, result.second
    if not first.scores or (second is not None and not second.scores):
        return result
    difference = float(first.values.mean() - (level if second is None else second.values.mean()))
    if measure.kind == "share":
        interval = _interval_of_shares(first, second, level)
    elif second is None:
        interval = mean_interval((first.values - level).tolist())
    elif _seeds(first) == _seeds(second):
        interval = mean_interval((first.values - second.values).tolist())
    else:
        interval = difference_interval(first.values.tolist(), second.values.tolist())
    return replace(
        result,
        difference=difference,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
    )


def _interval_of_shares(first: Arm, second: Arm | None, level: float) -> tuple[float, float] | None:
    count, of = int(first.values.sum()), len(first.values)
    if second is None:
        exact = rate_interval(count, of)
        return None if exact is None else (exact[0] - level, exact[1] - level)
    other, others = int(second.values.sum()), len(second.values)
    one, two = (stats.binomtest(k, n).proportion_ci(CONFIDENCE, "wilson") for k, n in ((count, of), (other, others)))
    p, q = count / of, other / others
    # Newcombe 1998, Statistics in Medicine 17, 873-890, method 10
    low = p - q - math.hypot(p - one.low, two.high - q)
    return low, p - q + math.hypot(one.high - p, q - two.low)


def _seeds(arm: Arm) -> list[int]:
    return [seed for seed, _ in arm.scores]


def _untested(arm: Arm) -> str:
    return untested(arm, Arm(arm.label, (), arm.planned, lost=arm.planned))  # beside one that lacks nothing


def _verdict(result: ClaimResult, p_holm: float) -> Verdict:
    if p_holm > ALPHA:
        return "undecided"
    return "supported" if _p(result.p_support) < _p(result.p_refute) else "refuted"


def _p(value: float | None) -> float:
    return 1.0 if value is None else value
