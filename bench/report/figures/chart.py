"""Line charts written as SVG by hand: many small panels in the time that matplotlib takes to lay out one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import escape
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

from bench.report.figures.svg import themed

Floats = npt.NDArray[np.float64]
INK, MUTED, GRID = "#2b3036", "#6b737c", "#dfe1e3"
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', 'DejaVu Sans', Arial, sans-serif"
LEFT, RIGHT, TOP, BOTTOM = 30.0, 9.0, 16.0, 24.0
_LETTER = 4.1  # about the width of a letter at 7.5 points


@dataclass(frozen=True)
class Line:
    """One curve: its points (a value that is not finite leaves a gap), colour, SVG dash pattern and legend text."""

    xs: Floats
    ys: Floats
    colour: str
    dash: str = ""
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
class _Axis:
    """Data to points along one axis."""

    low: float
    high: float
    start: float
    end: float
    scale: str = "linear"
    threshold: float = 1.0

    def place(self, values: Sequence[float] | Floats) -> list[float]:
        low, high = (_unrolled(np.array([v]), self.scale, self.threshold)[0] for v in (self.low, self.high))
        share = (_unrolled(np.asarray(values, dtype=float), self.scale, self.threshold) - low) / ((high - low) or 1.0)
        return [float(value) for value in self.start + share * (self.end - self.start)]


def chart(
    panels: Sequence[Panel],
    columns: int,
    width: float,
    height: float,
    x_label: str,
    title: str = "",
    shared: bool = False,
) -> str:
    """Draw panels in a grid, each `height` points high, all of it `width` points wide; return SVG.

    With `shared`, all panels have one pair of scales, so that they can be compared.
    """
    head = 16.0 if title else 2.0
    rows = -(-len(panels) // columns)
    cell = width / columns
    bounds = [_bounds([panel]) for panel in panels]
    if shared:
        bounds = [_bounds(panels)] * len(panels)
    whole = head + rows * height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{whole:.0f}pt" '
        f'viewBox="0 0 {width:.0f} {whole:.0f}" font-family="{escape(FONT)}" font-size="7.5" fill="{MUTED}">'
    ]
    if title:
        parts.append(_text(0, 11, title, size=9.5, colour=INK, weight="600"))
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        last = index + columns >= len(panels)
        parts += _panel(panel, bounds[index], column * cell, head + row * height, cell, height, x_label if last else "")
    return themed("".join(parts) + "</svg>")


def _panel(
    panel: Panel, bounds: tuple[float, float, float, float], x: float, y: float, wide: float, high: float, x_label: str
) -> list[str]:
    x_low, x_high, y_low, y_high = bounds
    across = _Axis(x_low, x_high, x + LEFT, x + wide - RIGHT)
    upwards = _Axis(y_low, y_high, y + high - BOTTOM, y + TOP, panel.scale, panel.threshold)
    parts = [_text(x, y + 10, panel.title, size=8, colour=MUTED)]
    parts += _legend(panel, x + wide - RIGHT, y + 10)
    ticks = _y_ticks(upwards)
    for value, place in zip(ticks, upwards.place(ticks), strict=True):
        parts.append(_path(f"M{_short(across.start)} {_short(place)}H{_short(across.end)}", GRID, 0.6))
        parts.append(_text(across.start - 3, place + 2.5, _tick_text(value), anchor="end"))
    parts.append(_path(f"M{_short(across.start)} {_short(upwards.start)}H{_short(across.end)}", MUTED, 0.7))
    marks = [value for value in MaxNLocator(4).tick_values(x_low, x_high) if x_low <= value <= x_high]
    for value, place in zip(marks, across.place(marks), strict=True):
        parts.append(_path(f"M{_short(place)} {_short(upwards.start)}v2.5", MUTED, 0.7))
        parts.append(_text(place, upwards.start + 10, _tick_text(float(value)), anchor="middle"))
    if x_label:
        parts.append(_text((across.start + across.end) / 2, y + high - 3, x_label, anchor="middle"))
    if panel.floor is not None:
        level = _short(upwards.place([panel.floor])[0])
        parts.append(_path(f"M{_short(across.start)} {level}H{_short(across.end)}", INK, 0.8, "3 2"))
    for line in panel.lines:
        drawn = _drawn(across.place(line.xs), upwards.place(line.ys))
        if drawn:
            parts.append(_path(drawn, line.colour, 0.9, line.dash, ' opacity=".8"'))
    return parts


def _drawn(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return path data with steps in tenths of a point; a value that is not finite starts a new piece."""
    parts: list[str] = []
    before: tuple[int, int] | None = None
    for x, y in zip(xs, ys, strict=True):
        if not math.isfinite(y):
            before = None
            continue
        here = round(10 * x), round(10 * y)
        if before is None:
            # A lone point is a dot: a line of no length with round ends.
            parts.append(f"M{_tenths(here[0])} {_tenths(here[1])}h0")
        else:
            parts.append(f"l{_tenths(here[0] - before[0])} {_tenths(here[1] - before[1])}")
        before = here
    return "".join(parts)


def _bounds(panels: Sequence[Panel]) -> tuple[float, float, float, float]:
    lines = [line for panel in panels for line in panel.lines]
    xs = np.concatenate([np.asarray(line.xs, dtype=float) for line in lines] or [np.zeros(1)])
    ys = np.concatenate([np.asarray(line.ys, dtype=float) for line in lines] or [np.zeros(1)])
    ys = ys[np.isfinite(ys)]
    low, high = (float(ys.min()), float(ys.max())) if len(ys) else (0.0, 1.0)
    floors = [panel.floor for panel in panels if panel.floor is not None]
    if floors:  # a little under it, so that it is not taken for the axis
        log = panels[0].scale == "log"
        low = min(low, min(floors) / 1.2 if log else min(floors) - 0.08 * (high - min(floors)))
        high = max(high, *floors)
    if low == high:
        low, high = low - (abs(low) or 1.0) * 0.05, high + (abs(high) or 1.0) * 0.05
    return 0.0, float(xs.max()) or 1.0, low, high


def _unrolled(values: Floats, scale: str, threshold: float) -> Floats:
    if scale == "log":
        return np.log10(values)
    return np.arcsinh(values / threshold) if scale == "symlog" else values


def _y_ticks(axis: _Axis) -> list[float]:
    low, high = axis.low, axis.high
    if axis.scale == "log":
        found = np.asarray(LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high))
    elif axis.scale == "symlog":
        top = max(abs(low), abs(high), axis.threshold)
        powers = 10.0 ** np.arange(math.floor(math.log10(axis.threshold)) + 1, math.ceil(math.log10(top)) + 1)
        found = np.concatenate([-powers[::-1], [0.0], powers])
    else:
        found = np.asarray(MaxNLocator(4).tick_values(low, high))
    ticks = [float(value) for value in found if low <= value <= high]
    return ticks[:: -(-len(ticks) // 5)] if len(ticks) > 5 else ticks


def _legend(panel: Panel, right: float, y: float) -> list[str]:
    """Return the named lines' names, each once, in one line that ends at `right`."""
    named: dict[str, Line] = {}
    for line in panel.lines:
        if line.name:
            named.setdefault(line.name, line)
    x = right - sum(15 + _LETTER * len(name) + 5 for name in named)
    parts = []
    for name, line in named.items():
        parts.append(_path(f"M{_short(x)} {_short(y - 2.5)}h11", line.colour, 1.2, line.dash))
        parts.append(_text(x + 14, y, name, colour=INK))
        x += 15 + _LETTER * len(name) + 5
    return parts


def _path(drawn: str, colour: str, width: float, dash: str = "", more: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"{dashed}{more}/>'
    )


def _text(x: float, y: float, words: str, size: float = 0, colour: str = "", anchor: str = "", weight: str = "") -> str:
    given = (("font-size", size or ""), ("fill", colour), ("text-anchor", anchor), ("font-weight", weight))
    attributes = "".join(f' {name}="{value}"' for name, value in given if value)
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    return f'<text x="{_short(x)}" y="{_short(y)}"{attributes}>{escape(printable)}</text>'


def _tick_text(value: float) -> str:
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}".replace("-", "−")
    return EngFormatter(sep="")(value).replace("-", "−") if abs(value) >= 1000 else f"{value:.0e}".replace("-", "−")


def _short(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _tenths(value: int) -> str:
    """Write tenths of a point without needless digits: 12 as 1.2, -3 as -.3."""
    text = f"{abs(value) / 10:.1f}".rstrip("0").rstrip(".").lstrip("0") or "0"
    return ("-" if value < 0 else "") + text
