"""Controlled beside published: what an objective's own recipe adds, and what its loss adds to the baseline's."""

from __future__ import annotations

from bench.formatting import NOTHING, PERCENT_95
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.tables import difference_cell, value_cell
from bench.report.study import Study
from bench.statistics import Summary


def protocols_table(study: Study) -> Table | None:
    """Return every objective's primary metric under both protocols and the differences; None with one protocol."""
    if not {"controlled", "published"} <= set(study.protocols):
        return None
    rows = []
    base = {protocol: study.find_summary(protocol, study.plan["baseline"]) for protocol in ("controlled", "published")}
    for label in study.labels:
        controlled, published = (study.find_summary(protocol, label) for protocol in base)
        if controlled is None and published is None:
            continue
        rows.append(
            Row(
                (
                    Cell(label),
                    _value(controlled),
                    _value(published),
                    difference_cell(published, controlled),
                    difference_cell(controlled, base["controlled"]),
                    difference_cell(published, base["published"]),
                )
            )
        )
    baseline = study.plan["baseline"]
    return Table(
        "protocols",
        f"{describe_metric(study.primary).title} under both protocols, and differences of means with Welch’s "
        f"{PERCENT_95} intervals. Published minus controlled: the same loss by the authors’ recipe less by the shared "
        f"one; to {baseline}: another loss under one recipe for all, and another loss with another recipe. "
        f"{_sign_words(study)}Unpaired, uncorrected, descriptive; means over survivors where runs were lost.",
        (
            Heading("objective"),
            Heading("controlled", study.primary, numeric=True),
            Heading("published", study.primary, numeric=True),
            Heading("published less controlled", numeric=True),
            Heading(f"to {baseline}, controlled", numeric=True),
            Heading(f"to {baseline}, published", numeric=True),
        ),
        tuple(rows),
    )


def _sign_words(study: Study) -> str:
    """Return which sign of a difference is the worse one, in a sentence; "" for a metric that has none."""
    better = describe_metric(study.primary).better
    return f"{'Plus' if better == 'lower' else 'Minus'} is worse. " if better else ""


def _value(summary: Summary | None) -> Cell:
    return Cell(NOTHING, numeric=True) if summary is None else value_cell(summary, middle=False)
