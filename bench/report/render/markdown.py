"""The report as Markdown, with its figures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.formatting import markdown_table
from bench.report.model import (
    EXTERNAL_WORDS,
    FIGURES,
    FORGIVES_WORDS,
    PUBLISHED_WORDS,
    Cell,
    Conclusions,
    Figure,
    MethodCard,
    Page,
    Picture,
    Row,
    Table,
)
from bench.report.render.naming import file_stem

_SPECIAL = re.compile(r"([\\`*_\[\]|$~#!])")
_LINE_ENDS = re.compile(r"[^\S\u00a0]+")
_SAFE_CODE = re.compile(r"[\w .@+/:=*'\",-]+")


def render_markdown(page: Page) -> str:
    """Return the report as Markdown; figures are named relative to it, in figures/."""
    blocks = [
        f"# {text(page.title)}",
        _notice(page),
        *map(text, page.lead),
        *(f"> **Warning.** {_spans(alert)}" for alert in page.alerts),
        *(f"> {_spans(sentence)}" for sentence in page.missing),
        "## In short",
        *_in_short(page.conclusions),
        "## Results",
        *_results(page),
        *(["## Controlled beside published", table(page.both_protocols)] if page.both_protocols else []),
        *_published(page),
        *(["## Samples from elsewhere", EXTERNAL_WORDS, table(page.external)] if page.external else []),
        *(["## What the metric forgives", FORGIVES_WORDS, table(page.forgives)] if page.forgives else []),
        "## What was held equal",
        table(page.equal),
        *(["## While training", *(block for curve in page.curves for block in _figure(curve))] if page.curves else []),
        *map(table, page.equal_seconds),
        *(["## Precision and recall"] if page.planes else []),
        *(block for plane in page.planes for block in (*_figure(plane), table(plane.table))),
        *(["## Diversity and copying", *map(table, page.diversity)] if page.diversity else []),
        "\n".join(f"- {text(note)}" for note in page.diversity_notes),
        "## Stability",
        *_stability(page),
        "## Samples",
        "Raw generator, fixed latents, nothing selected. Each heading names the seed that is shown, and why.",
        text(page.how_to_read_closer),
        *_samples(page),
        *_losses(page),
        "## The objectives",
        "Every loss is minimised. C is the discriminator’s output without activation, x a real image, x̃ a generated "
        "one; R is the reconstruction of an autoencoding discriminator.",
        *(block for card in page.cards for block in _card(card)),
        "## Recipes and parameters",
        table(page.recipes),
        table(page.parameters),
        "## Runs",
        table(page.troubles)
        if page.troubles
        else "Every planned run is done and evaluated; none diverged, failed or collapsed.",
        table(page.moved) if page.moved else "",
        table(page.environments) if page.environments.rows else "",
        folded("All runs", page.runs),
        "## Cost",
        table(page.costs),
        "## Metrics",
        table(page.metrics),
        "## To repeat it",
        "\n".join(f"    {' '.join(command.split())}" for command in page.repeat),
        table(page.repeat_rows),
        "Every score comes from [results.csv](results.csv), parameters, losses and costs from the files of the runs; "
        "[summary.csv](summary.csv), "
        "[comparisons.csv](comparisons.csv), [pairs.csv](pairs.csv), [standings.csv](standings.csv), "
        "[stability.csv](stability.csv) and [resolution.csv](resolution.csv) are what it was made into.",
        _notice(page),
        f"Study {text(page.study)}. Made by bench {text(page.version)}.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


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


def _in_short(of: Conclusions) -> Iterable[str]:
    for lead, sentences in of.lists:
        yield lead
        yield "\n".join(f"- {_spans(sentence)}" for sentence in sentences)


def _results(page: Page) -> Iterable[str]:
    for section in page.protocols:
        yield f"### {text(section.title)}"
        yield table(section.table)
        yield _spans(" ".join(section.sentences))
        if section.same:
            yield table(section.same)
        if section.figure:
            yield from _figure(section.figure)
        yield folded(f"Every metric, {section.protocol} protocol", section.every_metric)
        if section.pairs:
            yield folded(f"All pairs, {section.protocol} protocol: probability of improvement", section.pairs)


def _published(page: Page) -> Iterable[str]:
    if page.published:
        yield "## Published figures"
        yield PUBLISHED_WORDS
    for section in page.published:
        yield f"### {text(section.title)} ([source]({section.link}))"
        yield table(section.figures)
        yield table(section.differences)


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


def folded(summary: str, of: Table) -> str:
    """Write a table that is shown on demand."""
    return f"<details><summary>{text(summary)}</summary>\n\n{table(of)}\n\n</details>"


def _picture(picture: Picture) -> Iterable[str]:
    yield f"![{text(picture.file_alt or picture.alt)}]({picture.file})"
    yield f"*{text(picture.caption)}*"


def _samples(page: Page) -> Iterable[str]:
    for section in page.samples:
        if len(page.samples) > 1:
            yield f"### {text(section.title)}"
        for sample_set in section.sets:
            yield f"#### {text(sample_set.label)}: {text(sample_set.seed_text)}"
            for picture in (sample_set.wall, sample_set.progress, *sample_set.extremes):
                if picture:
                    yield from _picture(picture)
            yield "\n".join(f"- [{text(p.title)}]({p.file}): {text(p.caption)}" for p in sample_set.closer)


def _stability(page: Page) -> Iterable[str]:
    for section in page.stability:
        if len(page.stability) > 1:
            yield f"### {text(section.title)}"
        yield table(section.table)
        if section.figure:
            yield from _figure(section.figure)


def _losses(page: Page) -> Iterable[str]:
    if page.has_losses:
        yield "## Losses"
    for section in page.losses:
        if len(page.losses) > 1 and section.figures:
            yield f"### {text(section.title)}"
        for figure in section.figures:
            yield from _figure(figure)


def _card(card: MethodCard) -> Iterable[str]:
    yield f"### {text(card.title)} ({_code(card.name)})"
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
