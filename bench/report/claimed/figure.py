"""Every claim's difference on one axis, in standard deviations between runs of equals; right is as claimed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from bench.report.claimed.words import tally
from bench.report.figures.palette import CORAL, GREY, INK, MUTED, STEEL
from bench.report.figures.plots import both_widths
from bench.report.model import Cell, Figure, Heading, Row, Table
from bench.statistics.claims import ClaimResult, Compared

COLOURS = {"supported": STEEL, "refuted": CORAL, "undecided": GREY}
_FURTHEST = 12.0  # deviations: what lies further out is drawn at the end
_ROW = 0.24  # inches


def claims_figure(results: Sequence[ClaimResult]) -> Figure | None:
    """Return the figure; None where no claim holds an arm against another that has a spread."""
    rows = [row for result in results for one in result.compared if (row := _row(result, one)) is not None]
    if not rows:
        return None
    data = pd.DataFrame(rows)
    wide, narrow, png = both_widths(lambda width: _draw(data, width))
    caption = (
        "How far each arm lies from the one that it is held against, in standard deviations between runs of equals, "
        "with its 95 % interval; right is where the claim has it. Of “the same” the band is the tolerance. What lies "
        f"beyond {_FURTHEST:g} is drawn at the end."
    )
    shown = ("claim", "arm", "difference", "verdict")
    cells = (data[[*shown]].assign(difference=data["difference"].map("{:+.2f}".format))).itertuples(index=False)
    table = Table(
        "claims-figure-data",
        "What the figure shows.",
        tuple(Heading(name, numeric=name == "difference") for name in shown),
        tuple(Row(tuple(Cell(str(value), numeric=place == 2) for place, value in enumerate(row))) for row in cells),
    )
    alt = f"Differences of arms: {tally([*results])}"
    return Figure("claims", "Differences", alt, caption, wide, narrow, png, data, table)


def _row(result: ClaimResult, one: Compared) -> dict[str, object] | None:
    if one.difference is None or not one.spread:
        return None
    sign = -1.0 if result.claim.direction == "lower" else 1.0
    whole = one.low is not None and one.high is not None
    ends = sorted(sign * end / one.spread for end in (one.low, one.high) if end is not None)
    return {
        "claim": result.claim.id,
        "arm": one.first.label,
        "difference": sign * one.difference / one.spread,
        "low": ends[0] if whole else math.nan,
        "high": ends[1] if whole else math.nan,
        "tolerance": (one.tolerance or math.nan) / one.spread if result.claim.direction == "same" else math.nan,
        "verdict": result.verdict,
    }


def _draw(data: pd.DataFrame, width: float) -> Canvas:
    canvas = Canvas(figsize=(width, 0.6 + _ROW * len(data)), layout="constrained")
    axes = canvas.add_subplot()
    drawn = data[["difference", "low", "high"]].clip(-_FURTHEST, _FURTHEST).to_numpy()
    for place, (middle, low, high) in enumerate(drawn):
        colour, tolerance = COLOURS[data["verdict"].iloc[place]], data["tolerance"].iloc[place]
        axes.barh(place, 2 * tolerance, left=-tolerance, height=0.7, color=MUTED, alpha=0.18)  # NaN draws nothing
        axes.plot([low, high], [place, place], color=colour, linewidth=1.4, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color=colour, markersize=4)
    axes.axvline(0, color=INK, linewidth=0.8)
    named = zip(data["claim"], data["arm"], data["claim"].duplicated(keep=False), strict=True)
    names = [f"{claim}:\n{arm}" if several else claim for claim, arm, several in named]
    small = width < 5
    axes.set_yticks(range(len(data)), names, fontsize=5 if small else 6.5, linespacing=0.95)
    axes.set_ylim(len(data) - 0.4, -0.6)
    axes.set_xlim(-1.04 * _FURTHEST, 1.04 * _FURTHEST)
    axes.set_xlabel("standard deviations between equals", fontsize=6.5 if small else 8)
    axes.grid(axis="y", visible=False)
    return canvas
