"""What the study's metric forgives and what it punishes, on the study's own images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench.formatting import format_count, format_number, plural
from bench.metrics.catalogue import extractor_title
from bench.report.metric_text import describe_metric, format_metric, metric_heading
from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Study

WORDS = (
    "The same metrics, of real images that were made worse on purpose. What stands near the floor is forgiven: a "
    "generator that does this is hardly punished for it. Where the Fréchet distance, KID and coverage put these rows "
    "in different orders, an order of the study’s own rows by one of them deserves a second look by another."
)


def forgives_table(study: Study) -> Table | None:
    """Return the panel, what is forgiven most first; None where it was not measured."""
    record = study.forgives
    if record is None:
        return None
    metrics = _metrics(study, record)
    first = metrics[0]
    lower = describe_metric(first).better != "higher"
    ordered = sorted(record["rows"], key=lambda row: row["values"][first] * (1 if lower else -1))
    floor = record["floor"][first]
    body = [
        Row(
            (
                Cell(row["words"]),
                *_values(metrics, row["values"], floor),
                *(Cell(text) for text in _worse(study, first, row["values"][first], lower=lower)),
            )
        )
        for row in ordered
    ]
    real = "held-out" if record["floor_source"] == "heldout" else "training"
    untouched = (Cell("untouched", detail=f"the floor: {format_count(record['samples'])} {real} images"),)
    values = _values(metrics, record["floor"], floor)
    blanks = tuple(Cell("") for _ in study.protocols)
    body.insert(0, Row((*untouched, *values, *blanks), "floor"))
    # The caption names the extractor, once for all columns.
    shared = f" ({extractor_title(record['extractor'])})"
    heads = [Heading(metric_heading(metric).replace(shared, ""), metric, numeric=True) for metric in metrics]
    return Table(
        "forgives",
        f"What {describe_metric(study.primary).title} forgives: {format_count(record['samples'])} {real} images made "
        f"worse, against the reference of this study (features: {extractor_title(record['extractor'])}). Right: which "
        "rows of this study score worse than such images, by their mean.",
        (
            Heading("real images"),
            heads[0],
            Heading("× floor", first, numeric=True),
            *heads[1:],
            *(Heading(f"rows that score worse, {protocol}") for protocol in study.protocols),
        ),
        tuple(body),
    )


def forgives_frame(study: Study) -> pd.DataFrame | None:
    """Return the panel as a table of numbers: a line for each way and metric; None where it was not measured."""
    record = study.forgives
    if record is None:
        return None
    rows = [{"name": "untouched", "words": "untouched", "values": record["floor"]}, *record["rows"]]
    return pd.DataFrame(
        [
            {
                "images": row["name"],
                "words": row["words"],
                "metric": metric,
                "value": value,
                "floor": record["floor"][metric],
                "samples": record["samples"],
                "floor_source": record["floor_source"],
            }
            for row in rows
            for metric, value in row["values"].items()
        ]
    )


def _metrics(study: Study, record: dict[str, Any]) -> list[str]:
    """Return the panel's metrics, the study's primary one first where it is among them."""
    return sorted(record["floor"], key=lambda metric: metric != study.primary)


def _values(metrics: list[str], values: Mapping[str, float], floor: float) -> tuple[Cell, ...]:
    """Return a cell for each metric and, after the first one, how many times its floor that is."""
    first, *others = (Cell(format_metric(metric, values[metric]), numeric=True) for metric in metrics)
    return first, Cell(_times(values[metrics[0]], floor), numeric=True), *others


def _times(value: float, floor: float) -> str:
    return format_number(value / floor, 2) if floor > 0 else ""


def _worse(study: Study, metric: str, value: float, *, lower: bool) -> Iterator[str]:
    """Return for each protocol which rows score worse than such images: all, none, or their labels."""
    for protocol in study.protocols:
        if metric not in study.metrics:
            yield ""
            continue
        means = {
            entry.label: sum(summary.scores) / len(summary.scores)
            for entry, summary in study.summaries_of(protocol, metric)
            if summary.scores
        }
        worse = [label for label, mean in means.items() if (mean > value if lower else mean < value)]
        told = ", ".join(worse) if len(worse) <= 4 else f"{len(worse)} of {plural(len(means), 'row')}"
        yield "none" if not worse else "all" if len(worse) == len(means) else told
