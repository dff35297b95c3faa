"""Comparisons with the baseline: Holm, Welch, permutation, lost and missing runs, A/A; rates of loss and collapse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, FAILED, PLANNED, UNEVALUATED, Fate, study_of
from scipy import stats

from bench.errors import BenchError
from bench.statistics import (
    Comparison,
    compare_same,
    compare_to_baseline,
    holm,
    permutation_tests,
    rate_interval,
    resolve_in_study,
    stability,
    study_statistics,
    summarise,
)

NSGAN = [30.0, 31.0, 29.0, 30.5, 29.4]
FAR = [60.2, 61.1, 59.0, 62.3, 60.5]
NEAR = [30.2, 31.5, 28.8, 30.9, 29.9]


def compared(entries: Mapping[str, Sequence[Fate]], **changes: Any) -> dict[str, Comparison]:
    results, plan = study_of(entries, **changes)
    return {c.label: c for c in compare_to_baseline(summarise(results, plan), plan["baseline"])}


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        # R: p.adjust(p, "holm")
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.01, 0.01, 0.03, 0.04, 0.5], [0.05, 0.05, 0.09, 0.09, 0.5]),
        ([0.6, 0.001, 0.7], [1.0, 0.003, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm_as_r_has_it(raw: list[float], adjusted: list[float]) -> None:
    assert list(holm(raw)) == pytest.approx(adjusted)


def test_holm_rejects_no_less_when_another_p_falls() -> None:
    rng = np.random.default_rng(0)
    for p in rng.uniform(0, 0.1, (200, 6)):
        lower = p * np.where(np.arange(6) == 3, 0.1, 1)
        assert np.all(holm(list(lower)) <= holm(list(p)) + 1e-15)


def test_a_verdict_is_welch_with_holm_over_the_protocols_entries() -> None:
    entries = {"wgan": FAR, "lsgan": NEAR, "ebgan": [28.0, 27.0, 28.5, 27.2, 27.9]}
    found = compared({"nsgan": NSGAN} | entries)
    raw = {label: stats.ttest_ind(values, NSGAN, equal_var=False).pvalue for label, values in entries.items()}
    assert {label: c.p for label, c in found.items()} == pytest.approx(raw)
    assert [c.p_holm for c in found.values()] == pytest.approx(list(holm(list(raw.values()))))
    assert {label: c.verdict for label, c in found.items()} == {
        "wgan": "worse",
        "lsgan": "undecided",
        "ebgan": "better",
    }
    assert {(c.test, c.family, c.role, c.unjudged) for c in found.values()} == {("Welch", 3, "primary", "")}
    assert found["wgan"].difference == pytest.approx(np.mean(FAR) - np.mean(NSGAN))


def test_higher_is_better_turns_the_verdict_around() -> None:
    entries = {"nsgan": [value / 100 for value in NSGAN], "wgan": [value / 100 for value in FAR]}
    assert compared(entries, metric="coverage_lite0")["wgan"].verdict == "better"
    lost = {"nsgan": entries["nsgan"], "wgan": [*entries["wgan"][:4], DIVERGED]}
    # Ranks 1, 2, 3, 4 and 10: Mann and Whitney's U is 5, and 19 of the 252 arrangements have a U of at most 5.
    assert compared(lost, metric="coverage_lite0")["wgan"].p == pytest.approx(2 * 19 / 252)


def test_each_protocol_is_a_family_of_its_own() -> None:
    entries = {"nsgan": NSGAN, "wgan": FAR, "lsgan": NEAR}
    results, plan = study_of(entries, protocols=("controlled", "published"))
    found = compare_to_baseline(summarise(results, plan), "nsgan")
    assert [(c.protocol, c.label, c.family) for c in found] == [
        (protocol, label, 2) for protocol in ("controlled", "published") for label in ("wgan", "lsgan")
    ]


def test_the_permutation_test_says_how_little_it_could_have_said() -> None:
    entries = {"nsgan": NSGAN, "wgan": FAR} | {f"other{i}": NEAR for i in range(5)}
    six = compared(entries)["wgan"]
    assert six.permutation_p == six.permutation_smallest_p == pytest.approx(2 / 252)
    assert (six.permutation_exact, six.family, six.permutation_could_pass) == (True, 6, True)
    seven = compared(entries | {"other5": NEAR})["wgan"]
    assert (seven.family, seven.permutation_could_pass, seven.verdict) == (7, False, "worse")


def test_the_exact_permutation_p_is_that_of_counting() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0, 1, 4), rng.normal(0.5, 1, 3)
    (found,) = permutation_tests([(first, second)])
    pooled, observed = np.concatenate([first, second]), first.mean() - second.mean()
    masks = [m for m in np.ndindex(*[2] * 7) if sum(m) == 4]
    gaps = np.array([pooled[np.array(m) == 1].mean() - pooled[np.array(m) == 0].mean() for m in masks])
    tails = np.mean(gaps <= observed + 1e-12), np.mean(gaps >= observed - 1e-12)
    assert found.p == pytest.approx(min(1.0, 2 * min(tails)))
    assert found.smallest_p == pytest.approx(2 / comb(7, 3))


def test_ties_raise_the_smallest_p_a_permutation_can_reach() -> None:
    tied = [
        (np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 2.0])),
        (np.array([1.0, 2.0, 3.0]), np.array([4.0, 4.0, 4.0])),
    ]
    first, second = permutation_tests(tied)
    # The three lowest are three of four equal ones: 4 ways; the three highest hold 2, 2 and one of four: 4 ways.
    assert first.smallest_p == pytest.approx(2 * 4 / 20)
    assert second.p == second.smallest_p == pytest.approx(2 / 20)
    (flat,) = permutation_tests([(np.ones(5), np.ones(5))])
    assert flat.p == flat.smallest_p == 1.0


def test_beyond_nine_seeds_arrangements_are_drawn_always_the_same_ones() -> None:
    rng = np.random.default_rng(0)
    far, near = (rng.normal(9, 1, 10), rng.normal(0, 1, 10)), (rng.normal(0, 1, 10), rng.normal(0, 1, 10))
    together = permutation_tests([far, near])
    assert together[1:] == permutation_tests([near])
    assert not together[0].exact
    assert together[0].p == pytest.approx(together[0].smallest_p, abs=4e-5)
    assert permutation_tests([(far[0][:9], far[1][:9])])[0].exact


def test_a_lost_run_gives_ranks_instead_of_welch() -> None:
    found = compared({"nsgan": NSGAN, "wgan": [*FAR[:4], DIVERGED], "ebgan": [28.0, 27.0, FAILED, 27.2, 27.9]})
    assert {c.test for c in found.values()} == {"ranks"}
    # Every run of wgan is worse than any of nsgan.
    assert found["wgan"].p == found["wgan"].permutation_p == pytest.approx(2 / 252)
    assert found["wgan"].verdict == "worse"
    assert (found["wgan"].lost, found["wgan"].scored) == (1, 4)
    # Four best and the worst: ranks 1 2 3 4 10, sum 20, and as few as 20 in how many of 252?
    sums = np.array([sum(c) for c in _choices(range(1, 11), 5)])
    assert found["ebgan"].p == pytest.approx(2 * np.mean(sums <= 20))
    assert found["ebgan"].verdict == "undecided"


def _choices(items: Sequence[int], size: int) -> list[tuple[int, ...]]:
    if size == 0:
        return [()]
    return [(item, *rest) for at, item in enumerate(items) for rest in _choices(items[at + 1 :], size - 1)]


def test_lost_runs_share_the_last_ranks() -> None:
    found = compared({"nsgan": [30.0, 31.0, 29.0, 30.5, DIVERGED], "wgan": [FAILED, DIVERGED, DIVERGED, 60.0, 61.0]})
    ranks = [8.5, 8.5, 8.5, 5.0, 6.0], [2.0, 4.0, 1.0, 3.0, 8.5]
    expected = stats.permutation_test(ranks, lambda a, b: np.mean(a) - np.mean(b)).pvalue
    assert found["wgan"].p == pytest.approx(expected)
    everything = compared({"nsgan": [DIVERGED] * 5, "wgan": [FAILED] * 5})["wgan"]
    assert (everything.p, everything.verdict, everything.difference) == (1.0, "undecided", None)
    assert everything.permutation_could_pass is False


def test_missing_runs_withhold_the_verdict_and_only_theirs() -> None:
    entries = {"nsgan": NSGAN, "wgan": [*FAR[:4], PLANNED], "ebgan": FAR, "began": [*FAR[:4], UNEVALUATED]}
    found = compared(entries)
    assert found["wgan"].unjudged == found["began"].unjudged.replace("began", "wgan")
    assert found["wgan"].unjudged == "1 of 5 runs of wgan missing so far"
    assert (found["wgan"].verdict, found["wgan"].p, found["wgan"].permutation_p) == ("", None, None)
    assert found["wgan"].difference is not None
    # The family stays that of the plan: what is judged now is judged no harder later.
    assert (found["ebgan"].verdict, found["ebgan"].family) == ("worse", 3)
    assert found["ebgan"].p_holm == pytest.approx(3 * (found["ebgan"].p or 0))
    waiting = compared(entries | {"nsgan": [*NSGAN[:4], PLANNED]})
    assert {label: re.findall(r"1 of 5 runs of (\w+)", row.unjudged) for label, row in waiting.items()} == {
        "wgan": ["wgan", "nsgan"],
        "ebgan": ["nsgan"],
        "began": ["began", "nsgan"],
    }


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_fewer_than_five_seeds_decide_nothing(seeds: int) -> None:
    found = compared({"nsgan": NSGAN[:seeds], "wgan": FAR[:seeds]})["wgan"]
    assert (found.unjudged, found.verdict, found.p) == ("fewer than 5 seeds", "", None)
    assert (found.difference_low is None) == (seeds < 3)


def test_a_metric_that_never_ranks_gives_no_verdict() -> None:
    found = compared({"nsgan": NSGAN, "wgan": FAR}, metric="fd_judge")["wgan"]
    assert (found.unjudged, found.verdict, found.p) == ("this metric never ranks", "", None)
    assert found.difference is not None


def test_without_a_baseline_row_there_is_no_comparison() -> None:
    assert compared({"lsgan": NSGAN, "wgan": FAR}) == {}


def test_scores_without_spread_go_to_ranks() -> None:
    found = compared({"nsgan": [2.0] * 5, "wgan": [3.0] * 5, "lsgan": [2.0] * 5, "ebgan": NEAR})
    assert (found["wgan"].test, found["wgan"].p) == ("ranks", pytest.approx(2 / 252))
    assert (found["lsgan"].test, found["lsgan"].p, found["lsgan"].verdict) == ("ranks", 1.0, "undecided")
    assert found["ebgan"].test == "Welch"
    assert {c.correlation for c in found.values()} == {None}


def test_scores_that_all_but_agree_are_tested_in_silence() -> None:
    nearly = [2.0, 2.0, 2.0, 2.0, 2.0 + 1e-15]
    found = compared({"nsgan": nearly, "wgan": NEAR, "lsgan": nearly})
    assert (found["wgan"].verdict, found["lsgan"].verdict) == ("worse", "undecided")
    assert found["wgan"].correlation is None


def test_values_that_are_no_numbers_are_missing() -> None:
    found = compared({"nsgan": NSGAN, "wgan": [*FAR[:3], float("nan"), float("inf")]})["wgan"]
    assert found.unjudged == "2 of 5 runs of wgan missing so far"


def test_the_correlation_within_seeds_is_reported_and_changes_no_test() -> None:
    paired = compared({"nsgan": NSGAN, "wgan": [value + 1 for value in NSGAN]})["wgan"]
    assert paired.correlation == pytest.approx(1.0)
    assert paired.shared_seeds == 5
    shuffled = compared({"nsgan": NSGAN, "wgan": [value + 1 for value in reversed(NSGAN)]})["wgan"]
    assert (shuffled.p, shuffled.permutation_p) == pytest.approx((paired.p, paired.permutation_p))
    assert (shuffled.correlation or 0) < 0.9


def test_an_a_a_arm_is_one_labelled_comparison_and_no_row_of_the_table() -> None:
    entries = {"nsgan": NSGAN, "wgan": FAR, "lsgan": NEAR}
    without = study_statistics(*study_of(entries))
    results, plan = study_of(entries | {"nsgan-twin": NEAR}, first_seeds={"nsgan-twin": 5})
    plan["entries"][-1]["same_as"] = "nsgan"
    statistics = study_statistics(results, plan)
    # Nothing that is said of the others depends on whether there is such an arm.
    for table in ("comparisons", "pairs", "standings", "resolutions"):
        assert getattr(statistics, table) == getattr(without, table), table
    assert statistics.summaries[:-1] == without.summaries
    twin = statistics.summaries[-1]
    assert (twin.label, twin.rank, twin.unranked, twin.difference) == ("nsgan-twin", None, "takes no part", None)
    (found,) = statistics.same
    assert (found.role, found.family, found.verdict, found.shared_seeds) == ("a/a", 1, "undecided", 0)
    assert found.p == pytest.approx(stats.ttest_ind(NEAR, NSGAN, equal_var=False).pvalue)
    assert list(statistics.frames()["comparisons"]["role"]) == ["primary", "primary", "a/a"]
    with pytest.raises(BenchError, match='has no entry "nsgan-twin"'):
        resolve_in_study(results, plan, "nsgan", "nsgan-twin")


def test_an_a_a_arm_must_be_the_same_objective_on_other_seeds() -> None:
    rows = {s.label: s for s in summarise(*study_of({"nsgan": NSGAN, "wgan": FAR, "nsgan-again": NEAR}))}
    with pytest.raises(BenchError, match="share the seeds 0, 1, 2, 3, 4"):
        compare_same(rows["nsgan"], rows["nsgan-again"])
    with pytest.raises(BenchError, match="differ in their objective"):
        compare_same(rows["nsgan"], rows["wgan"])


def test_only_the_primary_metric_is_compared() -> None:
    results, plan = study_of({"nsgan": NSGAN, "wgan": FAR})
    assert compare_to_baseline(summarise(results, plan | {"primary_metric": "kid_lite0"}), "nsgan")[0].p is None


def test_rates_have_exact_intervals() -> None:
    # The rule of Clopper and Pearson at 0 of n: 1 - 0.025 ** (1 / n).
    assert rate_interval(0, 5) == pytest.approx((0.0, 1 - 0.025 ** (1 / 5)))
    assert rate_interval(5, 5) == pytest.approx((0.025 ** (1 / 5), 1.0))
    assert rate_interval(1, 5) == pytest.approx((0.00505, 0.71642), abs=1e-5)
    assert rate_interval(0, 0) is None


def test_losses_and_collapses_are_counted_over_what_could_be_judged() -> None:
    entries: dict[str, list[Fate]] = {"nsgan": [*NSGAN[:2], DIVERGED, FAILED, PLANNED], "wgan": [PLANNED] * 5}
    results, plan = study_of(entries, collapsed={("nsgan", 0): True, ("nsgan", 1): None})
    nsgan, wgan = stability(results, plan)
    assert (nsgan.planned, nsgan.done, nsgan.diverged, nsgan.failed, nsgan.judged, nsgan.collapsed) == (
        5,
        2,
        1,
        1,
        1,
        1,
    )
    assert (nsgan.loss_rate, nsgan.collapse_rate) == (0.5, 1.0)
    assert (nsgan.loss_rate_low, nsgan.loss_rate_high) == pytest.approx(rate_interval(2, 4))
    assert (wgan.loss_rate, wgan.loss_rate_low, wgan.collapse_rate) == (None, None, None)
