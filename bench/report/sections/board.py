"""The board: under each protocol a line a row, with its seeds, mean, interval and ties, and samples at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

from bench.formatting import format_number, format_tick
from bench.report.figures.dots import primary_dots
from bench.report.metric_text import describe_metric, format_mean, metric_heading
from bench.report.model import Block, Board, BoardRow, Boards
from bench.report.pictures.walls import strip
from bench.report.sections.results import two_kinds
from bench.report.sections.tables import floor_images, is_of_the_best, ordered, states
from bench.report.study import Entry, Study
from bench.report.subject import Subject
from bench.statistics import Summary

LOG_FROM = 12  # times the least score: a span from which the axis is logarithmic
MOST_TICKS = 5


def boards(subject: Subject, words: str) -> tuple[Block, ...]:
    """Return a board for each protocol, all with the same axis; nothing where nothing was measured or drawn yet."""
    study = subject.study
    rows = {protocol: [summary for _, summary in ordered(study, protocol)] for protocol in study.protocols}
    axis = _axis_of([summary for summaries in rows.values() for summary in summaries])
    made = (_board(subject, protocol, axis) for protocol in study.protocols)
    shown = tuple(board for board in made if board.pictured or any(row.places for row in board.rows))
    drawn = primary_dots(study, subject.look)
    return (Boards(shown, words, (drawn,) if drawn else ()),) if shown else ()


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, logarithmic where values span much."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Return where a value lies, in percent from the left; what lies beyond an end lies at it."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return a few round values within, with their places."""
        locator = LogLocator(subs=(1.0, 2.0, 5.0)) if self.log else MaxNLocator(MOST_TICKS - 1)
        values = [float(tick) for tick in locator.tick_values(self.low, self.high) if self.low <= tick <= self.high]
        every = -(-len(values) // MOST_TICKS)
        return tuple((self.place(value), format_tick(value)) for value in values[::every])


def _axis_of(summaries: Sequence[Summary]) -> Axis:
    scores = [score for summary in summaries for score in summary.scores]
    floors = [summary.floor for summary in summaries if summary.floor is not None]
    bounds = [bound for s in summaries for bound in (s.low, s.high) if bound is not None]
    if not scores:
        return Axis(0.0, 1.0, log=False)
    everything = [*scores, *floors]
    if min(everything) > 0 and max(scores) > LOG_FROM * min(scores):
        return Axis(min(everything) / 1.15, max(*scores, *bounds) * 1.06, log=True)
    low, high = min(0.0, *everything, *bounds), max(*everything, *bounds, 0.0)
    margin = 0.03 * ((high - low) or 1.0)
    return Axis(low - margin * (low < 0), high + margin, log=False)


def _board(subject: Subject, protocol: str, axis: Axis) -> Board:
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
        ticks=axis.ticks(),
        floor=None if floor is None else (axis.place(floor), format_number(floor)),
        real=floor_images(study, study.primary).removesuffix(" images"),
    )


def _row(subject: Subject, entry: Entry, summary: Summary, axis: Axis) -> BoardRow:
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
