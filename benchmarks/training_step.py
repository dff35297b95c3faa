"""How many images a second the training step reaches, against the usual tutorial loop and against its convolutions.

    python benchmarks/training_step.py [--device cuda] [--objectives nsgan wgan-gp] [--batches 64 128] [--out FILE]

Contestants, each with its data path, in turns (`--rounds` of `--steps`; medians count):

    tutorial   the loop of benchmarks/tutorial.py under torch's defaults; "no TF32" under bench's settings (CUDA alone);
               "batch in place" without its DataLoader (--in-place)
    bench      eager, as CUDA graphs and, with --compiled, through torch.compile, in each of --precisions; with
               --variants, in the first precision and the first of these ways, also with algorithms that need not be
               deterministic, and with a D that is contiguous in memory instead of channels-last
    floor      the convolutions of one of bench's iterations alone, on random tensors of the same shapes, memory formats
               and dtypes; on CUDA captured as one graph

"share of floor" is the floor's time over bench's: 1 would be a step that is convolutions and nothing else. `--profile`
prints where the rest of an eager step goes. `--cpu-seconds` holds on a machine that others use as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from common import (
    Contestant,
    OurStep,
    Row,
    Setting,
    add_common_options,
    markdown,
    prepared,
    publish,
    random_images,
    take_turns,
    wait,
)
from floor import convolutions_of, replaying
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from tutorial import Loop, in_place, loaded

OBJECTIVES = ("nsgan", "wgan-gp", "began", "r1")
# By parts of the names of operations; the first group that fits takes it.
GROUPS = {
    "convolution": ("conv", "aten::mm", "aten::bmm"),
    "norm": ("batch_norm", "group_norm"),
    "activation": ("relu", "threshold", "tanh", "softplus", "sigmoid"),
    "optimiser": ("_fused_adam", "foreach", "lerp"),
    "copies": ("copy_", "cat", "index_select", "fill_", "zero_", "clone"),
}


@dataclass(frozen=True)
class Match:
    """Which contestants meet, and for how long. `setting` has the objective and the size; its engine does not count."""

    setting: Setting
    precisions: Sequence[str] = ("fp32", "bf16")
    engines: Sequence[str] = ("eager",)
    workers: int = 2
    in_place: bool = False
    variants: bool = False
    rounds: int = 5
    steps: int = 4
    cpu_seconds: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of the training step against the tutorial loop.")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--compiled", action="store_true", help="through torch.compile as well")
    parser.add_argument("--workers", type=int, default=2, help="of the tutorial's DataLoader [2]")
    parser.add_argument("--in-place", action="store_true", help="time the tutorial without its DataLoader as well")
    parser.add_argument("--variants", action="store_true", help="time bench's other choices as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="steps per round [4 on a CPU, 50 on CUDA]")
    parser.add_argument("--cpu-seconds", action="store_true", help="time this process's CPU, without loader workers")
    parser.add_argument("--profile", action="store_true", help="print where the time of an eager step goes, and stop")
    add_common_options(parser, threads=2)
    options = parser.parse_args()
    device = prepared(options)
    on_cuda = device.type == "cuda"
    rows: list[Row] = []
    for objective in options.objectives:
        for batch in options.batches:
            setting = Setting(objective, options.resolution, options.width, batch)
            if options.profile:
                for precision in options.precisions:
                    print(f"\n{objective}, batch {batch}, {precision}\n")
                    print(markdown(profiled(replace(setting, precision=precision, engine="eager"), device)))
                continue
            match = Match(
                setting,
                precisions=options.precisions,
                engines=(*(["graph"] if on_cuda else []), "eager", *(["compiled"] if options.compiled else [])),
                workers=options.workers,
                in_place=options.in_place,
                variants=options.variants,
                rounds=options.rounds,
                steps=options.steps or (50 if on_cuda else 4),
                cpu_seconds=options.cpu_seconds,
            )
            rows += measure(match, device)
            print(f"{objective}, batch {batch}: done", flush=True)
    if not options.profile:
        publish("The training step", rows, options, device)


def measure(match: Match, device: torch.device) -> list[Row]:
    """Return a row for every contestant: its time, images/s, rate over the tutorial's, share of the floor."""
    setting = match.setting
    images = random_images(max(8 * setting.batch, 512), setting.resolution)
    contestants = _tutorials(match, images, device)
    ours: dict[str, OurStep] = {}
    floors: dict[str, str] = {}
    for precision in match.precisions:
        floors[precision] = f"floor {precision}"
        recorded = OurStep(replace(setting, precision=precision, engine="eager"), images, device)
        contestants[floors[precision]] = Contestant(replaying(convolutions_of(recorded, device), device))
        for engine in match.engines:
            name = f"bench {precision} {engine}"
            ours[name] = OurStep(replace(setting, precision=precision, engine=engine), images, device)
            contestants[name] = Contestant(ours[name])
    if match.variants:
        base = replace(setting, precision=match.precisions[0], engine=match.engines[0])
        free, contiguous = (OurStep(base, images, device) for _ in range(2))
        make_contiguous(contiguous)
        for variant, step in (("any algorithm", free), ("contiguous D", contiguous)):
            name = f"bench {base.precision} {base.engine}, {variant}"
            ours[name], contestants[name] = step, Contestant(step, any_algorithm=step is free)
    clock = time.process_time if match.cpu_seconds else time.perf_counter
    medians = take_turns(contestants, device, rounds=match.rounds, steps=match.steps, clock=clock)
    rows: list[Row] = []
    for name, seconds in medians.items():
        row = {
            "objective": setting.objective,
            "batch": setting.batch,
            "contestant": name,
            "ms a step": 1000 * seconds,
            "images/s": setting.batch / seconds,
            "over tutorial": medians["tutorial"] / seconds,
            "share of floor": medians[floors[name.split()[1]]] / seconds if name in ours else None,
        }
        if name in ours:
            row["how"] = ours[name].how
        elif name.startswith("tutorial") and "in place" not in name:
            row["how"] = f"{match.workers} loader workers"
        rows.append(row)
    return rows


def make_contiguous(step: OurStep) -> None:
    """Lay D and what it is given out contiguously: group norm on CUDA copies what is channels-last, there and back."""
    state = step.state
    D = state.D.to(memory_format=torch.contiguous_format)

    def judge(images: Tensor) -> Any:
        return D(images.contiguous())

    state.wrap_networks(lambda network: judge if network is D else network)


def _tutorials(match: Match, images: torch.Tensor, device: torch.device) -> dict[str, Contestant]:
    spec = match.setting.spec()

    def loop(*, loader: bool) -> Loop:
        batch = match.setting.batch
        batches = loaded(images, batch, match.workers, device) if loader else in_place(images, batch, device)
        return Loop(spec, batches, device)

    whole = loop(loader=True)
    _refuse_other_networks(whole, match.setting, images)
    found = {"tutorial": Contestant(whole.step, strict=False)}
    if device.type == "cuda":
        found["tutorial, no TF32"] = Contestant(whole.step)
    if match.in_place:
        found["tutorial, batch in place"] = Contestant(loop(loader=False).step, strict=False)
    return found


def _refuse_other_networks(loop: Loop, setting: Setting, images: torch.Tensor) -> None:
    ours = OurStep(setting, images, torch.device("cpu")).state
    for mine, theirs in ((ours.G, loop.G), (ours.D, loop.D)):
        counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (mine, theirs)]
        if counts[0] != counts[1]:
            raise AssertionError(f"{setting.objective}: bench's network has {counts[0]} parameters, theirs {counts[1]}")


def profiled(setting: Setting, device: torch.device, steps: int = 3) -> list[Row]:
    """Return the time of a step's operations by group: milliseconds a step and their share."""
    step = OurStep(setting, random_images(8 * setting.batch, setting.resolution), device)
    step()
    wait(device)
    on_cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as found:
        for _ in range(steps):
            step()
        wait(device)
    milliseconds = dict.fromkeys([*GROUPS, "other"], 0.0)
    for event in found.key_averages():
        # On CUDA an operation's time is that of its kernels, which are listed a second time as themselves.
        if event.device_type != torch.autograd.DeviceType.CPU:
            continue
        own = event.self_device_time_total if on_cuda else event.self_cpu_time_total
        milliseconds[_group(event.key)] += own / 1000 / steps
    whole = sum(milliseconds.values())
    if not whole:
        raise RuntimeError("the profiler saw no operation's time")
    return [{"group": name, "ms a step": value, "share": value / whole} for name, value in milliseconds.items()]


def _group(operation: str) -> str:
    name = operation.lower()
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "other")


if __name__ == "__main__":
    main()
