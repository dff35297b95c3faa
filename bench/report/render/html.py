"""The report as one HTML file: no request, one small script that the page can do without, everything escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.figures.svg import dark
from bench.report.model import EXTERNAL_WORDS, FORGIVES_WORDS, PUBLISHED_WORDS, Page, ReportOptions

PIXELS_PER_POINT = 4 / 3


def render_html(page: Page, options: ReportOptions) -> str:
    """Return the whole page. Its policy forbids requests and all but its own script; all text is escaped."""
    environment = Environment(
        loader=PackageLoader("bench.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "anchor": anchor,
        "dark": dark,
        "size_of": _size_of,
        "spans": _spans,
        "svg_uri": lambda svg: _data_uri("svg+xml", svg.encode()),
        "webp_uri": lambda image: _data_uri("webp", image),
    }
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template("report.html.j2").render(
        page=page,
        options=options,
        published_words=PUBLISHED_WORDS,
        external_words=EXTERNAL_WORDS,
        forgives_words=FORGIVES_WORDS,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


def _script() -> str:
    """Return the page's script, without the line ends that the page is stripped of."""
    lines = files("bench.report.render").joinpath("templates/report.js").read_text("utf-8").splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def anchor(name: str) -> str:
    """Return a name that is safe as an id."""
    return "t-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _size_of(svg: str) -> Markup:
    """Return width and height attributes in CSS pixels, from a figure's own size in points."""
    sizes = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"|height="([\d.]+)pt"[^>]* width="([\d.]+)pt"', svg[:2000])
    if sizes is None:
        return Markup("")
    width, height = (sizes[1], sizes[2]) if sizes[1] else (sizes[4], sizes[3])
    pixels = (round(float(value) * PIXELS_PER_POINT) for value in (width, height))
    return Markup('width="{}" height="{}"').format(*pixels)


def _spans(text: str) -> Markup:
    """Escape text, with what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
