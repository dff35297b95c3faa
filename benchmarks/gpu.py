"""Everything that needs a CUDA device, in one call of under ten minutes and without a network.

    python benchmarks/gpu.py --out FOLDER [--device cuda] [--only graphs nccl] [--wheels FOLDER] [--quick]

Each part works in a child process, under a time limit of its own, and writes results.json and results.md in FOLDER
after every row. A part that fails says why and costs itself alone; where it takes the process with it (a crash, a call
that never returns), the rest goes on in a new one. Exit codes: 0 all is well, 1 a part or a row failed, 2 packages are
missing. `--device cpu --quick` tries the script itself in two minutes: what it then measures means nothing.

Where packages are missing it says so before it begins, and what to download on a machine with a network: carry the
folder of wheels along and name it with --wheels. This file imports nothing but Python's own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MINUTES = 9.3
GRACE_SECONDS = 20.0  # how much longer than its limit a part may take to come to its next row
HERE = Path(__file__).parent
ON_TORCH = ("torch-fidelity", "torchvision")  # what they need in turn is large and there
SPOILT = "process spoilt"  # a row's word to this script: what comes next shall come in a new process
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """`function` of `module` yields the part's rows. It is asked for no further row after `seconds`.

    A row with `failed` fails the part, one with `settings` describes it. One with SPOILT ends the process; the next one
    tells the function how many rows there are already.
    """

    name: str
    title: str
    module: str
    function: str
    seconds: float


PARTS = (
    Part("device", "Device and versions", "gpu_checks", "device_and_versions", 25),
    Part("graphs", "Captured iterations against eager ones", "gpu_checks", "graphs", 80),
    Part("resume", "A run in parts against one in one go", "gpu_checks", "resume", 15),
    Part("determinism", "The same run twice", "gpu_checks", "determinism", 20),
    Part("waiting", "Host synchronisations within iterations", "gpu_checks", "waiting", 25),
    Part("compiled", "Compiled networks against eager ones", "gpu_checks", "compiled", 45),
    Part("steps", "The training step", "gpu_speed", "steps", 110),
    Part("profile", "Where an eager step's time goes", "gpu_speed", "where_it_goes", 15),
    Part("growth", "How a step's cost grows", "gpu_speed", "cost_growth", 35),
    Part("sharing", "Several small runs on one device", "gpu_speed", "sharing", 45),
    Part("nccl", "One rank through the collectives", "gpu_checks", "one_rank", 20),
    Part("paths", "Around the step", "gpu_speed", "around_the_step", 10),
    Part("evaluation", "Features of the Inception network", "gpu_speed", "evaluation", 15),
    Part("memory", "Peak memory of a step", "gpu_speed", "memory", 15),
    Part("per-device", "The same study by `bench run --per-device`", "gpu_speed", "per_device", 80),
)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description="All measurements and checks that need a CUDA device.")
    found.add_argument("--out", type=Path, required=True, help="folder for results.json and results.md")
    found.add_argument("--device", default="cuda")
    found.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART")
    found.add_argument("--wheels", type=Path, metavar="FOLDER", help="of packages that are missing here")
    found.add_argument("--quick", action="store_true", help="tiny sizes: try the script, measure nothing")
    found.add_argument("--minutes", type=float, default=MINUTES, help=f"for all parts together [{MINUTES}]")
    found.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return found


def main() -> int:
    options = parser().parse_args()
    asked = [part for part in PARTS if options.only is None or part.name in options.only]
    if options.child:
        return work(asked, options)
    with tempfile.TemporaryDirectory() as site:
        if options.wheels:
            unpack(options.wheels, site)
        lacking = missing({part.name for part in asked})
        if lacking:
            print(what_to_carry(lacking), file=sys.stderr)
            return 2
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "results.json").unlink(missing_ok=True)
        results = see_to(asked, options)
    print(report(results))
    return int(any(part["state"] == "failed" for part in results.values()))


def unpack(wheels: Path, site: str) -> None:
    """Install the wheels in the folder `site`, and let this process and its children look there first."""
    words = ("install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", site)
    files = [str(file.resolve()) for file in sorted(wheels.glob("*.whl"))]
    if not files or subprocess.run([sys.executable, "-m", "pip", *words, *files], check=False).returncode:
        raise SystemExit(f"{wheels}: " + ("these wheels cannot be installed here" if files else "no wheels there"))
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))


def missing(parts: set[str]) -> list[str]:
    """Return those of bench's requirements, as pyproject.toml has them, that are not installed here."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lacking = []
    for requirement in project["dependencies"]:
        try:
            version(name_of(requirement))
        except PackageNotFoundError:
            lacking.append(requirement)
    return [one for one in lacking if name_of(one) != "torch-fidelity" or "evaluation" in parts]


def name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def what_to_carry(lacking: list[str]) -> str:
    """Say what is missing, and how to download it for this Python on a machine that has a network."""
    python = ".".join(map(str, sys.version_info[:2]))
    command = f"python -m pip download -d wheels --only-binary=:all: --python-version {python} --implementation cp"
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"):
        command += f" --platform {platform}"
    alone = [one for one in lacking if name_of(one) in ON_TORCH]
    lines = [f"These packages are missing here: {', '.join(map(name_of, lacking))}. Where there is a network, type"]
    for words, some in (("", [one for one in lacking if one not in alone]), (" --no-deps", alone)):
        if some:
            lines.append(f"    {command}{words} {' '.join(map(repr, some))}")
    return "\n".join([*lines, "carry the folder `wheels` here, and add `--wheels wheels`."])


def see_to(asked: list[Part], options: argparse.Namespace) -> Results:
    """Have children do all parts; when one dies or hangs, note it and go on with the next part in another."""
    ends = time.monotonic() + 60 * options.minutes
    while todo := unfinished(asked, before := read(options.out)):
        if ends - time.monotonic() < GRACE_SECONDS:
            for part in todo:
                mine = before.setdefault(part.name, {"title": part.title, "rows": []})
                mine |= {"state": "failed" if mine["rows"] else "skipped", "why": "no time was left"}
            write(options.out, before)
            break
        why = watched(start(todo, options), todo, options.out, ends)
        results = read(options.out)
        running = [name for name, part in results.items() if part["state"] == "running"]
        if results == before:
            running = [todo[0].name]  # it did not come as far as its first part
            results.setdefault(running[0], {"title": todo[0].title, "rows": []})
        for name in running:
            results[name] |= {"state": "failed", "why": why}
        write(options.out, results)
    return read(options.out)


def unfinished(asked: list[Part], results: Results) -> list[Part]:
    return [part for part in asked if part.name not in results or results[part.name]["state"] == "unfinished"]


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
        mine = results.setdefault(part.name, {"title": part.title, "began": time.time(), "rows": []})
        mine["state"] = "running"
        write(options.out, results)
        print(f"{part.name} ...", flush=True)
        spoilt = False
        try:
            function = getattr(importlib.import_module(part.module), part.function)
            done = (len(mine["rows"]),) if mine["rows"] else ()
            for row in map(dict, function(options.device, options.quick, *done)):
                if "settings" in row:
                    mine |= row
                    continue
                spoilt = row.pop(SPOILT, False)
                mine["rows"].append(row)
                write(options.out, results)
                if time.time() - mine["began"] > part.seconds:
                    mine["why"] = f"stopped after its {part.seconds:.0f} s"
                    break
                if spoilt:
                    mine["state"] = "unfinished"
                    write(options.out, results)
                    return 1
            failed = sum("failed" in row for row in mine["rows"])
            mine |= {"state": "failed", "why": f"{failed} rows"} if failed else {"state": "done"}
        except NotImplementedError as reason:  # what a part raises that cannot work on this device
            mine |= {"state": "skipped", "why": str(reason)}
        except Exception as error:
            mine |= {"state": "failed", "why": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        mine["seconds"] = round(time.time() - mine["began"], 1)
        write(options.out, results)
        if mine["state"] == "failed" and (spoilt or not device_works(options.device)):
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
