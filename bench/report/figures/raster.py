"""PNG of the SVG that chart.py writes: its lines and words, and nothing else that SVG may hold."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from bench.report.figures.plots import PNG_DPI, style

_SVG = "{http://www.w3.org/2000/svg}"
_COMMAND = re.compile(r"([MHhvl])([^MHhvl]*)")
_ALIGNED = {"middle": "center", "end": "right", None: "left"}

_MARGIN = 5.0  # points on every side, for letters that are wider here than in a browser

Points = list[tuple[float, float]]


def png_of_chart(svg: str) -> bytes:
    """Return a chart's SVG, in its light colours, as PNG on white, the same bytes every time."""
    root = ElementTree.fromstring(svg)
    width, height = (float(value) + 2 * _MARGIN for value in root.attrib["viewBox"].split()[2:])
    with style():
        canvas = Canvas(figsize=(width / 72, height / 72))
        for element in root:
            if element.tag == f"{_SVG}path":
                _stroke(canvas, element.attrib, width, height)
            elif element.tag == f"{_SVG}text":
                _write(canvas, element, root.attrib, width, height)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def points_of(drawn: str) -> Iterator[Points]:
    """Yield the pieces of path data that has the commands M, H, h, v and l."""
    piece: Points = []
    for command, text in _COMMAND.findall(drawn):
        numbers = [float(number) for number in text.split()]
        if command == "M":
            if piece:
                yield piece
            piece = [(numbers[0], numbers[1])]
            continue
        x, y = piece[-1]
        moved = {"H": (numbers[0], y), "h": (x + numbers[0], y), "v": (x, y + numbers[0])}
        piece.append(moved[command] if command in moved else (x + numbers[0], y + numbers[1]))
    if piece:
        yield piece


def _stroke(canvas: Canvas, given: dict[str, str], width: float, height: float) -> None:
    size = float(given["stroke-width"])
    dashes = [float(number) / size for number in given.get("stroke-dasharray", "").split()]
    for piece in points_of(given["d"]):
        xs, ys = zip(*piece, strict=True)
        line = Line2D(
            [(x + _MARGIN) / width for x in xs],
            [1 - (y + _MARGIN) / height for y in ys],
            color=given["stroke"],
            linewidth=size,
            linestyle=(0, dashes) if dashes else "-",
            alpha=float(given.get("opacity", 1)),
            solid_capstyle="round",
            transform=canvas.transFigure,
        )
        canvas.add_artist(line)


def _write(canvas: Canvas, element: ElementTree.Element, default: dict[str, str], width: float, height: float) -> None:
    given = default | element.attrib
    canvas.text(
        (float(given["x"]) + _MARGIN) / width,
        1 - (float(given["y"]) + _MARGIN) / height,
        element.text or "",
        fontsize=float(given["font-size"]),
        color=given["fill"],
        fontweight="bold" if "font-weight" in given else "normal",
        ha=_ALIGNED[given.get("text-anchor")],
        va="baseline",
    )
