"""Names in figures: beside what they name, inside the drawing, and never over each other."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation, Text
from matplotlib.transforms import BboxBase

from bench.report.figures.palette import Look
from bench.report.figures.plots import NARROW, WIDE, draw_curves, draw_plane, style


def boxes_of(canvas: Canvas, names: list[str]) -> dict[str, BboxBase]:
    """Return where each name is drawn, in pixels; each must be there once."""
    renderer = FigureCanvasAgg(canvas).get_renderer()
    (axes,) = canvas.axes
    found: dict[str, BboxBase] = {}
    for text in axes.texts:
        if text.get_text() in names:
            assert isinstance(text, Annotation)
            assert text.get_text() not in found
            text.update_positions(renderer)
            found[text.get_text()] = Text.get_window_extent(text, renderer)  # without its line
    assert set(found) == set(names)
    return found


def assert_apart(canvas: Canvas, boxes: dict[str, BboxBase]) -> None:
    assert all(canvas.bbox.x0 <= box.x0 and box.x1 <= canvas.bbox.x1 for box in boxes.values())
    for one, other in combinations(boxes, 2):
        overlap = BboxBase.intersection(boxes[one], boxes[other])
        assert overlap is None or min(overlap.width, overlap.height) < 1, (one, other)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("rows", [3, 25])
def test_every_line_has_its_name_at_its_end(rows: int, width: float) -> None:
    names = [f"row-{index}" for index in range(rows)]
    lines = [(name, seed, step, 30 + index / 10 + seed) for index, name in enumerate(names)
             for seed in (0, 1) for step in (100.0, 200.0)]  # fmt: skip
    curves = pd.DataFrame(lines, columns=["label", "seed", "generator_steps", "value"])
    means = curves.groupby(["label", "generator_steps"])["value"].mean().reset_index().assign(whole=True)
    with style():
        canvas = draw_curves(curves, means, 2.0, "fd_lite0", "generator_steps", Look(dict.fromkeys(names, "x")), width)
        boxes = boxes_of(canvas, names)
        assert_apart(canvas, boxes)
        assert canvas.axes[0].get_legend() is None
        assert not canvas.legends
    heights = [boxes[name].y0 for name in names]
    assert heights == sorted(heights)  # a higher line's name stands higher
    assert min(box.x0 for box in boxes.values()) >= canvas.axes[0].bbox.x1


def test_every_point_has_its_name_beside_it() -> None:
    names = [f"row-{index}" for index in range(9)]
    places = [(0.0, 0.0), (0.001, 0.0), (0.0, 0.001), *((0.1 * index, 0.5) for index in range(6))]
    points = pd.DataFrame(
        [(name, 0, *place) for name, place in zip(names, places, strict=True)],
        columns=["label", "seed", "recall_judge", "precision_judge"],
    )
    with style():
        look = Look(dict.fromkeys(names, "x"))
        canvas = draw_plane(points, None, "recall_judge", "precision_judge", look, WIDE)
        assert_apart(canvas, boxes_of(canvas, names))
