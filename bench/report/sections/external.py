"""Samples that were made elsewhere, beside a study's rows: measured alike, marked, never ranked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.formatting import NOTHING, format_count, plural
from bench.report.metric_text import format_mean_interval, format_metric, metric_heading
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.tables import floor_detail
from bench.report.study import Study
from bench.statistics.intervals import mean_interval

WORDS = (
    "Images that were made elsewhere, measured as this study’s runs are: the same images to compare with, the same "
    "metrics, as many samples. Nothing here was trained by this study: architecture, budget and data are whatever "
    "their makers say, nobody checked them, and none of these rows takes part in a rank or a verdict. The data are in "
    "external.csv."
)


def external_table(study: Study) -> Table | None:
    """Return a row for each label, with the headline metrics; None where there is none of these samples."""
    if not study.external:
        return None
    metrics = [study.primary, *(m for m in study.headline_metrics() if m != study.primary)]
    rows = []
    for record in study.external:
        current = _is_current(study, record)
        values = _values(record) if current else {}
        rows.append(
            Row(
                (
                    Cell(
                        record["label"],
                        detail=_told(record),
                        badges=("external", *(() if current else ("measured under other settings or images",))),
                    ),
                    *(_cell(record, metric, values.get(metric, {})) for metric in metrics),
                ),
                "beside",
            )
        )
    comparable = [record for record in study.external if _is_current(study, record)]
    floors = {line["metric"]: line["floor"] for record in comparable for line in record["sets"][0]["lines"]}
    floor = (Cell(format_metric(metric, floors.get(metric)), numeric=True) for metric in metrics)
    rows.append(Row((Cell("real against real", detail=floor_detail(study, study.primary)), *floor), "floor"))
    return Table(
        "external",
        f"Samples from elsewhere, {format_count(study.settings.samples)} each, measured as this study’s runs are. Rows "
        "stand in the order of their names.",
        (Heading("samples"), *(Heading(metric_heading(metric), metric, numeric=True) for metric in metrics)),
        tuple(rows),
    )


def _is_current(study: Study, record: Mapping[str, Any]) -> bool:
    """Tell whether a record was measured under the study's settings, against the images that its runs were held to."""
    seen = {run.status.data_sha256.get("heldout") for run in study.runs if run.status.data_sha256} - {None}
    same_images = not seen or record["data_sha256"] in seen
    return bool(record["evaluation_id"] == study.settings.id() and same_images)


def external_frame(study: Study) -> pd.DataFrame | None:
    """Return every value of such samples: a line for each label, set and metric; None where there is none."""
    if not study.external:
        return None
    columns = ("metric", "value", "floor", "floor_source", "floor_samples", "samples", "reference", "reference_samples")
    return pd.DataFrame(
        [
            {
                "label": record["label"],
                "set": number,
                "images_sha256": one["images_sha256"],
                "evaluation_id": record["evaluation_id"],
                **{name: line[name] for name in columns},
            }
            for record in study.external
            for number, one in enumerate(record["sets"])
            for line in one["lines"]
        ]
    )


def _values(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by metric the values of every set, and the floor."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(lambda: {"values": [], "floor": None})
    for one in record["sets"]:
        for line in one["lines"]:
            found[line["metric"]]["values"].append(line["value"])
            found[line["metric"]]["floor"] = line["floor"]
    return dict(found)


def _told(record: Mapping[str, Any]) -> str:
    sets = plural(len(record["sets"]), "set")
    what = f"{sets}, one a training seed" if record["seeds"] else sets
    return "\n".join(part for part in (what, record["source"]) if part)


def _cell(record: Mapping[str, Any], metric: str, found: Mapping[str, Any]) -> Cell:
    """Return the value; of several sets their mean, with an interval where each is another training seed's."""
    values = found.get("values", [])
    if not values:
        return Cell(NOTHING, numeric=True)
    if len(values) == 1:
        return Cell(format_metric(metric, values[0]), numeric=True)
    interval = mean_interval(values) if record["seeds"] else None
    if interval is None:
        return Cell(" · ".join(format_metric(metric, value) for value in values), numeric=True)
    text = format_metric(metric, sum(values) / len(values))
    return Cell(text, detail=format_mean_interval(values, *interval), numeric=True)
