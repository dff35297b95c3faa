"""What the sample grids of runs show: the same latents, snapshot by snapshot. Measured once, by the command."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.console import Console

from bench.data import PreparedData
from bench.data.judge import KNOWN
from bench.data.judge.network import Judge, load_judge, modes
from bench.execution.in_process import torch_settings_kept
from bench.files import write_record
from bench.networks.sampling import GRID
from bench.runs.extras import GRIDS, read_grids
from bench.runs.folder import RunFolder
from bench.runs.plan import Plan
from bench.training.environment import prepare_process

BORDER = 2  # pixels at each side
_REAL_IMAGES = 1_000
_SATURATED = 0.9

Images = npt.NDArray[np.uint8]
"""N x 3 x R x R."""


def measure_grids(plan: Plan, data: PreparedData, runs_root: Path, console: Console, stop: Callable[[], bool]) -> None:
    """Bring the study's grids.json up to date with its finished runs, on the CPU; `stop` leaves the rest for later.

    Where a grid cannot be read, that is said, and its run is left out.
    """
    folder = runs_root / plan.study.name
    record = read_grids(folder) or {}
    if record.get("data_sha256") != data.heldout.sha256:
        record = {"schema": 1, "data_sha256": data.heldout.sha256, "real": None, "runs": {}}
    before: dict[str, Any] = record["runs"]
    grids = {}
    for spec in plan.runs:
        files = sorted(RunFolder(folder / spec.folder).samples.glob("step-*.png"))
        if files and RunFolder(folder / spec.folder).status().state == "done":
            grids[spec.folder.as_posix()] = files, hashlib.sha256(files[-1].read_bytes()).hexdigest()
    known = {run: before[run] for run, (_, digest) in grids.items() if before.get(run, {}).get("grid") == digest}
    lacking = grids.keys() - known.keys()
    if not lacking and known.keys() == before.keys():
        return
    with torch_settings_kept():
        prepare_process(plan.study.training.threads)
        knowledge = KNOWN.get(plan.study.data.source)
        modes_of = partial(judged_modes, load_judge(knowledge), knowledge.mode_factors) if knowledge else None
        for run in sorted(lacking):
            if stop():
                break
            files, digest = grids[run]
            try:
                shown = [_images(file, plan.study.data.resolution) for file in files]
            except (OSError, ValueError) as error:
                console.print(f"grids    {run} was left out: {error}", markup=False)
                continue
            known[run] = {"grid": digest, "steps": [int(file.stem.removeprefix("step-")) for file in files]}
            borders = [*map(border, shown)]
            known[run] |= {name: [one[name] for one in borders] for name in borders[0]}
            known[run]["same_mode"] = persistence([*map(modes_of, shown)]) if modes_of else None
    real = record["real"] or border(np.asarray(data.heldout.images()[:_REAL_IMAGES]))
    write_record(folder / GRIDS, {**record, "real": real, "runs": {run: known[run] for run in sorted(known)}})


def border(images: Images) -> dict[str, float]:
    """Return what the outer two pixels of images are, in [-1, 1].

    Their mean; the share of them in (-0.9, 0.9), which is 0 of black and white; their mean absolute value, which is 0
    of mid-grey.
    """
    inner = np.ones(images.shape[2:], dtype=bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = False
    light = images[:, :, inner].astype(np.float64) / 127.5 - 1
    return {
        "border_mean": float(light.mean()),
        "border_between": float((np.abs(light) < _SATURATED).mean()),
        "border_amplitude": float(np.abs(light).mean()),
    }


def persistence(judged: list[npt.NDArray[np.int64]]) -> list[float | None]:
    """Return for each snapshot which share of the latents has the same mode as in the one before; None of the first."""
    return [None, *(float((one == other).mean()) for one, other in pairwise(judged))]


def _images(file: Path, resolution: int) -> Images:
    """Return the images of a grid, which has 8 in a row."""
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width, _ = pixels.shape
    if width != GRID * resolution or height % resolution:
        raise ValueError(f"{file.name} is no grid of {resolution} x {resolution} pixels")
    parts = pixels.reshape(height // resolution, resolution, GRID, resolution, 3)
    return parts.transpose(0, 2, 4, 1, 3).reshape(-1, 3, resolution, resolution)


@torch.inference_mode()
def judged_modes(judge: Judge, mode_factors: tuple[str, ...], images: Images) -> npt.NDArray[np.int64]:
    """Return the mode that the judge sees in each image, however sure it is."""
    return np.asarray(modes(judge(torch.from_numpy(np.ascontiguousarray(images))), mode_factors)[0].numpy())
