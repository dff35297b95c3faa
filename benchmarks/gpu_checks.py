"""The checks of benchmarks/gpu.py: that what runs on a device is what runs eagerly, again and again, without waiting.

A function takes the script's options and lists a stage's tasks.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import LABELS, OurStep, Setting, need_cuda, random_images, time_steps
from gpu import Row, Task
from gpu_runs import EXAMPLE
from torch import Tensor, distributed
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data import PreparedData, prepare
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.features import Extractor, extract
from bench.evaluation.inception import InceptionExtractor, Weights
from bench.evaluation.lite0 import load_lite0
from bench.networks.conditioning import Batch
from bench.objectives import names
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec
from bench.training.engine import EagerEngine, Engine, make_engine
from bench.training.environment import describe_environment, prepare_process
from bench.training.graph import NOT_CAPTURABLE
from bench.training.loop import build_state, train
from bench.training.ranks import Ranks
from bench.training.state import TrainingState
from bench.training.timing import told_batch
from bench.validation.contract.ranks import relative_difference

STEPS, QUICK_STEPS = 20, 6  # that iterations are compared over
RUN_STEPS = 24
# Iterations of several shapes, or that draw more than latents.
UNEVEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("wgan", {"warm_up": {"generator_steps": 1, "discriminator_steps": 3, "repeat_every": 4}}),
    ("wgan-gp", {"discriminator_steps": 2, "lazy_penalty": 3}),
    ("nsgan", {"instance_noise": 0.3, "instance_noise_steps": 4}),
    ("hinge", {"packing": 2, "norm": "spectral"}),
    ("wgan", {"optimizer": "rmsprop"}),
    ("nsgan", {"optimizer": "sgd", "momentum": 0.5, "norm": "batch+spectral"}),
    ("nsgan", {"generator_steps_per_iteration": 2, "instance_noise": 0.1}),
    ("wgan-gp", {"conditioning": "concat"}),
    ("nsgan", {"conditioning": "projection", "norm": "spectral"}),
)
# Relative differences that roundings explain: of the first gradients, and of the weights after STEPS steps.
MOST = {"fp32": (1e-4, 1e-2), "bf16": (1e-2, 1e-1)}
MOST_BETWEEN_FEATURES = 1e-3
# What an engine may say of an objective that it is not for.
EXPECTED = ("CUDA graphs need a CUDA device", "input gradients")
IMAGES = 1000  # whose features are timed on a device


def start(options: argparse.Namespace) -> list[Task]:
    """Say what this machine is, and what `bench doctor` says of it."""

    def versions() -> list[Row]:
        device = torch.device(options.device)
        environment = describe_environment(device)
        found = environment | environment.pop("packages")
        if device.type == "cuda":
            found |= {
                "memory, GB": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1),
                "built for": " ".join(torch.cuda.get_arch_list()),
                "CUDA": torch.version.cuda,
                "cuDNN": torch.backends.cudnn.version(),
                "NCCL": ".".join(map(str, torch.cuda.nccl.version())),
                "driver": _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
            }
        return [{"what": name, "value": value} for name, value in found.items()]

    def doctor() -> list[Row]:
        said = _said(sys.executable, "-m", "bench", "doctor").splitlines()
        before_the_studies = itertools.takewhile(lambda line: " study " not in line, said)
        return [{"what": "bench doctor", "value": line} for line in before_the_studies]

    return [({}, versions), ({}, doctor)]


def _said(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()


def capture(options: argparse.Namespace) -> list[Task]:
    """Compare captured iterations with eager ones: the example's objectives first, in both precisions."""
    prepare_process(1)
    asked: list[tuple[str, str, dict[str, Any]]] = [
        *((objective, precision, {}) for precision in ("fp32", "bf16") for objective in EXAMPLE),
        *((objective, "fp32", recipe) for objective, recipe in UNEVEN),
    ]
    if not options.quick:
        asked += [(objective, "fp32", {}) for objective in names() if objective not in EXAMPLE]
        asked += [(objective, "bf16", {}) for objective in ("r1", "ebgan", "vae")]
    steps = QUICK_STEPS if options.quick else STEPS
    tasks: list[Task] = []
    for objective, precision, recipe in asked:
        setting = _setting(options.quick, objective=objective, engine="graph", precision=precision)
        words = ", ".join(f"{name} {value}" for name, value in recipe.items())
        row = {"objective": objective, "precision": precision, "recipe": words}
        tasks.append((row, partial(_against_eager, setting, torch.device(options.device), steps, recipe)))
    return tasks


def checks(options: argparse.Namespace) -> list[Task]:
    """List the checks of determinism, of waiting, of the collectives and of features."""
    prepare_process(1)
    tasks: list[Task] = []
    for objective in ("nsgan", "wgan-gp"):
        row = {"check": "the same run twice", "objective": objective, "precision": "bf16"}
        tasks.append((row, partial(_twice, options, objective)))
    for objective in ("nsgan", "wgan-gp", "began"):
        row = {"check": "waiting within iterations", "objective": objective}
        tasks.append((row, partial(_waits, options, objective)))
    tasks.append(({"check": "one rank through the collectives"}, partial(_one_rank, options)))
    loaders: dict[str, Callable[[torch.device], Extractor]] = {
        "lite0": load_lite0,
        "judge": partial(JudgeExtractor, "faces"),
        "inception": _random_inception,
    }
    for name, load in loaders.items():
        tasks.append(({"check": "features, CPU against device", "extractor": name}, partial(_features, options, load)))
    return tasks


def _twice(options: argparse.Namespace, objective: str) -> Row:
    """Train the same run twice and compare bytes."""
    setting = _setting(options.quick, objective=objective, engine="auto", precision="bf16")
    counts = {"train_count": 64, "heldout_count": 8}
    run = setting.run(RUN_STEPS, data=counts, training={"snapshots": 1, "log_every": 4})
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(run.training.data, Path(folder) / "data")
        (first, engine), (second, _) = (
            _trained(Path(folder) / name, run, data, torch.device(options.device)) for name in ("first", "second")
        )
    found = {"engine": engine, "same bytes": first == second}
    return found if first == second else {**found, "failed": "other bytes"}


def _trained(path: Path, run: RunSpec, data: PreparedData, device: torch.device) -> tuple[bytes, str]:
    """Train a run; returns its last snapshot's bytes and its engine."""
    folder = RunFolder(path)
    run.write(folder.spec_file)
    status = train(folder, run, data, device)
    return folder.snapshot_file(run.training.budget.generator_steps).read_bytes(), str(status.engine)


def _waits(options: argparse.Namespace, objective: str) -> Row:
    """Let torch raise an error wherever an iteration, its batches and draws included, waits for the device."""
    need_cuda(options.device)
    row: Row = {}
    for engine in ("graph", "eager"):
        setting = _setting(options.quick, objective=objective, engine=engine)
        step = OurStep(setting, random_images(256, setting.resolution), torch.device(options.device))
        row[engine] = _first_wait(step)
        row |= _spoilt(step.engine)
    waits = [engine for engine in ("graph", "eager") if row[engine] != "none"]
    return {**row, "failed": f"waits: {', '.join(waits)}"} if waits else row


def _first_wait(step: OurStep) -> str:
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            step()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def _one_rank(options: argparse.Namespace) -> list[Row]:
    """Send everything that ranks exchange through NCCL (gloo on a CPU) in a group of one, and compare with none.

    Cutting into one part, gathering it and summing over one rank change no bit; gathered images are contiguous, though,
    and batch norm is then bench's own, so convolutions and sums may round otherwise.
    """
    device, steps = torch.device(options.device), QUICK_STEPS if options.quick else STEPS
    # As torchrun sets them; port 0 is any that is free.
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    ranks = Ranks.of_environment(device, force_group=True)
    rows: list[Row] = []
    try:
        ranks.barrier()
        for objective, norm in (("nsgan", "batch"), ("wgan-gp", "layer"), ("rasgan", "batch")):
            setting = _setting(options.quick, objective=objective, engine="eager", norm=norm)
            row = {"objective": objective, "norm": norm, "backend": distributed.get_backend()}
            rows.append({**row, **_through_collectives(setting, ranks, device, steps)})
    finally:
        ranks.close()
    return rows


class Collectives(TorchDispatchMode):
    """Counts what is exchanged between ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.namespace == "c10d"
        return func(*args, **(kwargs or {}))


def _through_collectives(setting: Setting, ranks: Ranks, device: torch.device, steps: int) -> Row:
    spec = setting.spec()
    state = build_state(spec, device, ranks)
    found = _compared(EagerEngine(state).run_iteration, state, build_state(spec, device), setting, steps)
    images = _batches(setting, device, 1)
    with Collectives() as collectives:
        EagerEngine(state).run_iteration(steps, lambda step: Batch(images[0]))
    none = {} if collectives.count else {"failed": "nothing went through the process group"}
    return {**found, "collectives a step": collectives.count, **none}


def _features(options: argparse.Namespace, load: Callable[[torch.device], Extractor]) -> Row:
    """Compare an extractor's features of the same images on the CPU and on the device, and time it there."""
    from evaluation import smooth_images  # it needs torch-fidelity

    device, few = torch.device(options.device), 4 if options.quick else 16
    images = smooth_images(few if options.quick else IMAGES, 64)
    on_cpu = extract(load(torch.device("cpu")), images[:few]).pool
    extractor = load(device)
    there = extract(extractor, images[:few]).pool
    began = time.perf_counter()
    extract(extractor, images)
    apart = relative_difference(there, on_cpu)
    row = {"features differ by": apart, "images/s": len(images) / (time.perf_counter() - began)}
    return row if apart <= MOST_BETWEEN_FEATURES else {**row, "failed": f"by more than {MOST_BETWEEN_FEATURES:g}"}


def _random_inception(device: torch.device) -> Extractor:
    """Return the Inception network with random weights, which cost what the TF-2015 ones cost."""
    return InceptionExtractor(_random_weights(), device)


@functools.cache
def _random_weights() -> Weights:
    from evaluation import random_weights  # it needs torch-fidelity

    return Weights(random_weights(), "0" * 64)


def _against_eager(setting: Setting, device: torch.device, steps: int, recipe: dict[str, Any]) -> Row:
    told = {"data": {"labels": LABELS}} if "conditioning" in recipe else {}
    spec = setting.run(1_000_000, recipe=recipe, **told).training
    state = build_state(spec, device)
    engine = make_engine(setting.engine, state)
    found = _compared(engine.run_iteration, state, build_state(spec, device), setting, steps)
    row = {"captured": engine.reason is None, **found, **_spoilt(engine)}
    if engine.reason is not None and not any(words in engine.reason for words in EXPECTED):
        row["failed"] = engine.reason
    return row


def _spoilt(engine: Engine) -> Row:
    """Ask for a new process after a broken capture, which the allocator may go on taking for open."""
    return {"spoilt": True} if NOT_CAPTURABLE in (engine.reason or "") else {}


def _compared(
    iterate: Callable[..., None], state: TrainingState, other: TrainingState, setting: Setting, steps: int
) -> Row:
    """Return by how much the first gradients differ from eager ones, the weights after `steps`, and both times."""
    eager = EagerEngine(other)
    images = _batches(setting, state.device, steps)

    def batch(discriminator_step: int) -> Batch:
        return told_batch(state, images[discriminator_step % len(images)], discriminator_step)

    iterate(0, batch)
    eager.run_iteration(0, batch)
    gradients = relative_difference(_first_moments(state), _first_moments(other))
    taken, taken_eagerly = iter(range(1, steps)), iter(range(1, steps))
    seconds = time_steps(lambda: iterate(next(taken), batch), steps - 1, state.device)
    eager_seconds = time_steps(lambda: eager.run_iteration(next(taken_eagerly), batch), steps - 1, state.device)
    weights = relative_difference(_weights(state), _weights(other))
    most_gradients, most_weights = MOST[setting.precision]
    agree = gradients <= most_gradients and weights <= most_weights
    return {
        "agrees": agree,
        "gradients differ by": gradients,
        "weights differ by": weights,
        "after steps": steps,
        "ms a step": 1000 * seconds,
        "ms eager": 1000 * eager_seconds,
        **({} if agree else {"failed": f"differs by more than {most_gradients:g} or {most_weights:g}"}),
    }


def _batches(setting: Setting, device: torch.device, count: int) -> list[Tensor]:
    shape = (setting.batch, 3, setting.resolution, setting.resolution)
    random = torch.Generator().manual_seed(0)
    images = (torch.rand(shape, generator=random) * 2 - 1 for _ in range(count))
    return [batch.to(device, memory_format=torch.channels_last) for batch in images]


def _first_moments(state: TrainingState) -> Tensor:
    """Return the gradients of the first step, up to a factor, as both optimisers have kept them."""
    states = [state for optimizer in (state.optimizer_G, state.optimizer_D) for state in optimizer.state.values()]
    kept = ("exp_avg", "square_avg", "momentum_buffer")  # Adam's, RMSProp's, SGD's
    return torch.cat([next(state[name] for name in kept if name in state).flatten() for state in states])


def _weights(state: TrainingState) -> Tensor:
    return torch.cat([p.detach().flatten() for network in (state.G, state.D) for p in network.parameters()])


def _setting(quick: bool, **changes: Any) -> Setting:
    size = Setting(resolution=32, width=4, batch=8) if quick else Setting(resolution=64, width=32, batch=32)
    return replace(size, **changes)
