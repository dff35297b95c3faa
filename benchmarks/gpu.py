"""Everything that needs a CUDA device, in one call of under ten minutes and without a network.

    python benchmarks/gpu.py --out FOLDER [--device cuda] [--only graphs nccl] [--quick]

Each part works in a child process, under a time limit of its own, and writes results.json and results.md in FOLDER
after every row. A part that fails says why and costs itself alone; where it takes the process with it (a crash, a call
that never returns), the rest goes on in a new one. `--device cpu --quick` tries the script itself in two minutes: what
it then measures means nothing.

This file imports nothing but Python's own: a package that a part lacks is that part's failure.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MINUTES = 9.3
GRACE_SECONDS = 20.0  # how much longer than its limit a part may take to come to its next row
HERE = Path(__file__).parent
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """`function` of `module` yields the part's rows. It is asked for no further row after `seconds`."""

    name: str
    title: str
    module: str
    function: str
    seconds: float


PARTS = (
    Part("device", "Device and versions", "gpu_checks", "device_and_versions", 15),
    Part("graphs", "Captured iterations against eager ones", "gpu_checks", "graphs", 80),
    Part("resume", "A run in parts against one in one go", "gpu_checks", "resume", 20),
    Part("determinism", "The same run twice", "gpu_checks", "determinism", 20),
    Part("waiting", "Host synchronisations within iterations", "gpu_checks", "waiting", 25),
    Part("compiled", "Compiled networks against eager ones", "gpu_checks", "compiled", 50),
    Part("steps", "The training step", "gpu_speed", "steps", 160),
    Part("profile", "Where an eager step's time goes", "gpu_speed", "where_it_goes", 20),
    Part("growth", "How a step's cost grows", "gpu_speed", "cost_growth", 40),
    Part("sharing", "Several small runs on one device", "gpu_speed", "sharing", 60),
    Part("nccl", "One rank through the collectives", "gpu_checks", "one_rank", 25),
    Part("paths", "Around the step", "gpu_speed", "around_the_step", 15),
    Part("evaluation", "Features of the Inception network", "gpu_speed", "evaluation", 20),
    Part("memory", "Peak memory of a step", "gpu_speed", "memory", 20),
)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description="All measurements and checks that need a CUDA device.")
    found.add_argument("--out", type=Path, required=True, help="folder for results.json and results.md")
    found.add_argument("--device", default="cuda")
    found.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART")
    found.add_argument("--quick", action="store_true", help="tiny sizes: try the script, measure nothing")
    found.add_argument("--minutes", type=float, default=MINUTES, help=f"for all parts together [{MINUTES}]")
    found.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return found


def main() -> int:
    options = parser().parse_args()
    asked = [part for part in PARTS if options.only is None or part.name in options.only]
    if options.child:
        return work(asked, options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").unlink(missing_ok=True)
    results = see_to(asked, options)
    print(report(results))
    return int(any(part["state"] == "failed" for part in results.values()))


def see_to(asked: list[Part], options: argparse.Namespace) -> Results:
    """Have children do all parts; when one dies or hangs, note it and go on with the next part in another."""
    ends = time.monotonic() + 60 * options.minutes
    while todo := [part for part in asked if part.name not in read(options.out)]:
        left = ends - time.monotonic()
        results = read(options.out)
        if left < GRACE_SECONDS:
            for part in todo:
                results[part.name] = {"title": part.title, "state": "skipped", "why": "no time was left", "rows": []}
            write(options.out, results)
            break
        why = watched(start(todo, options), todo, options.out, ends)
        results = read(options.out)
        running = [name for name, part in results.items() if part["state"] == "running"]
        if not running and all(part.name not in results for part in todo):
            running = [todo[0].name]  # it did not come as far as its first part
            results[running[0]] = {"title": todo[0].title, "rows": []}
        for name in running:
            results[name] |= {"state": "failed", "why": why}
        write(options.out, results)
    return read(options.out)


def start(parts: list[Part], options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", "--device", options.device]
    command += ["--out", str(options.out), "--only", *(part.name for part in parts)]
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "NCCL_SOCKET_IFNAME": "lo"}
    # A session of its own, so that it can be ended with the processes that it started.
    return subprocess.Popen(
        command + (["--quick"] if options.quick else []), env=environment, start_new_session=True, stdout=sys.stderr
    )


def watched(child: subprocess.Popen[bytes], parts: list[Part], out: Path, ends: float) -> str:
    """Wait for the child, or end it when a part or all of them take too long; returns what became of it."""
    limits = {part.name: part.seconds for part in parts}
    try:
        while child.poll() is None:
            time.sleep(0.5)
            running = [(name, part) for name, part in read(out).items() if part["state"] == "running"]
            if any(time.time() - part["began"] > limits[name] + GRACE_SECONDS for name, part in running):
                return "its time was up"
            if time.monotonic() > ends:
                return "the time for all parts was up"
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return f"its process ended with {child.returncode}"


def work(parts: list[Part], options: argparse.Namespace) -> int:
    """Do the parts one after the other; what a child is for."""
    prepare()
    for part in parts:
        results = read(options.out)
        mine: dict[str, Any] = {"title": part.title, "state": "running", "began": time.time(), "rows": []}
        results[part.name] = mine
        write(options.out, results)
        print(f"{part.name} ...", flush=True)
        try:
            for row in getattr(importlib.import_module(part.module), part.function)(options.device, options.quick):
                mine["rows"].append(row)
                write(options.out, results)
                if time.time() - mine["began"] > part.seconds:
                    mine["why"] = f"stopped after its {part.seconds:.0f} s"
                    break
            failed = sum("failed" in row for row in mine["rows"])
            mine |= {"state": "failed", "why": f"{failed} rows"} if failed else {"state": "done"}
        except NotImplementedError as reason:  # what a part raises that cannot work on this device
            mine |= {"state": "skipped", "why": str(reason)}
        except Exception as error:
            mine |= {"state": "failed", "why": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        mine["seconds"] = round(time.time() - mine["began"], 1)
        write(options.out, results)
        if mine["state"] == "failed" and not device_works(options.device):
            return 1
    return 0


def prepare() -> None:
    """Set torch up as a run does."""
    from bench.training.environment import prepare_process

    prepare_process(1)


def device_works(device: str) -> bool:
    """Tell whether the device still answers: some errors stay with a process for good."""
    import torch

    try:
        torch.ones(1, device=device).add_(1).cpu()
    except RuntimeError:
        return False
    return True


def report(results: Results) -> str:
    """Return the results as Markdown."""
    parts = ["# Measured on a device"]
    for name, part in results.items():
        words = [part["state"], *([part["why"]] if part.get("why") else [])]
        took = f" ({part['seconds']} s)" if "seconds" in part else ""
        parts.append(f"## {part['title']}\n\n`{name}`: {': '.join(words)}{took}")
        if part["rows"]:
            parts.append(table(part["rows"]))
    return "\n\n".join(parts) + "\n"


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([cell(row.get(key)) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def read(out: Path) -> Results:
    file = out / "results.json"
    found: Results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def write(out: Path, results: Results) -> None:
    for name, text in (("results.json", json.dumps(results, indent=1)), ("results.md", report(results))):
        partial = out / f".{name}"
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(out / name)


if __name__ == "__main__":
    sys.exit(main())
