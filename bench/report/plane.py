"""Precision against recall: what a row's samples look like, and how much of the data they reach."""

from __future__ import annotations

from functools import partial

import pandas as pd

from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.plots import Look, both_widths, draw_plane
from bench.report.study import Study
from bench.report.tables import value_cell
from bench.report.words import NOTHING, metric_heading, number, plural


def plane_figure(study: Study, protocol: str, look: Look) -> Figure | None:
    """Draw precision against recall under one protocol, with density and coverage in the table behind it.

    The features are those of the precision among the study's secondary metrics, else the primary metric's. None where
    these have no precision and recall.
    """
    declared = [metric for metric in study.plan["secondary"] if metric.startswith("precision_")]
    extractor = declared[0].removeprefix("precision_") if declared else study.extractor
    precision, recall, density, coverage = (
        f"{name}_{extractor}" for name in ("precision", "recall", "density", "coverage")
    )
    if precision not in study.metrics or recall not in study.metrics:
        return None
    points = _points(study, protocol, precision, recall)
    if points.empty:
        return None
    wide, narrow, png = both_widths(partial(draw_plane, points, recall, precision, look))
    shown = [metric for metric in (precision, recall, density, coverage) if metric in study.metrics]
    means = {label: (mine[precision].mean(), mine[recall].mean()) for label, mine in points.groupby("label")}
    told = "; ".join(
        f"{label} {number(means[label][0])} and {number(means[label][1])}" for label in study.labels if label in means
    )
    return Figure(
        name=f"precision-recall-{protocol}",
        title=f"Precision and recall, {protocol}",
        alt=f"Precision against recall for {plural(len(means), 'row')} under the {protocol} protocol. Means: {told}.",
        caption=(
            f"Precision against recall at the final step, {protocol} protocol: a large mark is a row’s mean, small "
            "dots are its seeds. Right: more of the data is reached; up: fewer samples lie outside. A generator that "
            "repeats one good image is high up on the left. Descriptive."
        ),
        wide=wide,
        narrow=narrow,
        png=png,
        data=points.assign(protocol=protocol),
        table=_table(study, protocol, shown),
    )


def _points(study: Study, protocol: str, precision: str, recall: str) -> pd.DataFrame:
    rows = []
    for entry in study.entries_of(protocol):
        mine, theirs = (dict(study.summary(entry, metric).values) for metric in (precision, recall))
        rows += [(entry.label, seed, mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    return pd.DataFrame(rows, columns=["label", "seed", precision, recall])


def _table(study: Study, protocol: str, metrics: list[str]) -> Table:
    rows = [
        Row((Cell(entry.label), *(value_cell(study.summary(entry, metric)) for metric in metrics)))
        for entry in study.entries_of(protocol)
    ]
    floors = [[s.floor for _, s in study.summaries_of(protocol, m) if s.floor is not None] for m in metrics]
    means = [number(sum(found) / len(found)) if found else NOTHING for found in floors]
    rows.append(Row((Cell("real against real"), *(Cell(mean, numeric=True) for mean in means)), "floor"))
    return Table(
        f"precision-recall-{protocol}-data",
        "Precision, recall, density and coverage at the final step",
        (
            Heading("objective"),
            *(Heading(metric_heading(metric), metric, numeric=True) for metric in metrics),
        ),
        tuple(rows),
    )
