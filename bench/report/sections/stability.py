"""How steady each entry was: what became of its runs, how far its seeds spread, and every seed's curve."""

from __future__ import annotations

import pandas as pd

from bench.formatting import (
    NOTHING,
    PERCENT_95,
    decimals,
    format_interval,
    format_number,
    format_percents,
    joined,
    plural,
)
from bench.report.figures.captioned import dashed_floor, metric_curves, metric_floor
from bench.report.figures.palette import Look
from bench.report.figures.panels import Line, Panel, draw_panels
from bench.report.figures.plots import WIDE, both_widths
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.sections.together import without_constants
from bench.report.study import Entry, Study
from bench.statistics import Mixture
from bench.statistics.results import labels_in

PANEL_HEIGHT = 1.44  # inches


def stability_table(study: Study, protocol: str) -> Table:
    """Return what became of every entry's runs, with exact intervals of the rates, and the spread over seeds."""
    rows = tuple(_row(study, entry) for entry in study.entries_of(protocol))
    table = Table(
        f"stability-{protocol}",
        f"What became of every planned run, {protocol} protocol. Lost: diverged or failed, of the runs that ended; "
        "collapsed: of the done runs whose generator could be judged. Brackets: exact (Clopper-Pearson) "
        f"{PERCENT_95} intervals of the rates. Spread, best and worst: of the runs that have a score; a lost one has "
        "none, so the worst is the worst of those that finished.",
        (
            Heading("objective"),
            *(Heading(text, numeric=True) for text in ("planned", "done", "diverged", "failed", "lost")),
            Heading("collapsed", numeric=True),
            Heading("spread", study.primary, numeric=True),
            Heading("best finished", study.primary, numeric=True),
            Heading("worst finished", study.primary, numeric=True),
        ),
        rows,
    )
    return without_constants(table, ("planned", "done", "diverged", "failed", "lost", "collapsed"))


def _row(study: Study, entry: Entry) -> Row:
    stability, summary = study.stability(entry), study.summary(entry, study.primary)
    ended = stability.done + stability.diverged + stability.failed
    places = None if summary.mean is None else decimals(summary.mean)
    spread = Cell(format_number(summary.deviation, places), numeric=True, sort=summary.deviation)
    if summary.deviation is not None and summary.mean:
        share = abs(100 * summary.deviation / summary.mean)
        spread = Cell(spread.text, f"{share:.1f}\u00a0% of the mean", numeric=True, sort=spread.sort)
    ordered = sorted((value, seed) for seed, value in summary.values)
    if describe_metric(study.primary).better == "higher":
        ordered.reverse()
    of = f", of {len(ordered)} finished" if len(ordered) < stability.planned else ""
    ends = [Cell(format_number(value, places), f"seed {seed}{of}", numeric=True) for value, seed in ordered]
    return Row(
        (
            Cell(entry.label),
            *(
                Cell(str(value), numeric=True)
                for value in (stability.planned, stability.done, stability.diverged, stability.failed)
            ),
            _rate(stability.diverged + stability.failed, ended, stability.loss_rate_low, stability.loss_rate_high),
            _rate(stability.collapsed, stability.judged, stability.collapse_rate_low, stability.collapse_rate_high),
            spread,
            *((ends[0], ends[-1]) if ends else (Cell(NOTHING, numeric=True),) * 2),
        )
    )


def mixtures_table(study: Study) -> Table | None:
    """Return the rows whose runs are of two kinds: the share that collapsed, and what the others score.

    None where there are none.
    """
    rows = tuple(_mixture_row(mixture) for mixture in study.statistics.mixtures)
    if not rows:
        return None
    return Table(
        "mixtures",
        "Rows whose runs are of two kinds, by declared metric: an interval of their mean would assume one law. "
        f"Brackets: the exact (Clopper-Pearson) {PERCENT_95} interval of the share, and Student’s of the others’ mean "
        "from three runs on.",
        (
            Heading("objective"),
            Heading("protocol"),
            Heading("metric"),
            Heading("collapsed", numeric=True),
            Heading("mean of these", numeric=True),
            Heading("the others", numeric=True),
            Heading("their mean", numeric=True),
        ),
        rows,
    )


def _mixture_row(mixture: Mixture) -> Row:
    bounds = "" if mixture.rest_low is None else format_interval(mixture.rest_low, mixture.rest_high)
    return Row(
        (
            Cell(mixture.label),
            Cell(mixture.protocol),
            Cell(describe_metric(mixture.metric).title),
            _rate(mixture.collapsed, mixture.judged, mixture.collapsed_share_low, mixture.collapsed_share_high),
            Cell(format_number(mixture.collapsed_mean), numeric=True, sort=mixture.collapsed_mean),
            Cell(str(mixture.rest), numeric=True),
            Cell(format_number(mixture.rest_mean), bounds, numeric=True, sort=mixture.rest_mean),
        )
    )


def _rate(some: int, of: int, low: float | None, high: float | None) -> Cell:
    if not of:
        return Cell(NOTHING, numeric=True)
    return Cell(f"{some} of {of}", f"[{format_percents(low, high)}]", numeric=True, sort=some / of)


def seeds_figure(study: Study, protocol: str, look: Look) -> Figure | None:
    """Draw the primary metric of every seed against generator steps, a panel per entry; None below two snapshots."""
    metric = study.settings.snapshot_metric(study.primary)
    curves = metric_curves(study, protocol, metric)
    if curves["generator_steps"].nunique() < 2:
        return None
    title = describe_metric(metric).title
    ends = curves.groupby(["label", "seed"])["generator_steps"].max()
    early = " A line that ends early belongs to a run that did." if ends.nunique() > 1 else ""
    labels = labels_in(curves, study.labels)
    values = curves["value"]
    log = values.min() > 0 and values.max() > 4 * values.min()
    floor = metric_floor(study, protocol, metric)
    drawn_floor = None if log and floor is not None and floor <= 0 else floor
    panels = [
        _panel(label, curves[curves["label"] == label], drawn_floor, look, "log" if log else "linear")
        for label in labels
    ]
    wide, narrow, png = both_widths(
        lambda width: draw_panels(
            panels, 4 if width == WIDE else 2, width, PANEL_HEIGHT, "generator steps", title, shared=True
        )
    )
    return Figure(
        name=f"seeds-{protocol}",
        title=f"{title}, every seed while training, {protocol}",
        alt=(
            f"{title} against generator steps, a panel for each of {plural(len(labels), 'row')} under the {protocol} "
            f"protocol, a line for every seed, all with the same axes: {joined(labels)}."
        ),
        caption=(
            f"{title} of every seed at its snapshots, {protocol} protocol: one line per seed, the same axes in every "
            f"panel.{early}{dashed_floor(study, metric, drawn_floor)}"
        ),
        wide=wide,
        narrow=narrow,
        png=png,
        data=curves.assign(protocol=protocol, metric=metric),
        table=_seeds_table(study, protocol, metric, curves, labels),
    )


def _panel(label: str, curves: pd.DataFrame, floor: float | None, look: Look, scale: str) -> Panel:
    colour = look.of(label).colour
    runs = curves.groupby("seed")
    lines = tuple(Line(run["generator_steps"].to_numpy(float), run["value"].to_numpy(float), colour) for _, run in runs)
    return Panel(label, lines, scale, floor=floor)


def _seeds_table(study: Study, protocol: str, metric: str, curves: pd.DataFrame, labels: list[str]) -> Table:
    """Return each entry's least, middle and greatest value over the seeds at the first, middle and last snapshot."""
    steps = sorted(curves["generator_steps"].unique())
    shown = list(dict.fromkeys((steps[0], steps[len(steps) // 2], steps[-1])))
    grouped = curves.groupby(["label", "generator_steps"])["value"]
    spread = grouped.agg(["min", "median", "max", "size"]).to_dict("index")
    rows = []
    for label in labels:
        cells = [Cell(label)]
        planned = len(study.seeds_of(label, protocol))
        for step in shown:
            spread_there = spread.get((label, step))
            if spread_there is None:
                cells.append(Cell(NOTHING, numeric=True))
                continue
            told = " · ".join(format_number(spread_there[name]) for name in ("min", "median", "max"))
            some = f"{spread_there['size']:.0f} of {planned}" if spread_there["size"] < planned else ""
            cells.append(Cell(told, some, numeric=True))
        rows.append(Row(tuple(cells)))
    return Table(
        f"seeds-{protocol}-data",
        f"{describe_metric(metric).title} over the runs that have a snapshot there: least · median · greatest; under "
        "it, of how many of the planned runs, where it is not all.",
        (Heading("objective"), *(Heading(f"step {step:,.0f}", numeric=True) for step in shown)),
        tuple(rows),
    )
