"""Runs as processes on the slots of this machine: start, watch, stop, report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from bench.errors import EXIT_DONE, EXIT_INTERRUPTED
from bench.plan import RunSpec
from bench.runs import RunFolder, Status

POLL_SECONDS = 0.25
STOP_SECONDS = 60.0  # how long workers may take to save before they are killed

Outcome = Literal["done", "diverged", "failed", "interrupted"]


@dataclass
class Job:
    """A run on its way through the pool."""

    spec: RunSpec
    folder: RunFolder
    device: str | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    finished: float = 0.0
    outcome: Outcome | None = None
    reason: str | None = None
    status: Status = field(default_factory=Status)


class Watcher(Protocol):
    """What is told how the pool gets on."""

    def started(self, job: Job) -> None: ...

    def finished(self, job: Job) -> None: ...

    def tick(self, jobs: Sequence[Job]) -> None: ...


@dataclass(frozen=True)
class PoolOptions:
    """What every worker is told."""

    data_root: Path
    threads: int = 1
    checkpoint_seconds: float = 60.0
    ranks: int = 1


def run_pool(
    jobs: Sequence[Job], slots: Sequence[str], options: PoolOptions, watcher: Watcher, stop: Callable[[], bool]
) -> bool:
    """Run all jobs, as many at a time as there are slots. Returns False when `stop` ended it before they were through.

    A run that fails costs only itself. On a stop every worker saves a checkpoint and ends.
    """
    waiting = list(jobs)
    free = list(slots)
    running: list[Job] = []
    try:
        while waiting or running:
            if stop():
                return False
            while waiting and free:
                job = waiting.pop(0)
                _start(job, free.pop(0), options)
                running.append(job)
                watcher.started(job)
            for job in list(running):
                job.status = job.folder.status()
                if job.process is not None and job.process.poll() is not None:
                    _finish(job)
                    running.remove(job)
                    free.append(str(job.device))
                    watcher.finished(job)
            watcher.tick(jobs)
            time.sleep(POLL_SECONDS)
        return True
    finally:
        _stop_all(running)


def _start(job: Job, device: str, options: PoolOptions) -> None:
    threads = str(options.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    # The worker's words go to a file: the terminal belongs to the display.
    with (job.folder.path / "worker.log").open("ab") as log:
        job.process = subprocess.Popen(
            [
                *launcher(options.ranks),
                "bench.execution.worker",
                *("--folder", str(job.folder.path), "--data", str(options.data_root), "--device", device),
                *("--checkpoint-seconds", str(options.checkpoint_seconds)),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the workers in order
        )
    job.device = device
    job.started = time.monotonic()


def launcher(ranks: int) -> list[str]:
    """Return what starts a module as one process, or as many as a run has ranks."""
    if ranks == 1:
        return [sys.executable, "-m"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    return [*launcher, "--nproc-per-node", str(ranks), "-m"]


def _finish(job: Job) -> None:
    assert job.process is not None
    code = job.process.returncode
    job.finished = time.monotonic()
    job.status = job.folder.status()
    job.reason = job.status.reason
    state = job.status.state
    if code == EXIT_DONE and state in ("done", "diverged"):
        job.outcome = "diverged" if state == "diverged" else "done"
    elif code == EXIT_INTERRUPTED:
        job.outcome = "interrupted"
    else:
        job.outcome = "failed"
        if code < 0:
            job.reason = f"its process was ended by signal {-code} ({signal.Signals(-code).name})"
            if code == -signal.SIGKILL:
                job.reason += "; this often means that memory ran out"
        job.reason = job.reason or _last_words(job)


def _stop_all(running: Sequence[Job]) -> None:
    for job in running:
        if job.process is not None and job.process.poll() is None:
            job.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for job in running:
        if job.process is None:
            continue
        try:
            job.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
        job.outcome = "interrupted"


def _last_words(job: Job) -> str:
    log = job.folder.path / "worker.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it ended without a word"
