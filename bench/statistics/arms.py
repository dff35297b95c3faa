"""One entry's runs as the comparisons see them: the scores, and how many planned runs never had one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.errors import BenchError
from bench.metrics.catalogue import metric_info
from bench.statistics.intervals import SEEDS_FOR_VERDICT

Floats = npt.NDArray[np.float64]
Better = Literal["lower", "higher"]
Test = Literal["", "Welch", "ranks"]


@dataclass(frozen=True)
class Arm:
    """The planned runs of one entry on one metric.

    `scores` are (seed, score). `lost` runs diverged or failed: they are results, the worst there are. The others
    without a score are `missing`: not run or not measured yet.
    """

    label: str
    scores: tuple[tuple[int, float], ...]
    planned: int
    lost: int = 0

    @property
    def values(self) -> Floats:
        """Return the scores alone, in the order of the seeds."""
        return np.array([score for _, score in self.scores], dtype=np.float64)

    @property
    def missing(self) -> int:
        """Return how many planned runs are still to be run or measured."""
        return self.planned - self.lost - len(self.scores)

    @property
    def complete(self) -> bool:
        """Tell whether every planned run has a score."""
        return len(self.scores) == self.planned


def untested(first: Arm, second: Arm) -> str:
    """Return why no test may decide between two arms, "" when one may."""
    if min(first.planned, second.planned) < SEEDS_FOR_VERDICT:
        return f"fewer than {SEEDS_FOR_VERDICT} seeds"
    missing = [f"{arm.missing} of {arm.planned} runs of {arm.label}" for arm in (first, second) if arm.missing]
    return f"{' and '.join(missing)} missing so far" if missing else ""


NEVER_RANKS = "this metric never ranks"  # why a row without a `ranking_direction` has no rank and no verdict


def ranking_direction(metric: str) -> Better | None:
    """Return which way a metric is better; None for one that never ranks or that this version does not know."""
    try:
        info = metric_info(metric)
    except BenchError:
        return None
    return info.better if info.ranks else None


def badness(arm: Arm, better: Better) -> Floats:
    """Return one number per run that has ended, larger is worse: the score or its negative, infinity for a lost run."""
    scores = arm.values if better == "lower" else -arm.values
    return np.concatenate([scores, np.full(arm.lost, np.inf)])


def pooled_ranks(arms: Sequence[Arm], better: Better) -> list[Floats]:
    """Return the rank of every ended run among all of these arms' (1 = best), per arm; equal runs share their mean."""
    pooled = [badness(arm, better) for arm in arms]
    ranks = stats.rankdata(np.concatenate(pooled))
    return np.split(ranks, np.cumsum([len(part) for part in pooled])[:-1])


def probability_of_improvement(first: Arm, second: Arm, better: Better) -> float:
    """Return the share of pairs of ended runs of which first's is better than second's; equal ones count as half.

    Lost runs are worse than any score. It is Mann and Whitney's U over n m; source: Agarwal et al. 2021
    (arXiv 2108.13264).
    """
    one, other = badness(first, better)[:, None], badness(second, better)[None, :]
    return float(np.mean((one < other) + 0.5 * (one == other)))


def attainable_step(first: Arm, second: Arm, better: Better) -> float:
    """Return the least step between two values of that probability: 1 / (n m), half of it where runs are equal."""
    one, other = badness(first, better), badness(second, better)
    return (0.5 if np.isin(one, other).any() else 1.0) / (len(one) * len(other))
