"""All pairs: probability of improvement, Games-Howell, compact letters, ranks and the ranks not excluded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, FAILED, PLANNED, Fate, study_of
from scipy import stats

from bench.statistics import Arm, Pair, Standing, compact_letters, probability_of_improvement, study_statistics
from bench.statistics.significance import games_howell_interval, studentised_range_bound, welch_tests

BEST = [20.1, 21.0, 19.5, 20.4, 20.8]
MIDDLE = [30.0, 31.0, 29.0, 30.5, 29.4]
WORST = [60.2, 61.1, 59.0, 62.3, 60.5]


def placed(entries: Mapping[str, Sequence[Fate]], **changes: Any) -> tuple[dict[str, Standing], dict[str, Pair]]:
    found = study_statistics(*study_of(entries, **changes))
    return {s.label: s for s in found.standings}, {f"{p.first} {p.second}": p for p in found.pairs}


def arm(values: Sequence[float], lost: int = 0) -> Arm:
    return Arm("x", tuple(enumerate(values)), len(values) + lost, lost)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (arm([1, 2, 3]), arm([4, 5]), 1.0),
        (arm([4, 5]), arm([1, 2, 3]), 0.0),
        (arm([1, 4]), arm([2, 3]), 0.5),
        (arm([1, 3]), arm([2, 3]), (1 + 1 + 0 + 0.5) / 4),
        (arm([1], lost=1), arm([2, 3]), 0.5),
        (arm([1], lost=1), arm([2], lost=1), (1 + 1 + 0 + 0.5) / 4),
        (arm([], lost=2), arm([], lost=3), 0.5),
    ],
)
def test_probability_of_improvement_by_counting(first: Arm, second: Arm, expected: float) -> None:
    assert probability_of_improvement(first, second, "lower") == expected
    assert probability_of_improvement(second, first, "lower") == 1 - expected


def test_probability_of_improvement_is_mann_whitneys_u() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 9, 6).astype(float), rng.integers(0, 9, 4).astype(float)
        # scipy's U counts the pairs in which the first is larger.
        expected = stats.mannwhitneyu(first, second).statistic / 24
        assert probability_of_improvement(arm(list(first)), arm(list(second)), "higher") == pytest.approx(expected)


def test_a_probability_comes_with_its_step() -> None:
    _, pairs = placed({"nsgan": BEST, "wgan": WORST, "lsgan": [*WORST[:4], 63.0], "vae": [*WORST[:4], PLANNED]})
    assert (pairs["nsgan wgan"].probability, pairs["nsgan wgan"].probability_step) == (1.0, 1 / 25)
    assert (pairs["wgan lsgan"].probability_step, pairs["wgan lsgan"].winner) == (0.5 / 25, "")
    assert (pairs["nsgan vae"].probability, pairs["nsgan vae"].untested) == (None, "1 of 5 runs of vae missing so far")


@pytest.mark.skipif(
    "equal_var" not in inspect.signature(stats.tukey_hsd).parameters, reason="this scipy has no Games-Howell"
)
def test_games_howell_as_scipy_has_it() -> None:
    rng = np.random.default_rng(3)
    arms = [
        rng.normal(mean, deviation, size) for mean, deviation, size in ((0, 1, 5), (1, 4, 7), (3, 0.2, 5), (1, 1, 12))
    ]
    expected = stats.tukey_hsd(*arms, equal_var=False).confidence_interval(0.95)
    for one, other in combinations(range(4), 2):
        (test,) = welch_tests([(arms[one], arms[other])])
        assert test is not None
        low, high = games_howell_interval(arms[one], arms[other], test.freedom, 4)
        assert (low, high) == pytest.approx((expected.low[one, other], expected.high[one, other]), rel=1e-4)


@pytest.mark.parametrize(("groups", "freedom"), [(2, 4.0), (8, 5.3), (25, 8.0), (25, 300.0)])
def test_the_studentised_range_between_its_nodes(groups: int, freedom: float) -> None:
    expected = stats.studentized_range.ppf(0.95, groups, freedom)
    assert np.exp(studentised_range_bound(groups)(1 / freedom)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("apart", "letters"),
    [
        ([], {"p": "a", "q": "a", "r": "a", "s": "a"}),
        # A chain: neighbours alike, the others apart. "Alike" is not transitive.
        (["p r", "p s", "q s"], {"p": "a", "q": "ab", "r": "bc", "s": "c"}),
        (["p q", "p r", "p s"], {"p": "a", "q": "b", "r": "b", "s": "b"}),
        (["p s"], {"p": "a", "q": "ab", "r": "ab", "s": "b"}),
        # Only the middle two are apart, each alike with both ends.
        (["q r"], {"p": "ab", "q": "a", "r": "b", "s": "ab"}),
        (["p q", "r s"], {"p": "ab", "q": "cd", "r": "ac", "s": "bd"}),
        (["p q", "p r", "p s", "q r", "q s", "r s"], {"p": "a", "q": "b", "r": "c", "s": "d"}),
    ],
)
def test_letters_by_hand(apart: list[str], letters: dict[str, str]) -> None:
    split = [(pair.split()[0], pair.split()[1]) for pair in apart]
    assert compact_letters("pqrs", split) == letters
    assert compact_letters("pqrs", [(other, one) for one, other in reversed(split)]) == letters


def test_two_share_a_letter_exactly_where_they_are_not_apart() -> None:
    rng = np.random.default_rng(1)
    for size in (1, 2, 5, 9):
        for share in (0.2, 0.5, 0.8):
            labels = [f"entry {index}" for index in range(size)]
            apart = [pair for pair in combinations(labels, 2) if rng.random() < share]
            letters = compact_letters(labels, apart)
            assert {
                pair for pair in combinations(labels, 2) if not set(letters[pair[0]]) & set(letters[pair[1]])
            } == set(apart)


def test_many_groups_have_distinct_letters() -> None:
    labels = [str(index) for index in range(60)]
    letters = compact_letters(labels, list(combinations(labels, 2)))
    assert len(set(letters.values())) == 60
    assert (letters["0"], letters["26"], letters["52"]) == ("a", "A", "a2")
    assert compact_letters([], []) == {}


def test_tie_groups_and_the_ranks_not_excluded() -> None:
    near = [value + 0.4 for value in MIDDLE]
    standings, pairs = placed({"nsgan": MIDDLE, "wgan": WORST, "lsgan": near, "ebgan": BEST})
    assert {label: s.letters for label, s in standings.items()} == {
        "nsgan": "b",
        "wgan": "c",
        "lsgan": "b",
        "ebgan": "a",
    }
    bounds = {label: (s.rank, s.best_rank, s.worst_rank) for label, s in standings.items()}
    assert bounds == {"nsgan": (2, 2, 3), "wgan": (4, 4, 4), "lsgan": (3, 2, 3), "ebgan": (1, 1, 1)}
    assert (pairs["nsgan wgan"].winner, pairs["nsgan lsgan"].winner, pairs["wgan ebgan"].winner) == (
        "nsgan",
        "",
        "ebgan",
    )
    assert (pairs["nsgan wgan"].difference_high or 0) < 0


def test_higher_is_better_turns_the_order_around() -> None:
    entries = {"nsgan": [value / 100 for value in BEST], "wgan": [value / 100 for value in WORST]}
    standings, pairs = placed(entries, metric="coverage_lite0")
    assert {label: (s.rank, s.letters) for label, s in standings.items()} == {"nsgan": (2, "b"), "wgan": (1, "a")}
    assert (pairs["nsgan wgan"].winner, pairs["nsgan wgan"].probability) == ("wgan", 0.0)


def test_who_lost_a_run_is_ranked_over_all_runs_and_has_no_letter() -> None:
    standings, pairs = placed({"nsgan": MIDDLE, "wgan": [*BEST[:4], DIVERGED], "vae": WORST, "began": [FAILED] * 5})
    assert {label: s.rank for label, s in standings.items()} == {"wgan": 1, "nsgan": 2, "vae": 3, "began": 4}
    assert {label: s.letters for label, s in standings.items()} == {"wgan": "", "nsgan": "a", "vae": "b", "began": ""}
    assert (standings["wgan"].unlettered, standings["began"].unlettered) == ("1 of 5 runs lost", "5 of 5 runs lost")
    assert pairs["nsgan wgan"].test == "ranks"
    assert pairs["nsgan wgan"].difference is None
    # Holm over six pairs: Welch's p of nsgan and vae is far below; then 2/252 three times, in a family of five, four...
    assert pairs["nsgan began"].p == pytest.approx(2 / 252)
    assert pairs["nsgan began"].p_holm == pytest.approx(5 * 2 / 252)
    assert (standings["nsgan"].best_rank, standings["nsgan"].worst_rank) == (1, 2)


def test_a_single_loss_cannot_make_a_bad_entry_better() -> None:
    whole, _ = placed({"nsgan": MIDDLE, "wgan": WORST, "lsgan": BEST})
    lost, _ = placed({"nsgan": MIDDLE, "wgan": [*WORST[:4], DIVERGED], "lsgan": BEST})
    assert {label: s.rank for label, s in whole.items()} == {label: s.rank for label, s in lost.items()}


def test_missing_entries_may_yet_stand_anywhere() -> None:
    standings, _ = placed({"nsgan": BEST, "wgan": WORST, "vae": [*MIDDLE[:3], PLANNED, PLANNED]})
    assert (standings["nsgan"].best_rank, standings["nsgan"].worst_rank, standings["nsgan"].letters) == (1, 2, "a")
    assert (standings["wgan"].best_rank, standings["wgan"].worst_rank, standings["wgan"].letters) == (2, 3, "b")
    assert (standings["vae"].rank, standings["vae"].best_rank, standings["vae"].letters) == (None, None, "")
    assert standings["vae"].unlettered == "2 missing of 5 runs"


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_few_seeds_place_nobody(seeds: int) -> None:
    standings, pairs = placed({"nsgan": BEST[:seeds], "wgan": WORST[:seeds]})
    reason = "fewer than three seeds" if seeds < 3 else "fewer than 5 seeds"
    assert {(s.letters, s.unlettered, s.best_rank) for s in standings.values()} == {("", reason, None)}
    assert (pairs["nsgan wgan"].untested, pairs["nsgan wgan"].probability) == ("fewer than 5 seeds", 1.0)


def test_a_metric_that_never_ranks_has_no_pairs() -> None:
    standings, pairs = placed({"nsgan": BEST, "wgan": WORST}, metric="fd_judge")
    assert pairs == {}
    assert {(s.rank, s.letters, s.unlettered) for s in standings.values()} == {(None, "", "this metric never ranks")}


def test_equal_values_share_rank_and_letter() -> None:
    standings, pairs = placed({"nsgan": [2.0] * 5, "wgan": [2.0] * 5, "lsgan": [3.0] * 5})
    assert {label: (s.rank, s.letters) for label, s in standings.items()} == {
        "nsgan": (1, "a"),
        "wgan": (1, "a"),
        "lsgan": (3, "b"),
    }
    assert (pairs["nsgan wgan"].test, pairs["nsgan wgan"].probability, pairs["nsgan wgan"].p) == ("ranks", 0.5, 1.0)


def test_a_study_whose_runs_were_all_lost_ranks_nobody() -> None:
    standings, pairs = placed({"nsgan": [DIVERGED] * 5, "wgan": [FAILED] * 5})
    assert {s.rank for s in standings.values()} == {None}
    assert (pairs["nsgan wgan"].p, pairs["nsgan wgan"].winner) == (1.0, "")


def test_an_entry_alone_is_told_from_nobody() -> None:
    standings, pairs = placed({"nsgan": BEST})
    assert pairs == {}
    assert (standings["nsgan"].rank, standings["nsgan"].letters) == (None, "")
