"""Precision against recall: what a row's samples look like, and how much of the data they reach."""

from __future__ import annotations

from functools import partial

import pandas as pd

from bench.formatting import format_number, joined, plural
from bench.report.figures.captioned import metric_floor
from bench.report.figures.palette import Look
from bench.report.figures.plots import both_widths, draw_plane, real_is_near
from bench.report.metric_text import metric_heading
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.sections.tables import floor_cell, floor_detail, value_cell
from bench.report.study import Study


def plane_figure(study: Study, protocol: str, look: Look) -> Figure | None:
    """Draw precision against recall under one protocol, with density and coverage in the table behind it.

    None where the declared features have no precision and recall.
    """
    extractor = declared_extractor(study)
    precision, recall, density, coverage = (
        f"{name}_{extractor}" for name in ("precision", "recall", "density", "coverage")
    )
    if precision not in study.metrics or recall not in study.metrics:
        return None
    points = _points(study, protocol, precision, recall)
    if points.empty:
        return None
    real = _real(study, protocol, recall, precision)
    wide, narrow, png = both_widths(partial(draw_plane, points, real, recall, precision, look))
    shown = [metric for metric in (precision, recall, density, coverage) if metric in study.metrics]
    means = {str(label): (mine[precision].mean(), mine[recall].mean()) for label, mine in points.groupby("label")}
    told = "; ".join(
        f"{label} {format_number(means[label][0])} and {format_number(means[label][1])}"
        for label in study.labels
        if label in means
    )
    return Figure(
        name=f"precision-recall-{protocol}",
        title=f"Precision and recall, {protocol}",
        alt=f"Precision against recall for {plural(len(means), 'row')} under the {protocol} protocol. Means: {told}.",
        caption=(
            f"Precision against recall at the final step, {protocol} protocol: a large mark is a row’s mean, small "
            "dots are its seeds. Right: more of the data is reached; up: fewer samples lie outside. A generator that "
            "repeats one good image is high up on the left. The axes fit the rows and are not to the same scale. "
            + _where_real_is(points, real, recall, precision)
            + _at_the_corner(means)
            + "Descriptive."
        ),
        wide=wide,
        narrow=narrow,
        png=png,
        data=points.assign(protocol=protocol),
        table=_table(study, protocol, shown),
    )


def declared_extractor(study: Study) -> str:
    """Return the extractor of the precision or coverage among the secondary metrics, else the primary metric's."""
    for name in ("precision_", "coverage_"):
        for metric in study.plan["secondary"]:
            if metric.startswith(name):
                return str(metric.removeprefix(name))
    return study.extractor


def _real(study: Study, protocol: str, recall: str, precision: str) -> tuple[float, float] | None:
    floors = metric_floor(study, protocol, recall), metric_floor(study, protocol, precision)
    return None if floors[0] is None or floors[1] is None else (floors[0], floors[1])


def _where_real_is(points: pd.DataFrame, real: tuple[float, float] | None, recall: str, precision: str) -> str:
    if real is None:
        return ""
    shown = "the ring" if real_is_near(points, real, recall, precision) else "beyond the upper right corner"
    return f"Real images have recall {format_number(real[0])} and precision {format_number(real[1])}: {shown}. "


def _at_the_corner(means: dict[str, tuple[float, float]]) -> str:
    """Name the rows whose marks hide each other at 0, 0."""
    hidden = [label for label, shares in means.items() if max(shares) == 0]
    return f"At 0, 0: {joined(hidden)}. " if hidden else ""


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
    rows.append(
        Row(
            (
                Cell("real against real", floor_detail(study, metrics[0])),
                *(floor_cell(study, protocol, m) for m in metrics),
            ),
            "floor",
        )
    )
    return Table(
        f"precision-recall-{protocol}-data",
        "Precision, recall, density and coverage at the final step",
        (
            Heading("objective"),
            *(Heading(metric_heading(metric), metric, numeric=True) for metric in metrics),
        ),
        tuple(rows),
    )
