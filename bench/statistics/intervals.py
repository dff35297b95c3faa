"""Intervals around one entry's figures: its mean, its interquartile mean, its rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 0.05
SEEDS_FOR_INTERVAL = 3
# What says which of two is better (a verdict, letters, a rank interval) and a bootstrap ask for more than an interval.
SEEDS_FOR_VERDICT = 5
SEEDS_FOR_BOOTSTRAP = 5
BOOTSTRAP_RESAMPLES = 9999


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the Student t interval of the mean at CONFIDENCE; None below SEEDS_FOR_INTERVAL values."""
    if len(values) < SEEDS_FOR_INTERVAL:
        return None
    mean, half = float(np.mean(values)), half_width_in_deviations(len(values)) * float(np.std(values, ddof=1))
    return mean - half, mean + half


def interquartile_mean(values: npt.ArrayLike, axis: int = -1) -> npt.NDArray[np.float64]:
    """Return the mean without the lowest and the highest quarter of the values along `axis`, rounded down.

    Of 5 values it drops one at each end. Source: Agarwal et al. 2021 (arXiv 2108.13264), as rliable computes it.
    """
    return np.asarray(stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis))


def interquartile_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the percentile bootstrap's interval of the interquartile mean; None below SEEDS_FOR_BOOTSTRAP values.

    The same values, in any order, give the same interval. It covers less than it says with few values: see
    `interquartile_note`.
    """
    if len(values) < SEEDS_FOR_BOOTSTRAP:
        return None
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    interval = stats.bootstrap(
        (ordered,),
        interquartile_mean,
        n_resamples=BOOTSTRAP_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        random_state=np.random.default_rng(ordered.view(np.uint64)),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def interquartile_note(seeds: int) -> str:
    """Return what must stand beside an interquartile interval over so many seeds; "" where it needs no warning."""
    if seeds < SEEDS_FOR_BOOTSTRAP:
        return f"no interval of the interquartile mean below {SEEDS_FOR_BOOTSTRAP} seeds"
    if seeds <= 7:
        return (
            f"over {seeds} seeds the IQM's interval, a percentile bootstrap at 95 %, covers about 91 %, by simulation"
        )
    return ""


def rate_interval(count: int, of: int) -> tuple[float, float] | None:
    """Return the Clopper-Pearson interval of a rate at CONFIDENCE; None of no runs. It covers at least what it says."""
    if of == 0:
        return None
    interval = stats.binomtest(count, of).proportion_ci(confidence_level=CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


def half_width_in_deviations(seeds: int) -> float:
    """Return how far a mean's interval over so many seeds reaches to each side, in standard deviations of a run."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) / np.sqrt(seeds))
