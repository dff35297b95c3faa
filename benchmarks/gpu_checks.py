"""The checks of benchmarks/gpu.py: that what runs on a device is what runs eagerly, again and again, without waiting.

Every function takes the device and whether it is only tried out, and yields rows; those that may leave the process in
a bad way also take how many rows there are already. A row that shows something wrong has `failed`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench.training.step import Players
from common import OurStep, Row, Setting, need_cuda, random_images, time_steps, tried
from gpu import SPOILT
from torch import Tensor, distributed
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data import PreparedData, prepare
from bench.objectives import names
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec
from bench.training.engine import EagerIterations, Engine, make_engine
from bench.training.environment import describe_environment
from bench.training.graph import NOT_CAPTURABLE
from bench.training.loop import Interrupted, Pace, build_players, train
from bench.training.ranks import Ranks
from bench.validation.contract.ranks import relative_difference

STEPS = 20
FEW = ("nsgan", "wgan-gp", "began", "r1")
RUN_STEPS = 24
# Iterations of several shapes, or that draw more than latents.
UNEVEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("wgan", {"warm_up": {"generator_steps": 1, "discriminator_steps": 3, "repeat_every": 4}}),
    ("wgan-gp", {"discriminator_steps": 2, "lazy_penalty": 3}),
    ("nsgan", {"instance_noise": 0.3, "instance_noise_steps": 4}),
    ("hinge", {"packing": 2, "norm": "spectral"}),
    ("wgan", {"optimizer": "rmsprop"}),
)
# Relative differences that roundings explain; of the weights after STEPS, which small differences are amplified in.
MOST = {"fp32": (1e-4, 1e-2), "bf16": (1e-2, 1e-1)}
# What an engine may say of an objective that it is not for.
EXPECTED = ("CUDA graphs need a CUDA device", "input gradients")


def device_and_versions(device: str, quick: bool) -> Iterator[Row]:
    environment = describe_environment(torch.device(device))
    for name, value in (environment | environment.pop("packages")).items():
        yield {"what": name, "value": value}
    if torch.device(device).type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        yield {"what": "memory, GB", "value": round(memory / 1e9, 1)}
        yield {"what": "CUDA", "value": torch.version.cuda}
        yield {"what": "cuDNN", "value": torch.backends.cudnn.version()}
        yield {"what": "NCCL", "value": ".".join(map(str, torch.cuda.nccl.version()))}


def graphs(device: str, quick: bool, done: int = 0) -> Iterator[Row]:
    """Compare every objective's recorded iterations with eager ones; in bf16, and under other recipes, a few's."""
    tasks: list[tuple[str, str, dict[str, Any]]] = [(name, "fp32", {}) for name in (FEW if quick else names())]
    tasks += [(objective, "fp32", recipe) for objective, recipe in UNEVEN]
    tasks += [(name, "bf16", {}) for name in (() if quick else FEW)]
    for objective, precision, recipe in tasks[done:]:
        setting = _setting(quick, objective=objective, engine="graph", precision=precision)
        row = {"objective": objective, "precision": precision, "recipe": _in_words(recipe)}
        yield tried(row, partial(_against_eager, setting, torch.device(device), recipe))


def _in_words(recipe: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


def compiled(device: str, quick: bool) -> Iterator[Row]:
    """Compare a few objectives' compiled networks with eager ones; those with input gradients must fall back."""
    need_cuda(device)
    for objective in ("nsgan", "wgan-gp", "began"):
        setting = _setting(quick, objective=objective, engine="compiled")
        yield tried({"objective": objective}, partial(_against_eager, setting, torch.device(device)))


def resume(device: str, quick: bool) -> Iterator[Row]:
    """Train a run in one go and in three parts; a recorded one must end in the same bytes."""
    with _small_runs(device, quick) as (data, folder):
        for objective, recipe in (("nsgan", {}), ("wgan-gp", {"lazy_penalty": 2})):
            run = _run(quick, objective, "graph", "fp32", recipe)
            whole, engine = _trained(folder / f"{objective}-whole", run, data, device)
            parts, _ = _trained(folder / f"{objective}-parts", run, data, device, stops=(RUN_STEPS // 3,) * 2)
            yield {"objective": objective, "engine": engine, **_same_bytes(whole, parts)}


def determinism(device: str, quick: bool) -> Iterator[Row]:
    """Train the same run twice and compare bytes."""
    engines = ("eager", "graph")
    with _small_runs(device, quick) as (data, folder):
        for objective, precision in (("nsgan", "fp32"), ("wgan-gp", "fp32"), ("nsgan", "bf16"), ("wgan-gp", "bf16")):
            for asked in engines[: 1 if quick else None]:
                run = _run(quick, objective, asked, precision, {})
                name = f"{objective}-{precision}-{asked}"
                first, engine = _trained(folder / f"{name}-1", run, data, device)
                second, _ = _trained(folder / f"{name}-2", run, data, device)
                yield {
                    "objective": objective,
                    "precision": precision,
                    "engine": engine,
                    **_same_bytes(first, second),
                }


def _same_bytes(first: bytes, second: bytes) -> Row:
    return {"same bytes": True} if first == second else {"same bytes": False, "failed": "other bytes"}


def waiting(device: str, quick: bool, done: int = 0) -> Iterator[Row]:
    """Let torch raise an error wherever an iteration, its batches and draws included, waits for the device."""
    need_cuda(device)
    for objective in (FEW if quick else names())[done:]:
        row: dict[str, Any] = {"objective": objective}
        for engine in ("graph", "eager"):
            setting = _setting(quick, objective=objective, engine=engine)
            step = OurStep(setting, random_images(256, setting.resolution), torch.device(device))
            row[engine] = _first_wait(step)
            row |= _spoilt(step.engine)
        waits = [engine for engine in ("graph", "eager") if row[engine] != "none"]
        yield {**row, "failed": f"waits: {', '.join(waits)}"} if waits else row


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


def one_rank(device: str, quick: bool) -> Iterator[Row]:
    """Send everything that ranks exchange through NCCL (gloo on a CPU) in a group of one, and compare with none.

    Cutting into one part, gathering it and summing over one rank change no bit; gathered images are contiguous, though,
    and batch norm is then bench's own, so convolutions and sums may round otherwise.
    """
    here = torch.device(device)
    # As torchrun sets them; port 0 is any that is free.
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    ranks = Ranks.of_environment(here, force_group=True)
    try:
        ranks.barrier()
        for objective, norm in (("nsgan", "batch"), ("wgan-gp", "layer"), ("began", "layer"), ("rasgan", "batch")):
            setting = _setting(quick, objective=objective, engine="eager", norm=norm)
            row = {"objective": objective, "norm": norm, "backend": distributed.get_backend()}
            yield tried(row, partial(_through_collectives, setting, ranks, here))
    finally:
        ranks.close()


class Collectives(TorchDispatchMode):
    """Counts what is exchanged between ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.namespace == "c10d"
        return func(*args, **(kwargs or {}))


def _through_collectives(setting: Setting, ranks: Ranks, device: torch.device) -> Row:
    spec = setting.spec()
    players = build_players(spec, device, ranks)
    found = _compared(EagerIterations(players).iterate, players, build_players(spec, device), setting)
    images = _batches(setting, device, 1)
    with Collectives() as collectives:
        players.iterate(STEPS, lambda step: images[0])
    none = {} if collectives.count else {"failed": "nothing went through the process group"}
    return {**found, "collectives a step": collectives.count, **none}


def _against_eager(setting: Setting, device: torch.device, recipe: dict[str, Any] | None = None) -> Row:
    spec = setting.run(1_000_000, recipe=recipe or {}).training
    players = build_players(spec, device)
    engine = make_engine(setting.engine, players)
    found = _compared(engine.iterate, players, build_players(spec, device), setting)
    if engine.reason is None:
        return {setting.engine: "yes", **found}
    expected = any(words in engine.reason for words in EXPECTED)
    why = {} if expected else {"failed": engine.reason}
    return {setting.engine: f"no: {engine.reason}", **found, **why, **_spoilt(engine)}


def _spoilt(engine: Engine) -> Row:
    """Ask for a new process after a broken capture, which the allocator may go on taking for open."""
    return {SPOILT: True} if NOT_CAPTURABLE in (engine.reason or "") else {}


def _compared(iterate: Callable[..., None], players: Players, eager: Players, setting: Setting) -> Row:
    """Return by how much the first gradients differ from eager ones, the weights after STEPS, and both times."""
    images = _batches(setting, players.device, STEPS)

    def batch(discriminator_step: int) -> Tensor:
        return images[discriminator_step % len(images)]

    iterate(0, batch)
    eager.iterate(0, batch)
    gradients = relative_difference(_first_moments(players), _first_moments(eager))
    taken, taken_eagerly = iter(range(1, STEPS)), iter(range(1, STEPS))
    seconds = time_steps(lambda: iterate(next(taken), batch), STEPS - 1, players.device)
    eager_seconds = time_steps(lambda: eager.iterate(next(taken_eagerly), batch), STEPS - 1, players.device)
    weights = relative_difference(_weights(players), _weights(eager))
    most_gradients, most_weights = MOST[setting.precision]
    agree = gradients <= most_gradients and weights <= most_weights
    return {
        "gradients differ by": gradients,
        f"weights differ by, after {STEPS} steps": weights,
        "ms a step": 1000 * seconds,
        "ms eager": 1000 * eager_seconds,
        **({} if agree else {"failed": f"differs by more than {most_gradients:g} or {most_weights:g}"}),
    }


def _batches(setting: Setting, device: torch.device, count: int) -> list[Tensor]:
    shape = (setting.batch, 3, setting.resolution, setting.resolution)
    random = torch.Generator().manual_seed(0)
    images = (torch.rand(shape, generator=random) * 2 - 1 for _ in range(count))
    return [batch.to(device, memory_format=torch.channels_last) for batch in images]


def _first_moments(players: Players) -> Tensor:
    """Return the gradients of the first step, up to a factor, as both optimisers have kept them."""
    states = [state for optimizer in (players.optimizer_G, players.optimizer_D) for state in optimizer.state.values()]
    return torch.cat([state.get("exp_avg", state.get("square_avg")).flatten() for state in states])


def _weights(players: Players) -> Tensor:
    return torch.cat([p.detach().flatten() for network in (players.G, players.D) for p in network.parameters()])


def _setting(quick: bool, **changes: Any) -> Setting:
    size = Setting(resolution=32, width=4, batch=8) if quick else Setting(resolution=64, width=32, batch=32)
    return replace(size, **changes)


def _run(quick: bool, objective: str, engine: str, precision: str, recipe: dict[str, Any]) -> RunSpec:
    setting = _setting(quick, objective=objective, engine=engine, precision=precision)
    return setting.run(
        RUN_STEPS,
        data={"train_count": 64, "heldout_count": 8},
        recipe=recipe,
        training={"snapshots": 1, "log_every": 4},
    )


class _small_runs:  # noqa: N801 - a context manager
    """Prepared images and a folder, for as long as the block lasts."""

    def __init__(self, device: str, quick: bool) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._request = _run(quick, "nsgan", "eager", "fp32", {}).training.data

    def __enter__(self) -> tuple[PreparedData, Path]:
        folder = Path(self._folder.name)
        return prepare(self._request, folder / "data"), folder

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _trained(
    path: Path, run: RunSpec, data: PreparedData, device: str, stops: tuple[int, ...] = ()
) -> tuple[bytes, str]:
    """Train a run, stopping after so many steps each; returns its last snapshot's bytes and its engine."""
    folder = RunFolder(path)
    run.write(folder.spec_file)
    for steps in stops:
        try:
            train(folder, run, data, torch.device(device), _stop_after(steps))
        except Interrupted:
            continue
        raise AssertionError(f"{path.name} was not interrupted")
    status = train(folder, run, data, torch.device(device))
    return folder.snapshot_file(run.training.budget.generator_steps).read_bytes(), str(status.engine)


def _stop_after(steps: int) -> Pace:
    taken = iter(range(steps - 1))
    return Pace(stop=lambda: next(taken, None) is None)
