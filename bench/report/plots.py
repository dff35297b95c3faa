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
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoMinorLocator, EngFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from bench.report.svg import tidy
from bench.report.words import describe_metric, losses, metric_heading, number
from bench.statistics import Summary

INK, MUTED, GRID = "#2b3036", "#6b737c", "#dfe1e3"
# seaborn's "colorblind", its two palest colours last.
PALETTE = tuple(sns.color_palette("colorblind").as_hex()[index] for index in (0, 1, 2, 3, 4, 5, 9, 7, 6, 8))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h", "*", "<", ">", "d")
WIDE, NARROW = 6.8, 3.45
PNG_DPI = 160
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


def draw_curves(curves: pd.DataFrame, metric: str, look: Look, width: float) -> Canvas:
    """Draw a metric against generator steps and against device seconds: thin lines are seeds, the thick one their mean.

    `curves` has label, seed, generator_steps, device_seconds, value.
    """
    stacked = width < 5
    labels = [label for label in look.labels if label in set(curves["label"])]
    columns = 2 if stacked else 4
    rows = -(-len(labels) // columns)
    height = (5.3 if stacked else 3.0) + 0.19 * rows
    canvas = Canvas(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    canvas.suptitle(metric_heading(metric), x=0.01, ha="left", fontsize=9, color=INK)
    panels = canvas.subplots(2, 1) if stacked else canvas.subplots(1, 2, sharey=True)
    for axes, axis, text in zip(
        panels, ("generator_steps", "device_seconds"), ("generator steps", "seconds of training"), strict=True
    ):
        for label in labels:
            mine = curves[curves["label"] == label]
            colour, marker = look.of(label)
            for _, run in mine.groupby("seed"):
                axes.plot(run[axis], run["value"], color=colour, linewidth=0.7, alpha=0.4)
            mean = (
                mine.groupby("generator_steps")[[axis, "value"]].mean()
                if axis == "device_seconds"
                else (mine.groupby("generator_steps")[["value"]].mean().reset_index())
            )
            axes.plot(mean[axis], mean["value"], color=colour, marker=marker, markersize=4.5, markeredgecolor="none")
        axes.set_xlabel(text)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(EngFormatter(sep="", places=None))
        _value_scale(axes, curves["value"])
    handles = [
        Line2D(
            [],
            [],
            color=look.of(label)[0],
            marker=look.of(label)[1],
            markersize=4.5,
            markeredgecolor="none",
            label=label,
        )
        for label in labels
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=1.6, columnspacing=1.2)
    return canvas


def draw_losses(curves: pd.DataFrame, title: str) -> Canvas:
    """Draw one entry's terms, a panel for each player, a line for every seed.

    `curves` has player, term, seed, generator_steps, value (NaN where the loss was not finite).
    """
    players = [player for player in ("discriminator", "generator") if player in set(curves["player"])]
    canvas = Canvas(figsize=(NARROW, 0.45 + 1.35 * max(len(players), 1)), layout="constrained")
    canvas.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=INK)
    panels = canvas.subplots(len(players), 1, sharex=True, squeeze=False)[:, 0]
    for axes, player in zip(panels, players, strict=True):
        mine = curves[curves["player"] == player]
        terms = list(dict.fromkeys(mine["term"]))
        colours = dict(zip(terms, (PALETTE * 3)[: len(terms)], strict=True))
        solid_or_dashed: Any = {term: dash or "" for term, dash in _dashes(terms).items()}
        sns.lineplot(
            data=mine,
            x="generator_steps",
            y="value",
            hue="term",
            style="term",
            units="seed",
            estimator=None,
            palette=colours,
            dashes=solid_or_dashed,
            linewidth=0.9,
            alpha=0.75,
            legend=False,
            ax=axes,
        )
        handles = [Line2D([], [], color=colours[t], linestyle=(0, _dashes(terms)[t]), label=t) for t in terms]
        axes.legend(
            handles=handles,
            loc="upper right",
            bbox_to_anchor=(1.0, 1.2),
            ncols=4,
            handlelength=1.5,
            columnspacing=0.9,
            borderpad=0,
            fontsize=7.5,
        )
        axes.set_title(
            "both networks" if len(players) == 1 and player == "generator" else player, fontsize=8, color=MUTED
        )
        axes.set_xlabel("")
        axes.set_ylabel("")
        _loss_scale(axes, mine["value"])
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[-1].set_xlabel("generator steps")
    return canvas


class Look:
    """Which colour and marker a label has, the same in every figure of a report."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._index = {label: index for index, label in enumerate(labels)}

    def of(self, label: str) -> tuple[str, str]:
        index = self._index[label]
        return PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]


def both_widths(draw: Callable[[float], Canvas]) -> tuple[str, str, bytes]:
    """Draw a figure for desktops and for phones; return both as SVG, and the wide one as PNG."""
    with style():
        wide = draw(WIDE)
        wide_svg = svg_of(wide)
        return wide_svg, svg_of(draw(NARROW)), png_of(wide)


def one_width(draw: Callable[[], Canvas]) -> tuple[str, str, bytes]:
    """Draw a small figure, the same for every width; return as `both_widths` does."""
    with style():
        canvas = draw()
        svg = svg_of(canvas)
        return svg, svg, png_of(canvas)


def _lost(summary: Summary) -> str:
    return ", ".join(losses(summary))


def _scale_of_scores(axes: Axes, summaries: Sequence[Summary]) -> None:
    values = [value for summary in summaries for value in summary.scores]
    floors = [summary.floor for summary in summaries if summary.floor is not None]
    everything = [*values, *floors, *(bound for s in summaries for bound in (s.low, s.high) if bound is not None)]
    if floors:
        floor = float(np.mean(floors))
        axes.axvline(floor, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        to_the_left = floor > 0.6 * max(everything)
        axes.annotate(
            f"real images {number(floor)}",
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


def _value_scale(axes: Axes, values: pd.Series[float]) -> None:
    found = values.dropna()
    if len(found) and found.min() > 0 and found.max() > 4 * found.min():
        axes.set_yscale("log")
        _plain_log_ticks(axes, "y")


def _plain_log_ticks(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    formatter = ScalarFormatter()
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())


def _loss_scale(axes: Axes, values: pd.Series[float]) -> None:
    """Use a symmetric log scale where a few values would flatten all others, as in a run that diverges."""
    found = values.abs().replace([np.inf], np.nan).dropna()
    if len(found) and found.max() > 60 * max(float(found.median()), 1e-12):
        axes.set_yscale("symlog", linthresh=max(float(found.median()), 1e-9))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _dashes(terms: Sequence[str]) -> dict[str, tuple[float, ...]]:
    patterns: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5))
    return {term: patterns[index % len(patterns)] for index, term in enumerate(terms)}


def _axis_text(metric: str, width: float) -> str:
    better = describe_metric(metric).better
    title = describe_metric(metric).title
    return f"{title}: {better} is better" if better and width > 4 else metric_heading(metric)
