"""The measurements of benchmarks/gpu.py: times and memory.

Every function takes the device and whether it is only tried out, and yields rows. One with `settings` is no row: it
tells what the others were measured at.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import growth
import paths
import torch
import training_step
from common import OurStep, Row, Setting, need_cuda, random_images, time_steps, tried

from bench.training.environment import prepare_process

SMALL = Setting(resolution=32, width=4, batch=8)  # to try a part out
SHARING = (1, 2, 4, 8)
SHARING_SECONDS = 4.0
LOADER_WORKERS, FEW_LOADER_WORKERS = 8, 2
SHARED_MEMORY = Path("/dev/shm")  # where a loader's workers lay their batches: 6 MB each, two a worker
ENOUGH_SHARED_BYTES = 2**28
START_SECONDS = 120.0


def steps(device: str, quick: bool) -> Iterator[Row]:
    """Time the step of four objectives against the tutorial's and the floor."""
    on_cuda = torch.device(device).type == "cuda"
    for batch in (8,) if quick else (64, 128):
        for objective in training_step.OBJECTIVES[: 1 if quick else None]:
            setting = replace(SMALL if quick else Setting(), objective=objective, batch=batch)
            engines = ["graph", "eager"] if on_cuda else ["eager"]
            if on_cuda and objective == "nsgan" and batch == 64:
                engines.append("compiled")  # takes half a minute to compile
            match = training_step.Match(
                setting,
                engines=engines,
                workers=1 if quick else _loader_workers(),
                in_place=objective == "nsgan",
                variants=quick or (on_cuda and batch == 64 and objective in ("nsgan", "wgan-gp")),
                rounds=1 if quick else 3,
                steps=2 if quick else 20,
            )
            try:
                for row in training_step.measure(match, torch.device(device)):
                    how = str(row.get("how", ""))
                    yield {**row, "failed": how} if on_cuda and how.startswith("eager: ") else row
            except RuntimeError as error:
                yield {"objective": objective, "batch": batch, "failed": str(error).splitlines()[0]}


def _loader_workers() -> int:
    enough = not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > ENOUGH_SHARED_BYTES
    return LOADER_WORKERS if enough else FEW_LOADER_WORKERS


def where_it_goes(device: str, quick: bool) -> Iterator[Row]:
    """Profile eager steps of two objectives."""
    for objective in ("nsgan", "wgan-gp"):
        for precision in ("fp32", "bf16"):
            setting = replace(SMALL if quick else Setting(), objective=objective, precision=precision, engine="eager")
            for row in training_step.profiled(setting, torch.device(device)):
                yield {"objective": objective, "precision": precision, **row}


def cost_growth(device: str, quick: bool) -> Iterator[Row]:
    """Time fewer points than benchmarks/growth.py does."""
    centre = replace(SMALL if quick else Setting(), norm="layer")
    grid: dict[str, Any] = {"width": (4, 8)} if quick else {**growth.GRID, "batch": (16, 64, 128, 256)}
    yield {"settings": asdict(centre)}
    yield from growth.measure(centre, grid, torch.device(device), 0.1 if quick else 1.0)


def sharing(device: str, quick: bool) -> Iterator[Row]:
    """Train so many small runs at once, each in its own process, and add up their images/s."""
    setting = SMALL if quick else Setting(width=16, norm="layer")
    counts = SHARING[:2] if quick else SHARING
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(max(counts) + 1), context.Queue()
    seconds = 0.5 if quick else SHARING_SECONDS
    workers = [
        context.Process(target=_share, args=(index, counts, setting, device, seconds, barrier, rates), daemon=True)
        for index in range(max(counts))
    ]
    for worker in workers:
        worker.start()
    alone = None
    for count in counts:
        barrier.wait(START_SECONDS)  # all are ready
        found = [rates.get(timeout=START_SECONDS) for _ in range(count)]
        together = setting.batch * sum(found)
        alone = alone or together
        yield {"runs at once": count, "images/s together": together, "over one": together / alone}
    for worker in workers:
        worker.join()


def _share(
    index: int, counts: tuple[int, ...], setting: Setting, device: str, seconds: float, barrier: Any, rates: Any
) -> None:
    """Take steps for some seconds whenever this process is among those that do, and tell the steps a second."""
    try:
        prepare_process(1)
        here = torch.device(device)
        step = OurStep(setting, random_images(512, setting.resolution), here)
        time_steps(step, 5, here)
        for count in counts:
            barrier.wait(START_SECONDS)
            if index < count:
                rates.put(_rate(step, here, seconds))
    except BaseException:
        barrier.abort()  # or the others would wait for this one
        raise


def _rate(step: OurStep, device: torch.device, seconds: float) -> float:
    """Return steps a second."""
    began, taken = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        taken += 16
        time_steps(step, 16, device)
    return taken / (time.perf_counter() - began)


def per_device(device: str, quick: bool) -> Iterator[Row]:
    """Have `bench run` train a small study with one and with two runs at a time on the device."""
    size = ("--resolution", "32", "--width", "4", "--batch", "8") if quick else ("--width", "16")
    length = ("--runs", "2", "--run-seconds", "1" if quick else "8")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scaling.json"
        script = str(Path(__file__).parent / "scaling.py")
        words = ("--device", device, "--at-a-time", "1", "2", *length, *size, "--out", str(file))
        done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            yield {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
        else:
            yield from json.loads(file.read_text(encoding="utf-8"))["rows"]


def around_the_step(device: str, quick: bool) -> Iterator[Row]:
    """Time the data path, the draws and checkpoints."""
    setting = SMALL if quick else Setting()
    yield from paths.measure(setting, torch.device(device), images=64 if quick else 1500, rounds=1 if quick else 3)


def evaluation(device: str, quick: bool) -> Iterator[Row]:
    """Time the Inception network on bytes, with random weights."""
    # Not at the top: torch-fidelity may be missing, which is nobody else's concern.
    from evaluation import random_weights, smooth_images

    from bench.evaluation.features import extract
    from bench.evaluation.inception import InceptionExtractor, Weights

    here, count = torch.device(device), 8 if quick else 2000
    extractor = InceptionExtractor(Weights(random_weights(), "0" * 64), here)
    images = smooth_images(count, 64)
    extract(extractor, images[: max(count // 5, 1)])
    seconds = time_steps(lambda: extract(extractor, images), 1, here)
    yield {"images": count, "images/s": count / seconds, "ms an image": 1000 * seconds / count}


def memory(device: str, quick: bool) -> Iterator[Row]:
    """Measure the memory of a step of four objectives at width 64, recorded where the device allows it."""
    need_cuda(device)
    for objective in training_step.OBJECTIVES:
        for batch, precision in ((64, "fp32"), (64, "bf16"), (128, "fp32"), (128, "bf16")):
            setting = replace(Setting(), objective=objective, batch=batch, precision=precision)
            row = {"objective": objective, "batch": batch, "precision": precision}
            yield tried(row, partial(_megabytes, setting, torch.device(device)))


def _megabytes(setting: Setting, device: torch.device) -> Row:
    return {"MB": growth.measured(setting, device, 0.2)["bytes"] / 1e6}
