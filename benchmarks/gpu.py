"""All that needs a CUDA device: one call of under ten minutes, without a network, in the order of what matters.

    python benchmarks/gpu_pack.py --celeba img_align_celeba.zip      beforehand, where there is a network: fills .gpu
    python benchmarks/gpu.py --out FOLDER --wheels .gpu/wheels --celeba .gpu/img_align_celeba.zip

The first line runs here, the second one on the machine with the GPU, to which the checkout and its folder .gpu are
carried (gpu_pack.py says what to carry, and keeps it below 64 MiB). The call may also be made in two, so that somebody
can look at the first half, and answer a broken capture with `--engine eager`:

    python benchmarks/gpu.py --out FOLDER --wheels .gpu/wheels --part 1                                  275 s
    python benchmarks/gpu.py --out FOLDER --wheels .gpu/wheels --celeba .gpu/img_align_celeba.zip --part 2 \
        --measured .gpu/results.jsonl [--engine eager]                                                   395 s

with the first half's results.jsonl in .gpu. `--device cpu --quick` rehearses everything in about a minute and a half on
drawn faces: what it then measures means nothing.

A stage is a list of tasks and works in a process of its own until its time is up; then it is ended, that is noted, and
the next one begins. A task that takes the process with it costs itself alone. FOLDER gets at most 8 files of 16 MiB:
results.jsonl (every result, written as it is made), results.md (the same as tables), log.txt, and two archives of the
example. Exit codes: 0 all is well, 1 something failed, 2 packages are missing. This file imports nothing but Python's
own and `packaging`, which matplotlib needs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from tables import markdown

LIMIT = 595.0
PART_2_SAVES = 250.0  # what a second call need not do again: everything of the first but its start
HERE = Path(__file__).parent
WITH_TORCH = ("torch", "torchvision", "torch-fidelity")  # what these need in turn comes with torch, and is large
QUICK_PACE = 30.0  # how much longer the stages of a rehearsal may take, on whatever machine it is
AGAIN, NO_TIME = 3, 4  # a stage's exit codes: go on with the next task in a new process; the next one has no time
MOST_DEATHS = 3  # processes that may die in one stage before it is given up
Row = dict[str, Any]
Task = tuple[Row, Callable[[], Row | list[Row]]]
"""What a row is about, and what finds out the rest of it, or several rows. One with `failed` shows something wrong."""


@dataclass(frozen=True)
class Stage:
    """`<module>.<name>(options)` lists the tasks. `ends` is in seconds from the beginning of a call of both parts."""

    name: str
    title: str
    module: str
    ends: float
    part: int


STAGES = (
    Stage("start", "Machine and versions", "gpu_checks", 25, 0),
    Stage("runs", "Runs cut off, taken up, repeated and reported", "gpu_runs", 85, 1),
    Stage("capture", "Captured iterations against eager ones", "gpu_checks", 170, 1),
    Stage("steps", "The training step", "gpu_speed", 245, 1),
    Stage("checks", "Determinism, waiting, collectives, features", "gpu_checks", 275, 1),
    Stage("example", "The example: training", "gpu_runs", 535, 2),
    Stage("report", "The example: report and export", "gpu_runs", 590, 2),
    Stage("cost", "Memory of a step, and how its cost grows", "gpu_speed", 645, 2),
)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description="All measurements and checks that need a CUDA device.")
    found.add_argument("--out", type=Path, required=True, help="folder for what is found")
    found.add_argument("--device", default="cuda:0")
    found.add_argument("--wheels", type=Path, metavar="FOLDER", help="packages to install first, for this call alone")
    found.add_argument("--celeba", type=Path, metavar="ZIP", help="a part of CelebA, for the example")
    found.add_argument("--part", type=int, choices=[1, 2], help="half of it [both]")
    found.add_argument("--measured", type=Path, metavar="FILE", help="results.jsonl of part 1, for part 2")
    found.add_argument("--engine", choices=["auto", "eager"], help="the example's [what capture showed]")
    found.add_argument("--only", nargs="+", choices=[stage.name for stage in STAGES], metavar="STAGE", default=[])
    found.add_argument("--quick", action="store_true", help="tiny sizes: rehearse, measure nothing")
    for name in ("--child", "--place"):
        found.add_argument(name, help=argparse.SUPPRESS)
    found.add_argument("--done", type=int, help=argparse.SUPPRESS)
    found.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    began = time.time()
    options = parser().parse_args(arguments)
    if options.child:
        return work(options)
    stages = schedule(options.part, options.only)
    if not (options.celeba or options.quick) and "example" in (stage.name for stage, _ in stages):
        raise SystemExit("The example needs --celeba ZIP (benchmarks/gpu_pack.py makes one); or ask for --part 1.")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.jsonl").unlink(missing_ok=True)
    if options.measured:
        earlier = {stage.name for stage in STAGES if stage.part == 1}
        note(options.out, *(line for line in lines_of(options.measured) if line["stage"] in earlier))
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as place:
        if options.wheels:
            unpack(options.wheels, site)
        if lacking := missing():
            print(what_to_carry(lacking), file=sys.stderr)
            return 2
        for stage, ends in stages:
            until = began + ends * (QUICK_PACE if options.quick else 1.0)
            carry_out(stage, [*arguments, "--place", place], options.out, until)
    text = summary(options.out)
    print(text)
    asked = {stage.name for stage, _ in stages}
    return int(any("failed" in line for line in lines_of(options.out / "results.jsonl") if line["stage"] in asked))


def schedule(part: int | None, only: Sequence[str] = ()) -> list[tuple[Stage, float]]:
    """Return a call's stages, with the seconds from its beginning by which each has to end."""
    asked = [stage for stage in STAGES if part in (None, stage.part) or stage.part == 0]
    saved = PART_2_SAVES if part == 2 else 0.0
    ends = [min(stage.ends - (saved if stage.part == 2 else 0.0), LIMIT) for stage in asked]
    return [one for one in zip(asked, ends, strict=True) if not only or one[0].name in only]


def unpack(wheels: Path, site: str) -> None:
    """Install the wheels in the folder `site`, and let this process and its children look there first."""
    words = ("install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", site)
    files = [str(file.resolve()) for file in sorted(wheels.glob("*.whl"))]
    if not files or subprocess.run([sys.executable, "-m", "pip", *words, *files], check=False).returncode:
        raise SystemExit(f"{wheels}: " + ("these wheels cannot be installed here" if files else "no wheels there"))
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))
    importlib.invalidate_caches()


def missing() -> list[Requirement]:
    """Return what is not here in a version that fits: bench's own requirements, and theirs in turn.

    What torch itself requires is left out: it came with torch.
    """
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    todo = [Requirement(one) for one in (*project["dependencies"], *project["optional-dependencies"]["lite0"])]
    seen: set[str] = set()
    lacking = []
    while todo:
        asked = todo.pop(0)
        if str(asked) in seen or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        seen.add(str(asked))
        try:
            found = distribution(asked.name)
        except PackageNotFoundError:
            lacking.append(asked)
            continue
        if not asked.specifier.contains(found.version, prereleases=True):
            lacking.append(asked)
        elif asked.name not in WITH_TORCH:
            todo += map(Requirement, found.requires or ())
    return lacking


def what_to_carry(lacking: Sequence[Requirement]) -> str:
    """Say what is missing, and how to download it for this Python on a machine that has a network."""
    python = ".".join(map(str, sys.version_info[:2]))
    command = f"python -m pip download -d .gpu/wheels --only-binary=:all: --python-version {python} --implementation cp"
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"):
        command += f" --platform {platform}"
    lines = [f"Missing here, or too old: {', '.join(map(str, lacking))}. Where there is a network, type"]
    alone = [one for one in lacking if one.name in WITH_TORCH or one.name.startswith("efficientnet")]
    for words, some in (("", [one for one in lacking if one not in alone]), (" --no-deps", alone)):
        if some:
            lines.append(f"    {command}{words} {' '.join(repr(str(one)) for one in some)}")
    return "\n".join([*lines, "carry the folder .gpu here, and add `--wheels .gpu/wheels`."])


def carry_out(stage: Stage, arguments: Sequence[str], out: Path, until: float) -> None:
    """Have processes do the stage's tasks until the moment `until`; note what became of it."""
    began, deaths, why = time.time(), 0, ""
    print(f"{stage.name} ...", file=sys.stderr, flush=True)
    while not why:
        done = len({row["task"] for row in rows_of(out / "results.jsonl", stage.name)})
        code = process(stage, [*arguments, "--done", str(done)], out, until) if time.time() < until else NO_TIME
        if code == 0:
            break
        if code in (None, NO_TIME):
            why = "its time was up"
        elif code != AGAIN:
            deaths += 1
            note(out, {"stage": stage.name, "task": done, "failed": f"the process ended with {code}: see log.txt"})
            why = "its processes die" if deaths == MOST_DEATHS else ""
    note(out, {"stage": stage.name, "seconds": round(time.time() - began, 1), **({"cut off": why} if why else {})})
    (out / "results.md").write_text(summary(out), encoding="utf-8")


def process(stage: Stage, arguments: Sequence[str], out: Path, until: float) -> int | None:
    """Start a process for the stage's next tasks and wait for it; returns its exit code, None if it had to be ended."""
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "NCCL_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--child", stage.name, "--until", str(until)]
    with (out / "log.txt").open("ab") as log:
        # A session of its own, so that it can be ended with the processes that it started.
        child = subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log)
    try:
        return child.wait(max(until - time.time(), 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def work(options: argparse.Namespace) -> int:
    """Do a stage's tasks, but for those that are done: what a child is for."""
    (stage,) = (one for one in STAGES if one.name == options.child)
    tasks: list[Task] = getattr(importlib.import_module(stage.module), stage.name)(options)
    note(options.out, {"stage": stage.name, "tasks": len(tasks)})
    for index, (row, function) in enumerate(tasks[options.done :], options.done):
        if (began := time.time()) > options.until - 1:
            return NO_TIME
        print(f"--- {stage.name}: {row}", flush=True)
        try:
            found = function()
        except NotImplementedError as reason:  # what a task raises that has no meaning on this device
            found = {"skipped": str(reason)}
        except Exception as error:
            traceback.print_exc()
            text = str(error).strip() or "see log.txt"
            found = {"failed": f"{type(error).__name__}: {text.splitlines()[0]}"}
        rows = found if isinstance(found, list) else [found]
        spoilt = sum(one.pop("spoilt", False) for one in rows) > 0
        took = {"stage": stage.name, "task": index, "took": round(time.time() - began, 1)}
        note(options.out, *({**took, **row, **one} for one in rows))
        failed = any("failed" in one for one in rows)
        if spoilt or (failed and stage.module != "gpu_runs" and not device_works(options.device)):
            return AGAIN
    return 0


def device_works(device: str) -> bool:
    """Tell whether the device still answers this process: some errors stay with it for good."""
    import torch

    try:
        torch.ones(1, device=device).add_(1).cpu()
    except RuntimeError:
        return False
    return True


def note(out: Path, *lines: Row) -> None:
    """Append lines to results.jsonl."""
    with (out / "results.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def lines_of(file: Path) -> list[Row]:
    """Return the lines of a results.jsonl that are whole: those with `task` are rows, the others tell of a stage."""
    if not file.is_file():
        return []
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def rows_of(file: Path, stage: str) -> list[Row]:
    """Return a stage's rows, out of a results.jsonl."""
    return [line for line in lines_of(file) if line["stage"] == stage and "task" in line]


def summary(out: Path) -> str:
    """Return the results as Markdown."""
    parts = ["# Measured on a device"]
    about: dict[str, Row] = {}
    for line in lines_of(out / "results.jsonl"):
        about.setdefault(line["stage"], {}).update({} if "task" in line else line)
    for stage in STAGES:
        rows = rows_of(out / "results.jsonl", stage.name)
        if stage.name in about:
            found = {"seconds": "?", "tasks": "?", **about[stage.name]}
            cut = f"; cut off: {found['cut off']}" if "cut off" in found else ""
            done, failed = len({row["task"] for row in rows}), sum("failed" in row for row in rows)
            words = f"{found['seconds']} s, {done} of {found['tasks']} tasks, {failed} rows failed{cut}"
            parts.append(f"## {stage.title}\n\n`{stage.name}`: {words}")
            shown = [{key: value for key, value in row.items() if key not in ("stage", "task")} for row in rows]
            parts += [markdown(shown)] if rows else []
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
