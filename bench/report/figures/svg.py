"""SVG text: figures made small and dark, and equations drawn from LaTeX without a browser's help."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.textpath import TextPath

from bench.limits import MOST_FORMULA_CHARACTERS
from bench.report.figures.palette import DARK
from bench.report.model import Equation

if TYPE_CHECKING:
    from matplotlib.path import Path as Outline

_COLOURS = re.compile("|".join(DARK), re.IGNORECASE)
_PATH_DATA = re.compile(r'(?<= d=")[^"]*')
_POSITION = re.compile(r'(?<= )([xy])="(-?\d+\.\d+)"')
_NUMBER = re.compile(r"-?\d+\.\d+")
_STRAIGHT = frozenset("MLz")
_NEEDLESS = re.compile(r'(?<=<g) id="[^"]*"| transform="rotate\(-?0 [^"]*"|stroke-dashoffset: 0; ')
EM_POINTS = 10.0
_THEME_START, _THEME_END = "<style>@media (prefers-color-scheme:dark){", "}</style>"
_THEME = re.compile(f"{re.escape(_THEME_START)}.*?{re.escape(_THEME_END)}", re.DOTALL)


def tidy(svg: str) -> str:
    """Shorten matplotlib's SVG without a visible change: no prologue, metadata, ids of groups or needless digits."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _PATH_DATA.sub(_shorter_path, svg)
    svg = _POSITION.sub(lambda place: f'{place[1]}="{_short(float(place[2]))}"', svg)
    svg = _NEEDLESS.sub("", svg)
    return re.sub(r">\s+<", "><", svg).replace("<g/>", "")


def _shorter_path(data: re.Match[str]) -> str:
    """Write a curve to a hundredth of a point, and straight lines to a tenth, where L after M goes without saying."""
    words = data[0].split()
    if not _STRAIGHT.issuperset(word for word in words if word.isalpha()):
        return " ".join(_NUMBER.sub(_rounded, data[0]).split())
    return " ".join(word if word.isalpha() else _short(float(word), 1) for word in words if word != "L")


def dark(svg: str) -> str:
    """Return a figure in the colours for a dark page."""
    return _COLOURS.sub(lambda colour: DARK[colour[0].lower()], svg)


def themed(svg: str) -> str:
    """Return a figure that takes the colours of a dark page by itself, in half the bytes of two figures."""
    used = sorted(set(map(str.lower, _COLOURS.findall(svg))))
    rules = "".join(
        f'[{what}="{colour}"],[style*="{what}: {colour}"]{{{what}:{DARK[colour]}!important}}'
        for colour in used
        for what in ("fill", "stroke")
        if f'{what}="{colour}"' in svg or f"{what}: {colour}" in svg
    )
    head_end = svg.index(">") + 1
    return f"{svg[:head_end]}{_THEME_START}{rules}{_THEME_END}{svg[head_end:]}"


def on_white(svg: str) -> str:
    """Return a figure with a white ground and in its light colours, for a file that is looked at anywhere."""
    svg = _THEME.sub("", svg)
    head_end = svg.index(">") + 1
    return f'{svg[:head_end]}<rect width="100%" height="100%" fill="#ffffff"/>{svg[head_end:]}'


def equations(latex: str) -> tuple[Equation, ...]:
    r"""Draw LaTeX (without dollar signs), one line per part that `\quad` sets apart."""
    parts = [part.strip().rstrip(",").strip() for part in re.split(r"\\q?quad\b", latex)]
    return tuple(draw_equation(part) for part in parts if part)


@lru_cache(maxsize=512)
def draw_equation(latex: str) -> Equation:
    """Draw one line of LaTeX with matplotlib's mathtext; `svg` is None where it is too long or not mathtext.

    Sizes are in em of the surrounding text. The drawing is outlines alone, so that it needs no font and runs no code.
    """
    if len(latex) > MOST_FORMULA_CHARACTERS:
        return Equation(latex, None)
    text = "$" + latex.replace("$", "").replace(r"\frac", r"\dfrac") + "$"
    try:
        with rc_context({"mathtext.fontset": "cm"}):
            outline = TextPath((0, 0), text, size=EM_POINTS, usetex=False)
    except (ValueError, RuntimeError):
        return Equation(latex, None)
    box = outline.get_extents()
    if not np.all(np.isfinite([box.x0, box.y0, box.x1, box.y1])) or box.width <= 0:
        return Equation(latex, None)
    pad = 0.5
    x, y, wide, high = box.x0 - pad, -box.y1 - pad, box.width + 2 * pad, box.height + 2 * pad
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x:.2f} {y:.2f} {wide:.2f} {high:.2f}">'
        f'<path fill="#000000" d="{_path_data(outline)}"/></svg>'
    )
    return Equation(latex, svg, wide / EM_POINTS, high / EM_POINTS, max(pad - box.y0, 0) / EM_POINTS)


def _path_data(outline: Outline) -> str:
    """Write an outline in SVG's commands, y downwards."""
    commands = {1: "M", 2: "L", 3: "Q", 4: "C"}
    parts = []
    for vertices, code in outline.iter_segments(simplify=False, curves=True):
        if code == 79:
            parts.append("Z")
            continue
        points = np.asarray(vertices, dtype=float).reshape(-1, 2) * (1.0, -1.0)
        parts.append(commands[int(code)] + " ".join(_short(value) for value in points.ravel()))
    return "".join(parts)


def _rounded(match: re.Match[str]) -> str:
    return _short(float(match[0]))


def _short(value: float, decimals: int = 2) -> str:
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
