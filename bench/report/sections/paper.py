"""The tables for papers: the page's short ones, and others of few columns, every cell in one line, written as LaTeX."""

from __future__ import annotations

from dataclasses import replace

from bench.formatting import NOTHING, PERCENT_95, plural
from bench.report.metric_text import describe_metric, format_difference, format_mean, metric_heading
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.pairs import pairs_section
from bench.report.sections.results import family_words, results_table, two_kinds_words, verdict_word
from bench.report.sections.tables import ordered, states
from bench.report.sections.verdicts import resolution_note, same_sentence
from bench.report.study import Entry, Study
from bench.statistics import Summary


def paper_tables(study: Study) -> tuple[Table, ...]:
    """Return the page's short table and the comparison of each protocol, all headline metrics, and all pairs.

    A table's name is its file's stem.
    """
    short = (_short(study, protocol) for protocol in study.protocols)
    comparisons = (_comparison(study, protocol) for protocol in study.protocols)
    section = pairs_section(study)
    pairs = (_pairs(answers) for _, answers, _ in (section.tables if section else ()))
    return (*short, *comparisons, _metrics(study), *pairs)


def _short(study: Study, protocol: str) -> Table:
    """Return the table as it stands on the page, with all that is said under it in its caption."""
    table = results_table(study, protocol)
    words = (table.caption, family_words(study), two_kinds_words(study))
    return replace(table, caption=" ".join(part for part in words if part))


def _pairs(answers: Table) -> Table:
    """Return a table of pairs without its sentences, of which a line has no room."""
    kept = [at for at, heading in enumerate(answers.headings) if heading.text != "answer"]
    return replace(
        answers,
        headings=tuple(answers.headings[at] for at in kept),
        rows=tuple(Row(tuple(row.cells[at] for at in kept), row.kind) for row in answers.rows),
    )


def _comparison(study: Study, protocol: str) -> Table:
    rows = ordered(study, protocol)
    ranked = any(summary.rank is not None for _, summary in rows)
    compared = any(summary.difference is not None for _, summary in rows)
    headings = (
        *((Heading("rank", numeric=True), Heading("group")) if ranked else ()),
        Heading("objective"),
        Heading(metric_heading(study.primary), numeric=True),
        *((Heading(f"difference to {study.plan['baseline']}", numeric=True), Heading("verdict")) if compared else ()),
        Heading("runs"),
    )
    caption = (
        f"{describe_metric(study.primary).title} at generator step {study.plan['final_step']:,}, {protocol} protocol, "
        f"{plural(len(study.seeds), 'seed')}: mean and {PERCENT_95} interval over seeds. "
        + ("Rows that share a letter are not told apart. " if ranked else "Not ranked. ")
        + resolution_note(study, protocol)
        + ("Verdicts: Welch's test (ranks where a run was lost), Holm's correction, 5\u00a0%. " if compared else "")
        + same_sentence(study, protocol)
    )
    body = tuple(Row(_comparison_cells(study, entry, summary, ranked, compared)) for entry, summary in rows)
    return Table(f"results-{protocol}", caption.strip(), headings, body)


def _comparison_cells(study: Study, entry: Entry, summary: Summary, ranked: bool, compared: bool) -> tuple[Cell, ...]:
    standing = study.standing(entry)
    rank = NOTHING if summary.rank is None else str(summary.rank)
    letters = standing.letters if standing and standing.letters else NOTHING
    return (
        *((Cell(rank, numeric=True), Cell(letters)) if ranked else ()),
        Cell(entry.label),
        Cell(*format_mean(summary), numeric=True),
        *((Cell(*format_difference(summary), numeric=True), Cell(verdict_word(study, entry))) if compared else ()),
        Cell(f"{summary.done}/{summary.planned}", badges=states(summary)),
    )


def _metrics(study: Study) -> Table:
    metrics = study.headline_metrics()
    rows = tuple(
        Row((Cell(entry.label), Cell(entry.protocol), *(_value(study.summary(entry, metric)) for metric in metrics)))
        for protocol in study.protocols
        for entry, _ in ordered(study, protocol)
    )
    shown = [summary for summary in study.summaries if summary.metric in metrics]
    partial = (
        "(k of n): only k of the n planned runs have a score, and all else in the cell is of these; it flatters where "
        "the others were lost. "
        if any(summary.basis for summary in shown)
        else ""
    )
    return Table(
        "metrics",
        f"Headline metrics at generator step {study.plan['final_step']:,}, {plural(len(study.seeds), 'seed')}: mean "
        f"and {PERCENT_95} interval over seeds. {partial}Only {describe_metric(study.primary).title} ranks.",
        (
            Heading("objective"),
            Heading("protocol"),
            *(Heading(metric_heading(metric), numeric=True) for metric in metrics),
        ),
        rows,
    )


def _value(summary: Summary) -> Cell:
    """Return a mean and its interval, and over how many of the planned runs where it is not over all."""
    text, bounds = format_mean(summary)
    some = f"({len(summary.values)} of {summary.planned})" if summary.basis else ""
    return Cell(text, "\n".join(part for part in (bounds, some) if part), numeric=True)
