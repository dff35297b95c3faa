"""How far every metric moves from one processor to another: what `bench verify --metrics` allows between CPUs.

    python benchmarks/processors.py [--samples 300] [--out bench/metrics/tolerances.json]

Three generators (trained, blurred, all samples alike) are trained once and measured under every condition in a process
of its own: with fewer instructions, without oneDNN, with more threads, and with another torch where `--torch FOLDER`
names one (`pip install --target FOLDER torch==...`). What counts is a value's largest difference between any two
conditions, relative to the value where that is above 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import Path
from typing import Any

import torch

from bench.config.models import Study
from bench.data import prepare
from bench.evaluation.machine import measured_on
from bench.execution.evaluating import measure_on
from bench.files import write_json
from bench.metrics.catalogue import of_a_part
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.environment import prepare_process
from bench.training.loop import train

CPU = torch.device("cpu")
GENERATORS = (("nsgan", 200), ("vae", 200), ("vae", 20))


@dataclass(frozen=True)
class Condition:
    """How a processor is made to be another: environment variables, threads, oneDNN off."""

    name: str
    limits: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    onednn: bool = True


CONDITIONS = (
    Condition("as it is"),
    Condition("AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}),
    Condition("without oneDNN", onednn=False),
    Condition("two threads", threads=2),
)
Values = dict[str, list[float]]  # by metric, one for each generator


def main() -> None:
    parser = argparse.ArgumentParser(description="How far metrics move from one processor to another.")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--torch", type=Path, action="append", default=[], metavar="FOLDER", help="another torch")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "THREADS", "ONEDNN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        folder, threads, onednn = options.measure
        print(json.dumps(measured(Path(folder), int(threads), onednn == "on")))
        return
    with tempfile.TemporaryDirectory() as place:
        lay_out(Path(place), options.samples)
        conditions = [(condition, None) for condition in CONDITIONS] + [(CONDITIONS[0], path) for path in options.torch]
        found: dict[str, dict[str, Any]] = {}
        for condition, other in conditions:
            answer = in_a_process(Path(place), condition, other)
            found[condition.name if other is None else f"torch {answer['machine']['torch']}"] = answer
            if options.out is not None:  # each time anew: on a busy machine it takes long
                write_json(options.out, table_of(found, options.samples))
            print(f"measured {list(found)[-1]}", file=sys.stderr, flush=True)
    table = table_of(found, options.samples)
    print(f"{table['processor']}, torch {', '.join(table['torch'])}; {options.samples} images")
    print(f"between: {', '.join(found)}\n\n| metric | largest difference |\n|---|---|")
    for metric, difference in table["largest"].items():
        print(f"| `{metric}` | {difference:.1e} |")


def lay_out(place: Path, samples: int) -> None:
    """Train the generators, each as a run's folder below `place`."""
    prepare_process(1)
    for index, (objective, steps) in enumerate(GENERATORS):
        study = Study.model_validate(
            {
                "name": "processors",
                "title": "Processors",
                "objectives": ({"objective": objective, "label": objective},),
                "baseline": objective,
                "seeds": (1000,),
                "data": {
                    "source": "faces",
                    "resolution": 32,
                    "train_count": samples,
                    "heldout_count": 2 * samples,
                    "labels": ("hat",),
                },
                "backbone": {"width": 16, "latent": 32},
                "budget": {"generator_steps": steps, "batch": 16, "halve_every": steps},
                "training": {"snapshots": 2, "log_every": steps},
                "evaluation": {"samples": samples, "snapshot_samples": max(50, samples // 3), "generators": ("raw",)},
            }
        )
        run = make_plan(study).runs[0]
        folder = RunFolder(place / f"run-{index}")
        run.write(folder.spec_file)
        train(folder, run, prepare(run.training.data, place / "data"), CPU)


def in_a_process(place: Path, condition: Condition, other_torch: Path | None) -> dict[str, Any]:
    """Return what `measured` gives under a condition."""
    paths = [str(Path(__file__).parent.parent), *([str(other_torch)] if other_torch else [])]
    environment = {**os.environ, **condition.limits, "PYTHONPATH": os.pathsep.join(paths)}
    environment["OMP_WAIT_POLICY"] = "passive"  # threads that wait would take each other's core
    words = [str(place), str(condition.threads), "on" if condition.onednn else "off"]
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *words], env=environment, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(place: Path, threads: int, onednn: bool) -> dict[str, Any]:
    """Measure every generator in this process, with a cache of its own, and return the machine and the values."""
    torch.backends.mkldnn.set_flags(onednn)
    values: Values = {}
    with tempfile.TemporaryDirectory() as data_root:
        (Path(data_root) / "prepared").symlink_to(place / "data" / "prepared")
        for index in range(len(GENERATORS)):
            for line in measure_on(place / f"run-{index}", Path(data_root), CPU, threads):
                values.setdefault(line["metric"], []).append(line["value"])
    return {"machine": measured_on(CPU), "values": values}


def table_of(found: Mapping[str, dict[str, Any]], samples: int) -> dict[str, Any]:
    """Return what the conditions were and, by metric, the largest difference between any two of them."""
    machines = [answer["machine"] for answer in found.values()]
    values: list[Values] = [answer["values"] for answer in found.values()]
    largest: dict[str, float] = {}
    for metric in filterfalse(of_a_part, sorted(values[0])):  # a class has so few images that one counts for much
        for first, second in itertools.combinations([measured[metric] for measured in values], 2):
            apart = max(abs(one - two) / max(1.0, abs(two)) for one, two in zip(first, second, strict=True))
            name = metric.partition("@")[0]
            largest[name] = max(largest.get(name, 0.0), apart)
    return {
        "processor": machines[0]["processor"],
        "torch": sorted({machine["torch"] for machine in machines}),
        "capabilities": sorted({machine["capability"] for machine in machines}),
        "conditions": list(found),
        "samples": samples,
        "largest": largest,
    }


if __name__ == "__main__":
    main()
