"""Predictions: confirmed, refuted or undecided, with the error rates that are claimed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, PLANNED, Fate, study_of
from scipy import stats

from bench.statistics.arms import Arm
from bench.statistics.predictions import PredictionResult, judge_predictions, p_better
from bench.statistics.summary import summarise

GOOD = [10.0, 11.0, 9.5, 10.5, 10.2, 9.8]
SAME = [10.1, 10.9, 9.6, 10.4, 10.3, 9.7]
POOR = [20.0, 21.0, 19.5, 20.5, 20.2, 19.8]


def predicted(row: str, outcome: str, than: str | None = None, margin: float = 0.05) -> dict[str, Any]:
    return {
        "row": row,
        "outcome": outcome,
        "than": than,
        "metric": None,
        "protocol": "controlled",
        "margin": margin,
        "because": "",
    }


def judged(entries: dict[str, Sequence[Fate]], *predictions: dict[str, Any]) -> list[PredictionResult]:
    results, plan = study_of(entries, baseline=next(iter(entries)))
    plan["predictions"] = [{"registered": "2026-01-01", "finished_runs": 0, "predictions": list(predictions)}]
    return judge_predictions(plan, summarise(results, plan))


@pytest.mark.parametrize(
    ("prediction", "answer"),
    [
        (predicted("nsgan", "better", "vae"), "confirmed"),
        (predicted("nsgan", "worse", "vae"), "refuted"),
        (predicted("vae", "better", "nsgan"), "refuted"),
        (predicted("nsgan", "better", "twin"), "undecided"),
        (predicted("vae", "worst"), "confirmed"),
        (predicted("vae", "best"), "refuted"),
        (predicted("nsgan", "best"), "undecided"),  # twin is as good
        (predicted("nsgan", "worst"), "refuted"),  # vae is worse, which is enough
        (predicted("vae", "not better", "nsgan"), "confirmed"),
        (predicted("nsgan", "not better", "vae"), "refuted"),
        (predicted("twin", "not better", "nsgan", margin=0.2), "confirmed"),
        (predicted("twin", "not worse", "nsgan", margin=0.2), "confirmed"),
        (predicted("twin", "not better", "nsgan", margin=0.001), "undecided"),
    ],
)
def test_each_kind_of_prediction_is_answered(prediction: dict[str, Any], answer: str) -> None:
    [result] = judged({"nsgan": GOOD, "twin": SAME, "vae": POOR}, prediction)
    assert result.answer == answer
    assert (result.difference is None) == (prediction["than"] is None)


def test_a_prediction_is_undecided_while_runs_are_missing() -> None:
    [result] = judged({"nsgan": GOOD, "vae": [*POOR[:-1], PLANNED]}, predicted("vae", "worst"))
    assert (result.answer, result.p_holm) == ("undecided", None)
    assert "vae" in result.open_because


def test_rows_added_by_hand_have_no_part_in_what_was_predicted() -> None:
    results, plan = study_of({"nsgan": GOOD, "vae": POOR, "mine": [score / 2 for score in GOOD]})
    plan["predictions"] = [{"predictions": [predicted("nsgan", "best")]}]
    assert judge_predictions(plan, summarise(results, plan))[0].answer == "refuted"
    plan["entries"][-1]["added"] = True
    assert judge_predictions(plan, summarise(results, plan))[0].answer == "confirmed"


def test_lost_runs_count_as_the_worst() -> None:
    lost = [*GOOD[:1], *[DIVERGED] * 5]
    [result] = judged({"nsgan": GOOD, "wgan": lost}, predicted("wgan", "worse", "nsgan"))
    assert result.answer == "confirmed"
    assert result.p_confirm == pytest.approx(7 / 924 / 1, rel=0.9)


def test_open_predictions_count_in_the_correction() -> None:
    one = judged({"nsgan": GOOD, "vae": POOR}, predicted("vae", "worse", "nsgan"))
    two = judged({"nsgan": GOOD, "vae": POOR}, predicted("vae", "worse", "nsgan"), predicted("began", "worst"))
    assert two[1].open_because
    assert one[0].p_holm is not None
    assert two[0].p_holm == pytest.approx(2 * one[0].p_holm)


def test_p_is_welchs_one_sided_one() -> None:
    first, second = (Arm(label, tuple(enumerate(values)), 6) for label, values in (("a", GOOD), ("b", SAME)))
    assert p_better(first, second, "lower") == pytest.approx(
        stats.ttest_ind(GOOD, SAME, equal_var=False, alternative="less").pvalue
    )
    assert p_better(first, second, "lower") + p_better(second, first, "lower") == pytest.approx(1.0)
    assert p_better(first, second, "higher") == pytest.approx(p_better(second, first, "lower"))


@pytest.mark.parametrize(
    ("outcome", "shift", "wrong"),
    [
        ("better", 0.0, {"confirmed", "refuted"}),
        ("best", 0.0, {"confirmed", "refuted"}),
        ("not better", -5.0, {"confirmed"}),  # exactly the margin of 5 % better: to confirm is wrong
        ("not better", 0.0, {"refuted"}),
    ],
)
def test_wrong_answers_stay_below_five_percent(outcome: str, shift: float, wrong: set[str]) -> None:
    draw, trials, errors = np.random.default_rng(1), 120, 0
    for _ in range(trials):
        row, other, third = draw.normal(100.0, 10.0, (3, 6))
        than = None if outcome == "best" else "nsgan"
        entries = {"nsgan": list(other), "row": list(row + shift), "third": list(third)}
        [result] = judged(entries, predicted("row", outcome, than))
        errors += result.answer in wrong
    assert stats.binomtest(errors, trials, 0.05, alternative="greater").pvalue > 0.001
