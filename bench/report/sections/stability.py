"""How steady each entry was: what became of its runs, how far its seeds spread, and every seed's curve."""

from __future__ import annotations

import pandas as pd

from bench.report.figures.captioned import dashed_floor, metric_curves, metric_floor
from bench.report.figures.chart import Line, Panel, chart
from bench.report.figures.plots import Look
from bench.report.figures.raster import png_of_chart
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.study import Entry, Study
from bench.report.words import NOTHING, PERCENT_95, decimals, describe_metric, joined, number, percents, plural

WIDE, NARROW, PANEL_HEIGHT = 490.0, 250.0, 104.0


def stability_table(study: Study, protocol: str) -> Table:
    """Return what became of every entry's runs, with exact intervals of the rates, and the spread over seeds."""
    rows = tuple(_row(study, entry) for entry in study.entries_of(protocol))
    return Table(
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


def _row(study: Study, entry: Entry) -> Row:
    found, summary = study.stability(entry), study.summary(entry, study.primary)
    ended = found.done + found.diverged + found.failed
    places = None if summary.mean is None else decimals(summary.mean)
    spread = Cell(number(summary.deviation, places), numeric=True, sort=summary.deviation)
    if summary.deviation is not None and summary.mean:
        share = abs(100 * summary.deviation / summary.mean)
        spread = Cell(spread.text, f"{share:.1f}\u00a0% of the mean", numeric=True, sort=spread.sort)
    ordered = sorted((value, seed) for seed, value in summary.values)
    if describe_metric(study.primary).better == "higher":
        ordered.reverse()
    of = f", of {len(ordered)} finished" if len(ordered) < found.planned else ""
    ends = [Cell(number(value, places), f"seed {seed}{of}", numeric=True) for value, seed in ordered]
    return Row(
        (
            Cell(entry.label),
            *(Cell(str(value), numeric=True) for value in (found.planned, found.done, found.diverged, found.failed)),
            _rate(found.diverged + found.failed, ended, found.loss_rate_low, found.loss_rate_high),
            _rate(found.collapsed, found.judged, found.collapse_rate_low, found.collapse_rate_high),
            spread,
            *((ends[0], ends[-1]) if ends else (Cell(NOTHING, numeric=True),) * 2),
        )
    )


def _rate(some: int, of: int, low: float | None, high: float | None) -> Cell:
    if not of:
        return Cell(NOTHING, numeric=True)
    return Cell(f"{some} of {of}", f"[{percents(low, high)}]", numeric=True, sort=some / of)


def seeds_figure(study: Study, protocol: str, look: Look) -> Figure | None:
    """Draw the primary metric of every seed against generator steps, a panel per entry; None below two snapshots."""
    metric = study.settings.snapshot_metric(study.primary)
    curves = metric_curves(study, protocol, metric)
    if curves["generator_steps"].nunique() < 2:
        return None
    title = describe_metric(metric).title
    labels = [label for label in study.labels if label in set(curves["label"])]
    values = curves["value"]
    log = values.min() > 0 and values.max() > 4 * values.min()
    floor = metric_floor(study, protocol, metric)
    drawn_floor = None if log and floor is not None and floor <= 0 else floor
    panels = [
        _panel(label, curves[curves["label"] == label], drawn_floor, look, "log" if log else "linear")
        for label in labels
    ]
    wide, narrow = (
        chart(panels, min(columns, len(panels)), width, PANEL_HEIGHT, "generator steps", title, shared=True)
        for columns, width in ((4, WIDE), (2, NARROW))
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
            f"panel. A line that ends early is a run that did.{dashed_floor(drawn_floor)}"
        ),
        wide=wide,
        narrow=narrow,
        png=png_of_chart(wide),
        data=curves.assign(protocol=protocol, metric=metric),
        table=_seeds_table(study, protocol, metric, curves, labels),
    )


def _panel(label: str, curves: pd.DataFrame, floor: float | None, look: Look, scale: str) -> Panel:
    colour, _ = look.of(label)
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
            found = spread.get((label, step))
            if found is None:
                cells.append(Cell(NOTHING, numeric=True))
                continue
            told = " · ".join(number(found[name]) for name in ("min", "median", "max"))
            some = f"{found['size']:.0f} of {planned}" if found["size"] < planned else ""
            cells.append(Cell(told, some, numeric=True))
        rows.append(Row(tuple(cells)))
    return Table(
        f"seeds-{protocol}-data",
        f"{describe_metric(metric).title} over the runs that have a snapshot there: least · median · greatest; under "
        "it, of how many of the planned runs, where it is not all.",
        (Heading("objective"), *(Heading(f"step {step:,.0f}", numeric=True) for step in shown)),
        tuple(rows),
    )
