"""Sample walls: the grids that training left, cropped for the page and kept whole beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.report.model import Picture, ReportOptions, SampleSet
from bench.report.study import Entry, Run, Study
from bench.report.words import joined, number

GRID = 8
WEBP_QUALITY = 90
Pixels = npt.NDArray[np.uint8]


def sample_set(study: Study, entry: Entry, options: ReportOptions) -> SampleSet:
    """Return an entry's samples at its median seed; without scores, at the first seed that left a grid."""
    run, why = _chosen_run(study, entry)
    title = str(entry.card.get("title", entry.objective))
    if run is None:
        return SampleSet(entry.label, title, "no samples yet", None, None)
    seed_text = f"seed {run.seed} ({why})"
    grids = [(step, pixels) for step in run.sample_steps if (pixels := _read_grid(run, step)) is not None]
    if not grids:
        return SampleSet(entry.label, title, f"{seed_text}: its grids cannot be read", None, None)
    return SampleSet(
        entry.label,
        title,
        seed_text,
        _wall(study, entry, run, *grids[-1], options),
        _progress(entry, run, grids, options),
    )


def _chosen_run(study: Study, entry: Entry) -> tuple[Run | None, str]:
    seed = study.summary(entry, study.primary).median_seed()
    scored = len(study.summary(entry, study.primary).values)
    for run in entry.runs:
        if run.seed == seed and run.sample_steps:
            return run, {1: "the only score", 2: "the lower score of two"}.get(scored, "the median seed")
    for run in sorted(entry.runs, key=lambda run: (run.state != "done", run.seed)):
        if run.sample_steps:
            return run, "not scored" if run.state == "done" else run.state
    return None, ""


def _wall(study: Study, entry: Entry, run: Run, step: int, grid: Pixels, options: ReportOptions) -> Picture:
    side = grid.shape[0] // GRID
    columns = options.wall_columns if side <= 64 else max(options.wall_columns // 2, 1)
    shown = grid[: options.wall_rows * side, : columns * side]
    score = dict(study.summary(entry, study.primary).values).get(run.seed)
    reached = "" if step == study.plan["final_step"] else f" The run’s last grid; it is {run.state}."
    collapsed = " Collapsed." if run.collapsed else ""
    return Picture(
        name=f"samples-{entry.label}-{entry.protocol}",
        alt=f"{options.wall_rows} rows of {columns} samples of {entry.label}, seed {run.seed}, step {step:,}.",
        caption=(
            f"Seed {run.seed}, generator step {step:,}"
            + (f", {study.primary} {number(score)}." if score is not None else ".")
            + reached
            + collapsed
        ),
        page=_webp(shown),
        evidence=run.folder.sample_file(step).read_bytes(),
        width=shown.shape[1],
        height=shown.shape[0],
    )


def _progress(entry: Entry, run: Run, grids: Sequence[tuple[int, Pixels]], options: ReportOptions) -> Picture | None:
    """Stack the first row of each snapshot's grid, oldest on top: the same latents throughout."""
    if len(grids) < 2:
        return None
    side = grids[0][1].shape[0] // GRID
    columns = options.wall_columns if side <= 64 else max(options.wall_columns // 2, 1)
    rows = np.concatenate([grid[:side, : columns * side] for _, grid in grids if grid.shape == grids[0][1].shape])
    steps = joined([f"{step:,}" for step, _ in grids])
    return Picture(
        name=f"progress-{entry.label}-{entry.protocol}",
        alt=f"The same {columns} latents of {entry.label}, seed {run.seed}, at generator steps {steps}, top to bottom.",
        caption=f"The same {columns} latents at generator steps {steps}, top to bottom.",
        page=_webp(rows),
        evidence=_png(rows),
        width=rows.shape[1],
        height=rows.shape[0],
    )


def _read_grid(run: Run, step: int) -> Pixels | None:
    """Return a grid as H x W x 3, or None where the file is damaged."""
    try:
        with Image.open(run.folder.sample_file(step)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _webp(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=WEBP_QUALITY, method=4)
    return buffer.getvalue()


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
