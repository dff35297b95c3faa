"""Images of a trained run, for a notebook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.data import prepare
from bench.errors import BenchError
from bench.evaluation.measuring import device_named
from bench.evaluation.samples import Conditions, conditions_of, drawn_conditions, generate
from bench.execution.evaluating import load_snapshot
from bench.execution.running import folder_of
from bench.metrics.settings import GeneratorName
from bench.runs.plan import RunSpec


def generate_images(
    run: RunSpec,
    count: int,
    *,
    runs: str | Path = "runs",
    generator: GeneratorName = "raw",
    generator_steps: int | None = None,
    sample_seed: int = 0,
    device: str = "cpu",
    data: str | Path = "data",
) -> npt.NDArray[np.uint8]:
    """Return images of a run's generator, an array (count, 3, R, R) of uint8: those that its metrics were taken of.

    run              one of a plan's `runs`
    count            how many; the first ones are the same however many are asked for
    runs             the folder of the runs
    generator        "raw", or "ema", the averaged one
    generator_steps  the snapshot's step [the last one]
    sample_seed      which block of evaluation latents
    device           where it computes: "cpu", "cuda:0", ..., or "auto"
    data             the folder of prepared images: where a study has labels or input images, sample i has those of
                     reference image i

    Raises BenchError where the run has no such snapshot, and NotFiniteError, a BenchError, where it has diverged.

        run = plan.select(("nsgan",))[0]
        bench.generate_images(run, 64).shape                      # (64, 3, 32, 32)
    """
    folder = folder_of(run, Path(runs))
    kept = folder.snapshot_steps()
    step = kept[-1] if generator_steps is None and kept else generator_steps
    if step not in kept:
        wanted = "" if generator_steps is None else f" of step {generator_steps}"
        there = f"It has those of {', '.join(map(str, kept))}." if kept else "Train it first, with bench.run_study."
        raise BenchError(f"{run.name} has no snapshot{wanted} in {folder.path}", hint=there)
    backbone = run.training.backbone
    images = generate(
        load_snapshot(folder.snapshot_file(step), generator, run),
        count,
        sample_seed,
        latent=backbone.latent,
        law=backbone.latent_law,
        device=device_named(device),
        conditions=_conditions(run, count, sample_seed, Path(data)),
    )
    return images.numpy()


def _conditions(run: RunSpec, count: int, sample_seed: int, data: Path) -> Conditions | None:
    codes = run.training.backbone.drawn_codes
    if codes is not None:
        return drawn_conditions(codes, count, sample_seed)
    request = run.training.data
    return conditions_of(prepare(request, data), count) if request.labels or request.input is not None else None
