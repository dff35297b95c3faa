"""The same entries in two studies: which scores changed by more than the seeds' noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.statistics.arms import NEVER_RANKS, Arm, Better, Test, ranking_direction, trials, untested
from bench.statistics.baseline import Verdict
from bench.statistics.intervals import ALPHA
from bench.statistics.significance import difference_interval, holm, permutation_tests
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
    tested = [index for index, change in enumerate(changes) if not change.unjudged]
    better = ranking_direction(matched[0].first.metric) if matched else None
    if better is None or not tested:
        return changes
    arms = [_arms(matched[index]) for index in tested]
    for index, change in zip(tested, _tested([changes[index] for index in tested], arms, better), strict=True):
        changes[index] = change
    return changes


def _tested(changes: Sequence[Change], arms: Sequence[tuple[Arm, Arm]], better: Better) -> list[Change]:
    # The second study comes first, so that a verdict is of it.
    chosen = trials([(second, first) for first, second in arms], better)
    by_ranks = iter(permutation_tests([(found.first, found.second) for found in chosen if not found.welch]))
    p_values = [found.welch.p if found.welch else next(by_ranks).p for found in chosen]
    adjusted = holm([*p_values, *[1.0] * (changes[0].family - len(changes))])
    return [
        replace(
            change,
            test=found.test,
            p=p,
            p_holm=float(p_holm),
            verdict=("better" if found.first_is_better else "worse") if p_holm <= ALPHA else "undecided",
        )
        for change, found, p, p_holm in zip(changes, chosen, p_values, adjusted[: len(changes)], strict=True)
    ]


def _described(cell: Matched, family: int, judged: bool) -> Change:
    first, second = cell.first, cell.second
    barred = cell.refused or cell.repeated
    both = first.mean is not None and second.mean is not None and not barred
    interval = difference_interval(second.scores, first.scores) if both else None
    why = barred or ("" if judged else "descriptive") or _undirected(first.metric) or untested(*_arms(cell))
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
        family=family if judged and not barred else 0,
    )


def _arms(cell: Matched) -> tuple[Arm, Arm]:
    first, second = cell.first, cell.second
    return replace(first.arm, label=f"{first.label} in A"), replace(second.arm, label=f"{second.label} in B")


def _undirected(metric: str) -> str:
    return "" if ranking_direction(metric) else NEVER_RANKS
