"""The board: under each protocol a line a row, with its seeds, mean, interval and ties, and samples at its end."""

from __future__ import annotations

import numpy as np

from bench.formatting import format_number, format_tick
from bench.report.figures.dots import primary_dots
from bench.report.figures.scale import Scale
from bench.report.metric_text import describe_metric, format_mean, metric_heading
from bench.report.model import Block, Board, BoardRow, Boards
from bench.report.pictures.walls import strip
from bench.report.sections.results import two_kinds
from bench.report.sections.tables import floor_images, is_of_the_best, ordered, states
from bench.report.study import Entry, Study
from bench.report.subject import Subject
from bench.statistics import Summary


def boards(subject: Subject, words: str) -> tuple[Block, ...]:
    """Return a board for each protocol, all with the same axis; nothing where nothing was measured or drawn yet."""
    study = subject.study
    rows = {protocol: [summary for _, summary in ordered(study, protocol)] for protocol in study.protocols}
    axis = Scale.of([summary for summaries in rows.values() for summary in summaries])
    made = (_board(subject, protocol, axis) for protocol in study.protocols)
    shown = tuple(board for board in made if board.pictured or any(row.places for row in board.rows))
    drawn = primary_dots(study, subject.look)
    return (Boards(shown, words, (drawn,) if drawn else ()),) if shown else ()


def _board(subject: Subject, protocol: str, axis: Scale) -> Board:
    study, rows = subject.study, ordered(subject.study, protocol)
    summaries = [summary for _, summary in rows]
    floors = [summary.floor for summary in summaries if summary.floor is not None]
    floor = float(np.mean(floors)) if floors else None
    return Board(
        name=f"board-{protocol}",
        title=protocol.capitalize(),
        metric=describe_metric(study.primary).title,
        axis=metric_heading(study.primary),
        rows=tuple(_row(subject, entry, summary, axis) for entry, summary in rows),
        ticks=tuple((axis.place(value), format_tick(value)) for value in axis.ticks()),
        floor=None if floor is None else (axis.place(floor), axis.named(floor, format_number(floor))),
        real=floor_images(study, study.primary).removesuffix(" images"),
    )


def _row(subject: Subject, entry: Entry, summary: Summary, axis: Scale) -> BoardRow:
    study = subject.study
    standing = study.standing(entry)
    mixture = study.mixture(entry, study.primary)
    middle, low, high = (
        None if value is None or summary.low is None else axis.place(value)
        for value in (summary.mean, summary.low, summary.high)
    )
    if mixture is not None:  # of runs of two kinds the interval does not hold
        low = high = None
    return BoardRow(
        label=entry.label,
        colour=subject.look.of(entry.label).colour,
        rank="" if summary.rank is None else str(summary.rank),
        ties=standing.letters if standing else "",
        mean=format_mean(summary)[0],
        bounds=format_mean(summary)[1] if mixture is None else two_kinds(mixture).replace("\n", ", "),
        places=tuple(axis.place(score) for score in summary.scores),
        middle=middle,
        low=low,
        high=high,
        note=_note(study, summary),
        best=is_of_the_best(study, entry),
        strip=strip(study, entry),
        target=f"wall-{entry.label}-{entry.protocol}",
    )


def _note(study: Study, summary: Summary) -> str:
    """Return what became of a row's runs, where that is not all well: "4 collapsed"."""
    return ", ".join(states(summary))
