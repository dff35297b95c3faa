"""Any pair, answered once: the right outcome where the truth is known, and no signal that contradicts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, PLANNED, Fate, study_of

from bench.errors import BenchError
from bench.statistics import (
    Answer,
    StudyStatistics,
    Summary,
    answer_pairs,
    answers_for,
    compare_pairs,
    compare_to_baseline,
    mean_interval,
    resolve_in_study,
    standings,
    study_statistics,
)
from bench.statistics.power import POWER, fewest_seeds
from bench.statistics.significance import welch_tests

BEST = [20.1, 21.0, 19.5, 20.4, 20.8]
NEAR = [20.9, 20.2, 21.6, 19.9, 20.5]
WORST = [60.2, 61.1, 59.0, 62.3, 60.5]
METRIC, SEEDS = "fd_lite0", 5


def answered(entries: Mapping[str, Sequence[Fate]], twin: Sequence[float] = (), **changes: Any) -> dict[str, Answer]:
    twins = {"nsgan-twin": twin} if twin else {}
    results, plan = study_of(entries | twins, first_seeds={"nsgan-twin": 100}, **changes)
    for entry in plan["entries"]:
        if entry["label"] in twins:
            entry["same_as"] = "nsgan"
    return {f"{a.first} {a.second}": a for a in answer_pairs(study_statistics(results, plan), plan)}


def simulated(scores: Mapping[str, Sequence[float]]) -> list[Answer]:
    """Answer a made-up study without what costs time and no answer needs."""
    summaries = []
    for label, values in scores.items():
        low, high = mean_interval(values) or (None, None)
        summary = Summary("controlled", label, label, "raw", METRIC, "primary", SEEDS, SEEDS, 0, 0, 0, 0,
                          tuple(enumerate(values)), mean=float(np.mean(values)), low=low, high=high,
                          deviation=float(np.std(values, ddof=1)), rank=1)  # fmt: skip
        summaries.append(summary)
    pairs = compare_pairs(summaries)
    found = StudyStatistics(
        summaries=tuple(summaries),
        stability=(),
        comparisons=tuple(compare_to_baseline(summaries, "nsgan")),
        pairs=tuple(pairs),
        standings=tuple(standings(summaries, pairs)),
        resolutions=(),
    )
    return answer_pairs(found, {"primary_metric": METRIC})


def test_answers_are_as_often_wrong_as_they_say_where_the_truth_is_known() -> None:
    rng = np.random.default_rng(0)
    truth = {"nsgan": 30.0, "equal": 30.0, "better": 20.0, "worse": 45.0, "again": 30.0}
    spread = {"nsgan": 1.0, "equal": 3.0, "better": 1.0, "worse": 1.5, "again": 1.0}
    studies, alarms, covered, found, covered_at_once = 400, 0, [], [], 0
    for _ in range(studies):
        answers = simulated({label: list(rng.normal(truth[label], spread[label], SEEDS)) for label in truth})
        alarm, at_once = False, True
        for answer in answers:
            gap = truth[answer.first] - truth[answer.second]
            assert answer.difference_low is not None
            assert answer.difference_high is not None
            holds = answer.difference_low <= gap <= answer.difference_high
            if answer.kind == "declared":
                covered.append(holds)
            else:
                at_once &= holds
            if gap:
                found.append(answer.outcome == "better")
                assert answer.outcome != "better" or answer.ahead == (answer.second if gap > 0 else answer.first)
            else:
                alarm |= answer.kind == "declared" and answer.outcome == "better"
        alarms += alarm
        covered_at_once += at_once
    assert alarms / studies <= 0.06
    assert 0.93 <= np.mean(covered) <= 0.97
    assert covered_at_once / studies >= 0.93
    assert np.mean(found) > 0.9


def test_an_answer_never_contradicts_its_tables() -> None:
    rng = np.random.default_rng(1)
    for _ in range(12):
        entries: dict[str, list[Fate]] = {
            label: [*rng.normal(rng.uniform(20, 26), 2, SEEDS)] for label in ("nsgan", "wgan", "vae", "lsgan")
        }
        entries["vae"][0] = DIVERGED
        results, plan = study_of(entries)
        statistics = study_statistics(results, plan)
        answers = {frozenset((a.first, a.second)): a for a in answer_pairs(statistics, plan)}
        for comparison in statistics.comparisons:
            answer = answers.pop(frozenset((comparison.label, comparison.baseline)))
            assert answer.kind == "declared"
            assert answer.p_holm == comparison.p_holm
            assert (answer.outcome == "better") == (comparison.verdict in ("better", "worse"))
        for pair in statistics.pairs:
            exploratory = answers.get(frozenset((pair.first, pair.second)))
            if exploratory is not None:
                assert exploratory.kind == "exploratory"
                assert (exploratory.ahead if exploratory.outcome == "better" else "") == pair.winner
        for answer in answers.values():
            if answer.outcome == "better" and answer.test == "Welch":
                assert answer.advantage is not None
                assert (answer.advantage[1] or 0) > 0


def test_a_declared_pair_has_every_signal() -> None:
    answer = answered({"nsgan": WORST, "r3gan": BEST}, twin=[61.0, 60.0, 62.5, 59.5, 61.4])["nsgan r3gan"]
    assert (answer.kind, answer.outcome, answer.ahead, answer.behind) == ("declared", "better", "r3gan", "nsgan")
    assert answer.advantage is not None
    gap, low, high = answer.advantage
    assert low is not None
    assert high is not None
    assert gap == pytest.approx(np.mean(WORST) - np.mean(BEST))
    assert 0 < low < gap < high
    assert (answer.ahead_on, answer.shared, answer.own_intervals) == (5, 5, "apart")
    assert answer.permutation_p == answer.permutation_smallest_p == pytest.approx(2 / 252)
    assert answer.twin_difference == pytest.approx(abs(np.mean([61.0, 60.0, 62.5, 59.5, 61.4]) - np.mean(WORST)))
    assert answer.seeds_needed is None


def test_higher_may_be_better() -> None:
    answer = answered(
        {"nsgan": [0.5, 0.52, 0.49, 0.51, 0.5], "vae": [0.1, 0.12, 0.09, 0.11, 0.1]}, metric="coverage_lite0"
    )
    (only,) = answer.values()
    assert (only.outcome, only.ahead, only.better) == ("better", "nsgan", "higher")
    assert only.advantage is not None
    assert (only.advantage[1] or 0) > 0.3


@pytest.mark.parametrize(
    ("scores", "outcome", "ahead"),
    [
        (NEAR, "undecided", "nsgan"),
        (BEST, "same", ""),
        ([DIVERGED] * 5, "lost", "nsgan"),
        ([*WORST[:4], PLANNED], "unjudged", "nsgan"),
        ([PLANNED] * 5, "unjudged", ""),
        ([DIVERGED, *WORST[:4]], "better", "nsgan"),
        ([DIVERGED, *NEAR[:4]], "undecided", "nsgan"),
    ],
)
def test_every_fate_has_its_outcome(scores: list[Fate], outcome: str, ahead: str) -> None:
    (answer,) = answered({"nsgan": BEST, "wgan": scores}).values()
    assert (answer.outcome, answer.ahead) == (outcome, ahead)
    assert bool(answer.why) == (outcome == "unjudged")


def test_two_rows_of_which_no_run_finished() -> None:
    assert (
        answered({"nsgan": BEST, "wgan": [DIVERGED] * 5, "vae": [DIVERGED] * 5})["wgan vae"].outcome == "none finished"
    )


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    (answer,) = answered({"nsgan": BEST[:seeds], "wgan": WORST[:seeds]}).values()
    assert (answer.outcome, answer.ahead, answer.ahead_on) == ("unjudged", "nsgan", seeds)
    assert answer.p is None


def test_the_a_a_pair_is_answered_by_its_own_comparison() -> None:
    found = answered({"nsgan": BEST, "wgan": WORST}, twin=NEAR)["nsgan-twin nsgan"]
    assert (found.kind, found.outcome, found.family, found.shared) == ("a/a", "undecided", 1, 0)


def test_ranks_say_from_how_many_seeds_they_could_decide() -> None:
    entries = {"nsgan": BEST, "wgan": [DIVERGED, *NEAR[:4]]} | {f"lsgan-{index}": WORST for index in range(8)}
    answer = answered(entries)["nsgan wgan"]
    assert answer.test == "ranks"
    assert answer.seeds_needed is not None
    assert answer.seeds_needed > SEEDS


def test_the_seeds_that_are_named_do_decide() -> None:
    rng = np.random.default_rng(2)
    (needed,) = fewest_seeds(np.array([5.0]), np.array([9.0]), np.array([25.0]), np.array([0.05 / 8]))
    assert needed is not None
    tests = welch_tests([(rng.normal(0, 3, needed), rng.normal(5, 5, needed)) for _ in range(3000)])
    assert np.mean([test is not None and test.p <= 0.05 / 8 for test in tests]) == pytest.approx(POWER, abs=0.03)
    assert fewest_seeds(np.array([0.0, 1e6]), np.ones(2), np.ones(2), np.full(2, 0.05)) == [None, 5]


def test_one_pair_is_found_whichever_way_it_is_named() -> None:
    results, plan = study_of({"nsgan": BEST, "wgan": WORST, "vae": NEAR}, protocols=("controlled", "published"))
    statistics = study_statistics(results, plan)
    one, other = answers_for(statistics, plan, "vae", "wgan"), answers_for(statistics, plan, "wgan", "vae")
    assert [(answer.first, answer.second) for answer in other] == [("wgan", "vae")] * 2
    assert [answer.turned() for answer in other] == one
    # As `bench plan --resolve` has it: the first's mean less the second's.
    planned = resolve_in_study(results, plan, "wgan", "vae")
    assert [answer.difference for answer in other] == [answer.difference for answer in planned]
    assert [answer.protocol for answer in one] == ["controlled", "published"]
    for pair, words in ((("vae", "wgn"), "did you mean"), (("vae", "vae"), "one entry")):
        with pytest.raises(BenchError, match=words):
            answers_for(statistics, plan, *pair)


def test_a_row_added_by_hand_is_tested_among_the_declared_ones_and_is_not_called_declared() -> None:
    results, plan = study_of({"nsgan": BEST, "wgan": WORST, "mine": NEAR})
    declared = {frozenset((a.first, a.second)): a for a in answer_pairs(study_statistics(results, plan), plan)}
    for entry in plan["entries"]:
        entry["added"] = entry["label"] == "mine"
    added = {frozenset((a.first, a.second)): a for a in answer_pairs(study_statistics(results, plan), plan)}
    for entry in plan["entries"]:
        del entry["added"]
    plan["runs"] = [{"label": "mine", "protocol": "controlled", "seed": 4, "added": True}]
    kinds = {pair: answer.kind for pair, answer in added.items() if "nsgan" in pair}
    more = {frozenset((a.first, a.second)): a.kind for a in answer_pairs(study_statistics(results, plan), plan)}
    assert {
        pair: kind for pair, kind in more.items() if "nsgan" in pair
    } == kinds  # seeds of a row alone: as a whole row
    assert kinds == {frozenset(("nsgan", "wgan")): "declared", frozenset(("nsgan", "mine")): "added"}
    assert [answer.p_holm for answer in added.values()] == [answer.p_holm for answer in declared.values()]
