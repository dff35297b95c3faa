"""What a study's seeds cannot decide: pairs that ranks could not tell apart, lost runs, and many tables on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

from bench.statistics.arms import Arm, pooled_ranks, probability_of_improvement, ranking_direction
from bench.statistics.baseline import Comparison
from bench.statistics.intervals import ALPHA, SEEDS_FOR_VERDICT
from bench.statistics.pairs import Pair
from bench.statistics.significance import holm, smallest_permutation_p
from bench.statistics.summary import Summary


@dataclass(frozen=True)
class Limit:
    """One tested comparison, with what its seeds could have decided at all and what holds over the whole page.

    `kind` is "baseline" (a row of comparisons.csv, `first` against the baseline `second`) or "pair" (of pairs.csv);
    `test`, `p`, `p_holm`, `family` and `decided` are that table's. `separated` means that every run of one is better
    than every run of the other, lost runs worst: no other scores could speak more clearly to a test of ranks.

    `smallest_p` is the least p such a test can give with these numbers of runs and ties, `smallest_p_holm` the same at
    Holm's first step in this family. Where that exceeds ALPHA, no ranks whatever decide, and `seeds_for_ranks` is the
    number per entry from which they could.

    `p_page` is p corrected by Holm over `page_family`: all comparisons of this kind, of all the protocols on the page.
    No verdict uses it; `decided_on_page` tells whether the verdict would stand if it did.
    """

    protocol: str
    metric: str
    kind: Literal["baseline", "pair"]
    first: str
    second: str
    test: str
    p: float
    p_holm: float
    family: int
    decided: bool
    separated: bool
    smallest_p: float
    smallest_p_holm: float
    ranks_could_decide: bool
    seeds_for_ranks: int
    page_family: int
    p_page: float
    decided_on_page: bool


@dataclass(frozen=True)
class AfterLoss:
    """What a number of seeds can still decide about a row of which a run was lost, when ranks take Welch's place.

    `smallest_p` is that of ranks at so many planned `seeds` per row. For the `comparisons` with the baseline and for
    all `pairs` of the table's rows: whether it can pass Holm's first step, and from how many seeds it can.
    """

    rows: int
    seeds: int
    comparisons: int
    pairs: int
    smallest_p: float
    baseline_possible: bool
    pairs_possible: bool
    seeds_for_baseline: int
    seeds_for_pairs: int


def fewest_seeds_for_ranks(alpha: float = ALPHA) -> int:
    """Return from how many seeds per arm an exact two-sided permutation test can reach `alpha` at all."""
    seeds = 1
    while _least_p(seeds) > alpha:
        seeds += 1
    return seeds


def after_loss(rows: int, seeds: int) -> AfterLoss:
    """Return what `seeds` runs of each of two or more rows can still decide once one was lost.

    The baseline's own loss reaches every comparison with it; another row's reaches its own.
    """
    comparisons, pairs, least = rows - 1, comb(rows, 2), _least_p(seeds)
    for_baseline, for_pairs = (
        max(SEEDS_FOR_VERDICT, fewest_seeds_for_ranks(ALPHA / family)) for family in (comparisons, pairs)
    )
    return AfterLoss(
        rows=rows,
        seeds=seeds,
        comparisons=comparisons,
        pairs=pairs,
        smallest_p=least,
        baseline_possible=seeds >= for_baseline,
        pairs_possible=seeds >= for_pairs,
        seeds_for_baseline=for_baseline,
        seeds_for_pairs=for_pairs,
    )


def limits(summaries: Sequence[Summary], comparisons: Sequence[Comparison], pairs: Sequence[Pair]) -> list[Limit]:
    """Return a row for each comparison and each pair that was tested, in the order of their tables."""
    arms = {(s.protocol, s.label): s.arm for s in summaries if s.role == "primary"}
    sizes = Counter(pair.protocol for pair in pairs)
    against = [
        _Case(c.protocol, c.metric, "baseline", c.label, c.baseline, c.test, c.p, c.p_holm, c.family, _differs(c))
        for c in comparisons
    ]
    between = [
        _Case(p.protocol, p.metric, "pair", p.first, p.second, p.test, p.p, p.p_holm, sizes[p.protocol], bool(p.winner))
        for p in pairs
    ]
    return [*_limits(against, arms), *_limits(between, arms)]


@dataclass(frozen=True)
class _Case:
    """What a comparison with the baseline and a pair have in common."""

    protocol: str
    metric: str
    kind: Literal["baseline", "pair"]
    first: str
    second: str
    test: str
    p: float | None
    p_holm: float | None
    family: int
    decided: bool


def _differs(comparison: Comparison) -> bool:
    return comparison.p_holm is not None and comparison.p_holm <= ALPHA


def _limits(cases: Sequence[_Case], arms: Mapping[tuple[str, str], Arm]) -> list[Limit]:
    """Return the limits of the tested ones of all a page's comparisons of one kind."""
    # As in each protocol's family, a comparison that has no p yet takes part as 1.
    page = holm([1.0 if case.p is None else case.p for case in cases])
    rows = []
    for case, p_page in zip(cases, page.tolist(), strict=True):
        better = ranking_direction(case.metric)
        if case.p is None or case.p_holm is None or better is None:
            continue
        first, second = arms[case.protocol, case.first], arms[case.protocol, case.second]
        least = smallest_permutation_p(*pooled_ranks([first, second], better))
        rows.append(
            Limit(
                protocol=case.protocol,
                metric=case.metric,
                kind=case.kind,
                first=case.first,
                second=case.second,
                test=case.test,
                p=case.p,
                p_holm=case.p_holm,
                family=case.family,
                decided=case.decided,
                separated=probability_of_improvement(first, second, better) in (0.0, 1.0),
                smallest_p=least,
                smallest_p_holm=min(1.0, least * case.family),
                ranks_could_decide=least * case.family <= ALPHA,
                seeds_for_ranks=max(SEEDS_FOR_VERDICT, fewest_seeds_for_ranks(ALPHA / case.family)),
                page_family=len(cases),
                p_page=p_page,
                decided_on_page=case.decided and p_page <= ALPHA,
            )
        )
    return rows


def _least_p(seeds: int) -> float:
    """Return the least two-sided p of an exact permutation test of two arms of so many runs, without ties."""
    return min(1.0, 2 / comb(2 * seeds, seeds))
