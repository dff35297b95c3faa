"""Loss curves: what each player minimised, term by term, every seed; the data and a table behind each figure."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from bench.formatting import format_number, joined, plural
from bench.report.figures.captioned import TABLE_STEPS
from bench.report.figures.palette import INK, MUTED, SOLID, colour_of
from bench.report.figures.panels import Line, Panel, draw_panels
from bench.report.figures.plots import NARROW, one_width
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.report.study import Entry, read_log
from bench.runs.latest import PLAYERS

PANEL_HEIGHT = 1.36  # inches
POINTS_PER_FIGURE = 1000
LEAST_POINTS = 20
_DASHES = (SOLID, (0, (4.4, 1.7)), (0, (1.3, 2)), (0, (6.7, 1.7, 1.3, 1.7)))


def loss_figure(entry: Entry, points: int) -> Figure | None:
    """Draw an entry's loss terms, every seed; None where nothing was logged. A curve has at most `points` points."""
    logged = _loss_lines(entry)
    if logged.empty:
        return None
    lines = logged.groupby(["player", "term", "seed"]).ngroups
    points = min(points, max(POINTS_PER_FIGURE // lines, LEAST_POINTS))
    drawing, png = one_width(
        partial(draw_losses, thinned(logged, points), entry.label, colour_of(entry.objective)), NARROW
    )
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
        caption=f"{entry.label}: what each player minimises, term by term, a line for every seed.{averaged}",
        wide=drawing,
        narrow=drawing,
        png=png,
        data=logged.assign(label=entry.label, protocol=entry.protocol),
        table=_loss_table(entry, logged, terms),
    )


def draw_losses(curves: pd.DataFrame, title: str, colour: str, width: float) -> Canvas:
    """Draw one entry's terms, a panel for each player, a line for every seed; terms differ in their dashes.

    `curves` has player, term, seed, generator_steps, value (NaN where the loss was not finite).
    """
    there = set(curves["player"].unique())
    players = [player for player in PLAYERS if player in there]
    panels = []
    for player in players:
        mine = curves[curves["player"] == player]
        # One hue for the objective; a second and a third term are told from the first by ink and dashes.
        looks = {
            term: ((colour, INK, MUTED)[index % 3], _DASHES[index % len(_DASHES)])
            for index, term in enumerate(mine["term"].unique())
        }
        lines = tuple(
            Line(run["generator_steps"].to_numpy(float), run["value"].to_numpy(float), *looks[term], name=str(term))
            for (term, _), run in mine.groupby(["term", "seed"], sort=False)
        )
        title_of = "both networks" if players == ["generator"] else player
        panels.append(Panel(title_of, lines, *_scale(mine["value"])))
    return draw_panels(panels, 1, width, PANEL_HEIGHT, "generator steps", title)


def thinned(curves: pd.DataFrame, points: int) -> pd.DataFrame:
    """Return loss curves of at most about `points` points, each the mean over neighbouring log lines.

    A mean over lines of which one is not finite is not finite either, so that a gap stays a gap.
    """
    keys = ["player", "term", "seed"]
    order = curves.groupby(keys, sort=False).cumcount()
    length = curves.groupby(keys, sort=False)["value"].transform("size")
    block = order // np.ceil(length / points).astype(int)
    finite = curves.assign(gap=curves["value"].isna())
    grouped = finite.groupby([*keys, block.rename("block")], sort=False)
    means = grouped.agg(generator_steps=("generator_steps", "mean"), value=("value", "mean"), gap=("gap", "any"))
    means["value"] = means["value"].mask(means["gap"])
    return means.reset_index().drop(columns=["block", "gap"])


def _loss_lines(entry: Entry) -> pd.DataFrame:
    rows = [
        (player, term, run.seed, float(line["generator_steps"]), np.nan if value is None else float(value))
        for run in entry.runs
        for line in read_log(run)
        for player in PLAYERS
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
        Row((Cell(f"{step:,.0f}"), *(Cell(format_number(means.get((step, *term))), numeric=True) for term in terms)))
        for step in chosen
    )
    return Table(
        f"losses-{entry.label}-{entry.protocol}-data",
        f"Loss terms of {entry.label}: mean over the seeds at some of the logged steps",
        (Heading("generator step"), *(Heading(f"{player}: {term}", numeric=True) for player, term in terms)),
        rows,
    )


def _scale(values: pd.Series[float]) -> tuple[str, float]:
    """Use a symmetric log scale where a few values would flatten all others, as in a run that diverges."""
    sizes = values.abs().replace([np.inf], np.nan).dropna()
    middle = max(float(sizes.median()), 1e-9) if len(sizes) else 1.0
    return ("symlog", middle) if len(sizes) and sizes.max() > 60 * middle else ("linear", 1.0)
