"""The phase portraits of all objectives in one figure, in the report's style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from bench.report.figures.palette import BLUE, CORAL, GREY, GRID, INK, MUTED
from bench.validation.dirac.motion import Numbers, Path
from bench.validation.dirac.survey import REACH, STEP, Portrait, eigenvalue_text

FLOW, STEPS = BLUE, CORAL
_LEFT, _RIGHT, _BOTTOM = 0.42, 0.08, 0.45  # margins, inches
_ARROW = 0.27
_SYMBOLS = {"penalty_weight": "λ", "gamma": "γ"}
_GAP, _HEADING = 0.13, 0.54  # between panels, and above each


def draw_portraits(portraits: Sequence[Portrait], width: float, columns: int) -> Canvas:
    """Draw a panel per objective, up to `columns` beside each other on `width` inches; all have the same axes."""
    columns = min(columns, max(len(portraits), 3))
    rows = -(-len(portraits) // columns)
    side = (width - _LEFT - _RIGHT - _GAP * (columns - 1)) / columns
    legend_columns = 4 if columns > 2 else 2
    top = 1.12 - 0.08 * legend_columns
    height = top + _BOTTOM + rows * (side + _HEADING) - _HEADING
    canvas = Canvas(figsize=(width, height))
    for index, portrait in enumerate(portraits):
        row, column = divmod(index, columns)
        left = _LEFT + column * (side + _GAP)
        bottom = height - top - side - row * (side + _HEADING)
        axes = canvas.add_axes((left / width, bottom / height, side / width, side / height))
        _draw(axes, portrait)
        axes.tick_params(labelleft=column == 0, labelbottom=index + columns >= len(portraits))
        if column == 0:
            axes.set_ylabel("ψ", rotation=0, labelpad=4, va="center")
        if index + columns >= len(portraits):
            axes.set_xlabel("θ", labelpad=1)
    _legend(canvas, legend_columns)
    return canvas


def _draw(axes: Axes, portrait: Portrait) -> None:
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.tick_params(labelsize=7, pad=1.5)
    axes.grid(visible=False)
    axes.axhline(0, color=GRID, linewidth=0.6, zorder=0)
    axes.axvline(0, color=GRID, linewidth=0.6, zorder=0)
    _stroke(axes, _arrows(portrait.arrows), color=GREY, linewidth=0.5, alpha=0.7, zorder=1)
    inside = _inside(portrait.flow)
    theta, psi = (np.where(inside, values, np.nan) for values in (portrait.flow.theta, portrait.flow.psi))
    axes.plot(theta, psi, color=FLOW, linewidth=1.1, zorder=2)
    _stroke(axes, _dots(portrait.steps), color=STEPS, linewidth=1.5, zorder=3)
    axes.plot(portrait.flow.theta[:1], portrait.flow.psi[:1], marker="s", markersize=3.2, color=INK, zorder=4)
    axes.plot([0], [0], marker="+", markersize=6, markeredgewidth=1.1, color=INK, zorder=4)
    settings = ", ".join(f"{_SYMBOLS.get(key, key)} = {value:g}" for key, value in portrait.settings.items())
    for text, x, above in (
        (settings, 1, 24.0),
        (eigenvalue_text(portrait.eigenvalues), 0, 13.5),
        (str(portrait.flow_does), 0, 4.0),
    ):
        _write(axes, text, x, above, fontsize=6.5, color=MUTED)
    _write(axes, portrait.name, 0, 24.0, fontsize=8, color=INK, fontweight="bold")


def _write(axes: Axes, text: str, x: float, above: float, **look: Any) -> None:
    axes.annotate(
        text,
        (x, 1),
        (0, above),
        "axes fraction",
        "offset points",
        ha="right" if x else "left",
        annotation_clip=False,
        **look,
    )


def _stroke(axes: Axes, lines: Sequence[Numbers], **look: Any) -> None:
    """Draw many short lines as one outline, which an SVG holds in a tenth of what single marks take."""
    outline = Outline.make_compound_path(*(Outline(line) for line in lines))
    outline.should_simplify = False
    axes.add_patch(PathPatch(outline, fill=False, capstyle="round", joinstyle="round", snap=False, **look))


def _arrows(rows: Numbers) -> list[Numbers]:
    """Return the field's directions as arrows, point, shaft and head, all of one length: speeds differ too widely."""
    places, rates = rows[:, :2], rows[:, 2:]
    speeds = np.hypot(*rates.T)
    along = _ARROW * rates[speeds > 0] / speeds[speeds > 0, None]
    across = along[:, ::-1] * (-1, 1)
    tip = places[speeds > 0] + along / 2
    head = np.stack([tip - 0.3 * along + 0.2 * across, tip, tip - 0.3 * along - 0.2 * across], axis=1)
    return [*np.stack([tip - along, tip], axis=1), *head]


def _dots(path: Path) -> list[Numbers]:
    """Return a line too short to be seen for each place inside the panel: its round caps make it a dot."""
    places = np.column_stack([path.theta, path.psi])[_inside(path)]
    return list(np.stack([places, places + np.array([1e-3, 0])], axis=1))


def _inside(path: Path) -> NDArray[np.bool_]:
    return (np.abs(path.theta) < 1.2 * REACH) & (np.abs(path.psi) < 1.2 * REACH)


def _legend(canvas: Canvas, columns: int) -> None:
    handles = [
        Line2D([], [], color=INK, marker="s", markersize=3.2, linestyle="", label="start"),
        Line2D([], [], color=FLOW, linewidth=1.3, label="gradient flow"),
        Line2D([], [], color=STEPS, marker="o", markersize=2.5, linestyle="", label=f"alternating steps of {STEP}"),
        Line2D([], [], color=INK, marker="+", markersize=6, linestyle="", label="equilibrium"),
    ]
    canvas.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        handlelength=1.4,
        columnspacing=1.2,
        borderpad=0.2,
    )
