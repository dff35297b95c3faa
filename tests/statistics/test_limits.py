"""What the seeds cannot decide: lost runs, separated pairs, and families over the whole page."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, PLANNED, Fate, study_of

from bench.statistics import (
    Limit,
    StudyStatistics,
    Summary,
    after_loss,
    compare_to_baseline,
    fewest_seeds_for_ranks,
    holm,
    limits,
    study_statistics,
)

ROWS = 9
SEEDS = 5


def scores(seeds: int, around: float) -> list[Fate]:
    return list(around + np.random.default_rng(int(around)).normal(0, 1, seeds))


def study_with(seeds: int, rows: int = ROWS, **changed: list[Fate]) -> StudyStatistics:
    """Return the statistics of a baseline and rows that are all alike, but for those changed."""
    labels = ["nsgan", *(f"row{index}" for index in range(1, rows))]
    alike: dict[str, list[Fate]] = {label: scores(seeds, 30 + place / 100) for place, label in enumerate(labels)}
    return study_statistics(*study_of(alike | changed))


def verdict(found: StudyStatistics, label: str) -> str:
    (comparison,) = (c for c in found.comparisons if c.label == label)
    return comparison.verdict


def test_a_row_of_which_no_run_finished_is_an_outcome_of_its_own() -> None:
    found = study_with(SEEDS, row1=[DIVERGED] * SEEDS, row2=[*scores(4, 90), DIVERGED])
    lost = next(c for c in found.comparisons if c.label == "row1")
    assert (lost.verdict, lost.scored, lost.lost, lost.unjudged) == ("lost", 0, SEEDS, "")
    assert lost.p_holm == pytest.approx(8 * 2 / 252)  # no test says it: above 5 %
    assert verdict(found, "row2") == "undecided"
    assert verdict(study_with(SEEDS, rows=4, row1=[DIVERGED] * SEEDS), "row1") == "lost"
    assert verdict(study_with(SEEDS, nsgan=[DIVERGED] * SEEDS, row1=[DIVERGED] * SEEDS), "row1") == "undecided"


def test_what_a_loss_costs_is_what_the_tests_then_say() -> None:
    for seeds, baseline_possible, pairs_possible in ((5, False, False), (6, True, False), (7, True, True)):
        loss = after_loss(ROWS, seeds)
        assert (loss.baseline_possible, loss.pairs_possible) == (baseline_possible, pairs_possible)
        assert (loss.comparisons, loss.pairs, loss.seeds_for_baseline, loss.seeds_for_pairs) == (8, 36, 6, 7)
        found = study_with(seeds, row1=[*scores(seeds - 1, 90), DIVERGED])
        assert verdict(found, "row1") == ("worse" if baseline_possible else "undecided")
        (pair,) = (p for p in found.pairs if (p.first, p.second) == ("nsgan", "row1"))
        assert (pair.winner, pair.test) == ("nsgan" if pairs_possible else "", "ranks")
        assert loss.smallest_p == pytest.approx(pair.p)
        # Its own lost run costs the baseline every verdict, and more seeds give them back.
        baseline = study_with(seeds, nsgan=[*scores(seeds - 1, 90), DIVERGED])
        assert {c.verdict for c in baseline.comparisons} == {"better" if baseline_possible else "undecided"}


@pytest.mark.parametrize(("family", "seeds"), [(1, 4), (6, 5), (7, 6), (23, 6), (24, 7), (85, 7), (86, 8)])
def test_the_fewest_seeds_for_ranks(family: int, seeds: int) -> None:
    assert fewest_seeds_for_ranks(0.05 / family) == seeds


def test_few_rows_lose_no_verdict() -> None:
    loss = after_loss(3, SEEDS)
    assert (loss.baseline_possible, loss.pairs_possible) == (True, True)
    assert (loss.seeds_for_baseline, loss.seeds_for_pairs) == (5, 5)  # no verdict with fewer


def test_a_separated_pair_that_is_not_told_apart_says_what_the_seeds_could_not_do() -> None:
    # Every run of row1 is worse, but by little and with a wide spread.
    near: list[Fate] = [33.0, 37.0, 36.0, 44.0, 58.0]
    found = study_with(SEEDS, nsgan=[28.0, 29.0, 30.0, 31.0, 32.0], row1=near)
    limit = next(x for x in found.limits if (x.kind, x.first, x.second) == ("pair", "nsgan", "row1"))
    assert (limit.separated, limit.decided, limit.test, limit.family) == (True, False, "Welch", 36)
    assert limit.smallest_p == pytest.approx(2 / 252)
    assert limit.smallest_p_holm == pytest.approx(36 * 2 / 252)
    assert (limit.ranks_could_decide, limit.seeds_for_ranks) == (False, 7)
    against = next(x for x in found.limits if (x.kind, x.first) == ("baseline", "row1"))
    assert (against.separated, against.family, against.smallest_p_holm) == (True, 8, pytest.approx(8 * 2 / 252))
    assert (against.ranks_could_decide, against.seeds_for_ranks) == (False, 6)
    alike = next(x for x in found.limits if (x.kind, x.first, x.second) == ("pair", "row2", "row3"))
    assert not alike.separated
    assert next(x for x in study_with(7, row1=scores(7, 90)).limits if x.first == "row1").ranks_could_decide


def test_ties_raise_what_ranks_could_reach() -> None:
    found = study_with(SEEDS, rows=3, row1=[DIVERGED] * 3 + scores(2, 60), row2=[DIVERGED] * 4 + scores(1, 70))
    limit = next(x for x in found.limits if (x.first, x.second) == ("row1", "row2"))
    # Seven of ten runs are lost and equal: the three scores and two of these seven, in 21 ways, on either side.
    assert limit.smallest_p == pytest.approx(2 * 21 / 252)
    assert not limit.separated


def two_protocols(**fates: list[Fate]) -> StudyStatistics:
    results, plan = study_of({"nsgan": scores(5, 30), **fates}, protocols=("controlled", "published"))
    return study_statistics(results, plan)


def test_the_pages_family_holds_every_protocols_comparisons_and_changes_no_verdict() -> None:
    found = two_protocols(wgan=scores(5, 33), vae=scores(5, 31), began=[*scores(4, 60), PLANNED])
    against = [x for x in found.limits if x.kind == "baseline"]
    assert [(x.protocol, x.first) for x in against] == [
        (protocol, label) for protocol in ("controlled", "published") for label in ("wgan", "vae")
    ]
    assert {(x.family, x.page_family) for x in against} == {(3, 6)}
    page = holm([x.p for x in against] + [1.0, 1.0])  # the missing runs' comparisons take part as 1
    assert [x.p_page for x in against] == pytest.approx(list(page[:4]))
    assert all(x.p_page >= x.p_holm for x in found.limits)
    assert all(x.decided_on_page <= x.decided for x in found.limits)
    compared = {(c.protocol, c.label): c for c in found.comparisons}
    for limit in against:
        comparison = compared[limit.protocol, limit.first]
        assert (limit.p, limit.p_holm, limit.family) == (comparison.p, comparison.p_holm, comparison.family)
        assert limit.decided == (comparison.verdict in ("better", "worse"))
    assert {x.page_family for x in found.limits if x.kind == "pair"} == {12}
    decided = [x for x in found.limits if x.kind == "pair" and x.decided]
    assert len(decided) == sum(bool(pair.winner) for pair in found.pairs) > 0


def test_a_verdict_that_only_its_own_family_supports_does_not_stand_on_the_page() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        wgan: list[Fate] = list(rng.normal(32, 1, 5))
        limit = next(x for x in two_protocols(wgan=wgan).limits if x.kind == "baseline")
        if limit.p <= 0.05 < 2 * limit.p:
            assert (limit.decided, limit.decided_on_page, limit.page_family) == (True, False, 2)
            return
    raise AssertionError("no draw lay between the two")


@pytest.mark.slow
def test_control_over_the_page_keeps_its_error_where_each_protocols_does_not() -> None:
    """Four protocols of four comparisons each, no differences: any false verdict on the page."""
    rng = np.random.default_rng(1)
    studies = 400
    alarms = {"protocol": 0, "page": 0}
    for _ in range(studies):
        found = _null_page(rng)
        alarms["protocol"] += any(x.decided for x in found)
        alarms["page"] += any(x.decided_on_page for x in found)
    assert alarms["page"] / studies <= 0.06
    assert alarms["protocol"] / studies >= 0.08


def _null_page(rng: np.random.Generator) -> list[Limit]:
    rows = [
        Summary(
            *(protocol, label, "x", "raw", "fd_lite0", "primary", SEEDS, SEEDS, 0, 0, 0, 0),
            values=tuple(enumerate(rng.normal(30, 4, SEEDS).tolist())),
            mean=30.0,
        )
        for protocol in "pqrs"
        for label in ("nsgan", "a", "b", "c", "d")
    ]
    return limits(rows, compare_to_baseline(rows, "nsgan"), [])


def test_every_tested_pair_and_comparison_has_a_row() -> None:
    found = study_with(SEEDS, rows=4)
    pairs = [(x.first, x.second) for x in found.limits if x.kind == "pair"]
    assert pairs == list(combinations(["nsgan", "row1", "row2", "row3"], 2))
    assert study_with(4, rows=4).limits == ()
