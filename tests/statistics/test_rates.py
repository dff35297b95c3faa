"""Rows at several learning rates: a shared rate, and the best of equally many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.statistics.arms import Better
from bench.statistics.rates import RatedRow, neighbouring, regrets


def row(better: Better = "lower", **scores: tuple[float, ...]) -> RatedRow:
    rates = {"low": 1e-4, "middle": 2e-4, "high": 4e-4}
    return RatedRow("a", {rates[name]: dict(enumerate(values)) for name, values in scores.items()}, better)


def test_a_row_is_best_at_its_lowest_mean_or_its_highest() -> None:
    one = row(low=(3, 5), middle=(1, 3), high=(9, 9))
    assert (one.mean(1e-4), one.best, one.best_at_end) == (4, 2e-4, False)
    other = row("higher", low=(3, 5), middle=(1, 3), high=(9, 9))
    assert (other.best, other.best_at_end) == (4e-4, True)


def test_the_rate_is_chosen_by_other_seeds_than_those_it_is_scored_on() -> None:
    # By seed 1 the first rate is chosen, which seed 0 scores 10; by seed 0 the second, which seed 1 scores 8.
    one = row(low=(10, 1), middle=(2, 8))
    assert one.expected_best(1) == pytest.approx((10 + 1 + 2 + 8) / 4)
    assert one.expected_best(2) == pytest.approx((10 + 8) / 2)
    assert row(low=(10,), middle=(2,)).expected_best(2) is None


def test_more_rates_help_in_expectation_and_noise_alone_does_not() -> None:
    draws = np.random.default_rng(0)
    helped, noise = [], []
    for _ in range(2000):
        low, middle, high = (tuple(center + draws.normal(0, 1, 2)) for center in (10.0, 5.0, 10.0))
        helped.append(row(low=low, middle=middle, high=high).expected_best(3))
        low, middle, high = (tuple(5 + draws.normal(0, 1, 2)) for _ in range(3))
        noise.append(row(low=low, middle=middle, high=high).expected_best(3))
    assert np.mean([value or math.nan for value in helped]) == pytest.approx(5, abs=0.1)
    # The best mean of three equal rates would lie at 5 - .6; scored on another seed it is worth no more than any.
    assert np.mean([value or math.nan for value in noise]) == pytest.approx(5, abs=0.1)


def test_lost_runs_are_the_worst_there_are() -> None:
    one = row(low=(1, math.inf), middle=(5, 5))
    assert (one.mean(1e-4), one.best) == (math.inf, 2e-4)
    assert one.expected_best(1) == math.inf
    # By seed 0 the lower rate would be chosen, and seed 1 is lost there.
    assert one.expected_best(2) == math.inf
    assert row(low=(math.inf,) * 2, middle=(math.inf,) * 2).best is None
    assert regrets([one, row(low=(2, 2), middle=(4, 4))]) == {1e-4: math.inf, 2e-4: pytest.approx(math.log(2) / 2)}


def test_a_shared_rate_costs_the_mean_logarithm_over_rows() -> None:
    one, other = row(low=(10, 10), middle=(20, 20)), row(low=(90, 90), middle=(30, 30))
    assert regrets([one, other]) == {
        1e-4: pytest.approx(math.log(3) / 2),
        2e-4: pytest.approx(math.log(2) / 2),
    }
    without = RatedRow("b", {1e-4: {0: 1.0}, 2e-4: {}}, "lower")
    assert set(regrets([one, without])) == {1e-4}
    assert neighbouring([one, other]) == {(1e-4, 2e-4): [(10, 20), (90, 30)]}
    assert neighbouring([one, without]) == {(1e-4, 2e-4): [(10, 20)]}
