"""The tests: Welch's t and exact permutation by scipy; Holm's correction and Games-Howell's intervals made here.

scipy has no Holm; its Games-Howell is too slow for a table (see `studentised_range_bound`) and checks ours in tests.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Chebyshev
from scipy import stats

from bench.statistics.intervals import CONFIDENCE, SEEDS_FOR_INTERVAL, SEEDS_FOR_VERDICT

Floats = npt.NDArray[np.float64]

# Up to 9 against 9 runs (48,620 arrangements) every one is looked at; beyond, so many are drawn.
ARRANGEMENTS = 49_999
BATCH_VALUES = 4_000_000


@dataclass(frozen=True)
class Welch:
    """Welch's t test of the difference of two means: two-sided p, interval at CONFIDENCE, degrees of freedom."""

    p: float
    low: float
    high: float
    freedom: float


@dataclass(frozen=True)
class Permutation:
    """A two-sided permutation test of the difference of two means.

    `smallest_p` is the least that p could have been with these pooled values, however they were dealt out to the two
    arms: 2 / C(n + m, n) without ties, more where ties stand at both ends. Not `exact`: drawn at random.
    """

    p: float
    smallest_p: float
    exact: bool


def holm(p_values: Sequence[float]) -> Floats:
    """Return the p values adjusted by Holm's step-down method, in the order given.

    Rejecting where an adjusted p is at most alpha keeps the chance of any false rejection at alpha, whatever the
    dependence. A comparison without a p takes part as 1. Source: Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def welch_tests(pairs: Sequence[tuple[Floats, Floats]]) -> list[Welch | None]:
    """Test each pair of arms by Welch's t, unequal variances allowed; None where neither arm has any spread."""
    tests: list[Welch | None] = [None] * len(pairs)
    for members, first, second in _by_shape(pairs):
        spread = (np.ptp(first, axis=1) > 0) | (np.ptp(second, axis=1) > 0)
        if not spread.any():
            continue
        with warnings.catch_warnings():
            # scipy warns where one arm's values are all but equal: the test then rests on the other's spread.
            warnings.filterwarnings("ignore", message="Precision loss", category=RuntimeWarning)
            test = stats.ttest_ind(first[spread], second[spread], axis=1, equal_var=False)
            interval = test.confidence_interval(CONFIDENCE)
        columns = (test.pvalue, interval.low, interval.high, test.df)
        for member, row in zip(np.array(members)[spread], np.stack(columns, axis=1).tolist(), strict=True):
            tests[member] = Welch(*row)
    return tests


def difference_intervals(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> list[tuple[float, float] | None]:
    """Return Welch's interval of mean(values) - mean(baseline) for each pair of values and baseline.

    None unless both have SEEDS_FOR_INTERVAL values; without width where neither has any spread.
    """
    intervals: list[tuple[float, float] | None] = [None] * len(pairs)
    fit = [index for index, pair in enumerate(pairs) if min(map(len, pair)) >= SEEDS_FOR_INTERVAL]
    arms = [(np.asarray(pairs[index][0], np.float64), np.asarray(pairs[index][1], np.float64)) for index in fit]
    for index, (values, baseline), test in zip(fit, arms, welch_tests(arms), strict=True):
        difference = float(values.mean() - baseline.mean())
        intervals[index] = (test.low, test.high) if test else (difference, difference)
    return intervals


def difference_interval(values: Sequence[float], baseline: Sequence[float]) -> tuple[float, float] | None:
    """Return Welch's interval of mean(values) - mean(baseline); None unless both have SEEDS_FOR_INTERVAL values."""
    return difference_intervals([(values, baseline)])[0]


def permutation_tests(pairs: Sequence[tuple[Floats, Floats]]) -> list[Permutation]:
    """Test each pair of arms (n and m values) by dealing its pooled values out anew; no assumption but equal laws.

    Give ranks to test ranks. Pairs of the same shape share their arrangements, so that many cost little more than one.
    Draws are the same at every call.
    """
    tests: dict[int, Permutation] = {}
    for members, first, second in _by_shape(pairs):
        size, total = first.shape[1], first.shape[1] + second.shape[1]
        exact = comb(total, size) <= ARRANGEMENTS
        p_values = stats.permutation_test(
            (first, second),
            _mean_difference,
            vectorized=True,
            n_resamples=ARRANGEMENTS,
            batch=max(1, BATCH_VALUES // (len(members) * total)),
            axis=-1,
            random_state=np.random.default_rng(0),
        ).pvalue
        for member, p in zip(members, p_values.tolist(), strict=True):
            least = smallest_permutation_p(*pairs[member])
            tests[member] = Permutation(p, least if exact else max(least, 2 / (ARRANGEMENTS + 1)), exact)
    return [tests[index] for index in range(len(pairs))]


def lower_permutation_p(first: Floats, second: Floats) -> float:
    """Return the one-sided p of a permutation test of whether the mean of `first` is lower; see `permutation_tests`."""
    test = stats.permutation_test(
        (first, second),
        _mean_difference,
        vectorized=True,
        n_resamples=ARRANGEMENTS,
        alternative="less",
        axis=-1,
        random_state=np.random.default_rng(0),
    )
    return float(test.pvalue)


def smallest_permutation_p(first: Floats, second: Floats) -> float:
    """Return the least two-sided p that an exact permutation test of means could give with these pooled values."""
    pooled = np.sort(np.concatenate([first, second]))
    size = len(first)
    lowest, highest = pooled[:size], pooled[-size:]
    # The most extreme arrangement is reached in more than one way where equal values stand on both sides of its edge.
    ways = [
        comb(int(np.sum(pooled == edge)), int(np.sum(extreme == edge)))
        for extreme, edge in ((lowest, lowest[-1]), (highest, highest[0]))
    ]
    return min(1.0, 2 * min(ways) / comb(len(pooled), size))


@lru_cache(maxsize=16)
def studentised_range_bound(groups: int) -> Chebyshev:
    """Return the log of the studentised range's CONFIDENCE quantile for so many groups, over 1 / degrees of freedom.

    scipy takes 0.2 s for each quantile and a table of 25 entries needs 300, so they are interpolated in 7 nodes; from
    four degrees of freedom on (five runs) the quantile is off by less than 1e-4 of itself.
    """

    def log_quantile(inverse_freedom: Floats) -> Floats:
        return np.log(stats.studentized_range.ppf(CONFIDENCE, groups, 1 / inverse_freedom))

    return Chebyshev.interpolate(log_quantile, 6, domain=[0, 1 / (SEEDS_FOR_VERDICT - 1)])


def games_howell_interval(first: Floats, second: Floats, freedom: float, groups: int) -> tuple[float, float]:
    """Return the interval of mean(first) - mean(second), one of all pairs of so many groups, by Games and Howell.

    `freedom` is that of Welch's test of the two. All the intervals hold at once at CONFIDENCE, roughly: with few runs
    and many groups less often. Source: Games and Howell 1976, J. Educ. Statist. 1, 113-125.
    """
    error = np.sqrt(np.var(first, ddof=1) / len(first) + np.var(second, ddof=1) / len(second))
    half = float(np.exp(studentised_range_bound(groups)(1 / freedom)) * error / np.sqrt(2))
    difference = float(np.mean(first) - np.mean(second))
    return difference - half, difference + half


def _by_shape(pairs: Sequence[tuple[Floats, Floats]]) -> Iterator[tuple[list[int], Floats, Floats]]:
    """Yield the pairs whose arms have the same sizes together: their indices, their first arms, their second arms.

    A call of scipy costs about a millisecond however much it is given.
    """
    shapes = [(len(first), len(second)) for first, second in pairs]
    for shape in dict.fromkeys(shapes):
        members = [index for index, other in enumerate(shapes) if other == shape]
        first, second = (np.stack([pairs[index][arm] for index in members]) for arm in (0, 1))
        yield members, first, second


def _mean_difference(first: Floats, second: Floats, axis: int = -1) -> Floats:
    return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))
