"""What a study predicted before its runs, and whether these confirm it, refute it or leave it undecided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.metrics.catalogue import metric_info
from bench.runs.registered import predictions_of
from bench.statistics.arms import Arm, Better, badness, untested
from bench.statistics.intervals import ALPHA
from bench.statistics.significance import difference_interval, holm, lower_permutation_p
from bench.statistics.summary import Summary

Answer = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class PredictionResult:
    """One prediction and its answer.

    `p_confirm` is the one-sided p of the null hypothesis that the prediction is false, `p_refute` of the one that it is
    true; `p_holm` is twice the smaller one, adjusted by Holm over all the predictions of the plan. At 5 % it decides;
    the smaller of the two says which way. `difference` is the row's mean less the other's, with Welch's 95 % interval;
    None for a prediction about all rows. `open_because` says why there is no test so far.
    """

    number: int
    protocol: str
    row: str
    outcome: str
    than: str
    metric: str
    margin: float | None
    because: str
    answer: Answer = "undecided"
    p_confirm: float | None = None
    p_refute: float | None = None
    p_holm: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    open_because: str = ""


def judge_predictions(
    plan: Mapping[str, Any], summaries: Sequence[Summary], without: Collection[str] = ()
) -> list[PredictionResult]:
    """Answer every prediction of a plan. Labels in `without` (an A/A arm) are no rows, nor are those added by hand.

    Each is tested once in each direction. "best" and "worst" are confirmed where every other row differs in the
    predicted direction (an intersection-union test: the largest p, Berger 1982, Technometrics 24, 295-300) and refuted
    where any differs in the other (Bonferroni over them). "not better" is a test of non-inferiority with the margin.
    """
    predicted = predictions_of(plan)
    without = {*without, *(entry["label"] for entry in plan["entries"] if entry.get("added"))}
    tested = [_tested(number, one, plan, summaries, without) for number, one in enumerate(predicted, start=1)]
    smaller = [min(1.0, 2 * min(_p(one.p_confirm), _p(one.p_refute))) for one in tested]
    return [
        one if one.open_because else replace(one, p_holm=float(p), answer=_answer(one, float(p)))
        for one, p in zip(tested, holm(smaller), strict=True)
    ]


def _p(value: float | None) -> float:
    return 1.0 if value is None else value


def _answer(result: PredictionResult, p_holm: float) -> Answer:
    if p_holm > ALPHA:
        return "undecided"
    return "confirmed" if _p(result.p_confirm) < _p(result.p_refute) else "refuted"


def _tested(
    number: int,
    predicted: Mapping[str, Any],
    plan: Mapping[str, Any],
    summaries: Sequence[Summary],
    without: Collection[str],
) -> PredictionResult:
    """Return a prediction with its two p values, or with the reason why it has none."""
    metric, protocol, outcome = (
        predicted["metric"] or plan["primary_metric"],
        predicted["protocol"],
        predicted["outcome"],
    )
    negative = outcome.startswith("not ")
    result = PredictionResult(
        number=number,
        protocol=protocol,
        row=predicted["row"],
        outcome=outcome,
        than=predicted["than"] or "",
        metric=metric,
        margin=predicted["margin"] if negative else None,
        because=predicted["because"],
    )
    arms = {
        s.label: s.arm
        for s in summaries
        if (s.metric, s.protocol) == (metric, protocol) and s.role != "other" and s.label not in without
    }
    others = [predicted["than"]] if predicted["than"] else [label for label in arms if label != result.row]
    better = _better(metric)
    if better is None:
        return replace(result, open_because=f"{metric} is better in neither direction")
    if result.row not in arms or not others or not set(others) <= arms.keys():
        return replace(result, open_because="not measured so far")
    row, against = arms[result.row], [arms[label] for label in others]
    why = [reason for other in against if (reason := untested(row, other))]
    if why:
        return replace(result, open_because=why[0])
    confirm, refute = _two_sides(row, against, outcome, better, predicted["margin"])
    if not predicted["than"]:
        return replace(result, p_confirm=confirm, p_refute=refute)
    interval = difference_interval([score for _, score in row.scores], [score for _, score in against[0].scores])
    return replace(
        result,
        p_confirm=confirm,
        p_refute=refute,
        difference=float(row.values.mean() - against[0].values.mean()) if row.scores and against[0].scores else None,
        difference_low=interval[0] if interval else None,
        difference_high=interval[1] if interval else None,
    )


def _two_sides(row: Arm, others: Sequence[Arm], outcome: str, better: Better, share: float) -> tuple[float, float]:
    """Return the one-sided p values against the prediction being false, and against its being true."""
    if outcome in ("best", "worst"):
        wins = [p_better(row, other, better) for other in others]
        losses = [p_better(other, row, better) for other in others]
        with_it, against_it = (wins, losses) if outcome == "best" else (losses, wins)
        return max(with_it), min(1.0, len(others) * min(against_it))
    other = others[0]
    if outcome == "better":
        return p_better(row, other, better), p_better(other, row, better)
    if outcome == "worse":
        return p_better(other, row, better), p_better(row, other, better)
    margin = share * abs(float(other.values.mean())) if other.scores else 0.0
    if outcome == "not better":  # by more than the margin
        return p_better(other, row, better, by=-margin), p_better(row, other, better, by=margin)
    return p_better(row, other, better, by=-margin), p_better(other, row, better, by=margin)


def p_better(first: Arm, second: Arm, better: Better, by: float = 0.0) -> float:
    """Return the one-sided p of the null hypothesis that `first` is not better than `second` by more than `by`.

    Welch's t where every planned run has a score and any of them varies, else a permutation of ranks with lost runs
    last, exact up to 9 against 9 runs. `by` may be negative.
    """
    one, other = badness(first, better) + by, badness(second, better)
    if first.complete and second.complete and (np.ptp(one) > 0 or np.ptp(other) > 0):
        return float(stats.ttest_ind(one, other, equal_var=False, alternative="less").pvalue)
    ranks = stats.rankdata(np.concatenate([one, other]))
    return lower_permutation_p(ranks[: len(one)], ranks[len(one) :])


def _better(metric: str) -> Better | None:
    try:
        return metric_info(metric).better
    except BenchError:
        return None
