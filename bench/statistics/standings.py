"""Where each entry stands: tie groups as compact letters, and the ranks that these seeds do not exclude."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from string import ascii_letters

from bench.statistics.pairs import Pair
from bench.statistics.summary import Summary


@dataclass(frozen=True)
class Standing:
    """One entry among those of its protocol, by the primary metric.

    Entries that share one of the `letters` are not told apart ("a" holds the best). An entry that lost a planned run
    has none, nor has one whose runs are missing or too few: `unlettered` says why. `best_rank` to `worst_rank` are the
    ranks that the pairs told apart do not exclude, among all `entries` of the protocol. `rank` is the Summary's.
    """

    protocol: str
    metric: str
    label: str
    entries: int
    rank: int | None
    best_rank: int | None
    worst_rank: int | None
    letters: str
    unlettered: str


def standings(summaries: Sequence[Summary], pairs: Sequence[Pair], without: Collection[str] = ()) -> list[Standing]:
    """Place every entry of the primary metric within its protocol, from the pairs of `compare_pairs`."""
    primary = [s for s in summaries if s.role == "primary" and s.label not in without]
    placed: list[Standing] = []
    for protocol in dict.fromkeys(s.protocol for s in primary):
        placed += _of_protocol(
            [s for s in primary if s.protocol == protocol], [pair for pair in pairs if pair.protocol == protocol]
        )
    return placed


def compact_letters(labels: Sequence[str], apart: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return letters for each label such that two share one exactly where they are not `apart`.

    Letters go to groups in the order of their first members in `labels`. Insert and absorb: Piepho 2004,
    J. Comput. Graph. Statist. 13, 456-466. "Not apart" need not be transitive, so a label may have several.
    """
    groups = [frozenset(labels)]
    for one, other in apart:
        split = [part for group in groups if {one, other} <= group for part in (group - {one}, group - {other})]
        kept = [group for group in groups if not {one, other} <= group]
        groups = kept + [part for part in split if not any(part <= group for group in kept)]
    position = {label: index for index, label in enumerate(labels)}
    groups.sort(key=lambda group: sorted(position[label] for label in group))
    return {label: "".join(_letter(index) for index, group in enumerate(groups) if label in group) for label in labels}


def _of_protocol(rows: Sequence[Summary], pairs: Sequence[Pair]) -> list[Standing]:
    reasons = {row.label: _why_without_letters(row, pairs) for row in rows}
    ordered = sorted(rows, key=lambda row: (row.rank is None, row.rank or 0))
    lettered = [row.label for row in ordered if not reasons[row.label]]
    apart = [(p.first, p.second) for p in pairs if p.winner and {p.first, p.second} <= set(lettered)]
    letters = compact_letters(lettered, apart)
    placed = []
    for row in rows:
        best, worst = _rank_bounds(row, pairs, len(rows))
        where = (row.protocol, row.metric, row.label, len(rows), row.rank)
        placed.append(Standing(*where, best, worst, letters.get(row.label, ""), reasons[row.label]))
    return placed


def _rank_bounds(row: Summary, pairs: Sequence[Pair], entries: int) -> tuple[int | None, int | None]:
    """Return the best and the worst rank not excluded; None where no pair of the entry was tested."""
    mine = [pair for pair in pairs if row.label in (pair.first, pair.second) and not pair.untested]
    if not mine or row.rank is None:
        return None, None
    won = sum(pair.winner == row.label for pair in mine)
    lost = sum(pair.winner not in ("", row.label) for pair in mine)
    # By mean ranks a pair told apart may, rarely, stand the other way round: the rank shown is never excluded.
    return min(1 + lost, row.rank), max(entries - won, row.rank)


def _why_without_letters(row: Summary, pairs: Sequence[Pair]) -> str:
    if row.unranked:
        return row.unranked
    if row.arm.lost:
        return f"{row.arm.lost} of {row.planned} runs lost"
    mine = [pair for pair in pairs if row.label in (pair.first, pair.second)]
    return mine[0].untested if mine and all(pair.untested for pair in mine) else ""


def _letter(index: int) -> str:
    """Return a to z, A to Z, then a2, b2, ..."""
    turn, place = divmod(index, len(ascii_letters))
    return ascii_letters[place] + (str(turn + 1) if turn else "")
