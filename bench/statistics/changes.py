"""The same entries in two studies: which scores changed by more than the seeds' noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.statistics.arms import NEVER_RANKS, Arm, Test, ranking_direction, untested
from bench.statistics.baseline import Verdict, verdict_of
from bench.statistics.families import Judged, judge_family
from bench.statistics.significance import difference_interval
from bench.statistics.summary import Summary


@dataclass(frozen=True)
class Change:
    """One entry's metric in a second study (B) against a first (A).

    Means are over the runs that have a score; `first_basis` and `second_basis` say so where these are not all planned
    ones. `difference` is B's mean less A's with Welch's 95 % interval. `test`, `p`, `p_holm` and `verdict` (of B) are
    as in `Comparison`; the `family` is every row compared on this metric, of all protocols. Where `unjudged` says why,
    there is neither p nor verdict; runs that both sides have are no comparison and give no difference either.
    """

    protocol: str
    label: str
    metric: str
    first_planned: int
    first_scored: int
    first_lost: int
    first_basis: str
    first_mean: float | None
    second_planned: int
    second_scored: int
    second_lost: int
    second_basis: str
    second_mean: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    unjudged: str
    family: int = 0
    test: Test = ""
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = ""


@dataclass(frozen=True)
class Matched:
    """One entry's summaries of one metric in both studies.

    `refused` says why the two cannot be compared (values that mean different things), `repeated` why they are no second
    sample (runs that stand on both sides); both "" where they may be tested.
    """

    first: Summary
    second: Summary
    refused: str = ""
    repeated: str = ""


def compare_changes(matched: Sequence[Matched], *, judged: bool) -> list[Change]:
    """Compare entries that two studies share, all on one metric; verdicts only where `judged` (a declared metric).

    Holm's family is every entry that may be tested, missing runs too, so that a verdict stays as they come in. Where a
    planned run of either was lost there is no Welch: the exact permutation of ranks with lost runs last decides.
    """
    family = sum(not (cell.refused or cell.repeated) for cell in matched)
    changes = [_described(cell, family, judged) for cell in matched]
    better = ranking_direction(matched[0].first.metric) if matched else None
    tested = [cell for cell, change in zip(matched, changes, strict=True) if not change.unjudged]
    if better is None or not tested:
        return changes
    # The second study comes first, so that a verdict is of it.
    arms = [(second, first) for first, second in map(_arms, tested)]
    tests = iter(judge_family(arms, family, better))
    return [change if change.unjudged else _decided(change, next(tests)) for change in changes]


def _decided(change: Change, test: Judged) -> Change:
    verdict = verdict_of(test, change.second_scored, change.first_scored)
    return replace(change, test=test.test, p=test.p, p_holm=test.p_holm, verdict=verdict)


def _described(cell: Matched, family: int, judged: bool) -> Change:
    first, second = cell.first, cell.second
    incomparable = cell.refused or cell.repeated
    both = first.mean is not None and second.mean is not None and not incomparable
    interval = difference_interval(second.scores, first.scores) if both else None
    why = incomparable or ("" if judged else "descriptive") or _undirected(first.metric) or untested(*_arms(cell))
    return Change(
        protocol=first.protocol,
        label=first.label,
        metric=first.metric,
        first_planned=first.planned,
        first_scored=len(first.values),
        first_lost=first.arm.lost,
        first_basis=first.basis,
        first_mean=first.mean,
        second_planned=second.planned,
        second_scored=len(second.values),
        second_lost=second.arm.lost,
        second_basis=second.basis,
        second_mean=second.mean,
        difference=second.mean - first.mean if both and second.mean is not None and first.mean is not None else None,
        difference_low=interval[0] if interval else None,
        difference_high=interval[1] if interval else None,
        unjudged=why,
        family=family if judged and not incomparable else 0,
    )


def _arms(cell: Matched) -> tuple[Arm, Arm]:
    first, second = cell.first, cell.second
    return replace(first.arm, label=f"{first.label} in A"), replace(second.arm, label=f"{second.label} in B")


def _undirected(metric: str) -> str:
    return "" if ranking_direction(metric) else NEVER_RANKS
