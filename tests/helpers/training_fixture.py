"""A tiny study on drawn faces, and a run of it trained in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.config.models import Study
from bench.data import PreparedData
from bench.networks.conditioning import Batch
from bench.objectives import load
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import RunSpec, make_plan
from bench.training.iteration import generate
from bench.training.loop import train
from bench.training.state import TrainingState

CPU = torch.device("cpu")


def study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "s",
        "title": "S",
        "objectives": ({"objective": "nsgan", "label": "row"},),
        "baseline": "row",
        "seeds": (0,),
        "data": {"source": "faces", "resolution": 32, "train_count": 40, "heldout_count": 60},
        "backbone": {"width": 4, "latent": 8},
        "recipe": {"learning_rate": 1e-3},
        "budget": {"generator_steps": 8, "batch": 8, "halve_every": 3},
        "training": {"snapshots": 2, "log_every": 2},
    }
    return Study.model_validate(values | changes)


def labelled_if_needed(objective: str) -> dict[str, Any]:
    """Return what a study of an objective changes: labels or inputs in its data, codes in its backbone, if needed."""
    needs = load(objective).needs
    if needs == "codes":
        return {"backbone": {"width": 4, "latent": 8, "codes": {"categorical": (3,), "continuous": 1}}}
    told: dict[str, Any] = {"input": "edges"} if needs == "input" else {"labels": ("hat", "glasses")}
    data = {"source": "faces", "resolution": 32, "train_count": 40, "heldout_count": 60}
    return {"data": data | told} if needs else {}


def trained(folder: Path, data: PreparedData, **changes: Any) -> tuple[RunFolder, RunSpec, Status]:
    run = make_plan(study(**changes)).runs[0]
    run_folder = RunFolder(folder)
    run.write(run_folder.spec_file)
    return run_folder, run, train(run_folder, run, data, CPU)


def small_study(entry: dict[str, Any], steps: int = 240) -> Study:
    """Return a study of one row whose run takes seconds."""
    recipe = entry.pop("recipe", None)
    return Study.model_validate(
        {
            "name": "resume",
            "title": "resume",
            "objectives": ({"label": "row", "recipe": recipe, **entry},),
            "seeds": (3,),
            "baseline": "row",
            "data": {"source": "faces", "resolution": 32, "train_count": 70, "heldout_count": 200},
            "backbone": {"width": 8, "latent": 16},
            "budget": {"generator_steps": steps, "batch": 8, "halve_every": 100},
            "training": {"snapshots": 3, "log_every": 10},
            "evaluation": {"extractors": ("judge",), "samples": 60, "snapshot_samples": 60, "kid_subset_size": 50},
        }
    )


def first_fakes(state: TrainingState, count: int) -> torch.Tensor:
    """Return the fakes of the first discriminator step of generator step 0."""
    state.rng.begin("discriminator", 0)
    return generate(state, Batch(torch.zeros(count, 0)), with_graph=False)
