"""Flips one bit in one file of a finished study, and asks whether `bench` names it or whether it is harmless.

    python -m helpers.flipping FOLDER --flips 500 --seed 0

FOLDER gets a tiny study of two rows and two seeds with its report. Every flip draws a file (of runs/, reports/ and
data/ alike), a byte of it and a bit, and keeps the file's size and times, as a failing disk would. `bench verify` sees
it first, then, where that holds and nothing but an evaluation reads the file, `bench evaluate --again` (its function,
so that no process has to start). A flip is
*named* when one of them fails with the file's name or its run's; *harmless* when both pass (verify makes the whole
report again from the runs, and every file of it is the same) and all metrics come out as without it. Anything else is
*silent*. Prints counts as JSON, and every silent flip.

Every flip is a fork of this process, which has imported torch and computed nothing.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch  # noqa: F401 - so that the forks need not
from click.testing import CliRunner
from helpers.killing import TIMES
from helpers.tiny_study import on_cpu, write_tiny_study
from rich.console import Console

import bench
import bench.execution.evaluating
import bench.execution.study
import bench.report.render.writing
import bench.review.verify
from bench.cli import bench as command
from bench.errors import BenchError
from bench.files import read_jsonl

PARTS = ("runs", "reports", "data")


def type_(words: Sequence[str]) -> tuple[int, str]:
    """Type a `bench` command in the current folder; returns its exit status and what it printed."""
    done = CliRunner().invoke(command, on_cpu(words), env={"COLUMNS": "1000"}, standalone_mode=False)
    if isinstance(done.exception, BenchError):
        return 2, done.exception.message
    if done.exception is not None:
        return 70, f"traceback: {done.exception!r}"
    return done.return_value, done.output


def measure_again() -> tuple[int, str]:
    """Do what `bench evaluate --again` does, in this process."""
    said = io.StringIO()
    try:
        outcomes = bench.evaluate_study(
            bench.make_plan(bench.load_study()), again=True, in_process=True, devices="cpu", console=Console(file=said)
        )
    except BenchError as error:
        return 2, error.message
    return outcomes.failed, said.getvalue() + "".join(str(job.reason) for job in outcomes.jobs)


def build(folder: Path) -> None:
    """Train, evaluate and report the study."""
    folder.mkdir(parents=True)
    write_tiny_study(folder, objectives=["nsgan", "vae"], seeds="0-1")
    os.chdir(folder)
    for words in (["run", "--all"], ["report"]):
        code, text = type_(words)
        assert code == 0, text


def files_of(folder: Path) -> list[Path]:
    """Return the files in which a bit can be flipped, relative to `folder`."""
    found = (path for part in PARTS for path in (folder / part).rglob("*"))
    return sorted(path.relative_to(folder) for path in found if path.is_file() and path.stat().st_size)


def flip(file: Path, draw: random.Random) -> str:
    """Flip one bit in place, size and times kept; returns where."""
    content, times = bytearray(file.read_bytes()), file.stat()
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    return f"byte {at}, bit {bit}"


def results(folder: Path) -> dict[str, Any]:
    """Return every run's metrics, without their times."""
    return {
        str(file.relative_to(folder)): [{k: v for k, v in line.items() if k not in TIMES} for line in read_jsonl(file)]
        for file in sorted((folder / "runs").rglob("metrics.jsonl"))
    }


def judged(folder: Path, file: Path, expected: dict[str, Any]) -> str:
    """Return what the commands make of the study with `file` (relative) changed."""
    os.chdir(folder)
    names = {file.name, *(str(file.relative_to(parent)) for parent in list(file.parents)[:-1])}
    names |= {"/".join(file.parts[2:4])} if file.parts[0] == "runs" and len(file.parts) > 3 else set()
    names |= (
        {file.parent.as_posix()} if file.parts[0] == "data" else set()
    )  # an array and its manifest: one prepared set
    measured = file.parts[0] == "data" or file.suffix == ".safetensors"
    steps = {"verify": lambda: type_(["verify"]), "evaluate --again": measure_again}
    for words, step in list(steps.items())[: 2 if measured else 1]:
        code, text = step()
        if "traceback" in text:
            return f"{words} ends in a {text}"
        if code and any(name in text for name in names):
            return f"named by {words}"
        if code:
            return f"silent: {words} fails without the file's name: {text[-600:]}"
    found = results(folder)
    unlike = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return f"silent: {', '.join(unlike)} differ" if unlike else "harmless"


def in_fork(folder: Path, file: Path, expected: dict[str, Any]) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            verdict = judged(folder, file, expected)
        except BaseException as error:  # whatever it is, the parent has to hear of it
            verdict = f"silent: the harness fails: {error!r}"
        os.write(write, verdict.encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        verdict = pipe.read()
    os.waitpid(child, 0)
    return verdict or "silent: the process died"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--flips", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop early after so long")
    options = parser.parse_args()
    root, draw, began = options.folder.absolute(), random.Random(options.seed), time.monotonic()
    sound = root / "sound"
    build(sound)
    place = root / "place"  # every flip at one path, since records may hold paths
    shutil.copytree(sound, place)
    untouched = in_fork(place, Path("data"), {})
    assert untouched.endswith("differ"), untouched  # from nothing: both commands passed
    expected = results(place)
    assert expected
    counts: Counter[str] = Counter()
    silent, files = [], files_of(sound)
    while sum(counts.values()) < options.flips and time.monotonic() - began < options.seconds:
        shutil.rmtree(place)
        shutil.copytree(sound, place)
        file = draw.choice(files)
        where = flip(place / file, draw)
        verdict = in_fork(place, file, expected)
        counts[verdict if verdict.startswith(("named", "harmless")) else "silent"] += 1
        print(f"{file}, {where}: {verdict}", file=sys.stderr, flush=True)
        if not verdict.startswith(("named", "harmless")):
            silent.append({"file": str(file), "where": where, "verdict": verdict})
    print(json.dumps({"files": len(files), **counts, "which": silent}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
