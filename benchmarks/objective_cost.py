"""What a step of each objective costs, relative to nsgan's: its extra work and nothing else.

    python benchmarks/objective_cost.py [OBJECTIVE...] [--width 64] [--batch 64] [--threads 2] [--out FILE]
    python benchmarks/objective_cost.py [OBJECTIVE...] --told [--cpu-seconds --threads 1]

A step is a generator step with the one discriminator step before it, under the controlled recipe and the objective's
default settings. Each round times steps of the objective between steps of nsgan, so that a drift of the machine
cancels; the median of the ratios counts. R1 is measured again with its penalty every 16 steps, over whole periods.
`--out bench/runs/objective_cost.json` writes what `bench list objectives` and docs/objectives.md show; in a FILE of the
same settings, rows that are not measured again stay. `--told` measures what labels cost instead: nsgan told by input
planes and by a product against nsgan without labels, and objectives that recognise labels against their untold base.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from common import codes_for, data_for

from bench.config.models import Study
from bench.files import read_json, write_json
from bench.objectives import names
from bench.runs.plan import make_plan
from bench.training.engine import EagerEngine
from bench.training.environment import describe_environment
from bench.training.loop import build_state
from bench.training.timing import told_batch

BASELINE = "nsgan"
LAZY = {"r1": 16}
UNTOLD = {"conditioning": "none"}
# What is measured, its recipe, and what it is held against; None: nsgan without labels.
TOLD: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    ("nsgan", {"conditioning": "concat"}, None),
    ("nsgan", {"conditioning": "projection"}, None),
    ("nsgan", UNTOLD, None),
    ("contragan", {}, "hinge"),
    ("reacgan", {}, "hinge"),
    ("acgan", {}, "nsgan"),
    ("tacgan", {}, "nsgan"),
    ("adcgan", {}, "nsgan"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Step times of all objectives relative to nsgan's.")
    parser.add_argument("objectives", nargs="*", help="which [all]")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps per timing")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--told", action="store_true", help="what labels cost")
    parser.add_argument(
        "--cpu-seconds", action="store_true", help="this process's CPU time, for a machine that others use"
    )
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    (measure_told if options.told else measure_all)(options)


def measure_all(options: argparse.Namespace) -> None:
    """Print what a step of each objective takes relative to nsgan's, and write it down."""
    timer = Timer(options)
    rows: dict[str, dict[str, float]] = {}
    for name in options.objectives or names():
        rows[name] = timer.compare(name, options.steps)
        print(
            f"{name:10} {rows[name]['ratio']:6.2f}  [{rows[name]['lowest']:.2f}, {rows[name]['highest']:.2f}]",
            flush=True,
        )
    lazy_rows: dict[str, dict[str, float]] = {}
    for name, every in LAZY.items():
        if name in rows:
            lazy_rows[name] = {"every": every, **timer.compare(name, every, lazy_penalty=every)}
            print(f"{name:10} {lazy_rows[name]['ratio']:6.2f}  with its penalty every {every} steps", flush=True)
    environment = describe_environment(torch.device(options.device))
    print(f"{BASELINE}: {1000 * timer.baseline_seconds():.1f} ms a step on {environment['device']}")
    if options.out:
        measured = {
            "device": f"{environment['device']}, {environment['capability']}",
            "torch": environment["packages"]["torch"],
            **{
                key: getattr(options, key) for key in ("threads", "resolution", "width", "batch", "precision", "rounds")
            },
            "nsgan_seconds": timer.baseline_seconds(),
            "rows": rows,
            "lazy_rows": lazy_rows,
        }
        write_json(options.out, with_others(measured, options.out))


def measure_told(options: argparse.Namespace) -> None:
    """Print what labels add to a step, as Markdown."""
    print("| objective | told by | against | ratio | lowest | highest |\n|---|---|---|---|---|---|")
    for name, recipe, base in (row for row in TOLD if not options.objectives or row[0] in options.objectives):
        timer = Timer(options) if base is None else Timer(options, base, **UNTOLD)
        found = timer.compare(name, options.steps, labelled=True, **recipe)
        against = "nsgan without labels" if base is None else f"{base}, untold"
        ratios = " | ".join(f"{found[key]:.3f}" for key in ("ratio", "lowest", "highest"))
        print(f"| {name} | {recipe.get('conditioning', 'none')} | {against} | {ratios} |", flush=True)


def with_others(measured: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return what was measured with the rows of a file of the same settings that were not measured again.

    Where the file is of another version of torch, the new rows say of which they are.
    """
    known = read_json(file) if file.is_file() else {}
    changing = ("rows", "lazy_rows", "nsgan_seconds", "torch")
    if {key: value for key, value in known.items() if key not in changing} != {
        key: value for key, value in measured.items() if key not in changing
    }:
        return measured
    mark = {} if known["torch"] == measured["torch"] else {"torch": measured["torch"]}
    merged = {}
    for key in ("rows", "lazy_rows"):
        own = {name: row | mark for name, row in measured[key].items()}
        merged[key] = dict(sorted((known[key] | own).items()))
    return known | merged


class Timer:
    """Times steps of an objective between steps of the baseline: nsgan without labels, or another one with."""

    def __init__(self, options: argparse.Namespace, baseline: str = BASELINE, **recipe: Any) -> None:
        self.options = options
        self.device = torch.device(options.device)
        shape = (options.batch, 3, options.resolution, options.resolution)
        images = torch.rand(shape, device=self.device) * 2 - 1
        self.images = images.to(memory_format=torch.channels_last)
        self.baseline = self._steps(baseline, labelled=bool(recipe), **recipe)
        self.baseline_times: list[float] = []

    def compare(self, name: str, steps: int, *, labelled: bool = False, **recipe: Any) -> dict[str, float]:
        """Return the median, lowest and highest ratio of the objective's time for so many steps to the baseline's."""
        own = self._steps(name, labelled=labelled, **recipe)
        self._seconds(own, steps)
        self._seconds(self.baseline, 1)
        ratios = []
        before = self._baseline_seconds()
        for _ in range(self.options.rounds):
            seconds = self._seconds(own, steps) / steps
            after = self._baseline_seconds()
            ratios.append(2 * seconds / (before + after))
            before = after
        return {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}

    def baseline_seconds(self) -> float:
        return statistics.median(self.baseline_times)

    def _baseline_seconds(self) -> float:
        self.baseline_times.append(self._seconds(self.baseline, self.options.steps) / self.options.steps)
        return self.baseline_times[-1]

    def _seconds(self, step: Iterator[None], steps: int) -> float:
        clock = time.process_time if self.options.cpu_seconds else time.perf_counter
        self._wait()
        began = clock()
        for _ in range(steps):
            next(step)
        self._wait()
        return clock() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _steps(self, name: str, *, labelled: bool = False, **recipe: Any) -> Iterator[None]:
        """Train one more step each time it is asked to go on."""
        state = build_state(training_spec(name, self.options, recipe, labelled), self.device)
        batch = told_batch(state, self.images)
        for generator_step in range(1_000_000):
            EagerEngine(state).run_iteration(generator_step, lambda _, batch=batch: batch)
            yield


def training_spec(name: str, options: argparse.Namespace, recipe: dict[str, Any], labelled: bool = False) -> Any:
    """Return the spec of an objective under the controlled recipe, changed by `recipe`."""
    study = Study.model_validate(
        {
            "name": "benchmark",
            "title": "benchmark",
            "objectives": ({"objective": name, "label": name},),
            "baseline": name,
            "seeds": (0,),
            "data": data_for(name, options.resolution, labelled),
            "backbone": {"width": options.width, **codes_for(name)},
            "recipe": {"learning_rate": 2e-4, **recipe},
            "budget": {"generator_steps": 1_000_000, "batch": options.batch, "halve_every": 1_000_000},
            "training": {"precision": options.precision},
        }
    )
    return make_plan(study).runs[0].training


if __name__ == "__main__":
    main()
