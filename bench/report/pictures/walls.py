"""Sample walls: the grids that training left, cropped for the page and kept whole beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from bench.formatting import format_number, joined
from bench.report.metric_text import describe_metric
from bench.report.model import Picture, ReportOptions, SampleSet
from bench.report.pictures.closer import LAPSE_FRAMES, closer_pictures
from bench.report.pictures.images import GRID, QUALITIES, Pixels, fitted, read_pixels, webp
from bench.report.study import Entry, Run, Study, load_study
from bench.runs.folder import RunFolder

MOST_SNAPSHOTS = 5
# A page holds its pictures in about so many bytes, whatever the number of rows: with many, walls get lower and coarser.
PICTURE_BYTES = 2_200_000

# The strips on the board: so many samples, at most so many pixels high, in so many bytes for all rows.
STRIP, STRIP_SIDE, STRIP_BYTES = 8, 64, 60_000

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Grid:
    """One run's samples at one step: side x side images, GRID in a row; of pairs also with inputs and targets."""

    run: Run
    step: int
    pixels: Pixels
    with_pairs: Pixels | None = None


@dataclass(frozen=True)
class _Size:
    """How much of a grid the page shows, in how many bytes, and whether inputs and targets may be seen."""

    rows: int
    columns: int
    byte_limit: int
    pairs: bool


def sample_set(study: Study, entry: Entry, options: ReportOptions) -> SampleSet:
    """Return an entry's samples at its median seed, its best and worst beside; without scores, at any seed's grid."""
    run, why = chosen_run(study, entry)
    if run is None:
        return SampleSet(entry.label, entry.protocol, "no samples yet", None, None)
    seed_text = f"seed {run.seed} ({why})"
    steps = _spread(run.sample_steps, LAPSE_FRAMES)
    grids = [grid for step in steps if (grid := _read_grid(study, run, step)) is not None]
    if not grids:
        return SampleSet(entry.label, entry.protocol, f"{seed_text}: its grids cannot be read", None, None)
    size = _size(study, options, grids[-1])
    return SampleSet(
        entry.label,
        entry.protocol,
        seed_text,
        _wall(study, entry, grids[-1], size),
        _progress(entry, _spread(grids, MOST_SNAPSHOTS), size),
        tuple(_extremes(study, entry, run, size)),
        tuple(closer_pictures(study, entry, run, [(grid.step, grid.pixels) for grid in grids], options)),
    )


def shown_folders(runs_root: Path, study: str) -> list[RunFolder]:
    """Return the folders of the runs whose samples a study's report shows. Raises BenchError as `render` does."""
    loaded = load_study(runs_root, study)
    runs = (chosen_run(loaded, entry)[0] for entry in loaded.entries)
    return [run.folder for run in runs if run is not None]


def chosen_run(study: Study, entry: Entry) -> tuple[Run | None, str]:
    """Return the run whose samples are shown, and why it is: the median seed's, or without scores any with a grid."""
    seed = study.summary(entry, study.primary).median_seed()
    scored = len(study.summary(entry, study.primary).values)
    for run in entry.runs:
        if run.seed == seed and run.sample_steps:
            return run, {1: "the only score", 2: "the lower score of two"}.get(scored, "the median seed")
    for run in sorted(entry.runs, key=lambda run: (run.state != "done", run.seed)):
        if run.sample_steps:
            return run, "not scored" if run.state == "done" else run.state
    return None, ""


def strip(study: Study, entry: Entry) -> Picture | None:
    """Return the first samples of the grid that a row's wall shows, in a line and small; None where it has none."""
    run, _ = chosen_run(study, entry)
    grid = None if run is None else _read_grid(study, run, run.sample_steps[-1])
    if run is None or grid is None:
        return None
    side = grid.pixels.shape[1] // GRID
    pixels = grid.pixels[:side, : STRIP * side]
    if side > STRIP_SIDE:
        smaller = Image.fromarray(pixels).resize((STRIP * STRIP_SIDE, STRIP_SIDE), Image.Resampling.LANCZOS)
        pixels = np.asarray(smaller)
    page, _ = fitted(partial(webp, pixels), STRIP_BYTES // len(study.entries))
    return Picture(
        name=f"strip-{entry.label}-{entry.protocol}",
        alt=f"{STRIP} samples of {entry.label}, seed {run.seed}, step {grid.step:,}",
        caption="",
        page=page,
        evidence=b"",
        width=pixels.shape[1],
        height=pixels.shape[0],
    )


def _size(study: Study, options: ReportOptions, grid: _Grid) -> _Size:
    """Return what a picture of this study may take: four rows of samples for a dozen entries, two beyond."""
    side = grid.pixels.shape[1] // GRID
    many = len(study.entries) > 16
    return _Size(
        rows=min(options.wall_rows, 2) if many else options.wall_rows,
        columns=options.wall_columns if side <= 64 else max(options.wall_columns // 2, 1),
        byte_limit=PICTURE_BYTES // (4 * len(study.entries)),
        pairs=study.plan["data"]["source"] == "faces" or options.show_training_images,
    )


def _wall(study: Study, entry: Entry, grid: _Grid, size: _Size) -> Picture:
    run, step = grid.run, grid.step
    side = grid.pixels.shape[1] // GRID
    pairs = grid.with_pairs if size.pairs else None
    whole = grid.pixels if pairs is None else pairs
    rows = min(size.rows, whole.shape[0] // side) if pairs is None else whole.shape[0] // side
    shown, there = f"{rows} rows of {size.columns} samples", _counted(grid)
    if pairs is not None:
        below = f"inputs, under each {rows - 2} outputs and its target,"
        shown, there = f"{size.columns} {below}", f"{GRID} {below}"
    hidden = pairs is None and grid.with_pairs is not None  # photographs stay in the run's own folder
    score = dict(study.summary(entry, study.primary).values).get(run.seed)
    reached = "" if step == study.plan["final_step"] else f" The run’s last grid; it is {run.state}."
    collapsed = " Collapsed." if run.collapsed else ""
    return _picture(
        whole[: rows * side, : size.columns * side],
        webp(whole, QUALITIES[0]) if hidden else run.folder.sample_file(step).read_bytes(),
        size,
        suffix="webp" if hidden else "png",
        name=f"samples-{entry.label}-{entry.protocol}",
        alt=f"{shown} of {entry.label}, seed {run.seed}, step {step:,}.",
        file_alt=f"{there} of {entry.label}, seed {run.seed}, step {step:,}.",
        caption=(
            f"Seed {run.seed}, generator step {step:,}"
            + (f", {study.primary} {format_number(score)}." if score is not None else ".")
            + reached
            + collapsed
        ),
    )


def _progress(entry: Entry, grids: Sequence[_Grid], size: _Size) -> Picture | None:
    """Stack the first row of each snapshot's grid, oldest on top: the same latents throughout."""
    alike = [grid for grid in grids if grid.pixels.shape == grids[0].pixels.shape]
    if len(alike) < 2:
        return None
    side = alike[0].pixels.shape[1] // GRID
    rows = np.concatenate([grid.pixels[:side, : size.columns * side] for grid in alike])
    steps = joined([f"{grid.step:,}" for grid in alike])
    seed = alike[0].run.seed
    what = f"{size.columns} {'latents' if alike[0].with_pairs is None else 'inputs and latent'}"
    return _picture(
        rows,
        webp(rows, QUALITIES[0]),
        size,
        name=f"progress-{entry.label}-{entry.protocol}",
        alt=f"The same {what} of {entry.label}, seed {seed}, at generator steps {steps}, from the top.",
        caption=f"The same {what} at generator steps {steps}, top to bottom.",
        suffix="webp",
    )


def _extremes(study: Study, entry: Entry, median: Run, size: _Size) -> list[Picture]:
    """Return a row of samples of the best and of the worst seed, from three scores on; their whole grids lie beside."""
    ordered = sorted((value, seed) for seed, value in study.summary(entry, study.primary).values)
    if len(ordered) < 3:
        return []
    if describe_metric(study.primary).better == "higher":
        ordered.reverse()
    runs = {run.seed: run for run in entry.runs}
    finished = f"{len(ordered)} finished runs"
    pictures = []
    for what, (value, seed) in (("best", ordered[0]), ("worst", ordered[-1])):
        run = runs[seed]
        grid = _read_grid(study, run, run.sample_steps[-1]) if run.sample_steps and run is not median else None
        if grid is None:
            continue
        side = grid.pixels.shape[1] // GRID
        collapsed = " Collapsed." if run.collapsed else ""
        pictures.append(
            _picture(
                grid.pixels[:side, : size.columns * side],
                webp(grid.pixels, QUALITIES[0]),
                size,
                name=f"{what}-{entry.label}-{entry.protocol}",
                alt=f"{size.columns} samples of {entry.label}, seed {seed}, the {what} of the {finished}.",
                file_alt=f"{_counted(grid)} of {entry.label}, seed {seed}, the {what} of the {finished}.",
                caption=(
                    f"The {what} of the {finished}: seed {seed}, {study.primary} {format_number(value)}.{collapsed}"
                ),
                suffix="webp",
            )
        )
    return pictures


def _counted(grid: _Grid) -> str:
    """Return how many samples a whole grid holds."""
    side = grid.pixels.shape[1] // GRID
    return f"{grid.pixels.shape[0] // side} rows of {GRID} samples"


def _picture(
    pixels: Pixels,
    evidence: bytes,
    size: _Size,
    name: str,
    alt: str,
    caption: str,
    suffix: str = "png",
    file_alt: str = "",
) -> Picture:
    """Encode what the page shows in the best quality that keeps to its share of the page."""
    page, _ = fitted(partial(webp, pixels), size.byte_limit)
    return Picture(
        name, alt, caption, page, evidence, pixels.shape[1], pixels.shape[0], suffix, file_alt=file_alt or alt
    )


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` items, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, most)]


def _read_grid(study: Study, run: Run, step: int) -> _Grid | None:
    pixels = read_pixels(run.folder.sample_file(step))
    if pixels is None or not study.plan["data"].get("input"):
        return None if pixels is None else _Grid(run, step, pixels)
    side = pixels.shape[1] // GRID
    return _Grid(run, step, pixels[side:-side], pixels)
