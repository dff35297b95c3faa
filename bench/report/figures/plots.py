"""Curves of metrics while training, and one metric against another. Drawn once, light; svg.py makes them dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from bench.formatting import format_number
from bench.report.figures.labels import (
    NAME_PITCH,
    NAME_SIZE,
    POINTS_PER_INCH,
    name_ends,
    name_points,
    room_beside,
)
from bench.report.figures.palette import GRID, INK, MUTED, Look
from bench.report.figures.svg import themed, tidy
from bench.report.metric_text import metric_heading
from bench.statistics.results import labels_in

WIDE, NARROW = 7.6, 3.45  # inches: a column of text on a desktop, and a phone of 360 pixels
PNG_DPI = 160
CURVE_LEFT = 34.0  # points
NAMES_AT_MOST = 0.34  # of the width
DASHED = (0, (3, 2))
NEAR = 2.5  # times the rows' greatest share: as far out real images are still drawn
MOST_WITH_SEEDS = 12  # rows; with more, thin lines for every seed hide each other
AXES = {
    "generator_steps": "generator steps",
    "images_seen": "images seen",
    "device_seconds": "seconds of training",
}
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.prop_cycle": "cycler('color', ['#3b649b'])",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",
    "path.simplify": True,
    "text.usetex": False,
    "text.parse_math": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style, whatever the machine's own matplotlibrc says."""
    with rc_context():
        rcdefaults()
        rcParams.update(_STYLE)
        yield


def svg_of(canvas: Canvas) -> str:
    """Return a drawing as shortened SVG, the same bytes every time."""
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return tidy(buffer.getvalue())


def png_of(canvas: Canvas) -> bytes:
    """Return a drawing that svg_of has laid out as PNG on white; the layout is kept, for making it takes longest."""
    buffer = io.BytesIO()
    canvas.set_layout_engine("none")
    canvas.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def draw_curves(
    curves: pd.DataFrame, means: pd.DataFrame, floor: float | None, metric: str, axis: str, look: Look, width: float
) -> Canvas:
    """Draw a metric against one of AXES: marked lines are means as long as they are whole, thin ones the seeds.

    `curves` has label, seed, generator_steps, the axis and value; `means` is figures.mean_curves of them. With many
    rows only those whose mean ends early show their seeds.
    """
    labels = labels_in(curves, look.labels)
    canvas, axes, room = _axes_beside_names(labels, width)
    axes.annotate(metric_heading(metric), (0, 1), xycoords="axes fraction", xytext=(-CURVE_LEFT, 9),
                  textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    ends = {}
    for label in labels:
        mine = curves[curves["label"] == label].sort_values(axis)
        mark = look.of(label)
        mean = means[(means["label"] == label) & means["whole"]]
        if few_rows(labels) or len(mean) < mine["generator_steps"].nunique():
            runs = [run[[axis, "value"]].to_numpy() for _, run in mine.groupby("seed")]
            axes.add_collection(LineCollection(runs, colors=mark.colour, linewidths=0.7, alpha=0.4))
        axes.plot(mean[axis], mean["value"], markersize=4.5, clip_on=False, zorder=3, **mark.line)
        last = (mean if len(mean) else mine).iloc[-1]
        ends[label] = (float(last[axis]), float(last["value"]))
    axes.autoscale_view()
    log = _value_scale(axes, curves["value"])
    if floor is not None and (floor > 0 or not log):
        _draw_floor(axes, floor)
    axes.set_xlabel(AXES[axis])
    axes.set_xlim(left=0, right=float(curves[axis].max()))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep="", places=None))
    axes.set_ylim(axes.get_ylim())  # as they are drawn: names are placed by them
    name_ends(axes, {label: (end, look.of(label)) for label, end in ends.items()}, NAME_SIZE, room)
    return canvas


def draw_plane(
    points: pd.DataFrame, real: tuple[float, float] | None, x: str, y: str, look: Look, width: float
) -> Canvas:
    """Draw two shares against each other: a small dot for every seed, a large mark for each row's mean.

    `points` has label, seed, and the columns named `x` and `y`; `real` is where real images lie. The axes fit the rows:
    real images that lie far beyond them are named at the edge.
    """
    labels = labels_in(points, look.labels)
    canvas = Canvas(figsize=(width, min(width, 4.2)), layout="constrained")
    axes = canvas.add_subplot()
    centres: dict[str, tuple[float, float]] = {}
    for label in labels:
        mine = points[points["label"] == label]
        mark = look.of(label)
        axes.plot(mine[x], mine[y], "o", color=mark.colour, markersize=3, alpha=0.55, markeredgecolor="none", zorder=3)
        centres[label] = (float(mine[x].mean()), float(mine[y].mean()))
        axes.plot(*centres[label], markersize=8, zorder=4, **mark.line)
    seen = real_is_near(points, real, x, y)
    ends = [max(*points[column], *([real[at]] if real and seen else [0])) or 0.01 for at, column in enumerate((x, y))]
    axes.set_xlim(-0.04 * ends[0], 1.06 * ends[0])
    axes.set_ylim(-0.04 * ends[1], 1.06 * ends[1])
    if real is not None:
        _draw_real(axes, real, seen)
    axes.xaxis.set_major_locator(MaxNLocator(3 if width < WIDE else 6))
    axes.set_xlabel(metric_heading(x))
    axes.set_ylabel(metric_heading(y))
    canvas.draw_without_rendering()
    canvas.set_layout_engine("none")
    name_points(axes, centres)
    return canvas


def both_widths(draw: Callable[[float], Canvas], png: bool = True) -> tuple[str, str, bytes]:
    """Draw a figure for desktops and for phones; return both as SVG, and the wide one as PNG where it is asked for."""
    wide, drawn = one_width(draw, WIDE, png)
    return wide, one_width(draw, NARROW, png=False)[0], drawn


def one_width(draw: Callable[[float], Canvas], width: float, png: bool = True) -> tuple[str, bytes]:
    """Draw a figure at one width; return it as SVG that takes a dark page's colours, and as PNG where asked for."""
    with style():
        rcParams["svg.fonttype"] = "none"  # letters as letters: a third of the size
        canvas = draw(width)
        return themed(svg_of(canvas)), png_of(canvas) if png else b""


def real_is_near(points: pd.DataFrame, real: tuple[float, float] | None, x: str, y: str) -> bool:
    """Tell whether real images fit a plane's axes without pressing the rows into its corner."""
    return real is not None and all(
        share <= NEAR * points[column].max() for share, column in zip(real, (x, y), strict=True)
    )


def _draw_real(axes: Axes, real: tuple[float, float], seen: bool) -> None:
    """Mark real images, or name them in the corner beyond which they lie."""
    if seen:
        axes.plot(*real, "o", color="none", markersize=9, markeredgecolor=INK, markeredgewidth=1.2, zorder=4)
    words = "real images" if seen else f"real images at {format_number(real[0])}, {format_number(real[1])} lie beyond ↗"
    axes.annotate(
        words,
        real if seen else (1, 1),
        xycoords="data" if seen else "axes fraction",
        xytext=(-7, 0) if seen else (0, 2),
        textcoords="offset points",
        ha="right",
        va="center" if seen else "bottom",
        fontsize=7.5,
        color=MUTED,
    )


def _axes_beside_names(labels: Sequence[str], width: float) -> tuple[Canvas, Axes, float]:
    """Return a drawing whose axes are high enough for all names at their right, and the room for these, in points."""
    whole, above, below = width * POINTS_PER_INCH, 22.0, 30.0
    room = room_beside(labels, NAME_SIZE, NAMES_AT_MOST * whole)
    high = max(190.0, NAME_PITCH * len(labels)) + above + below
    canvas = Canvas(figsize=(width, high / POINTS_PER_INCH))
    box = (CURVE_LEFT / whole, below / high, (whole - CURVE_LEFT - room) / whole, 1 - (above + below) / high)
    return canvas, canvas.add_axes(box), room


def few_rows(labels: Sequence[str]) -> bool:
    """Tell whether a figure of curves has room for every seed."""
    return len(labels) <= MOST_WITH_SEEDS


def _value_scale(axes: Axes, values: pd.Series[float]) -> bool:
    """Make the axis of values logarithmic where they span much; return whether it is."""
    known = values.dropna()
    log = bool(len(known) and known.min() > 0 and known.max() > 4 * known.min())
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        plain = ScalarFormatter()
        plain.set_scientific(False)
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_formatter(NullFormatter())
    return log


def _draw_floor(axes: Axes, floor: float) -> None:
    axes.axhline(floor, color=INK, linewidth=1, linestyle=DASHED)
    axes.annotate(
        f"real images {format_number(floor)}",
        (1, floor),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2.5),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7.5,
        color=MUTED,
    )
