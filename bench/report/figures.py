"""Each figure with its words: alt text, caption, the data behind it, and a table of what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.plots import Look, both_widths, draw_curves, draw_losses, draw_scores, one_width
from bench.report.study import Entry, Study, read_log
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
            curves = _metric_curves(study, protocol, metric)
            if curves["generator_steps"].nunique() > 1:
                figures.append(_curve_figure(protocol, metric, curves, look))
    return figures


def loss_figure(entry: Entry, points: int) -> Figure | None:
    """Draw an entry's loss terms, every seed; None where nothing was logged. A curve has at most `points` points."""
    logged = _loss_lines(entry)
    if logged.empty:
        return None
    curves = thinned(logged, points)
    wide, narrow, png = one_width(lambda: draw_losses(curves, entry.label))
    terms = list(dict.fromkeys(zip(logged["player"], logged["term"], strict=True)))
    seeds = sorted(logged["seed"].unique())
    players = dict.fromkeys(player for player, _ in terms)
    told = joined([f"{player}: {', '.join(term for other, term in terms if other == player)}" for player in players])
    per_point = int(np.ceil(logged.groupby(["player", "term", "seed"]).size().max() / points))
    averaged = f" Each point is the mean of up to {per_point} logged lines." if per_point > 1 else ""
    return Figure(
        name=f"losses-{entry.label}-{entry.protocol}",
        title=f"{entry.label}: loss terms",
        alt=f"Loss terms of {entry.label} against generator steps, {plural(len(seeds), 'seed')}. {told}.",
        caption=f"{entry.label}: the terms that each player minimises, a line for every seed.{averaged}",
        wide=wide,
        narrow=narrow,
        png=png,
        data=logged.assign(label=entry.label, protocol=entry.protocol),
        table=_loss_table(entry, logged, terms),
    )


def thinned(curves: pd.DataFrame, points: int) -> pd.DataFrame:
    """Return loss curves of at most about `points` points, each the mean over neighbouring log lines.

    A mean over lines of which one is not finite is not finite either, so that a gap stays a gap.
    """
    keys = ["player", "term", "seed"]
    order = curves.groupby(keys, sort=False).cumcount()
    length = curves.groupby(keys, sort=False)["value"].transform("size")
    block = order // np.ceil(length / points).astype(int)
    grouped = curves.groupby([*keys, block.rename("block")], sort=False)
    means = grouped.agg(
        generator_steps=("generator_steps", "mean"), value=("value", lambda part: part.mean(skipna=False))
    )
    return means.reset_index().drop(columns="block")


def _metric_curves(study: Study, protocol: str, metric: str) -> pd.DataFrame:
    mine = matching(study.results, protocol=protocol, metric=metric, generator=study.plan["generator"])
    mine = mine.dropna(subset=["value"])
    grouped = mine.groupby(["label", "seed", "generator_steps"], sort=False)
    curves = grouped.agg(device_seconds=("device_seconds", "first"), value=("value", "mean")).reset_index()
    types = {"seed": int, "generator_steps": float, "device_seconds": float, "value": float}
    return pd.DataFrame(curves).astype(types)


def _curve_figure(protocol: str, metric: str, curves: pd.DataFrame, look: Look) -> Figure:
    info = describe_metric(metric)
    wide, narrow, png = both_widths(lambda width: draw_curves(curves, metric, look, width))
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
            f"{info.title} against generator steps and against seconds of training under the {protocol} protocol, for "
            f"{joined(labels)}, from step {steps[0]:,.0f} to step {steps[-1]:,.0f}."
        ),
        caption=(
            f"{info.title}, {protocol} protocol, against generator steps and against seconds of training on the "
            "run’s own device. Thin lines are seeds, marked ones their mean at each snapshot."
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
    )


def _loss_lines(entry: Entry) -> pd.DataFrame:
    rows = [
        (player, term, run.seed, float(line["generator_steps"]), np.nan if value is None else float(value))
        for run in entry.runs
        for line in read_log(run)
        for player in ("discriminator", "generator")
        for term, value in line.get(player, {}).items()
    ]
    return pd.DataFrame(rows, columns=["player", "term", "seed", "generator_steps", "value"])


def _loss_table(entry: Entry, logged: pd.DataFrame, terms: list[tuple[str, str]]) -> Table:
    steps = sorted(logged["generator_steps"].unique())
    chosen = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, min(TABLE_STEPS, len(steps)))]
    means = (
        logged[logged["generator_steps"].isin(chosen)].groupby(["generator_steps", "player", "term"])["value"].mean()
    )
    rows = tuple(
        Row((Cell(f"{step:,.0f}"), *(Cell(number(means.get((step, *term))), numeric=True) for term in terms)))
        for step in chosen
    )
    return Table(
        f"losses-{entry.label}-{entry.protocol}-data",
        f"Loss terms of {entry.label}: mean over the seeds at some of the logged steps",
        (Heading("generator step"), *(Heading(f"{player}: {term}", numeric=True) for player, term in terms)),
        rows,
    )
