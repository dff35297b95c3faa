"""Each figure with its words: alt text, caption, the data behind it, and a table of what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.plots import AXES, MOST_WITH_SEEDS, Look, both_widths, draw_curves, draw_scores
from bench.report.study import Study
from bench.report.words import PERCENT_95, describe_metric, interval, joined, number, plural
from bench.results import matching
from bench.statistics import Summary

TABLE_STEPS = 8


def score_figure(study: Study, protocol: str, summaries: Sequence[Summary], look: Look) -> Figure | None:
    """Draw every seed's primary score under one protocol; None where nothing was measured."""
    measured = [summary for summary in summaries if summary.values]
    if not measured:
        return None
    info = describe_metric(study.primary)
    wide, narrow, png = both_widths(lambda width: draw_scores(summaries, study.primary, look, width))
    with_interval = any(summary.low is not None for summary in measured)
    bar = f" The pale bar is the mean’s {PERCENT_95} interval, the upright line the mean." if with_interval else ""
    floor = " The dashed line is what real images score against real ones." if measured[0].floor is not None else ""
    data = pd.DataFrame(
        [
            {"label": s.label, "protocol": protocol, "metric": s.metric, "seed": seed, "value": value, "mean": s.mean,
             "low": s.low, "high": s.high, "floor": s.floor}
            for s in summaries
            for seed, value in s.values
        ]
    )  # fmt: skip
    rows = tuple(
        Row(
            (
                Cell(s.label),
                Cell(", ".join(f"{number(value)} (seed {seed})" for seed, value in s.values) or "no value"),
                Cell(number(s.mean), numeric=True),
                Cell(interval(s.low, s.high), numeric=True),
            )
        )
        for s in summaries
    )
    means = sorted((s.mean, s.label) for s in measured if s.mean is not None)
    alt = (
        f"Dot plot of {info.title} for {plural(len(measured), 'objective')} under the {protocol} protocol. "
        f"Means run from {number(means[0][0])} ({means[0][1]}) to {number(means[-1][0])} ({means[-1][1]})."
    )
    return Figure(
        name=f"scores-{protocol}",
        title=f"{info.title}, every seed",
        alt=alt,
        caption=f"{info.title} at generator step {study.plan['final_step']:,}: every seed is a mark.{bar}{floor}",
        wide=wide,
        narrow=narrow,
        png=png,
        data=data,
        table=Table(
            f"scores-{protocol}-data",
            "The numbers in this figure",
            (Heading("objective"), Heading("value of each seed"), Heading("mean", numeric=True),
             Heading(f"{PERCENT_95} interval", numeric=True)),
            rows,
        ),
    )  # fmt: skip


def curve_figures(study: Study, look: Look) -> list[Figure]:
    """Draw, for each protocol, every headline metric that was measured at several snapshots."""
    figures = []
    metrics = [study.settings.snapshot_metric(study.primary), *study.headline_metrics()]
    for protocol in study.protocols:
        for metric in dict.fromkeys(metrics):
            curves = metric_curves(study, protocol, metric)
            if curves["generator_steps"].nunique() > 1:
                figures.append(_curve_figure(protocol, metric, curves, look))
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


def _curve_figure(protocol: str, metric: str, curves: pd.DataFrame, look: Look) -> Figure:
    info = describe_metric(metric)
    known = [axis for axis in AXES if curves[axis].notna().any()]
    (_, wide, narrow, png), *others = (
        (AXES[axis], *both_widths(partial(draw_curves, curves, metric, axis, look), png=axis == known[0]))
        for axis in known
    )
    steps = sorted(curves["generator_steps"].unique())
    labels = [label for label in look.labels if label in set(curves["label"])]
    means = curves.groupby(["label", "generator_steps"])["value"].mean()
    shown = (
        steps if len(steps) <= TABLE_STEPS else [steps[round(i)] for i in np.linspace(0, len(steps) - 1, TABLE_STEPS)]
    )
    rows = tuple(
        Row((Cell(label), *(Cell(number(means.get((label, step))), numeric=True) for step in shown)))
        for label in labels
    )
    return Figure(
        name=f"curve-{metric}-{protocol}",
        title=f"{info.title} while training, {protocol}",
        alt=(
            f"{info.title} against generator steps, images seen and seconds of training under the {protocol} protocol, "
            f"for {joined(labels)}, from step {steps[0]:,.0f} to step {steps[-1]:,.0f}."
        ),
        caption=(
            f"{info.title}, {protocol} protocol, against {joined([AXES[axis] for axis in known])} (on the run’s own "
            "device, evaluation not counted). Marked lines are means over the seeds at each snapshot"
            + (", thin ones the seeds." if len(labels) <= MOST_WITH_SEEDS else "; every seed is drawn under Stability.")
        ),
        wide=wide,
        narrow=narrow,
        png=png,
        data=curves.assign(protocol=protocol, metric=metric),
        table=Table(
            f"curve-{metric}-{protocol}-data",
            f"{info.title}: mean over the seeds at each snapshot",
            (Heading("objective"), *(Heading(f"step {step:,.0f}", numeric=True) for step in shown)),
            rows,
        ),
        axis=AXES[known[0]],
        variants=tuple((axis, wide, narrow) for axis, wide, narrow, _ in others),
    )
