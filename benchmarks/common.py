"""What the benchmarks share: specs, our step with its data path, contestants timed in turn, and JSON."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tables import markdown
from torch import Tensor

from bench.config.models import Study
from bench.data.sampler import Sampler, gather
from bench.files import write_json
from bench.networks.conditioning import Batch
from bench.objectives import load
from bench.runs.plan import RunSpec, TrainingSpec, make_plan
from bench.training.engine import Engine, make_engine
from bench.training.environment import describe_environment, prepare_process
from bench.training.loop import build_state
from bench.training.timing import told_batch

PAUSE_SECONDS = 0.1  # between contestants: a loader's workers finish what they began
Row = Mapping[str, Any]


LABELS = ("glasses", "hat")


@dataclass(frozen=True)
class Setting:
    """The size of one training step. `norm` None: batch norm for nsgan, as tutorials have it, else layer norm."""

    objective: str = "nsgan"
    resolution: int = 64
    width: int = 64
    batch: int = 64
    precision: str = "fp32"
    engine: str = "auto"
    norm: str | None = None

    def spec(self, generator_steps: int = 1_000_000) -> TrainingSpec:
        """Return the training spec of one run under the controlled recipe."""
        return self.run(generator_steps).training

    def run(self, generator_steps: int, **tables: dict[str, Any]) -> RunSpec:
        """Return the run; `tables` replace keys in the study's tables."""
        values: dict[str, Any] = {
            "name": "benchmark",
            "title": "benchmark",
            "objectives": ({"objective": self.objective, "label": self.objective},),
            "baseline": self.objective,
            "seeds": (0,),
            "data": data_for(self.objective, self.resolution),
            "backbone": {"width": self.width} | codes_for(self.objective),
            "recipe": {
                "learning_rate": 2e-4,
                "norm": self.norm or ("batch" if self.objective == "nsgan" else "layer"),
            },
            "budget": {"generator_steps": generator_steps, "batch": self.batch, "halve_every": 1_000_000},
            "training": {"precision": self.precision, "engine": self.engine},
        }
        for name, changes in tables.items():
            values[name] |= changes
        return make_plan(Study.model_validate(values)).runs[0]


def data_for(objective: str, resolution: int, labelled: bool = False) -> dict[str, Any]:
    """Return what a study's data are in a benchmark: with labels where asked, or with what the objective needs."""
    needs = load(objective).needs
    labels = {"labels": LABELS} if labelled or needs == "labels" else {}
    inputs = {"input": "grey"} if needs == "input" else {}
    return {"source": "faces", "resolution": resolution, **labels, **inputs}


def codes_for(objective: str) -> dict[str, Any]:
    """Return what a study's backbone has of codes in a benchmark: some where the objective needs them."""
    return {"codes": {"categorical": (10,), "continuous": 2}} if load(objective).needs == "codes" else {}


class OurStep:
    """A run's iterations as bench trains: sampler, gather, engine. Call it for the next iteration."""

    def __init__(self, setting: Setting, images: Tensor, device: torch.device) -> None:
        spec = setting.spec()
        self.state = build_state(spec, device)
        self.engine: Engine = make_engine(spec.training.engine, self.state)
        self._sampler = Sampler(len(images), setting.batch, spec.seed)
        self._images, self._device = images.to(device), device
        self._taken = 0

    def __call__(self) -> None:
        self.engine.run_iteration(self._taken, self.batch)
        self._taken += 1

    def batch(self, discriminator_step: int) -> Batch:
        """Return the batch of a discriminator step, N x 3 x R x R in [-1, 1] on the device."""
        images = gather(self._images, self._sampler.batch_indices(discriminator_step), self._device)
        return told_batch(self.state, images, discriminator_step)

    @property
    def how(self) -> str:
        """Return how the iterations are carried out, with the reason where another way was asked for."""
        return self.engine.name if self.engine.reason is None else f"eager: {self.engine.reason}"


@dataclass(frozen=True)
class Contestant:
    """Something to time. `strict`: under bench's settings of torch (deterministic, no TF32), else torch's defaults.

    `any_algorithm`: bench's settings, but for the algorithms, which need not be deterministic.
    """

    step: Callable[[], Any]
    strict: bool = True
    any_algorithm: bool = False

    def settings(self) -> AbstractContextManager[None]:
        """Return the settings of torch to time it under."""
        if self.strict and not self.any_algorithm:
            return nullcontext()
        return torch_defaults(tf32=not self.strict)


def random_images(count: int, resolution: int) -> Tensor:
    """Return bytes in place of images, N x 3 x R x R uint8, on the CPU."""
    shape = (count, 3, resolution, resolution)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def take_turns(
    contestants: Mapping[str, Contestant],
    device: torch.device,
    *,
    rounds: int,
    steps: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return each one's median seconds a step over `rounds` of `steps`; a first round warms up and is not counted.

    Rounds alternate, so that a machine that is busy for a while slows all alike. What captures a graph does so before
    any other begins: the thread in which a DataLoader pins memory would break the capture. `clock` time.process_time
    gives this process's CPU seconds, which other work on the machine moves less.
    """
    for one in contestants.values():
        if isinstance(one.step, OurStep):
            with one.settings():
                one.step()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, one in contestants.items():
            with one.settings():
                seconds[name].append(time_steps(one.step, steps, device, clock))
            time.sleep(PAUSE_SECONDS)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def time_steps(
    step: Callable[[], Any], steps: int, device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds of one of so many steps, the device's work included."""
    wait(device)
    began = clock()
    for _ in range(steps):
        step()
    wait(device)
    return (clock() - began) / steps


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def torch_defaults(*, tf32: bool = True) -> Iterator[None]:
    """Let torch choose by itself: algorithms that are not deterministic and, with `tf32`, TF32 in convolutions."""
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.allow_tf32
    torch.use_deterministic_algorithms(False)
    cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.allow_tf32 = before[1]


def tried(row: Row, work: Callable[[], Row]) -> Row:
    """Return the row with what `work` finds, or with why it failed."""
    try:
        return {**row, **work()}
    except RuntimeError as error:
        return {**row, "failed": str(error).splitlines()[0] if str(error) else type(error).__name__}


def need_cuda(device: str) -> None:
    """Raise NotImplementedError on a device that is none of CUDA's."""
    if torch.device(device).type != "cuda":
        raise NotImplementedError("needs CUDA")


def add_common_options(parser: argparse.ArgumentParser, *, threads: int = 1) -> None:
    """Add --device, --threads and --out."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 [cpu]")
    parser.add_argument("--threads", type=int, default=threads, help=f"threads on a CPU [{threads}]")
    parser.add_argument("--out", type=Path, help="where to write settings and raw medians as JSON")


def prepared(options: argparse.Namespace) -> torch.device:
    """Set torch up as a run does, and return the device."""
    prepare_process(options.threads)
    return torch.device(options.device)


def publish(title: str, rows: Sequence[Row], options: argparse.Namespace, device: torch.device) -> None:
    """Print the figures as a table and, where --out asks for it, write them as JSON."""
    environment = describe_environment(device)
    where = f"{environment['device']}, {environment['capability']}, torch {environment['packages']['torch']}"
    print(f"{title}\n\n{where}, threads: {environment['threads']}\n\n{markdown(rows)}")
    if options.out:
        settings = {key: value for key, value in vars(options).items() if not isinstance(value, Path)}
        write_json(options.out, {"title": title, "environment": environment, "settings": settings, "rows": list(rows)})
        print(f"\nwritten: {options.out}")
