"""What several workers bring: the same small study by `bench run`, with one run at a time and with several.

    python benchmarks/scaling.py [--device cpu] [--at-a-time 1 2] [--run-seconds 60] [--out FILE]
    python benchmarks/scaling.py --device cuda --at-a-time 1 2 4 8 --width 16     several runs share the device

The study has as many equal runs (nsgan, other seeds) as the most that go at a time, twice over. Each lasts about
--run-seconds of training when alone. Two speed-ups come out of it:

    command    wall time of the whole command, processes' starts and the short evaluation included
    training   from the runs' own device_seconds (status.json): K runs at a time over one, K x alone / together. Starts
               do not count, nor does time in which a worker had nothing to do
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import Row, Setting, add_common_options, prepared, publish

from bench.files import read_json
from bench.training.timing import seconds_per_step

STUDY = """
default_study = "scaling"

[study.scaling]
title = "Scaling"
objectives = ["nsgan"]
seeds = "0-{last_seed}"
primary_metric = "coverage_lite0"

[study.scaling.data]
source = "faces"
resolution = {resolution}
train_count = 1000
heldout_count = 200

[study.scaling.backbone]
width = {width}

[study.scaling.budget]
generator_steps = {steps}
batch = {batch}
halve_every = {steps}

[study.scaling.training]
snapshots = 1
threads = {threads}
precision = "{precision}"

[study.scaling.evaluation]
extractors = ["judge"]
samples = 50
snapshot_samples = 50
kid_subset_size = 20
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="The same study with one and with several runs at a time.")
    parser.add_argument("--at-a-time", type=int, nargs="+", default=[1, 2], help="the first is compared with [1 2]")
    parser.add_argument("--runs", type=int, help="of the study [twice the most at a time]")
    parser.add_argument("--run-seconds", type=float, default=60.0, help="of training of one run alone [60]")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    add_common_options(parser)
    options = parser.parse_args()
    device = prepared(options)
    runs = options.runs or 2 * max(options.at_a_time)
    steps = steps_of(options, device)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        values = {key: getattr(options, key) for key in ("resolution", "width", "batch", "threads", "precision")}
        study = STUDY.format(last_seed=runs - 1, steps=steps, **values)
        (workplace / "bench.toml").write_text(study, encoding="utf-8")
        bench(workplace, "data", "prepare")
        for count in options.at_a_time:
            print(f"{runs} runs of {steps} steps, {count} at a time", flush=True)
            rows.append({"at a time": count, "runs": runs, "steps": steps, **timed(workplace, count, device)})
    publish("Several runs at a time", [speed_ups(row, rows[0]) for row in rows], options, device)


def steps_of(options: argparse.Namespace, device: torch.device) -> int:
    """Return how many generator steps take about --run-seconds here."""
    setting = Setting("nsgan", options.resolution, options.width, options.batch, options.precision, norm="layer")
    return max(2, round(options.run_seconds / seconds_per_step(setting.spec(), device, 2.0)))


def timed(workplace: Path, count: int, device: torch.device) -> dict[str, float]:
    """Run the whole study with `count` runs at a time, in a runs folder of its own."""
    place = "cuda:0" if str(device) == "cuda" else str(device)  # one device, not all of them
    began = time.perf_counter()
    bench(workplace, "--runs", f"runs-{count}", "run", "--all", "--devices", place, "--per-device", str(count))
    wall = time.perf_counter() - began
    files = sorted((workplace / f"runs-{count}").glob("scaling/*/seed-*/status.json"))
    found = [read_json(file) for file in files]
    if not found or any(status["state"] != "done" for status in found):
        raise RuntimeError(f"with {count} at a time not all runs are done: {[status['state'] for status in found]}")
    return {"command, s": wall, "training of a run, s": sum(one["device_seconds"] for one in found) / len(found)}


def speed_ups(row: dict[str, object], first: dict[str, object]) -> Row:
    """Return the row with both speed-ups over the first one."""
    own, base = ({key: float(value) for key, value in one.items()} for one in (row, first))  # type: ignore[arg-type]
    together = own["at a time"] / base["at a time"]
    return {
        **row,
        "command's speed-up": base["command, s"] / own["command, s"],
        "training's speed-up": together * base["training of a run, s"] / own["training of a run, s"],
    }


def bench(workplace: Path, *words: str) -> None:
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`bench {' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
