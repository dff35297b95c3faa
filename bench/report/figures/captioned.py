"""Each figure with its words: alt text, caption, the data behind it, and a table of what it shows."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pandas as pd

from bench.formatting import format_number, joined
from bench.report.figures.palette import Look
from bench.report.figures.plots import AXES, both_widths, draw_curves, few_rows
from bench.report.metric_text import describe_metric, format_metric
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.sections.tables import floor_detail, floor_images
from bench.report.study import Study
from bench.runs.folder import LOST
from bench.statistics.results import labels_in, matching

TABLE_STEPS = 8


def dashed_floor(study: Study, metric: str, floor: float | None) -> str:
    """Return the sentence on a figure's dashed line; "" where no floor was measured."""
    if floor is None:
        return ""
    images = floor_images(study, metric) or "images"
    return f" The dashed line, {format_number(floor)}, is what real {images} score against real ones."


def curve_figures(study: Study, look: Look) -> list[Figure]:
    """Draw, for each protocol, every headline metric that was measured at several snapshots."""
    figures = []
    metrics = [study.settings.snapshot_metric(study.primary), *study.headline_metrics()]
    for protocol in study.protocols:
        for metric in dict.fromkeys(metrics):
            curves = metric_curves(study, protocol, metric)
            if curves["generator_steps"].nunique() > 1:
                figures.append(_curve_figure(study, protocol, metric, curves, look))
    return figures


def metric_curves(study: Study, protocol: str, metric: str) -> pd.DataFrame:
    """Return a metric at every snapshot: label, seed, what was spent by then (AXES), value over the sample seeds."""
    mine = matching(study.results, protocol=protocol, metric=metric, generator=study.plan["generator"])
    mine = mine[mine["label"].isin(study.labels)].dropna(subset=["value"])
    grouped = mine.groupby(["label", "seed", "generator_steps"], sort=False)
    first = {axis: (axis, "first") for axis in ("images_seen", "device_seconds")}
    curves = grouped.agg(**first, value=("value", "mean")).reset_index()
    types = {"seed": int, **dict.fromkeys(AXES, float), "value": float}
    return pd.DataFrame(curves).astype(types)


def metric_floor(study: Study, protocol: str, metric: str) -> float | None:
    """Return what real images score against real ones in a metric, the mean over its lines; None where none says."""
    mine = matching(study.results, protocol=protocol, metric=metric, generator=study.plan["generator"])
    floors = mine["floor"].dropna()
    return float(floors.mean()) if len(floors) else None


def mean_curves(study: Study, protocol: str, curves: pd.DataFrame) -> pd.DataFrame:
    """Return each row's mean at every snapshot: label, generator_steps, the other AXES, value, runs, whole.

    A mean is over the runs that have ended, of which `runs` have a value there. It is `whole` where that is all of
    them: where a lost run has dropped out, it is over survivors. A done run that is not yet measured is no part.
    """
    final = curves[curves["generator_steps"] == study.plan["final_step"]]
    scored = set(zip(final["label"], final["seed"], strict=True))
    ended = {
        (run.label, run.seed)
        for entry in study.entries_of(protocol)
        for run in entry.runs
        if run.state in LOST or (run.state == "done" and (run.label, run.seed) in scored)
    }
    sizes = Counter(label for label, _ in ended)
    kept = [key in ended for key in zip(curves["label"], curves["seed"], strict=True)]
    columns = [axis for axis in AXES if axis != "generator_steps"]
    grouped = curves[np.array(kept, dtype=bool)].groupby(["label", "generator_steps"])
    means = grouped[[*columns, "value"]].mean().assign(runs=grouped.size()).reset_index()
    return means.assign(whole=means["runs"] == means["label"].map(sizes))


def _curve_figure(study: Study, protocol: str, metric: str, curves: pd.DataFrame, look: Look) -> Figure:
    info = describe_metric(metric)
    means, floor = mean_curves(study, protocol, curves), metric_floor(study, protocol, metric)
    known = [axis for axis in AXES if curves[axis].notna().any()]
    (_, wide, narrow, png), *others = (
        (AXES[axis], *both_widths(partial(draw_curves, curves, means, floor, metric, axis, look), png=axis == known[0]))
        for axis in known
    )
    steps = sorted(curves["generator_steps"].unique())
    labels = labels_in(curves, look.labels)
    seconds = " Seconds are of the run’s own device, evaluation not counted." if "device_seconds" in known else ""
    return Figure(
        name=f"curve-{metric}-{protocol}",
        title=f"{info.title} while training, {protocol}",
        alt=(
            f"{info.title} against {AXES[known[0]]} under the {protocol} protocol, for {joined(labels)}, "
            f"from step {steps[0]:,.0f} to step {steps[-1]:,.0f}."
        ),
        caption=(
            f"{info.title} while training, {protocol} protocol. Marked lines are means over the runs that have ended, "
            "and end where one of these was lost; "
            + ("thin ones are the seeds." if few_rows(labels) else "thin ones are seeds of rows whose line ends early.")
            + dashed_floor(study, metric, floor)
            + seconds
        ),
        wide=wide,
        narrow=narrow,
        png=png,
        data=curves.assign(protocol=protocol, metric=metric),
        table=_curve_table(study, protocol, metric, means, steps, labels),
        axis=AXES[known[0]],
        variants=tuple((axis, wide, narrow) for axis, wide, narrow, _ in others),
    )


def _curve_table(
    study: Study, protocol: str, metric: str, means: pd.DataFrame, steps: list[float], labels: list[str]
) -> Table:
    """Return each row's mean at some snapshots, with how many of the planned runs it is over where it is not all."""
    some = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, TABLE_STEPS)]
    shown = steps if len(steps) <= TABLE_STEPS else some
    mean_at = means.set_index(["label", "generator_steps"])[["value", "runs"]].to_dict("index")
    rows = []
    for label in labels:
        planned = len(study.seeds_of(label, protocol))
        cells = [Cell(label)]
        for step in shown:
            at = mean_at.get((label, step), {"value": None, "runs": 0})
            told = f"{at['runs']:.0f} of {planned}" if 0 < at["runs"] < planned else ""
            cells.append(Cell(format_metric(metric, at["value"]), told, numeric=True))
        rows.append(Row(tuple(cells)))
    floor = metric_floor(study, protocol, metric)
    if floor is not None:
        named = Cell("real against real", floor_detail(study, metric))
        rows.append(Row((named, *[Cell(format_number(floor), numeric=True)] * len(shown)), "floor"))
    return Table(
        f"curve-{metric}-{protocol}-data",
        f"{describe_metric(metric).title}: mean over the runs that have ended, at each snapshot; under it, of how many "
        "of the planned runs, where it is not all.",
        (Heading("objective"), *(Heading(f"step {step:,.0f}", numeric=True) for step in shown)),
        tuple(rows),
    )
