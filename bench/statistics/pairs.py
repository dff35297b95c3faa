"""All pairs of entries: how often a run of one beats one of the other, and which pairs these seeds tell apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from bench.errors import BenchError, suggest
from bench.statistics.arms import (
    Arm,
    Better,
    Test,
    attainable_step,
    probability_of_improvement,
    ranking_direction,
    untested,
)
from bench.statistics.families import Judged, judge_family
from bench.statistics.significance import games_howell_interval
from bench.statistics.summary import Summary, twins_of


@dataclass(frozen=True)
class Pair:
    """Two entries under one protocol on the primary metric, over all their planned runs.

    `probability` is that a run of `first` is better than one of `second`, over pairs of runs, equal ones half, lost
    ones worst; it moves in steps of `probability_step`. None where runs are missing.
    `difference` is first's mean less second's, with its simultaneous interval by Games and Howell, where no run was
    lost. `winner` is the better one's label where both that interval and Holm's correction over all the protocol's
    pairs (of Welch's test, or of ranks where a run was lost) tell them apart; "" where these seeds do not.
    `untested` says why there is no test.
    """

    protocol: str
    metric: str
    first: str
    second: str
    probability: float | None = None
    probability_step: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    test: Test = ""
    p: float | None = None
    p_holm: float | None = None
    winner: str = ""
    untested: str = ""


def compare_pairs(
    summaries: Sequence[Summary], without: Collection[str] = (), better: Better | None = None
) -> list[Pair]:
    """Compare every pair of entries on the primary metric, within each protocol; nothing for a metric that never ranks.

    Labels in `without` (an A/A arm) take no part. Both corrections count every planned entry, so that what is told
    apart stays so as missing runs come in. `better` says which way the metric is better, where the catalogue does not
    know it.
    """
    primary = [s for s in summaries if s.role == "primary" and s.label not in without]
    better = better or (ranking_direction(primary[0].metric) if primary else None)
    if better is None:
        return []
    pairs: list[Pair] = []
    for protocol in dict.fromkeys(s.protocol for s in primary):
        rows = [s for s in primary if s.protocol == protocol]
        described = [
            _described(Pair(protocol, first.metric, first.label, second.label), first.arm, second.arm, better)
            for first, second in combinations(rows, 2)
        ]
        pairs += _tested(described, {row.label: row.arm for row in rows}, better)
    return pairs


def check_pair(plan: Mapping[str, Any], first: str, second: str, *, twins: bool = False) -> None:
    """Raise BenchError where two labels are no pair of the study's rows, or its metric never ranks.

    `twins`: A/A arms count as rows.
    """
    aside = () if twins else twins_of(plan)
    labels = [label for label in dict.fromkeys(entry["label"] for entry in plan["entries"]) if label not in aside]
    for label in (first, second):
        if label not in labels:
            raise BenchError(
                f'Study "{plan["study"]}" has no entry "{label}"{suggest(label, labels)}',
                hint=f"It has {', '.join(labels)}.",
            )
    if first == second:
        raise BenchError(f'"{first}" and "{second}" are one entry', hint="Name two different ones.")
    if ranking_direction(plan["primary_metric"]) is None:
        raise BenchError(f"{plan['primary_metric']} never ranks: no number of seeds decides by it")


def _described(pair: Pair, first: Arm, second: Arm, better: Better) -> Pair:
    if first.missing or second.missing or not (first.planned and second.planned):
        return replace(pair, untested=untested(first, second))
    return replace(
        pair,
        probability=probability_of_improvement(first, second, better),
        probability_step=attainable_step(first, second, better),
        difference=float(first.values.mean() - second.values.mean()) if first.complete and second.complete else None,
        untested=untested(first, second),
    )


def _tested(pairs: list[Pair], arms: Mapping[str, Arm], better: Better) -> list[Pair]:
    """Add tests to the pairs of one protocol."""
    tested = [pair for pair in pairs if not pair.untested]
    judged = iter(judge_family([(arms[pair.first], arms[pair.second]) for pair in tested], len(pairs), better))
    return [pair if pair.untested else _decided(pair, next(judged), arms) for pair in pairs]


def _decided(pair: Pair, judged: Judged, arms: Mapping[str, Arm]) -> Pair:
    """Add a pair's test and, where scores were tested, Games and Howell's interval, which must agree."""
    interval = None
    if judged.welch:
        first, second = arms[pair.first].values, arms[pair.second].values
        interval = games_howell_interval(first, second, judged.welch.freedom, len(arms))
    apart = judged.decided and (interval is None or not interval[0] <= 0 <= interval[1])
    return replace(
        pair,
        difference_low=interval[0] if interval else None,
        difference_high=interval[1] if interval else None,
        test=judged.test,
        p=judged.p,
        p_holm=judged.p_holm,
        winner=(pair.first if judged.first_is_better else pair.second) if apart else "",
    )
