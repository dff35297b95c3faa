"""Nearest training images of runs on photographs: drawn only when a user asks, since they may show real people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from bench.data import prepare
from bench.evaluation.pictures import missing_pictures, write_pictures
from bench.execution.evaluating import load_snapshot
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec


def draw_training_images(folders: Sequence[RunFolder], data_root: Path) -> int:
    """Write nearest.png into finished runs that lack it, whatever their images, and return how many lacked a picture.

    Neighbours are looked for in 16 x 16 pixels alone. Raises BenchError when another process works on a run.
    """
    written = 0
    for folder in folders:
        spec = RunSpec.read(folder.spec_file)
        with folder.owned():
            if not missing_pictures(folder, spec, allow_real=True):
                continue
            data = prepare(spec.training.data, data_root)

            def load(path: Path, which: str, spec: RunSpec = spec) -> torch.nn.Module:
                return load_snapshot(path, which, spec)

            write_pictures(folder, spec, data, load, torch.device("cpu"), allow_real=True)
            written += 1
    return written
