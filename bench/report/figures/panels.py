"""Line charts of many small panels in a fixed grid, which needs no layout: most of what a report takes to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, MaxNLocator

from bench.formatting import format_tick
from bench.report.figures.labels import POINTS_PER_INCH, name_ends, printable, room_beside
from bench.report.figures.palette import INK, MUTED, SOLID, Dash, Mark
from bench.report.figures.plots import DASHED

Floats = npt.NDArray[np.float64]
LEFT, RIGHT, TOP, BOTTOM = 30.0, 9.0, 16.0, 24.0  # points around the axes of a panel
TITLE_HEIGHT, NO_TITLE_HEIGHT = 16.0, 2.0
MOST_TICKS = 5
NAMES_AT_MOST = 0.34  # of the width
_SMALL, _MEDIUM, _LARGE = 7.5, 8.0, 9.5  # points, of letters


@dataclass(frozen=True)
class Line:
    """One curve: its points (a value that is not finite leaves a gap), colour, dashes and name at its end."""

    xs: Floats
    ys: Floats
    colour: str
    dash: Dash = SOLID
    name: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its curves. `scale` is "linear", "log", or "symlog": linear up to `threshold`.

    `floor` is a level that a dashed line marks.
    """

    title: str
    lines: tuple[Line, ...]
    scale: str = "linear"
    threshold: float = 1.0
    floor: float | None = None


@dataclass(frozen=True)
class _Limits:
    """The ends of both axes, with their ticks: worked out once where all panels share them."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]


def draw_panels(
    panels: Sequence[Panel],
    columns: int,
    width: float,
    height: float,
    x_label: str,
    title: str = "",
    shared: bool = False,
) -> Canvas:
    """Draw panels in a grid, each `height` inches high, all of it `width` inches wide.

    With `shared`, all panels have one pair of scales, so that they can be compared.
    """
    columns = min(columns, len(panels))
    head = (TITLE_HEIGHT if title else NO_TITLE_HEIGHT) / POINTS_PER_INCH
    whole = head + height * -(-len(panels) // columns)
    canvas = Canvas(figsize=(width, whole))
    if title:
        canvas.text(0, 1 - 11 / POINTS_PER_INCH / whole, printable(title), fontsize=_LARGE, fontweight="bold")
    common = _limits(panels) if shared else None
    names = {line.name for panel in panels for line in panel.lines if line.name}
    right = room_beside(names, _SMALL, NAMES_AT_MOST * width * POINTS_PER_INCH) if names else RIGHT
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        left, top = column * width / columns, head + row * height
        axes = _add_axes(canvas, left, top, width / columns, height, right)
        _draw(axes, panel, common or _limits([panel]))
        axes.annotate(
            printable(panel.title), (0, 1), xycoords="axes fraction", xytext=(-LEFT, 6), textcoords="offset points",
            fontsize=_MEDIUM, color=MUTED,
        )  # fmt: skip
        name_ends(axes, _ends(panel), _SMALL, right)
        if index + columns >= len(panels):
            axes.set_xlabel(x_label, fontsize=_SMALL, labelpad=1.5)
    return canvas


def _add_axes(canvas: Canvas, left: float, top: float, width: float, height: float, right: float) -> Axes:
    """Add the axes of a panel whose corner and sizes are given in inches from the upper left; `right` is in points."""
    whole_width, whole_height = canvas.get_size_inches()
    before, after, above, below = (points / POINTS_PER_INCH for points in (LEFT, right, TOP, BOTTOM))
    return canvas.add_axes(
        (
            (left + before) / whole_width,
            1 - (top + height - below) / whole_height,
            (width - before - after) / whole_width,
            (height - above - below) / whole_height,
        )
    )


def _draw(axes: Axes, panel: Panel, limits: _Limits) -> None:
    if panel.scale == "symlog":
        axes.set_yscale("symlog", linthresh=panel.threshold)
    elif panel.scale == "log":
        axes.set_yscale("log")
    axes.set_xlim(limits.x)
    axes.set_ylim(limits.y)
    axes.minorticks_off()
    axes.set_xticks(limits.x_ticks, list(map(format_tick, limits.x_ticks)), fontsize=_SMALL)
    axes.set_yticks(limits.y_ticks, list(map(format_tick, limits.y_ticks)), fontsize=_SMALL)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="both", pad=2)
    axes.tick_params(axis="y", length=0)
    if panel.floor is not None:
        axes.axhline(panel.floor, color=INK, linewidth=0.8, linestyle=DASHED)
    pieces = [(piece, line) for line in panel.lines for piece in _finite_pieces(line, limits.x[1] / 1000)]
    if pieces:
        axes.add_collection(
            LineCollection(
                [piece for piece, _ in pieces],
                colors=[line.colour for _, line in pieces],
                linestyles=[line.dash for _, line in pieces],
                linewidths=0.9,
                alpha=0.8,
                capstyle="round",
                zorder=3,  # over the axis: the lowest points lie on it
                clip_on=False,  # the limits hold every point; a path of its own for each axes would be larger
            ),
            autolim=False,
        )


def _ends(panel: Panel) -> dict[str, tuple[tuple[float, float], Mark]]:
    """Return where the lines of each name end, the mean over them, and how they look."""
    ends: dict[str, list[tuple[float, float]]] = {}
    for line in panel.lines:
        finite = np.flatnonzero(np.isfinite(line.ys))
        if line.name and len(finite):
            ends.setdefault(line.name, []).append((float(line.xs[finite[-1]]), float(line.ys[finite[-1]])))
    colours = {line.name: line.colour for line in panel.lines}
    return {
        name: ((max(x for x, _ in of), float(np.mean([y for _, y in of]))), Mark(colours[name], ""))
        for name, of in ends.items()
    }


def _finite_pieces(line: Line, dot: float) -> Iterator[Floats]:
    """Yield the stretches of a curve between its gaps, N x 2; a lone point is a line of length `dot`, to be seen."""
    points = np.column_stack([line.xs, line.ys])
    starts = np.flatnonzero(np.diff(np.isfinite(line.ys))) + 1
    for piece in np.split(points, starts):
        if len(piece) and np.isfinite(piece[0, 1]):
            yield piece if len(piece) > 1 else piece + np.array([[0.0, 0.0], [dot, 0.0]])


def _limits(panels: Sequence[Panel]) -> _Limits:
    lines = [line for panel in panels for line in panel.lines]
    xs = np.concatenate([line.xs for line in lines] or [np.zeros(1)])
    ys = np.concatenate([line.ys for line in lines] or [np.zeros(1)])
    ys = ys[np.isfinite(ys)]
    low, high = (float(ys.min()), float(ys.max())) if len(ys) else (0.0, 1.0)
    floors = [panel.floor for panel in panels if panel.floor is not None]
    if floors:  # the axis ends a little under the floor, so that the two are told apart
        log = panels[0].scale == "log"
        low = min(low, min(floors) / 1.2 if log else min(floors) - 0.08 * (high - min(floors)))
        high = max(high, *floors)
    if low == high:
        low, high = low - (abs(low) or 1.0) * 0.05, high + (abs(high) or 1.0) * 0.05
    end = float(xs.max()) or 1.0
    return _Limits((0.0, end), (low, high), _within(MaxNLocator(4).tick_values(0.0, end), 0.0, end),
                   _value_ticks(panels[0], low, high))  # fmt: skip


def _value_ticks(panel: Panel, low: float, high: float) -> tuple[float, ...]:
    if panel.scale == "log":
        ticks = _within(LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high), low, high)
    elif panel.scale == "symlog":
        top = max(abs(low), abs(high), panel.threshold)
        powers = 10.0 ** np.arange(math.floor(math.log10(panel.threshold)) + 1, math.ceil(math.log10(top)) + 1)
        ticks = _within([*-powers[::-1], 0.0, *powers], low, high)
    else:
        ticks = _within(MaxNLocator(4).tick_values(low, high), low, high)
    return ticks[:: -(-len(ticks) // MOST_TICKS)] if len(ticks) > MOST_TICKS else ticks


def _within(ticks: Sequence[float] | Floats, low: float, high: float) -> tuple[float, ...]:
    return tuple(float(tick) for tick in ticks if low <= tick <= high)
