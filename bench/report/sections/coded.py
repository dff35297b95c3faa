"""Studies with codes: which rows use them, what each code decides, and pictures of it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from bench.data.faces import MODE_FACTORS
from bench.formatting import PERCENT_95, format_number, joined
from bench.report.figures.captioned import metric_floor
from bench.report.figures.labels import POINTS_PER_INCH, printable
from bench.report.figures.palette import INK, MUTED, colour_of
from bench.report.figures.plots import NARROW, one_width
from bench.report.model import Block, Cell, Figure, Group, Heading, Panels, Picture, Prose, Row, SampleSet, Table, Walls
from bench.report.pictures.images import Pixels, fitted, read_pixels, webp
from bench.report.pictures.walls import PICTURE_BYTES, chosen_run
from bench.report.sections.tables import ordered, value_cell
from bench.report.study import Entry, Run, Study
from bench.report.subject import Subject
from bench.runs.folder import TRAVERSALS
from bench.statistics.results import matching

USED = "codes_used_judge"
INFORMATION = "code_information_judge"
TRAIT = "trait_correlation_recogniser"
UNUSED = "codes unused"
_ROW_HEIGHT, _NAMES, _HEAD, _TITLE = 17.0, 72.0, 16.0, 18.0  # points
_SMALL, _TITLE_SIZE = 7.5, 9.5
_TOLD = 0.01  # the least share that a picture's caption tells


def code_names(study: Study) -> list[str]:
    """Return what the study's codes are called, in order; [] in a study without codes."""
    codes = study.plan.get("backbone", {}).get("codes") or {}
    kinds = (("categorical", len(codes.get("categorical", ()))), ("continuous", codes.get("continuous", 0)))
    return [f"{kind}{number}" for kind, count in kinds for number in range(1, count + 1)]


def used_metric(study: Study) -> str:
    """Return the share of codes used where it was measured, else ""."""
    there = any(summary.values for summary in study.summaries if summary.metric == USED)
    return USED if code_names(study) and there else ""


def is_unused(study: Study, entry: Entry) -> bool:
    """Tell whether the interval of a row's share reaches what real images have beside codes drawn for them."""
    summary, floor = study.summary(entry, USED), metric_floor(study, entry.protocol, USED)
    return summary.low is not None and floor is not None and summary.low <= max(floor, 0.0)


def used_cell(study: Study, entry: Entry) -> Cell:
    """Return a row's share of codes used, and in words where it may be none."""
    cell = value_cell(study.summary(entry, USED), middle=False)
    badges = (UNUSED,) if is_unused(study, entry) else ()
    return Cell(cell.text, cell.detail, badges=badges, numeric=True, sort=cell.sort)


def used_words(study: Study) -> str:
    """Return what the share of codes used is held against, and which rows may use none; "" where it is not there."""
    if not used_metric(study):
        return ""
    floor = metric_floor(study, study.protocols[0], USED)
    words = (
        "Share of codes used is what the categorical codes say of what the judge reads, over their entropy; "
        f"real images beside codes drawn for them, in the last row, have {format_number(floor)}."
    )
    unused = [
        entry.label for protocol in study.protocols for entry, _ in ordered(study, protocol) if is_unused(study, entry)
    ]
    if unused:
        words += (
            f" {UNUSED.capitalize()}, as the {PERCENT_95} interval reaches that: {joined(list(dict.fromkeys(unused)))}."
        )
    elif all(s.low is None for s in study.summaries if s.metric == USED):
        words += " Fewer than three seeds have no interval, so no row is said to leave its codes unused."
    return words


def codes_section(subject: Subject) -> tuple[Block, ...]:
    """Return for each row what its codes decide, and pictures in which one code changes; nothing without codes."""
    study = subject.study
    if not code_names(study):
        return ()
    blocks: list[Block] = [Prose(words)] if (words := used_words(study)) else []
    for protocol in study.protocols:
        entries = study.entries_of(protocol)
        found = [(entry, run) for entry in entries if (run := chosen_run(study, entry)[0]) is not None]
        figures = tuple(figure for entry, run in found if (figure := information_figure(study, entry, run)) is not None)
        sets = tuple(one for entry, run in found if (one := traversals(study, entry, run)) is not None)
        own: list[Block] = [_read(study), Panels(figures)] if figures else []
        own += [_trait_table(study, protocol)] if TRAIT in study.metrics else []
        own += [Prose(_SHOWN), Walls(sets)] if sets else []
        blocks += [Group(f"{protocol.capitalize()} protocol", tuple(own))] if len(study.protocols) > 1 and own else own
    return tuple(blocks)


_SHOWN = (
    "One code at a time: along a row of images one code takes its values in order, and latents and other codes stay. "
    "The two rows of a picture have two latents, the same ones in every picture of every row."
)


def _read(study: Study) -> Prose:
    return Prose(
        "What each code says of each factor: mutual information in the samples of one run, as a share of log K of the "
        "factor’s K values: 1 where the code decides the factor, 0 where it says nothing. A code means something else "
        "at every seed, so nothing is averaged here: each row shows the seed whose samples are shown. An image of "
        "which the judge is not sure says nothing, whatever its code."
    )


def code_matrix(study: Study, run: Run, metric: str = INFORMATION) -> pd.DataFrame | None:
    """Return a metric of each code (rows) and factor (columns) in one run's samples; None where it was not measured."""
    mine = matching(study.results, run=run.path, generator=study.plan["generator"])
    mine = mine[mine["metric"].str.startswith(f"{metric}+", na=False)]
    values = mine.groupby("metric")["value"].mean()
    names = [[f"{metric}+{code}.{factor}" for factor in MODE_FACTORS] for code in code_names(study)]
    if not all(name in values.index for row in names for name in row):
        return None
    return pd.DataFrame(
        [[values[name] for name in row] for row in names], index=code_names(study), columns=list(MODE_FACTORS)
    )


def information_figure(study: Study, entry: Entry, run: Run) -> Figure | None:
    """Draw what each code of a run says of each factor; None where it was not measured."""
    shares = code_matrix(study, run)
    if shares is None:
        return None
    drawing, png = one_width(partial(draw_matrix, shares, entry.label, colour_of(entry.objective)), NARROW)
    told = joined([f"{code} {factor} {format_number(share, 2)}" for code, factor, share in _best(shares)])
    rows = tuple(
        Row((Cell(str(code)), *(Cell(format_number(float(share), 2), numeric=True) for share in row)))
        for code, row in zip(shares.index, shares.to_numpy(), strict=True)
    )
    caption = f"{entry.label}, seed {run.seed}: what each code (rows) says of each factor, of 1."
    return Figure(
        name=f"codes-{entry.label}-{entry.protocol}",
        title=f"{entry.label}: codes and factors",
        alt=f"What each code of {entry.label}, seed {run.seed}, says of each factor. Most of each: {told}.",
        caption=caption,
        wide=drawing,
        narrow=drawing,
        png=png,
        data=shares.rename_axis("code").reset_index().assign(label=entry.label, protocol=entry.protocol, seed=run.seed),
        table=Table(
            f"codes-{entry.label}-{entry.protocol}",
            caption,
            (Heading("code"), *(Heading(factor, numeric=True) for factor in shares.columns)),
            rows,
        ),
    )


def draw_matrix(shares: pd.DataFrame, title: str, colour: str, width: float) -> Canvas:
    """Draw shares of 1 as a grid of cells, the darker the more, with the numbers in them."""
    rows, columns = shares.shape
    height = (_TITLE + _HEAD + rows * _ROW_HEIGHT) / POINTS_PER_INCH
    canvas = Canvas(figsize=(width, height))
    axes = canvas.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width * POINTS_PER_INCH)
    axes.set_ylim(height * POINTS_PER_INCH, 0)
    axes.text(0, 11, printable(title), fontsize=_TITLE_SIZE, fontweight="bold")
    wide = (width * POINTS_PER_INCH - _NAMES) / columns
    for column, factor in enumerate(shares.columns):
        place = _NAMES + (column + 0.5) * wide
        axes.text(place, _TITLE + 10, factor, fontsize=_SMALL, color=MUTED, ha="center")
    for row, (code, values) in enumerate(zip(shares.index, shares.to_numpy(float), strict=True)):
        top = _TITLE + _HEAD + row * _ROW_HEIGHT
        axes.text(0, top + 11.5, str(code), fontsize=_SMALL, color=MUTED)
        for column, share in enumerate(values):
            corner = (_NAMES + column * wide + 1, top + 1)
            alpha = 0.04 + 0.66 * float(np.clip(share, 0, 1))
            axes.add_patch(Rectangle(corner, wide - 2, _ROW_HEIGHT - 2, facecolor=colour, alpha=alpha, linewidth=0))
            number = format_number(max(share, 0.0), 2)
            axes.text(corner[0] + wide / 2 - 1, top + 11.5, number, fontsize=_SMALL, color=INK, ha="center")
    return canvas


def traversals(study: Study, entry: Entry, run: Run) -> SampleSet | None:
    """Return a run's pictures of its codes, one for each; None where it has none."""
    pixels, names = read_pixels(run.folder.samples / TRAVERSALS), code_names(study)
    if pixels is None or pixels.shape[0] % len(names):
        return None
    shares = code_matrix(study, run)
    best = [] if shares is None else [one for one in _best(shares) if one[2] >= _TOLD]
    said = {code: f"{factor} {format_number(share, 2)}" for code, factor, share in best}
    edges = range(0, pixels.shape[0] + 1, pixels.shape[0] // len(names))
    limit = PICTURE_BYTES // (4 * len(study.entries) * len(names))
    pictures = [
        _picture(entry, run, name, pixels[top:bottom], said.get(name, ""), limit)
        for name, (top, bottom) in zip(names, pairwise(edges), strict=True)
    ]
    return SampleSet(
        entry.label, entry.protocol, f"seed {run.seed}", pictures[0], None, tuple(pictures[1:]), kind="codes"
    )


def _picture(entry: Entry, run: Run, name: str, pixels: Pixels, most: str, limit: int) -> Picture:
    page, _ = fitted(partial(webp, pixels), limit)
    height, width, _ = pixels.shape
    return Picture(
        name=f"traversal-{entry.label}-{entry.protocol}-{name}",
        alt=f"Two rows of samples of {entry.label}, seed {run.seed}, along which {name} alone changes.",
        caption=f"{name}: {most}" if most else name,
        page=page,
        evidence=webp(pixels, 100),
        width=width,
        height=height,
        suffix="webp",
    )


def _best(shares: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return of each code the factor that it says most of, and how much."""
    return [
        (str(code), str(shares.columns[int(row.argmax())]), float(row.max()))
        for code, row in zip(shares.index, shares.to_numpy(float), strict=True)
    ]


def _trait_table(study: Study, protocol: str) -> Table:
    """Return with which trait of real faces D's answers of each continuous code correlate most, seed by seed."""
    prefix = f"{TRAIT}+"
    mine = matching(study.results, protocol=protocol, generator=study.plan["generator"])
    mine = mine[mine["metric"].str.startswith(prefix, na=False)]
    rows = []
    for entry, _ in ordered(study, protocol):
        of_row = mine[mine["label"] == entry.label]
        for seed, lines in of_row.groupby("seed"):
            told = {
                str(name).removeprefix(prefix): value
                for name, value in zip(lines["metric"], lines["value"], strict=True)
            }
            text = "; ".join(f"{name.replace('.', ' ')} {format_number(value, 2)}" for name, value in told.items())
            rows.append(Row((Cell(entry.label), Cell(str(seed), numeric=True), Cell(text))))
    floor = metric_floor(study, protocol, TRAIT)
    return Table(
        f"traits-{protocol}",
        f"What D answers of each continuous code on held-out faces, and the trait that it follows most: absolute rank "
        f"correlation, the largest of 43. Of answers drawn at random the largest is {format_number(floor, 2)}.",
        (Heading("objective"), Heading("seed", numeric=True), Heading("code, trait and correlation")),
        tuple(rows),
    )
