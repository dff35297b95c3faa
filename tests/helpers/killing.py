"""Kills a run at random writes, types it again, and compares what it becomes with a run that was never killed.

    python -m helpers.killing FOLDER --kills 200 --seed 0

A kill is SIGKILL just before or just after the n-th flush, rename or deletion of the worker, or a loss of power in a
flush: then only a part of what was written since the last one has reached the disk. Prints counts as JSON.

Every attempt is a fork of this process, which has imported torch and computed nothing: a start costs no import.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: F401 - so that the forks need not
from helpers.training_fixture import study

import bench.execution.evaluating
import bench.training.fingerprint  # noqa: F401
from bench.data import prepare
from bench.execution import running
from bench.execution.worker import main as work
from bench.files import read_json, read_jsonl
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan

STUDY = study(
    data={"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60},
    budget={"generator_steps": 6, "batch": 8, "halve_every": 3},
    evaluation={"extractors": ("judge",), "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20},
)
CALLS = ("fsync", "replace", "rename", "unlink")
TIMES = {"device_seconds", "evaluation_seconds", "steps_per_second", "attempts", "updated"}


class Killer:
    """Stands in for the system calls that make a write last, and kills this process at one of them."""

    def __init__(self, at: int, how: str, seed: int) -> None:
        self.count = 0
        self._at, self._how, self._seed = at, how, seed
        self._synced: dict[int, int] = {}  # inode to its size when it was last flushed
        for name in CALLS:
            setattr(os, name, self._around(getattr(os, name), name))

    def _around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self._at and self._how != "after":
                if name == "fsync" and self._how == "torn":
                    self._tear(arguments[0])
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **options)
            if self.count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "fsync":
                found = os.fstat(arguments[0])
                self._synced[found.st_ino] = found.st_size
            return result

        return counted

    def _tear(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        before = min(self._synced.get(found.st_ino, 0), found.st_size)
        os.ftruncate(descriptor, random.Random(self._seed).randint(before, found.st_size))


def attempt(folder: RunFolder, data: Path, at: int = 0, how: str = "before", seed: int = 0) -> tuple[int, int]:
    """Let the worker do what the run lacks; returns how the fork ended (negative: a signal) and its calls."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with (folder.path / "worker.log").open("ab") as log:
            os.dup2(log.fileno(), 2)
        killer = Killer(at, how, seed)
        code = work(["--folder", str(folder.path), "--data", str(data), "--checkpoint-seconds", "0"])
        os.write(write, str(killer.count).encode())
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        calls = int(pipe.read() or 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), calls


def result_of(root: Path) -> dict[str, Any]:
    """Return every file below `root`, its times left out."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name != "worker.log"):
        name = path.relative_to(root).as_posix()
        if path.name == "status.json":
            found[name] = {key: value for key, value in read_json(path).items() if key not in TIMES}
        elif path.name == "log.jsonl":
            found[name] = [{k: v for k, v in line.items() if k not in TIMES} for line in read_jsonl(path)]
        else:
            found[name] = path.read_bytes()
    return found


def lay_out(root: Path, prepared: Path) -> tuple[RunSpec, RunFolder]:
    run = make_plan(STUDY).runs[0]
    folder = running.folder_of(run, root / "runs")
    run.write(folder.spec_file)
    shutil.copytree(prepared, root / "data" / "prepared")
    return run, folder


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop early after so long")
    options = parser.parse_args()
    draw, began = random.Random(options.seed), time.monotonic()
    prepare(STUDY.data, options.folder / "data", workers=1)
    prepared = options.folder / "data" / "prepared"
    straight = options.folder / "straight"
    _, folder = lay_out(straight, prepared)
    code, calls = attempt(folder, straight / "data")
    assert code == 0, (folder.path / "worker.log").read_text()
    expected = result_of(straight)
    counts = {"runs": 0, "kills": 0, "calls": calls, "unlike": 0}
    unlike = []
    while counts["kills"] < options.kills and time.monotonic() - began < options.seconds:
        root = options.folder / f"run-{counts['runs']}"
        run, folder = lay_out(root, prepared)
        story = []
        for _ in range(draw.randint(1, 3)):
            at, how, seed = draw.randint(1, calls), draw.choice(["before", "after", "torn"]), draw.randrange(2**32)
            if running.work_for(run, root / "runs") is not None:
                story.append((at, how, seed, attempt(folder, root / "data", at, how, seed)[0]))
        if running.work_for(run, root / "runs") is not None:
            story.append((0, "", 0, attempt(folder, root / "data")[0]))
        running.sweep(folder)
        found = result_of(root)
        counts["runs"] += 1
        counts["kills"] += sum(code == -signal.SIGKILL for *_, code in story)
        if found == expected:
            shutil.rmtree(root)
            continue
        counts["unlike"] += 1
        files = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        unlike.append({"folder": root.name, "story": story, "files": files})
    print(json.dumps(counts | {"which": unlike}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
