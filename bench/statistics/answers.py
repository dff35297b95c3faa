"""Any two rows, answered once: which signals there are on a pair, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from bench.errors import BenchError
from bench.statistics.arms import Arm, Better, Test, ranking_direction, untested
from bench.statistics.baseline import Comparison
from bench.statistics.intervals import ALPHA, SEEDS_FOR_VERDICT
from bench.statistics.limits import fewest_seeds_for_ranks
from bench.statistics.pairs import Pair, check_pair
from bench.statistics.power import fewest_seeds
from bench.statistics.study import StudyStatistics
from bench.statistics.summary import Summary, twins_of

Kind = Literal["declared", "added", "exploratory", "a/a"]
Outcome = Literal["better", "undecided", "lost", "none finished", "same", "unjudged"]


@dataclass(frozen=True)
class Answer:
    """Two rows under one protocol on the primary metric.

    `kind`: "declared" before running (a row of bench.toml and the baseline), "added" (one of the two, or seeds of one,
    were added by hand, maybe after a look at results; the same family of tests), "exploratory" (any other pair) or
    "a/a" (the baseline and its twin). `outcome`: `ahead` is "better"; or "undecided"; "lost", where no run of one
    finished and `ahead` is the other; "none finished"; "same" scores to the last bit; or "unjudged", for the reason
    `why`. `ahead` is the row with the better mean (mean rank where a run was lost and ranks decide), "" where there is
    none.

    `difference` is first's mean less second's, over the runs that have a score, with an interval at 95 %: Welch's for
    a pair with the baseline, which holds for one comparison and excludes zero wherever Holm's correction decides;
    Games and Howell's (`simultaneous`) for an exploratory one, which must exclude zero too before that is better.
    `p` is uncorrected, `p_holm` corrected over the `family` of comparisons. `permutation_p`, uncorrected, is given for
    pairs with the baseline, and `permutation_smallest_p` is the least it could be.

    `ahead_on` of `shared` seeds that both have a score of, `ahead` has the better one. `own_intervals` tells whether
    the intervals of the two means, as a figure shows them, overlap. `tie_groups`: whether the groups, corrected over
    all pairs, have them "apart" or "together"; "" where a row has no group. `twin_difference` is that of the A/A pair,
    which chance alone makes, `twin_reach` how far its interval does. `seeds_needed` per row would decide an undecided
    pair 80 times in 100, were its gap and spreads what they have been so far (ranks: could decide at all); None beyond
    MOST_SEEDS.
    """

    protocol: str
    metric: str
    first: str
    second: str
    kind: Kind
    outcome: Outcome
    better: Better
    family: int
    first_planned: int
    first_scored: int
    first_lost: int
    second_planned: int
    second_scored: int
    second_lost: int
    ahead: str = ""
    why: str = ""
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    simultaneous: bool = False
    test: Test = ""
    p: float | None = None
    p_holm: float | None = None
    permutation_p: float | None = None
    permutation_smallest_p: float | None = None
    ahead_on: int = 0
    shared: int = 0
    own_intervals: Literal["", "overlap", "apart"] = ""
    tie_groups: Literal["", "apart", "together"] = ""
    twin_difference: float | None = None
    twin_reach: float | None = None
    seeds_needed: int | None = None

    @property
    def behind(self) -> str:
        """Return the row that is not `ahead`."""
        return self.second if self.ahead == self.first else self.first

    @property
    def with_baseline(self) -> bool:
        """Return whether the pair is one of the family of comparisons with the baseline."""
        return self.kind in ("declared", "added")

    def turned(self) -> Answer:
        """Return the same answer with `first` and `second` in each other's place."""
        low, high = self.difference_low, self.difference_high
        return replace(
            self,
            first=self.second,
            second=self.first,
            first_planned=self.second_planned,
            second_planned=self.first_planned,
            first_scored=self.second_scored,
            second_scored=self.first_scored,
            first_lost=self.second_lost,
            second_lost=self.first_lost,
            difference=None if self.difference is None else -self.difference,
            difference_low=None if high is None else -high,
            difference_high=None if low is None else -low,
        )

    @property
    def advantage(self) -> tuple[float, float | None, float | None] | None:
        """Return by how much `ahead` is better and the ends of that interval: positive where it is."""
        if self.difference is None:
            return None
        if self.difference_low is None or self.difference_high is None:
            return abs(self.difference), None, None
        ends = (self.difference_low, self.difference_high)
        return abs(self.difference), *(ends if self.difference > 0 else (-ends[1], -ends[0]))


def answer_pairs(statistics: StudyStatistics, plan: Mapping[str, Any]) -> list[Answer]:
    """Answer every pair of rows and every A/A pair, protocol by protocol; nothing for a metric that never ranks."""
    better = ranking_direction(plan["primary_metric"])
    if better is None:
        return []
    rows = {(s.protocol, s.label): s for s in statistics.summaries if s.role == "primary"}
    letters = {(s.protocol, s.label): set(s.letters) for s in statistics.standings}
    against = {(c.protocol, frozenset((c.label, c.baseline))): c for c in statistics.comparisons}
    twin = {c.protocol: _size_of(c) for c in statistics.same}
    by_hand = added_by_hand(plan)
    answers = []
    for pair in statistics.pairs:
        family = sum(other.protocol == pair.protocol for other in statistics.pairs)
        declared = against.get((pair.protocol, frozenset((pair.first, pair.second))))
        first, second = (rows[pair.protocol, label] for label in (pair.first, pair.second))
        kind: Kind = "exploratory"
        if declared:
            kind = "added" if {(pair.protocol, pair.first), (pair.protocol, pair.second)} & by_hand else "declared"
        answer = _described(first, second, kind, family, better)
        chance, reach = twin.get(pair.protocol, (None, None))
        answer = replace(answer, twin_difference=chance, twin_reach=reach)
        judged = _by_baseline(answer, declared) if declared else _by_all_pairs(answer, pair)
        groups = [letters.get((pair.protocol, label), set()) for label in (pair.first, pair.second)]
        together: Literal["", "apart", "together"] = ""
        if all(groups):
            together = "together" if groups[0] & groups[1] else "apart"
        answers.append(_concluded(replace(judged, tie_groups=together), first.arm, second.arm))
    for same in statistics.same:
        first, second = rows[same.protocol, same.label], rows[same.protocol, same.baseline]
        answer = _by_baseline(_described(first, second, "a/a", 1, better), same)
        answers.append(_concluded(answer, first.arm, second.arm))
    return _with_seeds(answers, rows)


def added_by_hand(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the rows, as protocol and label, that were added by hand, or seeds of which were."""
    return {
        (each["protocol"], each["label"])
        for what in ("entries", "runs")
        for each in plan.get(what, ())
        if each.get("added")
    }


def answers_for(statistics: StudyStatistics, plan: Mapping[str, Any], first: str, second: str) -> list[Answer]:
    """Answer one pair, first and second as named here, under every protocol that has both rows.

    Raises BenchError for a label that the study lacks, for one row twice, for a pair under no common protocol, and for
    a metric that never ranks.
    """
    check_pair(plan, first, second, twins=True)
    pair = {first, second}
    found = [answer for answer in answer_pairs(statistics, plan) if {answer.first, answer.second} == pair]
    if found:
        return [answer if answer.first == first else answer.turned() for answer in found]
    for twin, label in twins_of(plan).items():
        if twin in pair:
            raise BenchError(
                f'"{twin}" is {label} once more, on other seeds: it is compared with {label} alone',
                hint=f"Name {label} in its place.",
            )
    raise BenchError(f'"{first}" and "{second}" share no protocol in study "{plan["study"]}"')


def _described(first: Summary, second: Summary, kind: Kind, family: int, better: Better) -> Answer:
    """Return what is known of a pair without any test."""
    sign = 1 if better == "lower" else -1
    mine, theirs = dict(first.values), dict(second.values)
    shared = sorted(mine.keys() & theirs.keys())
    gap = None if first.mean is None or second.mean is None else first.mean - second.mean
    ahead = ""
    if gap:
        ahead = first.label if gap * sign < 0 else second.label
    won = sum((mine[seed] - theirs[seed]) * sign * (1 if ahead == first.label else -1) < 0 for seed in shared)
    own: Literal["", "overlap", "apart"] = ""
    if first.low is not None and first.high is not None and second.low is not None and second.high is not None:
        own = "overlap" if first.low <= second.high and second.low <= first.high else "apart"
    return Answer(
        protocol=first.protocol,
        metric=first.metric,
        first=first.label,
        second=second.label,
        kind=kind,
        outcome="unjudged",
        better=better,
        family=family,
        first_planned=first.planned,
        first_scored=len(first.values),
        first_lost=first.arm.lost,
        second_planned=second.planned,
        second_scored=len(second.values),
        second_lost=second.arm.lost,
        ahead=ahead,
        why=untested(first.arm, second.arm),
        difference=gap,
        ahead_on=won,
        shared=len(shared),
        own_intervals=own,
    )


def _size_of(same: Comparison) -> tuple[float | None, float | None]:
    """Return how large an A/A difference is, and how large its interval says that it may be."""
    low, high = same.difference_low, same.difference_high
    reach = None if low is None or high is None else max(abs(low), abs(high))
    return None if same.difference is None else abs(same.difference), reach


def _by_baseline(answer: Answer, comparison: Comparison) -> Answer:
    """Take over a comparison with the baseline, or of the A/A arm."""
    turn = -1 if answer.first == comparison.baseline else 1
    ends = [turn * end for end in (comparison.difference_low, comparison.difference_high) if end is not None]
    answer = replace(
        answer,
        family=comparison.family,
        difference_low=min(ends, default=None),
        difference_high=max(ends, default=None),
        test=comparison.test,
        p=comparison.p,
        p_holm=comparison.p_holm,
        permutation_p=comparison.permutation_p,
        permutation_smallest_p=comparison.permutation_smallest_p,
        why=comparison.unjudged,
    )
    if comparison.unjudged:
        return answer
    winner = {"better": comparison.label, "worse": comparison.baseline}.get(comparison.verdict, "")
    return replace(answer, outcome="better" if winner else "undecided", ahead=winner or answer.ahead)


def _by_all_pairs(answer: Answer, pair: Pair) -> Answer:
    """Take over a pair's test among all pairs."""
    answer = replace(
        answer,
        difference_low=pair.difference_low,
        difference_high=pair.difference_high,
        simultaneous=pair.difference_low is not None,
        test=pair.test,
        p=pair.p,
        p_holm=pair.p_holm,
        why=pair.untested,
    )
    if pair.untested:
        return answer
    return replace(answer, outcome="better" if pair.winner else "undecided", ahead=pair.winner or answer.ahead)


def _concluded(answer: Answer, first: Arm, second: Arm) -> Answer:
    """Add what needs no test: equal scores, and rows of which no run finished."""
    ended = not first.missing and not second.missing
    finished = [arm.label for arm in (first, second) if arm.scores]
    if ended and not finished and first.planned and second.planned:
        return replace(answer, outcome="none finished", ahead="", why="")
    if ended and len(finished) == 1:
        return replace(answer, outcome="lost", ahead=finished[0], why="")
    if first.complete and second.complete and first.scores and first.scores == second.scores:
        return replace(answer, outcome="same", ahead="", why="")
    return answer


def _with_seeds(answers: Sequence[Answer], rows: Mapping[tuple[str, str], Summary]) -> list[Answer]:
    """Add to undecided pairs how many seeds would decide them."""
    by_scores = [a for a in answers if a.outcome == "undecided" and a.test == "Welch" and a.kind != "a/a"]
    arms = [[rows[a.protocol, label] for label in (a.first, a.second)] for a in by_scores]
    needed = fewest_seeds(
        np.array([abs(a.difference or 0.0) for a in by_scores]),
        np.array([(first.deviation or 0.0) ** 2 for first, _ in arms]),
        np.array([(second.deviation or 0.0) ** 2 for _, second in arms]),
        np.array([ALPHA / a.family for a in by_scores]),
    )
    seeds = {id(answer): count for answer, count in zip(by_scores, needed, strict=True)}
    return [replace(answer, seeds_needed=seeds.get(id(answer), _for_ranks(answer))) for answer in answers]


def _for_ranks(answer: Answer) -> int | None:
    """Return from how many seeds ranks could decide an undecided pair of which a run was lost."""
    if answer.outcome != "undecided" or answer.test != "ranks":
        return None
    return max(SEEDS_FOR_VERDICT, fewest_seeds_for_ranks(ALPHA / answer.family))
