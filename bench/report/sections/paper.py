"""The tables for papers: fewer columns than the page has, every cell in one line. They are written as LaTeX."""

from __future__ import annotations

from bench.formatting import NOTHING, PERCENT_95, plural
from bench.report.metric_text import describe_metric, format_difference, format_mean, metric_heading
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.tables import ordered, states
from bench.report.sections.verdicts import resolution_note, same_sentence
from bench.report.study import Entry, Study
from bench.statistics import Summary


def paper_tables(study: Study) -> tuple[Table, ...]:
    """Return the comparison of each protocol, and all headline metrics; a table's name is its file's stem."""
    return (*(_comparison(study, protocol) for protocol in study.protocols), _metrics(study))


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
        *((Cell(*format_difference(summary), numeric=True), Cell(_verdict(study, entry))) if compared else ()),
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


def _verdict(study: Study, entry: Entry) -> str:
    comparison = study.comparison(entry)
    if comparison is None:
        return "baseline" if entry.label == study.plan["baseline"] else NOTHING
    return comparison.verdict or "not judged"


def _value(summary: Summary) -> Cell:
    """Return a mean and its interval, and over how many of the planned runs where it is not over all."""
    text, bounds = format_mean(summary)
    some = f"({len(summary.values)} of {summary.planned})" if summary.basis else ""
    return Cell(text, "\n".join(part for part in (bounds, some) if part), numeric=True)
