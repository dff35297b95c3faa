"""How often the intervals cover and the tests raise false alarms, by simulation on data whose truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.statistics import Arm, Summary, compare_pairs, holm, interquartile_interval, mean_interval, rate_interval
from bench.statistics.families import judge_family
from bench.statistics.significance import difference_intervals, permutation_tests, studentised_range_bound, welch_tests


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_as_often_as_they_say(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    first, second = rng.normal(30, 4, (10_000, seeds)), rng.normal(25, 4, (10_000, seeds))
    means = [mean_interval(list(row)) or (np.nan, np.nan) for row in first[:4000]]
    assert 0.93 <= np.mean([low <= 30 <= high for low, high in means]) <= 0.97
    differences = difference_intervals(list(zip(first.tolist(), second.tolist(), strict=True)))
    assert 0.93 <= np.mean([low <= 5 <= high for low, high in filter(None, differences)]) <= 0.97


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_welch_covers_where_spreads_differ(seeds: int) -> None:
    rng = np.random.default_rng(10 + seeds)
    first, second = rng.normal(0, 4, (10_000, seeds)), rng.normal(0, 1, (10_000, seeds))
    differences = difference_intervals(list(zip(first.tolist(), second.tolist(), strict=True)))
    assert 0.93 <= np.mean([low <= 0 <= high for low, high in filter(None, differences)]) <= 0.97


def test_the_bootstrap_over_five_seeds_covers_less_than_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [interquartile_interval(list(row)) or (np.nan, np.nan) for row in rng.normal(0, 1, (300, 5))]
    # interquartile_note says 91 %.
    assert 0.87 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.94


@pytest.mark.parametrize("spreads", [np.ones(10), np.linspace(1, 5, 10)])
def test_holm_keeps_the_familywise_error(spreads: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    studies, seeds = 3000, 5
    scores = rng.normal(0, 1, (studies, 10, seeds)) * spreads[:, None]
    tests = welch_tests([(study[entry], study[0]) for study in scores for entry in range(1, 10)])
    p_values = np.array([test.p for test in tests if test]).reshape(studies, 9)
    alarms = np.mean([(holm(list(row)) <= 0.05).any() for row in p_values])
    assert 0.01 <= alarms <= 0.06


def test_holm_keeps_it_where_some_entries_do_differ() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 1, (3000, 10, 5))
    scores[:, 5:] += 8
    tests = welch_tests([(study[entry], study[0]) for study in scores for entry in range(1, 10)])
    adjusted = [holm(list(row)) for row in np.array([test.p for test in tests if test]).reshape(3000, 9)]
    assert np.mean([(row[:4] <= 0.05).any() for row in adjusted]) <= 0.06
    assert np.mean([(row[4:] <= 0.05).mean() for row in adjusted]) > 0.95


def _equal_entries(rng: np.random.Generator, study: int, entries: int, seeds: int) -> list[Summary]:
    """Return a study, as its protocol, of entries that do not differ."""
    scores = rng.normal(30, 4, (entries, seeds)).tolist()
    counts = (seeds, seeds, 0, 0, 0, 0)
    return [
        Summary(str(study), str(entry), "x", "raw", "fd_lite0", "primary", *counts, tuple(enumerate(scores[entry])))
        for entry in range(entries)
    ]


def test_tie_groups_keep_the_familywise_error() -> None:
    rng = np.random.default_rng(0)
    studies = 100
    pairs = compare_pairs([row for study in range(studies) for row in _equal_entries(rng, study, 10, 5)])
    told_apart = {pair.protocol for pair in pairs if pair.winner}
    by_interval = {p.protocol for p in pairs if not (p.difference_low or 0) <= 0 <= (p.difference_high or 0)}
    assert told_apart <= by_interval
    assert len(told_apart) / studies <= 0.06


@pytest.mark.parametrize(
    ("entries", "seeds", "expected"), [(3, 5, 0.047), (10, 5, 0.08), (10, 10, 0.06), (25, 5, 0.13)]
)
def test_games_howell_alone_would_not_keep_it(entries: int, seeds: int, expected: float) -> None:
    """This is why Holm's correction has a say in the tie groups, too."""
    rng = np.random.default_rng(0)
    studies = 30_000 // (entries * (entries - 1) // 2)
    scores = rng.normal(0, 1, (studies, entries, seeds))
    tests = welch_tests([pair for study in scores for pair in combinations(study, 2)])
    low, high, freedom = np.array([(test.low, test.high, test.freedom) for test in tests if test]).T
    reach = np.exp(studentised_range_bound(entries)(1 / freedom)) / np.sqrt(2) / stats.t.ppf(0.975, freedom)
    apart = (np.abs(low + high) > (high - low) * reach).reshape(studies, -1).any(axis=1)
    holds = [(holm([test.p for test in row]) <= 0.05).any() for row in np.array(tests).reshape(studies, -1)]
    assert np.mean(apart) == pytest.approx(expected, abs=3.5 * np.sqrt(expected / studies))
    assert np.mean(holds) <= 0.05


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_permutation_p_is_valid(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    # Skewed on purpose: it needs no normal law.
    draws = rng.lognormal(0, 1, (4000, 2, seeds))
    p_values = np.array([found.p for found in permutation_tests([(a, b) for a, b in draws])])
    for alpha in (0.01, 0.05, 0.1, 0.2):
        assert np.mean(p_values <= alpha) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / 4000)
    assert np.mean(p_values <= 0.2) > 0.1


def test_choosing_the_test_by_whether_runs_were_lost_keeps_its_level() -> None:
    rng = np.random.default_rng(2)
    studies = 4000
    lost = rng.binomial(5, 0.08, (studies, 2))
    pairs = []
    for study in range(studies):
        arms = [
            Arm("x", tuple(enumerate(rng.normal(30, 4, 5 - count).tolist())), 5, count)
            for count in lost[study].tolist()
        ]
        pairs.append((arms[0], arms[1]))
    judged = judge_family(pairs, len(pairs), "lower")
    p_values = np.array([found.p for found in judged])
    assert 0.3 < np.mean([found.test == "ranks" for found in judged]) < 0.8
    assert 0.02 <= np.mean(p_values <= 0.05) <= 0.06


@pytest.mark.parametrize("runs", [5, 10])
def test_rates_cover_at_least_as_often_as_they_say(runs: int) -> None:
    intervals = [rate_interval(count, runs) or (np.nan, np.nan) for count in range(runs + 1)]
    low, high = np.array(intervals).T
    rates = np.linspace(0.001, 0.999, 999)[:, None]
    # Exactly, not by drawing: the chance of each count, where its interval holds the rate.
    coverage = (stats.binom.pmf(np.arange(runs + 1), runs, rates) * ((low <= rates) & (rates <= high))).sum(axis=1)
    assert coverage.min() >= 0.95
