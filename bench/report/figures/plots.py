"""The figures: every seed's score, metrics while training, loss terms. Drawn once, light; svg.py makes them dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoMinorLocator, EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from bench.formatting import format_number
from bench.report.figures.svg import themed, tidy
from bench.report.metric_text import describe_metric, metric_heading, unscored_runs
from bench.statistics import Summary
from bench.statistics.results import labels_in

INK, MUTED, GRID = "#2b3036", "#6b737c", "#dfe1e3"
# seaborn's "colorblind", its two palest colours last.
PALETTE = tuple(sns.color_palette("colorblind").as_hex()[index] for index in (0, 1, 2, 3, 4, 5, 9, 7, 6, 8))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*", "<", ">", "d")
WIDE, NARROW = 6.8, 3.45
PNG_DPI = 160
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
    "axes.prop_cycle": "cycler('color', ['#0173b2'])",
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


def draw_scores(summaries: Sequence[Summary], metric: str, look: Look, width: float) -> Canvas:
    """Draw one row per summary, top first: every seed a marker, the mean and its interval where there is one."""
    canvas = Canvas(figsize=(width, 0.62 + 0.31 * max(len(summaries), 2)), layout="constrained")
    axes = canvas.add_subplot()
    for row, summary in enumerate(summaries):
        colour, marker = look.of(summary.label)
        if summary.low is not None and summary.high is not None and summary.mean is not None:
            axes.plot(
                [summary.low, summary.high], [row, row], color=colour, linewidth=5, alpha=0.25, solid_capstyle="butt"
            )
            axes.plot([summary.mean] * 2, [row - 0.27, row + 0.27], color=INK, linewidth=1.3)
        axes.plot(
            summary.scores,
            [row] * len(summary.values),
            linestyle="",
            marker=marker,
            markersize=5.5,
            color=colour,
            markeredgecolor="none",
            alpha=0.85,
        )
        lost = _lost(summary)
        if lost:
            axes.annotate(
                lost,
                (1, row),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=7.5,
                color=MUTED,
            )
    _scale_of_scores(axes, summaries)
    axes.set_yticks(range(len(summaries)), [summary.label for summary in summaries], color=INK)
    axes.set_ylim(len(summaries) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(_axis_text(metric, width))
    return canvas


def draw_curves(
    curves: pd.DataFrame, means: pd.DataFrame, floor: float | None, metric: str, axis: str, look: Look, width: float
) -> Canvas:
    """Draw a metric against one of AXES: marked lines are means as long as they are whole, thin ones the seeds.

    `curves` has label, seed, generator_steps, the axis and value; `means` is figures.mean_curves of them. With many
    rows only those whose mean ends early show their seeds.
    """
    labels = labels_in(curves, look.labels)
    columns = 2 if width < 5 else 5
    rows = -(-len(labels) // columns)
    canvas = Canvas(figsize=(width, 2.9 + 0.19 * rows), layout=ConstrainedLayoutEngine(w_pad=0.1))
    canvas.suptitle(metric_heading(metric), x=0.01, ha="left", fontsize=9, color=INK)
    axes = canvas.add_subplot()
    for label in labels:
        mine = curves[curves["label"] == label]
        colour, marker = look.of(label)
        mean = means[(means["label"] == label) & means["whole"]]
        if few_rows(labels) or len(mean) < mine["generator_steps"].nunique():
            runs = [run[[axis, "value"]].to_numpy() for _, run in mine.groupby("seed")]
            axes.add_collection(LineCollection(runs, colors=colour, linewidths=0.7, alpha=0.4))
        axes.plot(mean[axis], mean["value"], color=colour, marker=marker, markersize=4.5, markeredgecolor="none")
    axes.autoscale_view()
    log = _value_scale(axes, curves["value"])
    if floor is not None and (floor > 0 or not log):
        _draw_floor(axes, floor)
    axes.set_xlabel(AXES[axis])
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep="", places=None))
    handles = [_legend_mark(label, look) for label in labels]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=1.2)
    return canvas


def draw_plane(
    points: pd.DataFrame, real: tuple[float, float] | None, x: str, y: str, look: Look, width: float
) -> Canvas:
    """Draw two shares against each other: a small dot for every seed, a large mark for each row's mean.

    `points` has label, seed, and the columns named `x` and `y`; `real` is where real images lie. The axes fit the rows:
    real images that lie far beyond them are named at the edge.
    """
    labels = labels_in(points, look.labels)
    columns = 2 if width < 5 else 5
    rows = -(-len(labels) // columns)
    canvas = Canvas(figsize=(width, min(width, 4.2) + 0.19 * rows), layout="constrained")
    axes = canvas.add_subplot()
    for label in labels:
        mine = points[points["label"] == label]
        colour, marker = look.of(label)
        axes.plot(mine[x], mine[y], "o", color=colour, markersize=3, alpha=0.55, markeredgecolor="none", zorder=3)
        axes.plot(
            mine[x].mean(),
            mine[y].mean(),
            marker,
            color=colour,
            markersize=8,
            markeredgecolor=INK,
            markeredgewidth=0.5,
            zorder=4,
        )
    seen = real_is_near(points, real, x, y)
    ends = [max(*points[column], *([real[at]] if real and seen else [0])) or 0.01 for at, column in enumerate((x, y))]
    axes.set_xlim(-0.04 * ends[0], 1.06 * ends[0])
    axes.set_ylim(-0.04 * ends[1], 1.06 * ends[1])
    if real is not None:
        _draw_real(axes, real, seen)
    axes.set_xlabel(metric_heading(x))
    axes.set_ylabel(metric_heading(y))
    handles = [_legend_mark(label, look) for label in labels]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=1.2)
    return canvas


class Look:
    """Which colour and marker a label has, the same in every figure of a report."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._index = {label: index for index, label in enumerate(labels)}

    def of(self, label: str) -> tuple[str, str]:
        index = self._index[label]
        return PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]


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


def few_rows(labels: Sequence[str]) -> bool:
    """Tell whether a figure of curves has room for every seed."""
    return len(labels) <= MOST_WITH_SEEDS


def _legend_mark(label: str, look: Look) -> Line2D:
    colour, marker = look.of(label)
    return Line2D([], [], color=colour, marker=marker, markersize=4.5, markeredgecolor="none", label=label)


def _lost(summary: Summary) -> str:
    return ", ".join(unscored_runs(summary))


def _scale_of_scores(axes: Axes, summaries: Sequence[Summary]) -> None:
    values = [value for summary in summaries for value in summary.scores]
    floors = [summary.floor for summary in summaries if summary.floor is not None]
    everything = [*values, *floors, *(bound for s in summaries for bound in (s.low, s.high) if bound is not None)]
    if floors:
        floor = float(np.mean(floors))
        axes.axvline(floor, color=INK, linewidth=1, linestyle=DASHED)
        to_the_left = floor > 0.6 * max(everything)
        axes.annotate(
            f"real images {format_number(floor)}",
            (floor, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-3 if to_the_left else 3, 1),
            textcoords="offset points",
            ha="right" if to_the_left else "left",
            va="bottom",
            fontsize=7.5,
            color=MUTED,
        )
    positive = [value for value in everything if value > 0]
    if values and len(positive) == len(everything) and max(values) > 25 * min(values):
        axes.set_xscale("log")
        _plain_log_ticks(axes, "x")
    elif values:
        span = max(everything) - min(0.0, *everything)
        axes.set_xlim(min(0.0, min(everything) - 0.02 * span), max(everything) + 0.06 * span)
        axes.xaxis.set_minor_locator(AutoMinorLocator(2))


def _value_scale(axes: Axes, values: pd.Series[float]) -> bool:
    """Make the axis of values logarithmic where they span much; return whether it is."""
    known = values.dropna()
    log = bool(len(known) and known.min() > 0 and known.max() > 4 * known.min())
    if log:
        axes.set_yscale("log")
        _plain_log_ticks(axes, "y")
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


def _plain_log_ticks(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())


def _axis_text(metric: str, width: float) -> str:
    better = describe_metric(metric).better
    title = describe_metric(metric).title
    return f"{title}: {better} is better" if better and width > 4 else metric_heading(metric)
