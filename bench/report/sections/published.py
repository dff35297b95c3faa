"""Figures that papers state for the same images, beside the study's own, with every difference of protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.formatting import NOTHING
from bench.report.literature import (
    Difference,
    PublishedRow,
    PublishedTable,
    matching_tables,
    protocol_differences,
    shared_metrics,
)
from bench.report.metric_text import describe_metric
from bench.report.model import Block, Cell, Group, Heading, Prose, Row, Table
from bench.report.sections.tables import value_cell
from bench.report.study import Entry, Study
from bench.report.subject import Subject

_WORDS = (
    "What others state for the same data set at the same size, in the same metric. Their protocols differ from this "
    "study’s in everything that the second table of each source lists, so levels cannot be compared; at most an order "
    "can. None of these figures takes part in a rank or a verdict. The data are in published.csv and "
    "published-differences.csv."
)
_MARKS = {"V": "Figures read in", "M": "Figures from memory of"}


@dataclass(frozen=True)
class _Match:
    """One published table beside this study: the metrics that both have, and the differences of protocol."""

    table: PublishedTable
    metrics: tuple[str, ...]
    differences: tuple[Difference, ...]


def published_figures(subject: Subject) -> tuple[Block, ...]:
    """Return a group for each published table that may stand beside the study; nothing where none may."""
    groups = tuple(
        Group(_title(match.table), (_figures(subject.study, match), _differences(match)), match.table.link)
        for match in _matches(subject.study)
    )
    return (Prose(_WORDS), *groups) if groups else ()


def published_frames(study: Study) -> dict[str, pd.DataFrame]:
    """Return the data of those sections by the name of their CSV file; {} where there are none."""
    matches = _matches(study)
    if not matches:
        return {}
    figures = [row for match in matches for row in _figure_rows(study, match)]
    differences = [
        {"table": match.table.name, "what": difference.what, "theirs": difference.theirs, "ours": difference.ours}
        for match in matches
        for difference in match.differences
    ]
    return {"published": pd.DataFrame(figures), "published-differences": pd.DataFrame(differences)}


def _matches(study: Study) -> list[_Match]:
    plan = study.plan
    return [
        _Match(table, metrics, protocol_differences(table, plan))
        for table in matching_tables(plan)
        if (metrics := tuple(m for m in shared_metrics(table, plan["evaluation"]) if m in study.metrics))
    ]


def _figures(study: Study, match: _Match) -> Table:
    table, beside = match.table, [_beside(study, row) for row in match.table.rows]
    protocols = [protocol for protocol in study.protocols if any(protocol in by_protocol for by_protocol in beside)]
    headings = [Heading("method")]
    for metric in match.metrics:
        title = describe_metric(metric).title
        headings.append(Heading(f"{title}, by the source", numeric=True))
        headings += [Heading(f"{title} here, {protocol} protocol", metric, numeric=True) for protocol in protocols]
    rows = tuple(
        Row(tuple(_row_cells(study, match, row, by_protocol, protocols)))
        for row, by_protocol in zip(table.rows, beside, strict=True)
    )
    return Table(f"published-{table.name}", _caption(match), tuple(headings), rows)


def _row_cells(
    study: Study, match: _Match, row: PublishedRow, beside: dict[str, Entry], protocols: Sequence[str]
) -> Iterator[Cell]:
    yield Cell(row.method, "\n".join(part for part in (row.note, "from memory" if row.mark == "M" else "") if part))
    for metric in match.metrics:
        figure = row.figures.get(metric)
        yield Cell(figure.printed, numeric=True, sort=figure.value) if figure else Cell(NOTHING, numeric=True)
        for protocol in protocols:
            entry = beside.get(protocol)
            yield value_cell(study.summary(entry, metric), middle=False) if entry else Cell(NOTHING, numeric=True)


def _beside(study: Study, row: PublishedRow) -> dict[str, Entry]:
    """Return the entry, by protocol, that a published method stands beside.

    It is the objective's own row, or its only one: of several variants none is picked.
    """
    by_protocol = {}
    for protocol in study.protocols:
        entries = [entry for entry in study.entries_of(protocol) if entry.objective == row.objective]
        plain = [entry for entry in entries if entry.label == row.objective] or entries
        if row.objective and len(plain) == 1:
            by_protocol[protocol] = plain[0]
    return by_protocol


def _title(table: PublishedTable) -> str:
    return f"{table.cited}: {table.about}" if table.about else table.cited


def _caption(match: _Match) -> str:
    table = match.table
    words = f"{table.cited}: {table.paper}. {_MARKS[table.mark]}: {table.seen_in}."
    if any(figure.spread is not None for row in table.rows for figure in row.figures.values()):
        words += f" Its ±: {table.spread or 'not stated in what was read'}."
    return f"{words} {table.note}".strip()


def _differences(match: _Match) -> Table:
    return Table(
        f"published-{match.table.name}-differences",
        f"In what the protocol of {match.table.cited} differs from this study’s.",
        tuple(map(Heading, ("what", "by the source", "here"))),
        tuple(
            Row((Cell(difference.what), Cell(difference.theirs), Cell(difference.ours)))
            for difference in match.differences
        ),
    )


def _figure_rows(study: Study, match: _Match) -> Iterator[dict[str, Any]]:
    table = match.table
    for row in table.rows:
        beside = _beside(study, row)
        for metric in match.metrics:
            figure = row.figures.get(metric)
            if figure is None:
                continue
            yield {
                "table": table.name,
                "source": _title(table),
                "link": table.link,
                "mark": row.mark,
                "data": table.data,
                "resolution": table.resolution,
                "metric": metric,
                "method": row.method,
                "objective": row.objective,
                "published": figure.printed,
                "published_value": figure.value,
                "published_spread": figure.spread,
                **{f"here_{protocol}": _mean(study, beside, protocol, metric) for protocol in study.protocols},
                "note": row.note,
            }


def _mean(study: Study, beside: dict[str, Entry], protocol: str, metric: str) -> float | None:
    return study.summary(beside[protocol], metric).mean if protocol in beside else None
