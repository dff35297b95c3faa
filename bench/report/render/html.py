"""The report as one HTML file: no request, one small script that the page can do without, everything escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.figures.svg import dark
from bench.report.model import DEPTHS, Board, Page, ReportOptions, Term
from bench.report.render.naming import DOCUMENTS, document_link, file_stem

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
    words = Words(page.terms)
    environment.filters |= {
        "anchor": anchor,
        "breakable": _breakable,
        "dark": dark,
        "document": document_link,
        "file_stem": file_stem,
        "grid": _grid,
        "longest_word": _longest_word,
        "led": _led,
        "kind": lambda block: type(block).__name__,
        "size_of": _size_of,
        "spans": _spans,
        "svg_uri": lambda svg: _data_uri("svg+xml", svg.encode()),
        "webp_uri": lambda image: _data_uri("webp", image),
        "words": words.linked,
    }
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template("report.html.j2").render(
        page=page,
        options=options,
        depths=DEPTHS,
        documents=DOCUMENTS,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


def _script() -> str:
    """Return the page's script, without the line ends that the page is stripped of."""
    lines = files("bench.report.render").joinpath("templates/report.js").read_text("utf-8").splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


class Words:
    """Links each word of the glossary where the page first has it."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self._waiting = {str(escape(form)): term for term in terms for form in term.forms}

    def linked(self, text: str) -> Markup:
        """Escape text, with what stands between backticks as code and its new words as links."""
        return _marked(text, self._link)

    def _link(self, part: Markup) -> Markup:
        if not self._waiting:
            return part
        forms = "|".join(re.escape(form) for form in sorted(self._waiting, key=len, reverse=True))
        linked, end = Markup(""), 0
        for match in re.finditer(rf"(?<![\w&])(?:{forms})(?!\w)", part):
            term = self._waiting.get(match[0])
            if term is None:
                continue
            self._waiting = {form: other for form, other in self._waiting.items() if other is not term}
            link = Markup('<a class="word" href="#{}" title="{}">{}</a>').format(
                term.anchor, term.meaning, Markup(match[0])
            )
            linked, end = linked + part[end : match.start()] + link, match.end()
        return linked + part[end:]


def _spans(text: str) -> Markup:
    """Escape text, with what stands between backticks as code."""
    return _marked(text, lambda part: part)


def _marked(text: str, mark: Callable[[Markup], Markup]) -> Markup:
    """Escape text, with what stands between backticks as code, the rest as `mark` makes it."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else mark(escape(part)) for index, part in enumerate(parts)
    )


def _led(sentence: Markup) -> Markup:
    """Set off the word or two with which a sentence says what it is about: "Controlled: ..."."""
    lead, colon, rest = sentence.partition(": ")
    return (
        Markup("<strong>{}:</strong> {}").format(lead, rest)
        if colon and re.fullmatch(r"[\w ]{3,30}", lead)
        else sentence
    )


def anchor(name: str) -> str:
    """Return a name that is safe as an id."""
    return "t-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _breakable(label: str) -> Markup:
    """Return a label that a narrow column may break after its marks: nsgan@0.0005 before the rate."""
    return Markup("<wbr>").join(re.findall(r"[^@_/]*[@_/]|[^@_/]+", label))


def _longest_word(board: Board) -> int:
    """Return the letters of the longest part of a board's labels that stands in one line: browsers break at hyphens."""
    return max(len(word) for row in board.rows for word in re.findall(r"[^@_/-]+[@_/-]?", row.label) or [row.label])


def _grid(board: Board) -> str:
    """Return a board's upright lines as a CSS background: its ticks, and the floor as a dashed one."""
    lines = [f"linear-gradient(var(--faint),var(--faint)) {place:g}% 0/1px 100% no-repeat" for place, _ in board.ticks]
    if board.floor:
        dashes = "repeating-linear-gradient(var(--ink) 0 4px,transparent 4px 8px)"
        lines.insert(0, f"{dashes} {board.floor[0]:g}% 0/1px 100% no-repeat")
    return ",".join(lines) or "none"


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
