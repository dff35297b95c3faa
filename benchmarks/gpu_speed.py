"""The measurements of benchmarks/gpu.py: times and memory. A function takes its options and lists a stage's tasks."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import growth
import torch
import training_step
from common import Contestant, OurStep, Setting, need_cuda, random_images, take_turns
from floor import convolutions_of, replaying
from gpu import Row, Task
from tutorial import Loop, loaded

from bench.training.environment import prepare_process

SMALL = Setting(resolution=32, width=4, batch=8)  # to rehearse with
LOADER_WORKERS, FEW_LOADER_WORKERS = 8, 2
SHARED_MEMORY = Path("/dev/shm")  # where a loader's workers lay their batches: 6 MB each, two a worker
ENOUGH_SHARED_BYTES = 2**28


def steps(options: argparse.Namespace) -> list[Task]:
    """Time four objectives' steps against the tutorial loop and the floor, and say where two of them spend theirs."""
    prepare_process(1)
    size = SMALL if options.quick else Setting()
    device = torch.device(options.device)
    tasks: list[Task] = []
    for objective in training_step.OBJECTIVES[: 1 if options.quick else None]:
        setting = replace(size, objective=objective)
        tasks.append(({"objective": objective}, partial(_contest, setting, device, options.quick)))
    for objective in ("nsgan", "wgan-gp")[: 1 if options.quick else None]:
        setting = replace(size, objective=objective, precision="bf16", engine="eager")
        row = {"objective": objective, "contestant": "profile of bench bf16, eager"}
        tasks.append((row, partial(_profile, setting, device)))
    return tasks


def _contest(setting: Setting, device: torch.device, quick: bool) -> list[Row]:
    """Return a row for every way to take the step: its time, its rate over the tutorial's, its share of the floor."""
    images = random_images(max(8 * setting.batch, 512), setting.resolution)
    ours: dict[str, OurStep] = {}
    contestants: dict[str, Contestant] = {}
    for precision in ("fp32", "bf16"):
        asked = replace(setting, precision=precision, engine="graph")
        recorded = OurStep(replace(asked, engine="eager"), images, device)
        contestants[f"floor {precision}"] = Contestant(replaying(convolutions_of(recorded, device), device))
        for variant in ("", ", NCHW", *([", any algorithm, TF32"] if precision == "fp32" else [])):
            name = f"bench {precision}{variant}"
            ours[name] = OurStep(asked, images, device)
            contestants[name] = Contestant(ours[name], strict="TF32" not in variant)
            if "NCHW" in variant:
                training_step.make_contiguous(ours[name])
                ours[name].state.G.to(memory_format=torch.contiguous_format)
    loop = Loop(setting.spec(), loaded(images, setting.batch, 1 if quick else _loader_workers(), device), device)
    contestants |= {"tutorial": Contestant(loop.step, strict=False), "tutorial, no TF32": Contestant(loop.step)}
    rounds, count = (1, 2) if quick else (3, 20)
    medians = take_turns(contestants, device, rounds=rounds, steps=count)
    rows: list[Row] = []
    for name, seconds in medians.items():
        row: Row = {
            "contestant": name,
            "ms a step": 1000 * seconds,
            "images/s": setting.batch / seconds,
            "over tutorial": medians["tutorial"] / seconds,
        }
        if name in ours:
            row["share of floor"] = medians[f"floor {name.split()[1].rstrip(',')}"] / seconds
            row["how"] = ours[name].how
            if device.type == "cuda" and ours[name].engine.reason is not None:
                row |= {"failed": ours[name].how, "spoilt": True}
        rows.append(row)
    return rows


def _loader_workers() -> int:
    enough = not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > ENOUGH_SHARED_BYTES
    return LOADER_WORKERS if enough else FEW_LOADER_WORKERS


def _profile(setting: Setting, device: torch.device) -> list[Row]:
    return [dict(row) for row in training_step.profiled(setting, device)]


def cost(options: argparse.Namespace) -> list[Task]:
    """Measure four objectives' memory at width 64, and time fewer points than benchmarks/growth.py does.

    That script makes docs/cost.md of the latter.
    """
    prepare_process(1)
    device = torch.device(options.device)
    tasks: list[Task] = []
    for objective in training_step.OBJECTIVES:
        for batch, precision in ((64, "fp32"), (64, "bf16"), (128, "bf16")):
            setting = Setting(objective, batch=batch, precision=precision)
            row = {"objective": objective, "batch": batch, "precision": precision}
            tasks.append((row, partial(_megabytes, setting, device)))
    centre = replace(SMALL if options.quick else Setting(), norm="layer")
    grid: dict[str, Any] = {"width": (4,)} if options.quick else {**growth.GRID, "batch": (16, 64, 128, 256)}

    def grows() -> list[Row]:
        return [dict(row) for row in growth.measure(centre, grid, device, 0.1 if options.quick else 1.0)]

    return [*tasks, ({}, lambda: {"settings": asdict(centre)}), ({}, grows)]


def _megabytes(setting: Setting, device: torch.device) -> Row:
    """Return the peak memory of a step, captured where the device allows it."""
    need_cuda(str(device))
    return {"MB": growth.measured(setting, device, 0.2)["bytes"] / 1e6}
