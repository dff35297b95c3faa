"""Rows that were trained at several learning rates: which rate they could share, and what equal tuning makes of them.

Never imports torch. One shared rate favours the rows that it happens to suit; the best of equally many rates favours
nobody (Dodge et al. 2019, arXiv 1909.03004).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from bench.statistics.arms import Better


@dataclass(frozen=True)
class RatedRow:
    """One row at several rates: `scores` by rate, ascending, and seed; infinity (or -infinity) for a lost run."""

    label: str
    scores: Mapping[float, Mapping[int, float]]
    better: Better

    @property
    def rates(self) -> tuple[float, ...]:
        return tuple(self.scores)

    def mean(self, rate: float) -> float | None:
        """Return the mean score at a rate, infinite where a run was lost; None without a run."""
        values = self.scores[rate].values()
        return sum(values) / len(values) if values else None

    @property
    def best(self) -> float | None:
        """Return the rate with the best mean; None if no rate has a finite one."""
        return self._best_of(self.rates, None)

    @property
    def best_at_end(self) -> bool:
        """Tell whether the best rate is the lowest or the highest, so that one beyond it may be better still."""
        return self.best in (self.rates[0], self.rates[-1])

    def expected_best(self, tried: int) -> float | None:
        """Return the score to be expected when `tried` of the rates are tried and the best of them is kept.

        The rate is chosen by all seeds but one and scored on that one, so that a lucky seed is no merit: the mean over
        seeds and over all sets of so many rates. None without two seeds that every rate has.
        """
        seeds = sorted(set.intersection(*(set(of_rate) for of_rate in self.scores.values())))
        if len(seeds) < 2:
            return None
        found = []
        for seed in seeds:
            for rates in combinations(self.rates, tried):
                chosen = self._best_of(rates, seed)
                found.append(self.scores[rates[0] if chosen is None else chosen][seed])
        return sum(found) / len(found)

    def _best_of(self, rates: Sequence[float], without: int | None) -> float | None:
        means = {}
        for rate in rates:
            values = [score for seed, score in self.scores[rate].items() if seed != without]
            if values and math.isfinite(mean := sum(values) / len(values)):
                means[rate] = mean if self.better == "lower" else -mean
        return min(means, key=lambda rate: means[rate]) if means else None


def regrets(rows: Sequence[RatedRow]) -> dict[float, float]:
    """Return what sharing each rate costs: the mean over rows of log(score there / the row's best score).

    Of the rates that all rows have a score at; infinite where a row was lost. For scores above 0, lower is better.
    """
    found = {}
    for rate in rows[0].rates if rows else ():
        means = [(row.mean(rate) if rate in row.scores else None, row.best) for row in rows]
        if any(mean is None for mean, _ in means):
            continue
        costs = [
            math.inf if best is None else math.log((mean or 0.0) / (row.mean(best) or 1.0))
            for row, (mean, best) in zip(rows, means, strict=True)
        ]
        found[rate] = sum(costs) / len(costs)
    return found


def neighbouring(rows: Sequence[RatedRow]) -> dict[tuple[float, float], list[tuple[float, float]]]:
    """Return the rows' mean scores at every two neighbouring rates, of the rows that have both."""
    pairs = {}
    for low, high in pairwise(rows[0].rates if rows else ()):
        there = [row for row in rows if low in row.scores and high in row.scores]
        means = [(row.mean(low), row.mean(high)) for row in there]
        pairs[low, high] = [(one, other) for one, other in means if one is not None and other is not None]
    return pairs
