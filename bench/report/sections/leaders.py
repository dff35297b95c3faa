"""Which rows of a protocol come first, and which pairs the corrected tests tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.formatting import joined, plural
from bench.report.study import Study
from bench.statistics import Pair


@dataclass(frozen=True)
class FirstPlaces:
    """Sentences on the first rows of one protocol: what is told apart, and what is not."""

    decided: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """The rows of one protocol. `leaders`: the first by rank and those that the tests do not tell from it."""

    name: str
    rows: int
    complete: int
    pairs: dict[frozenset[str], Pair]
    leaders: tuple[str, ...]
    ranks: dict[str, int]

    @property
    def beats_all(self) -> bool:
        """Tell whether the tests tell the first row from every other."""
        first = self.leaders[0] if self.leaders else ""
        mine = [pair for labels, pair in self.pairs.items() if first in labels]
        return bool(mine) and all(pair.winner == first for pair in mine)


def first_places(study: Study, protocol: str) -> FirstPlaces:
    """Return what the pairs of a protocol decide about its first rows, and what they leave open.

    A row that still lacks runs may turn out to be the first: while there is one, no first place is decided.
    """
    field = field_of(study, protocol)
    if field is None:
        return FirstPlaces((), ())
    return FirstPlaces(tuple(_told_apart(field)), tuple(_not_told_apart(field)))


def field_of(study: Study, protocol: str) -> Field | None:
    """Return the rows of a protocol with their pairs; None where there are no pairs."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in study.statistics.pairs if pair.protocol == protocol}
    if not pairs:
        return None
    rows = [summary for _, summary in study.summaries_of(protocol, study.primary)]
    ranks = {row.label: row.rank for row in sorted(rows, key=lambda row: row.rank or 0) if row.rank is not None}
    ranked = list(ranks)
    level = [label for label in ranked[1:] if _is_level(pairs[frozenset((ranked[0], label))])]
    complete = sum(not row.arm.missing for row in rows)
    return Field(protocol.capitalize(), len(rows), complete, pairs, (*ranked[:1], *level), ranks)


def _is_level(pair: Pair) -> bool:
    return not pair.winner and not pair.untested


def _told_apart(field: Field) -> Iterator[str]:
    """Tell which rows the first ones beat; the table of pairs has the others."""
    apart = [pair for pair in field.pairs.values() if pair.winner]
    winners: dict[tuple[str, ...], list[str]] = {}
    for leader in field.leaders:
        beaten = [pair.second if pair.first == leader else pair.first for pair in apart if pair.winner == leader]
        if beaten:
            winners.setdefault(tuple(beaten), []).append(leader)
    if winners:
        told = [
            f"{joined(labels)} {'is' if len(labels) == 1 else 'are'} better than {_these(beaten, field)}"
            for beaten, labels in winners.items()
        ]
        yield (
            f"{field.name}: {'; '.join(told)} ({len(apart)} of {plural(len(field.pairs), 'pair')} told apart, after "
            "correction over all of them)."
        )


def _these(beaten: Sequence[str], field: Field) -> str:
    return "every other row" if len(beaten) == field.rows - 1 > 1 else joined(beaten)


def _not_told_apart(field: Field) -> Iterator[str]:
    asked, whole = f"{field.name}, which row is first:", field.complete == field.rows
    if not field.leaders:
        yield f"{asked} {field.complete} of {plural(field.rows, 'row')} complete so far."
    elif not whole:
        yield f"{asked} among the {field.complete} of {plural(field.rows, 'row')} that are complete, {_lead(field)}."
    elif len(field.leaders) > 1:
        yield f"{asked} {_lead(field)}."


def _lead(field: Field) -> str:
    first, *others = field.leaders
    if not others:
        return f"{first} leads"
    return (
        f"{first} leads, not told apart from {joined([f'{label} (rank {field.ranks[label]:g})' for label in others])}"
    )
