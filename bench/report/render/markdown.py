"""The report as Markdown, with its figures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bench.formatting import markdown_table
from bench.report.model import (
    FIGURES,
    Block,
    Boards,
    Cell,
    Commands,
    Figure,
    Fold,
    Group,
    MethodCard,
    Page,
    Pairs,
    Panels,
    Picture,
    Points,
    Prose,
    Row,
    SampleSet,
    Several,
    Table,
    Term,
    Terms,
    Walls,
)
from bench.report.render.naming import document_link, file_stem

_MARKS = {"alert": "> **Warning.** ", "notice": "> "}
_SPECIAL = re.compile(r"([\\`*_\[\]|$~#!])")
_LINE_ENDS = re.compile(r"[^\S\u00a0]+")
_SAFE_CODE = re.compile(r"[\w .@+/:=*'\",-]+")


def render_markdown(page: Page) -> str:
    """Return the report as Markdown; figures are named relative to it, in figures/."""
    blocks = [f"# {text(page.title)}", _notice(page)]
    for section in page.sections:
        if section.depth != "minute":
            blocks.append(f"## {text(section.title)}")
        body = [line for line in _all(section.blocks, 3) if line]
        blocks += folded(section.title, body) if section.depth == "hour" else body
    blocks += [_notice(page), f"Study {text(page.study)}. Made by bench {text(page.version)}."]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _all(blocks: Iterable[Block], level: int) -> Iterator[str]:
    for block in blocks:
        yield from _block(block, level)


def _block(block: Block, level: int) -> Iterable[str]:
    """Write one block of a section; headings inside of it are of `level`."""
    match block:
        case Prose():
            return [_MARKS.get(block.kind, "") + _spans(block.text)]
        case Points():
            return [text(block.lead), "\n".join(f"- {_spans(item)}" for item in block.items)]
        case Commands():
            return ["\n".join(f"    {' '.join(line.split())}" for line in block.lines)]
        case Terms():
            return ["\n".join(_term(term, block.linked) for term in block.terms)]
        case Table():
            return [table(block)]
        case Figure():
            return _figure(block)
        case Panels() | Boards():
            return (line for figure in block.figures for line in _figure(figure))
        case Walls():
            return (line for one in block.sets for line in _samples(one, level))
        case Pairs():
            tables = (
                folded(f"All pairs, {protocol} protocol", [table(answers)]) for protocol, answers, _ in block.tables
            )
            return [text(block.lead), *(line for lines in tables for line in lines)]
        case MethodCard():
            return _card(block, level)
        case Group():
            link = f" ([source]({block.link}))" if block.link else ""
            return [f"{'#' * level} {text(block.title)}{link}", *_all(block.blocks, level + 1)]
        case Fold():
            return folded(block.title, _all(block.blocks, level))
        case Several():
            return [_spans(block.words), *_all(block.blocks, level)]


def _term(term: Term, linked: bool) -> str:
    file = f"docs/{term.document}.md"
    more = f" ([{file}]({document_link(term.document)}))" if linked else f" (`{file}`)"
    return f"- **{text(term.word)}**: {text(term.meaning)}{more if term.document else ''}"


def text(value: str) -> str:
    """Escape text so that Markdown shows it as it is: no markup, no HTML, no cell border, no line break."""
    flat = _LINE_ENDS.sub(" ", value)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(character, entity)
    return _SPECIAL.sub(r"\\\1", flat)


def table(of: Table) -> str:
    """Write a table: its caption, a pipe table, its notes."""
    heads = [text(heading.text) + (f"<br>{_code(heading.code)}" if heading.code else "") for heading in of.headings]
    body = markdown_table(heads, (_cells(of, row) for row in of.rows), [heading.numeric for heading in of.headings])
    notes = [f"{index}. {text(note)}" for index, note in enumerate(of.notes, start=1)]
    blocks = [f"*{text(of.caption)}*", body, "\n".join(notes)]
    return "\n\n".join(block for block in blocks if block)


def _cells(of: Table, row: Row) -> Iterable[str]:
    """Write a row's cells; the best as a set have their names in bold."""
    return (_cell(cell, row.kind == "set" and at == of.header) for at, cell in enumerate(row.cells))


def _cell(cell: Cell, bold: bool = False) -> str:
    body = _code(cell.text) if cell.code else text(cell.text)
    body = f"**{body}**" if bold else body
    notes = f"<sup>{', '.join(map(str, cell.notes))}</sup>" if cell.notes else ""
    details = [text(detail) for detail in (*cell.detail.splitlines(), *cell.badges)]
    joint = "<br>" if body or notes else ""
    return body + notes + (joint + "<br>".join(details) if details else "")


def _code(value: str) -> str:
    return f"`{value}`" if _SAFE_CODE.fullmatch(value) else text(value)


def _spans(value: str) -> str:
    return "".join(_code(part) if index % 2 else text(part) for index, part in enumerate(value.split("`")))


def _notice(page: Page) -> str:
    return f"> **Note.** {text(page.notice)}" if page.notice else ""


def _figure(figure: Figure) -> Iterable[str]:
    stem = f"{FIGURES}/{file_stem(figure.name)}"
    others = "".join(
        f", [against {text(axis)}]({FIGURES}/{variant_stem(figure, axis)}.svg)" for axis, *_ in figure.variants
    )
    yield f"![{text(figure.alt)}]({stem}.png)"
    yield f"*{text(figure.caption)}* ([SVG]({stem}.svg){others}, [data]({stem}.csv))"


def variant_stem(figure: Figure, axis: str) -> str:
    """Return the stem of the file of a figure against another axis."""
    return file_stem(f"{figure.name}-{axis}".replace(" ", "-"))


def folded(title: str, blocks: Iterable[str]) -> list[str]:
    """Write blocks that are shown on demand."""
    return [f"<details><summary>{text(title)}</summary>", *blocks, "</details>"]


def _picture(picture: Picture) -> Iterable[str]:
    yield f"![{text(picture.file_alt or picture.alt)}]({picture.file})"
    yield f"*{text(picture.caption)}*"


def _samples(of: SampleSet, level: int) -> Iterable[str]:
    yield f"{'#' * level} {text(of.label)}: {text(of.seed_text)}"
    for picture in (of.wall, of.progress, *of.extremes):
        if picture:
            yield from _picture(picture)
    yield "\n".join(f"- [{text(p.title)}]({p.file}): {text(p.caption)}" for p in of.closer)


def _card(card: MethodCard, level: int) -> Iterable[str]:
    yield f"{'#' * level} {text(card.title)} ({_code(card.name)})"
    yield text(card.source) + (f" ([abstract]({card.link}))" if card.link else "")
    for who, lines in card.losses:
        yield f"{text(who)}:"
        for line in lines:
            fenced = line.svg is not None and "`" not in line.latex and "\n" not in line.latex
            yield f"```math\n{line.latex}\n```" if fenced else text(line.latex)
    yield "\n".join(f"- {text(what)}: {text(value)}" for what, value in card.facts)
    yield "\n".join(
        [*(f"- {text(note)}" for note in card.notes), *(f"- Code and paper: {text(d)}" for d in card.code_differences)]
    )
