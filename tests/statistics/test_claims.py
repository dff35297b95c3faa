"""Claims: supported, refuted or undecided, with known answers and the error rate that is stated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.config.arms import ArmName
from bench.config.claims import Claim
from bench.statistics.arms import Arm
from bench.statistics.claims import REPEATABILITY, ClaimResult, Compared, compare, decided, joined_result

OF, THAN = ArmName("s", "a", "controlled"), ArmName("s", "b", "controlled")
GOOD = [10.0, 11.0, 9.5, 10.5, 10.2, 9.8]
ALIKE = [10.1, 10.9, 9.6, 10.4, 10.3, 9.7]
FILES = 150
POOR = [20.0, 21.0, 19.5, 20.5, 20.4, 19.8]


def claim(**keys: Any) -> Claim:
    given = {"id": "c", "text": "T", "source": "S", "of": ("a",), "measure": "fd_judge", "direction": "lower"}
    given |= {} if "level" in keys else {"than": "b"}
    return Claim(**(given | keys))


def arm(values: list[float], label: str = "a", lost: int = 0, missing: int = 0, first_seed: int = 0) -> Arm:
    scores = tuple(enumerate(values, start=first_seed))
    return Arm(label, scores, len(values) + lost + missing, lost)


def of_pair(one: Claim, first: Arm, second: Arm | None, spread: float | None = None) -> Compared:
    return compare(one, OF, THAN if second else None, first, second, spread)


def answer(*compared: Compared, of: Claim) -> ClaimResult:
    (result,) = decided([joined_result(of, compared)])
    return result


@pytest.mark.parametrize(
    ("keys", "first", "second", "verdict"),
    [
        ({}, GOOD, POOR, "supported"),
        ({}, POOR, GOOD, "refuted"),
        ({}, GOOD, ALIKE, "undecided"),
        ({"direction": "higher"}, POOR, GOOD, "supported"),
        ({"direction": "higher"}, GOOD, POOR, "refuted"),
        ({"direction": "same", "tolerance": 1.0}, GOOD, ALIKE, "supported"),
        ({"direction": "same", "tolerance": 1.0}, GOOD, POOR, "refuted"),
        ({"direction": "same", "tolerance": 0.01}, GOOD, ALIKE, "undecided"),
        ({"refuted_by": "no difference", "tolerance": 1.0}, GOOD, ALIKE, "refuted"),
        ({"refuted_by": "no difference", "tolerance": 1.0}, GOOD, POOR, "supported"),
        ({"refuted_by": "no difference", "tolerance": 0.01}, GOOD, ALIKE, "undecided"),
    ],
)
def test_an_arm_against_another(keys: dict[str, Any], first: list[float], second: list[float], verdict: str) -> None:
    one = claim(**keys)
    compared = of_pair(one, arm(first), arm(second, "b"))
    result = answer(compared, of=one)
    assert (result.verdict, compared.test, result.open_because) == (verdict, "paired t", "")
    gaps = np.subtract(first, second)
    assert compared.difference == pytest.approx(gaps.mean())
    expected = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (compared.low, compared.high) == pytest.approx((expected.low, expected.high))


def test_of_one_directed_claim_p_is_the_two_sided_paired_test() -> None:
    one = claim()
    result = answer(of_pair(one, arm(GOOD), arm(ALIKE, "b")), of=one)
    assert result.p_holm == pytest.approx(stats.ttest_rel(GOOD, ALIKE).pvalue)


@pytest.mark.parametrize(
    ("keys", "values", "verdict"),
    [
        ({"level": 15.0}, GOOD, "supported"),
        ({"level": 15.0}, POOR, "refuted"),
        ({"level": 10.2}, GOOD, "undecided"),
        ({"level": 10.0, "direction": "same", "tolerance": 2.0}, GOOD, "supported"),
        ({"level": 10.0, "direction": "same", "tolerance": 2.0}, POOR, "refuted"),
    ],
)
def test_an_arm_against_a_number(keys: dict[str, Any], values: list[float], verdict: str) -> None:
    one = claim(**keys)
    compared = of_pair(one, arm(values), None)
    assert (answer(compared, of=one).verdict, compared.test) == (verdict, "t")
    assert compared.difference == pytest.approx(np.mean(values) - keys["level"])


def test_arms_on_other_seeds_are_two_samples() -> None:
    compared = of_pair(claim(), arm(GOOD), arm(POOR, "b", first_seed=100))
    assert compared.test == "Welch"
    expected = stats.ttest_ind(GOOD, POOR, equal_var=False, alternative="less")
    assert compared.p_support == pytest.approx(expected.pvalue)
    assert compared.p_refute == pytest.approx(1 - expected.pvalue)


def test_lost_runs_rank_last_and_where_no_value_is_the_worst_nothing_is_decided() -> None:
    six = [10.0, 11.0, 9.5, 10.5, 10.2, 9.8, 10.6, 9.9]
    lost = of_pair(claim(), arm(six), arm(six[:3], "b", lost=5))
    assert lost.test == "ranks"
    assert 0 < (lost.p_support or 1) < 0.1 < (lost.p_refute or 0)
    both = of_pair(claim(), arm(six), arm([], "b", lost=8))
    assert answer(both, of=claim()).verdict == "supported"
    assert both.difference is None
    higher = claim(measure="coverage_judge", direction="higher")
    assert (of_pair(higher, arm(six), arm([], "b", lost=8)).p_support or 1) < 0.001
    border = of_pair(claim(measure="border_mean"), arm(six), arm(six[:7], "b", lost=1))
    assert border.open_because
    assert border.p_support is None
    against = of_pair(claim(level=15.0), arm(six[:7], lost=1), None)
    assert (against.test, against.p_support) == ("signs", pytest.approx(9 / 256))


def test_too_few_seeds_and_missing_runs_decide_nothing() -> None:
    few = of_pair(claim(), arm(GOOD[:4]), arm(POOR[:4], "b"))
    assert "5 seeds" in few.open_because
    assert few.difference == pytest.approx(-10.0)
    missing = of_pair(claim(), arm(GOOD), arm(POOR[:5], "b", missing=1))
    assert "1 of 6" in missing.open_because
    alone = of_pair(claim(level=15.0), arm(GOOD[:5], missing=1), None)
    assert "1 of 6" in alone.open_because
    for one in (few, missing, alone):
        result = answer(one, of=claim())
        assert (result.verdict, result.p_holm) == ("undecided", None)


def test_the_tolerance_is_the_spread_of_equals_where_the_claim_says_none() -> None:
    one = claim(direction="same")
    compared = of_pair(one, arm(GOOD), arm(ALIKE, "b"), spread=0.5)
    assert compared.tolerance == pytest.approx(REPEATABILITY * 0.5) == pytest.approx(1.386, abs=1e-3)
    assert answer(compared, of=one).verdict == "supported"
    assert of_pair(one, arm(GOOD), arm(ALIKE, "b")).open_because
    assert of_pair(claim(), arm(GOOD), arm(ALIKE, "b"), spread=0.5).tolerance is None
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 3, (2, 100_000))
    assert np.mean(np.abs(first - second) < REPEATABILITY * 3) == pytest.approx(0.95, abs=0.003)


def test_shares_of_runs_are_compared_exactly() -> None:
    one = claim(measure="collapsed")
    compared = of_pair(one, arm([0.0] * 8), arm([1.0] * 8, "b"))
    assert compared.p_support == pytest.approx(1 / 12_870)
    assert compared.test == "Fisher"
    assert (compared.difference, answer(compared, of=one).verdict) == (-1.0, "supported")
    assert -1 <= (compared.low or 0) < (compared.high or 0) < 0
    level = of_pair(claim(measure="collapsed", level=0.5), arm([0.0] * 8), None)
    assert (level.test, level.p_support) == ("binomial", pytest.approx(0.5**8))


def test_a_claim_about_several_arms_must_hold_for_each() -> None:
    one = claim(of=("a", "c"))
    good, poor = (of_pair(one, arm(values), arm([15.0, 15.3, 14.8, 15.1, 14.9, 15.2], "b")) for values in (GOOD, POOR))
    assert answer(good, good, of=one).verdict == "supported"
    mixed = answer(good, poor, of=one)
    assert mixed.verdict == "refuted"
    assert mixed.deciding is poor
    assert mixed.p_refute == pytest.approx(2 * (poor.p_refute or 0))
    open_one = of_pair(one, arm(GOOD[:5], missing=1), arm(POOR, "b"))
    assert answer(good, open_one, of=one).open_because


def test_equal_values_in_every_run_are_counted_by_sign() -> None:
    compared = of_pair(claim(measure="follows.discriminator", direction="higher", level=0.5), arm([1.0] * 8), None)
    assert (compared.test, compared.p_support) == ("signs", pytest.approx(0.5**8))


def test_all_claims_of_the_file_share_one_error_rate() -> None:
    """Six claims without a difference and one at the edge of its tolerance: a wrong verdict in at most 5 % of files."""
    rng = np.random.default_rng(1)
    directed = [claim(), claim(direction="higher")] * 3
    wrong = 0
    for _ in range(FILES):
        results = []
        for one in directed:
            first, second = (arm(rng.normal(100, 5, 8).tolist(), label) for label in "ab")
            results.append(joined_result(one, [of_pair(one, first, second)]))
        same = claim(direction="same", tolerance=5.0)  # the difference is just as large: neither true nor false
        first, second = arm(rng.normal(105, 5, 8).tolist()), arm(rng.normal(100, 5, 8).tolist(), "b")
        results.append(joined_result(same, [of_pair(same, first, second)]))
        wrong += any(result.verdict != "undecided" for result in decided(results))
    assert wrong <= 0.05 * FILES + 3 * np.sqrt(FILES * 0.05 * 0.95)


def test_other_claims_make_a_verdict_harder() -> None:
    near = [value + gap for value, gap in zip(GOOD, [0.9, 1.3, 0.4, 1.1, 0.2, 1.0], strict=True)]
    one = claim()
    alone = answer(of_pair(one, arm(GOOD), arm(near, "b")), of=one)
    assert alone.verdict == "supported"
    others = [joined_result(one, [of_pair(one, arm(GOOD), arm(ALIKE, "b"))]) for _ in range(20)]
    first, *_ = decided([joined_result(one, alone.compared), *others])
    assert first.verdict == "undecided"
    assert first.p_holm == pytest.approx(21 * (alone.p_holm or 0))
