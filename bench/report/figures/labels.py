"""Words in figures: how wide they are, shortened to fit, and moved apart where they would hide each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from bench.report.figures.palette import INK, Mark

NAME_SIZE, NAME_PITCH = 8.0, 10.5  # points: letters, from line to line
POINTS_PER_INCH = 72
_MARK_WIDE = 10.0  # points that a mark takes before its name
_MANY = 12  # names
_MARK = 5.0  # points around a point that no name covers
_DISTANCES = (8.0, 14.0, 22.0, 32.0, 44.0, 60.0, 80.0)  # points from a point to its name, the nearest first
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in points."""


@lru_cache(maxsize=4096)
def width_of(text: str, size: float) -> float:
    """Return the width of one line of letters of `size` points, in points, in the figures' own font."""
    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def printable(text: str) -> str:
    """Return the names of rows and loss terms without what neither SVG nor a font has, such as a line's end."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def shortened(text: str, size: float, width: float) -> str:
    """Return text that is at most `width` points wide: its beginning and an ellipsis where it is longer."""
    text = printable(text)
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places between `low` and `high` at least `gap` apart, in the same order, each moved as little as can be.

    Least squares under the gaps: an isotonic regression of what is left of each place when the gaps before it are taken
    away. Where they do not all fit, they are as far apart as the space allows.
    """
    count = len(places)
    if count == 0:
        return []
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(count)
    blocks: list[list[float]] = []  # mean, size
    for place in np.asarray(places, dtype=np.float64)[order] - steps:
        blocks.append([float(place), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, size = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * size) / (blocks[-1][1] + size), blocks[-1][1] + size]
    level = np.repeat([mean for mean, _ in blocks], [int(size) for _, size in blocks])
    moved = np.empty(count)
    moved[order] = np.clip(level, low, high - steps[-1]) + steps
    return [float(place) for place in moved]


def room_beside(names: Iterable[str], size: float, most: float) -> float:
    """Return how much room names at the ends of lines take at the right of the axes, in points, at most `most`."""
    widths = [width_of(printable(name), size) for name in names]
    return min(max(widths) + _away(len(widths)) + 1, most)


def name_ends(axes: Axes, ends: Mapping[str, tuple[tuple[float, float], Mark]], size: float, room: float) -> None:
    """Write a line's name at the right of the axes: a thin line leads from its end to its mark and its name.

    `ends` are where a line ends, in data, and how it looks; `room` is what lies at the right of the axes, in points.
    Names are moved apart; limits and scales must be set.
    """
    (across, high), away = _size_of(axes), _away(len(ends))
    places = [_in_points(axes, end)[1] for end, _ in ends.values()]
    pitch = NAME_PITCH * size / NAME_SIZE
    for (name, (end, mark)), place in zip(ends.items(), spread(places, pitch, 0.0, high), strict=True):
        line = {"arrowstyle": "-", "color": mark.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 2}
        at = across + away - (_MARK_WIDE if mark.marker else 3.0)
        axes.annotate("", end, xytext=(at, place), textcoords="axes points", annotation_clip=False, arrowprops=line)
        if mark.marker:
            axes.plot((at + 3) / across, place / high, markersize=4.5, transform=axes.transAxes, clip_on=False,
                      **mark.line)  # fmt: skip
        axes.annotate(shortened(name, size, room - away), (across + away, place), xycoords="axes points",
                      va="center_baseline", fontsize=size, color=INK, annotation_clip=False)  # fmt: skip


def _away(names: int) -> float:
    """Return how far names stand from the axes, in points: farther where many lines must fan out to them."""
    return 18.0 if names <= _MANY else 34.0


def name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write a name beside each point, where it covers neither a point nor another name, as near as that can be."""
    across, high = _size_of(axes)
    centres = {name: _in_points(axes, point) for name, point in points.items()}
    taken: list[Box] = [(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in centres.values()]
    for name, centre in centres.items():
        wide = width_of(printable(name), NAME_SIZE)
        boxes = list(_around(centre, wide, (0.0, 0.0, across, high)))
        overlaps = [sum(_overlap(box, other) for other in taken) for box in boxes]
        box = boxes[int(np.argmin(overlaps))]  # the first, nearest, of equal ones
        taken.append(box)
        away = max(box[0] - centre[0], centre[0] - box[2], box[1] - centre[1], centre[1] - box[3])
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4}
        axes.annotate(
            printable(name), points[name], xytext=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
            textcoords="axes points", ha="center", va="center", fontsize=NAME_SIZE, color=INK,
            arrowprops=line if away > _DISTANCES[0] + 1 else None,
        )  # fmt: skip


def _size_of(axes: Axes) -> tuple[float, float]:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return tuple(float(side / figure.dpi * POINTS_PER_INCH) for side in (axes.bbox.width, axes.bbox.height))  # type: ignore[return-value]


def _in_points(axes: Axes, point: tuple[float, float]) -> tuple[float, float]:
    """Return where a point in data lies, in points from the lower left corner of the axes."""
    (x, y), (wide, high) = axes.transLimits.transform(axes.transScale.transform(point)), _size_of(axes)
    return float(x * wide), float(y * high)


def _around(centre: tuple[float, float], wide: float, within: Box) -> Iterator[Box]:
    """Yield the places for a name around a point, the nearest first, that do not leave the axes."""
    x, y = centre
    half, tall = wide / 2, NAME_SIZE / 2 + 1
    for distance, (right, up) in product(_DISTANCES, _DIRECTIONS):
        away = distance * (0.8 if right and up else 1)
        at, level = x + right * (away + half), y + up * (away + tall - 2)
        box = (at - half, level - tall, at + half, level + tall)
        if within[0] <= box[0] and within[1] <= box[1] and box[2] <= within[2] and box[3] <= within[3]:
            yield box
    yield (x + _DISTANCES[0], y - tall, x + _DISTANCES[0] + wide, y + tall)


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    wide, high = (min(one[at + 2], other[at + 2]) - max(one[at], other[at]) for at in (0, 1))
    return max(wide, 0.0) * max(high, 0.0)
