"""The dot plot of the primary metric: a line for each row, its seeds, its mean with interval, and what it ties with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.formatting import PERCENT_95, format_number, format_tick, joined, plural
from bench.report.figures.captioned import dashed_floor
from bench.report.figures.labels import POINTS_PER_INCH, printable, shortened, width_of
from bench.report.figures.palette import GRID, INK, MUTED, Look
from bench.report.figures.plots import DASHED, WIDE, both_widths
from bench.report.figures.scale import Scale
from bench.report.metric_text import (
    describe_metric,
    format_mean,
    format_mean_interval,
    format_metric,
    mean_decimals,
    metric_heading,
    unscored_runs,
)
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.sections.tables import ordered
from bench.report.study import Study
from bench.statistics import Summary

PITCH, HEAD, TICKS, FOOT, GAP = 19.0, 32.0, 16.0, 15.0, 20.0  # points: a row; around the rows; between panels
NAMES_AT_MOST = 0.36  # of a panel's width
MEAN_AT, SEEDS_AT = -0.07, 0.24  # of a row's height, from its middle: seeds stand under their mean, not behind it
_NAME, _SMALL = 8.5, 7.5  # points, of letters


@dataclass(frozen=True)
class _Line:
    """One row of a panel: `mean` as it is printed, its letters, and how many of its runs have a score if not all."""

    summary: Summary
    mean: str
    letters: str
    scored: str

    @property
    def tie(self) -> str:
        return self.letters or self.scored


@dataclass(frozen=True)
class _Panel:
    protocol: str
    lines: tuple[_Line, ...]
    floor: float | None


def primary_dots(study: Study, look: Look) -> Figure | None:
    """Draw the primary metric of every row and seed, a panel for each protocol, rows in the order of its table.

    None where nothing was measured yet.
    """
    panels = [_panel(study, protocol) for protocol in study.protocols]
    if not any(line.summary.values for panel in panels for line in panel.lines):
        return None
    info = describe_metric(study.primary)
    wide, narrow, png = both_widths(lambda width: draw_dots(panels, study.primary, look, width))
    return Figure(
        name="scores",
        title=f"{info.title}, every row and seed",
        alt=" ".join(_alt(study, panel) for panel in panels),
        caption=_caption(study, panels),
        wide=wide,
        narrow=narrow,
        png=png,
        data=_data(panels),
        table=_table(study, panels),
    )


def draw_dots(panels: Sequence[_Panel], metric: str, look: Look, width: float) -> Canvas:
    """Draw the panels, `width` inches in all: beside each other on a wide page, below each other on a phone."""
    columns = 1 if width < WIDE else min(len(panels), 2)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [HEAD + PITCH * max(len(panel.lines) for panel in row) + TICKS for row in rows]
    whole, high = width * POINTS_PER_INCH, sum(heights) + FOOT
    canvas = Canvas(figsize=(width, high / POINTS_PER_INCH))
    each = (whole - GAP * (columns - 1)) / columns
    scale = Scale.of([line.summary for panel in panels for line in panel.lines])
    widths = _Widths.of(panels, each)
    for at, row in enumerate(rows):
        top = high - sum(heights[:at]) - HEAD
        for column, panel in enumerate(row):
            left, below = column * (each + GAP) + widths.names, top - PITCH * len(panel.lines)
            box = (left, below, each - widths.names - widths.means - widths.ties, top - below)
            axes = canvas.add_axes((box[0] / whole, box[1] / high, box[2] / whole, box[3] / high))
            _set_scale(axes, scale)
            _draw_lines(axes, panel, look, widths.names)
            _draw_columns(axes, panel, widths)
            _draw_head(axes, panel, scale, widths.names, titled=len(panels) > 1)
            if at == len(rows) - 1:
                axes.set_xlabel(_axis_text(metric, each), fontsize=_SMALL, labelpad=2)
    return canvas


@dataclass(frozen=True)
class _Widths:
    """What a panel's words take beside its axes, in points: names at the left; means and tie groups at the right."""

    names: float
    means: float
    ties: float
    head: str

    @classmethod
    def of(cls, panels: Sequence[_Panel], panel_width: float) -> _Widths:
        """Return widths that fit all panels, so that their axes are as long as each other."""
        lines = [line for panel in panels for line in panel.lines]
        names = max(width_of(printable(line.summary.label), _NAME) for line in lines) + 8
        head = "mean" if any(line.summary.low is not None for line in lines) else "values"
        means = max(width_of(text, _NAME) for text in (head, *(line.mean for line in lines))) + 8
        ties = max(width_of(text, _NAME) for text in ("ties", *(line.tie for line in lines))) + 8
        ties = ties if any(line.tie for line in lines) else 0.0
        return cls(min(names, NAMES_AT_MOST * panel_width), means, ties, head)


def _set_scale(axes: Axes, scale: Scale) -> None:
    if scale.log:
        axes.set_xscale("log")
    axes.set_xlim(scale.low, scale.high)
    axes.minorticks_off()
    axes.set_xticks(scale.ticks(), [format_tick(tick) for tick in scale.ticks()], fontsize=_SMALL)


def _draw_lines(axes: Axes, panel: _Panel, look: Look, names: float) -> None:
    """Draw the rows, top first: faint dots for seeds, a line for the mean's interval, the row's mark for the mean."""
    axes.set_ylim(len(panel.lines) - 0.5, -0.5)
    axes.set_yticks(range(len(panel.lines)), [shortened(line.summary.label, _NAME, names - 6) for line in panel.lines])
    axes.tick_params(axis="y", length=0, pad=6, labelcolor=INK, labelsize=_NAME)
    axes.tick_params(axis="x", pad=2)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="both", color=GRID, linewidth=0.6)
    least = axes.get_xlim()[0]
    for at, line in enumerate(panel.lines):
        summary, mark = line.summary, look.of(line.summary.label)
        place: dict[str, Any] = {"color": mark.colour, "linestyle": "", "clip_on": False}
        if summary.values and summary.low is None:
            axes.plot(summary.scores, [at] * len(summary.scores), marker=mark.marker, markersize=5.5,
                      markerfacecolor=mark.face, zorder=3, **place)  # fmt: skip
            continue
        axes.plot(summary.scores, [at + SEEDS_AT] * len(summary.scores), marker="o", markersize=4.2, alpha=0.5,
                  markeredgecolor="none", zorder=2, **place)  # fmt: skip
        if summary.mean is not None and summary.low is not None and summary.high is not None:
            axes.plot([max(summary.low, least), summary.high], [at + MEAN_AT] * 2, color=mark.colour, linewidth=1.7,
                      zorder=3, solid_capstyle="butt")  # fmt: skip
            axes.plot(summary.mean, at + MEAN_AT, marker=mark.marker, markersize=6.4, markerfacecolor=mark.face,
                      markeredgecolor=mark.colour, markeredgewidth=1.2, zorder=4, **place)  # fmt: skip
        if not summary.values:
            told = ", ".join(unscored_runs(summary))
            axes.annotate(told, (0, at), xycoords=("axes fraction", "data"), xytext=(4, 0), va="center",
                          textcoords="offset points", fontsize=_SMALL, color=MUTED)  # fmt: skip


def _draw_columns(axes: Axes, panel: _Panel, widths: _Widths) -> None:
    """Write the means and the tie groups at the right of the rows."""
    means, ties = widths.means, widths.means + widths.ties
    for at, line in enumerate(panel.lines):
        _beside(axes, at, line.mean, means, INK if line.summary.low is not None else MUTED)
        _beside(axes, at, line.tie, ties, INK if line.letters else MUTED)
    for word, offset in ((widths.head, means), *([("ties", ties)] if widths.ties else [])):
        axes.annotate(word, (1, 1), xycoords="axes fraction", xytext=(offset, 4), textcoords="offset points",
                      ha="right", fontsize=_SMALL, color=MUTED)  # fmt: skip


def _beside(axes: Axes, at: int, text: str, offset: float, colour: str) -> None:
    axes.annotate(text, (1, at), xycoords=("axes fraction", "data"), xytext=(offset, 0), textcoords="offset points",
                  ha="right", va="center_baseline", fontsize=_NAME, color=colour)  # fmt: skip


def _draw_head(axes: Axes, panel: _Panel, scale: Scale, names: float, titled: bool) -> None:
    """Write the protocol above a panel, and the name of the real floor above its dashed line."""
    if titled:
        axes.annotate(panel.protocol.capitalize(), (0, 1), xycoords="axes fraction", xytext=(-names, 17),
                      textcoords="offset points", fontsize=9.5, color=INK, fontweight="bold")  # fmt: skip
    if panel.floor is None:
        return
    at, words = max(panel.floor, scale.low), scale.named(panel.floor, f"real images {format_number(panel.floor)}")
    if at == panel.floor:
        axes.axvline(at, color=INK, linewidth=1, linestyle=DASHED, zorder=1)
    beyond_the_middle = scale.place(at) > 50
    axes.annotate(words, (at, 1), xycoords=("data", "axes fraction"), xytext=(2 if beyond_the_middle else -2, 4),
                  textcoords="offset points", ha="right" if beyond_the_middle else "left", fontsize=_SMALL,
                  color=INK)  # fmt: skip


def _axis_text(metric: str, width: float) -> str:
    info = describe_metric(metric)
    told = f"{info.title}: {info.better} is better" if info.better else info.title
    return told if width_of(told, _SMALL) < width * 0.6 else metric_heading(metric)


def _panel(study: Study, protocol: str) -> _Panel:
    rows = ordered(study, protocol)
    floors = [summary.floor for _, summary in rows if summary.floor is not None]
    lines = []
    for entry, summary in rows:
        standing = study.standing(entry)
        letters = standing.letters if standing is not None else ""
        scored = "" if summary.complete else f"{len(summary.values)} of {summary.planned}"
        lines.append(_Line(summary, format_mean(summary)[0], letters, scored))
    return _Panel(protocol, tuple(lines), float(np.mean(floors)) if floors else None)


def _alt(study: Study, panel: _Panel) -> str:
    means = sorted((s.mean, s.label) for line in panel.lines if (s := line.summary).mean is not None)
    title, rows = describe_metric(study.primary).title, plural(len(panel.lines), "row")
    told = f"Dot plot of {title}, {panel.protocol} protocol, {rows}"
    if not means:
        return f"{told}, none with a score."
    (low, first), (high, last) = ((format_number(value), label) for value, label in (means[0], means[-1]))
    order = joined([line.summary.label for line in panel.lines])
    return f"{told}. Means run from {low} ({first}) to {high} ({last}). From the top: {order}."


def _caption(study: Study, panels: Sequence[_Panel]) -> str:
    info, lines = describe_metric(study.primary), [line for panel in panels for line in panel.lines]
    step = f"{info.title} at generator step {study.plan['final_step']:,}"
    parts = [f"{step}: every mark is a seed."]
    if any(line.summary.low is not None for line in lines):
        parts = [
            f"{step}: a mark is a row’s mean, its line the mean’s {PERCENT_95} interval (of one row at a time), the "
            "dots under it are its seeds."
        ]
    if any(line.letters for line in lines):
        parts.append("Rows that share a letter (ties) are not told apart; letters are of one protocol.")
    short = [line.scored for line in lines if line.scored]
    if short:
        parts.append(f"“{short[0]}”: so many of the planned runs have a score; a mean over survivors flatters.")
    floors = [panel.floor for panel in panels if panel.floor is not None]
    parts.append(dashed_floor(study, study.primary, float(np.mean(floors)) if floors else None).strip())
    return " ".join(part for part in parts if part)


def _data(panels: Sequence[_Panel]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"label": s.label, "protocol": panel.protocol, "metric": s.metric, "seed": seed, "value": value,
             "mean": s.mean, "low": s.low, "high": s.high, "floor": s.floor}
            for panel in panels
            for s in (line.summary for line in panel.lines)
            for seed, value in s.values
        ]
    )  # fmt: skip


def _table(study: Study, panels: Sequence[_Panel]) -> Table:
    rows = []
    for panel in panels:
        for line in panel.lines:
            s = line.summary
            values = ", ".join(f"{format_metric(s.metric, value)} (seed {seed})" for seed, value in s.values)
            rows.append(
                Row(
                    (
                        Cell(s.label),
                        Cell(panel.protocol),
                        Cell(values or ", ".join(unscored_runs(s)) or "no value"),
                        Cell(format_metric(s.metric, s.mean), numeric=True),
                        Cell(format_mean_interval(s.scores, s.low, s.high, mean_decimals(s)), numeric=True),
                        Cell(line.tie),
                    )
                )
            )
    return Table(
        "scores-data",
        "The numbers in this figure",
        (Heading("objective"), Heading("protocol"), Heading("value of each seed"), Heading("mean", numeric=True),
         Heading(f"{PERCENT_95} interval", numeric=True), Heading("ties")),
        tuple(rows),
    )  # fmt: skip
