"""What every row's generator made, one small panel each: the seed in the middle, nothing selected. No torch."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from bench.report.figures.palette import BLUE, CORAL, INK, MUTED
from bench.report.figures.plots import style
from bench.validation.modes.results import ModesFolder, RowResult
from bench.validation.modes.tasks import HIGH_QUALITY_DEVIATIONS, Points, PointTask, draw_points

COLUMNS = 6
PANEL_INCHES = 1.25
DPI = 150
COLOURS = 24  # dots on white need no more
POINT, MISSED = BLUE, CORAL


@dataclass(frozen=True)
class Panel:
    """One panel: what stands over it, and the points N x 2 (None: the run diverged)."""

    title: str
    detail: str
    points: Points | npt.NDArray[np.float32] | None


def panels(task: PointTask, results: Sequence[RowResult], folder: ModesFolder) -> list[Panel]:
    """Return the data's own panel and one per row with a finished run: its median seed, named."""
    count = task.samples
    drawn = [Panel("data", f"{task.modes} of {task.modes}", draw_points(task, count, "ceiling"))]
    for result in results:
        record = result.median()
        if record is None:
            continue
        detail = "diverged" if record["diverged"] else f"{record['modes']} of {task.modes}"
        drawn.append(Panel(result.row, f"{detail}, seed {record['seed']}", folder.points(record["id"])))
    return drawn


def draw(task: PointTask, drawn: Sequence[Panel]) -> bytes:
    """Return the panels as PNG bytes on white. Centres without a high-quality point are circled."""
    rows = math.ceil(len(drawn) / COLUMNS)
    with style():
        canvas = Canvas(figsize=(COLUMNS * PANEL_INCHES, rows * (PANEL_INCHES + 0.28)), layout="constrained")
        grid = canvas.subplots(rows, COLUMNS, squeeze=False)
        for axes, panel in zip(grid.flat, [*drawn, *[None] * (rows * COLUMNS - len(drawn))], strict=True):
            _panel(axes, task, panel)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return _few_colours(buffer.getvalue())


def _panel(axes: Axes, task: PointTask, panel: Panel | None) -> None:
    axes.set_axis_off()
    if panel is None:
        return
    centres = np.asarray(task.centres)
    reach = float(np.abs(centres).max())
    edge = max(1.25 * reach, reach + 4 * task.deviation)
    axes.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    axes.text(0, 1.13, panel.title, transform=axes.transAxes, fontsize=7.5, color=INK, weight="bold")
    axes.text(0, 1.02, panel.detail, transform=axes.transAxes, fontsize=6.5, color=MUTED)
    missed = centres
    if panel.points is not None:
        x, y = np.asarray(panel.points, np.float64).T
        axes.scatter(x, y, s=0.7, color=POINT, linewidths=0)
        missed = centres[[not _found(task, centre, panel.points) for centre in centres]]
    axes.scatter(missed[:, 0], missed[:, 1], s=26, facecolors="none", edgecolors=MISSED, linewidths=0.8)


def _found(task: PointTask, centre: npt.NDArray[np.float64], points: npt.NDArray[np.floating]) -> bool:
    distances = np.linalg.norm(np.asarray(points, np.float64) - centre, axis=1)
    return bool((distances < HIGH_QUALITY_DEVIATIONS * task.deviation).any())


def _few_colours(png: bytes) -> bytes:
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
