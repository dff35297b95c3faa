"""Runs on several processes, each of one thread. The parent alone writes results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import Any

from bench.validation.modes.jobs import Job
from bench.validation.modes.results import ModesFolder, Record

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome:
    """One run's end: its record, or why there is none."""

    job: Job
    record: Record | None
    error: str | None


def run_jobs(
    jobs: Sequence[Job],
    folder: ModesFolder,
    processes: int,
    report: Callable[[Outcome], None],
    stop: Callable[[], bool],
) -> bool:
    """Train the jobs and add each record to the folder as it comes. Returns False when `stop` ended it early.

    A stop kills the workers at once: what they were training is lost, a few seconds each.
    """
    team = _Team(folder, min(processes, len(jobs)))
    with ThreadPoolExecutor(max(1, team.size)) as threads:
        waiting: set[Future[Outcome]] = {threads.submit(team.run, job) for job in jobs}
        try:
            while waiting:
                if stop():
                    return False
                ended, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for outcome in sorted((future.result() for future in ended), key=lambda outcome: outcome.job.id):
                    if outcome.record is not None:
                        folder.add(outcome.record)
                    report(outcome)
            return True
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            team.end()


class _Team:
    """Worker processes, started when first needed, of which each thread borrows one at a time."""

    def __init__(self, folder: ModesFolder, size: int) -> None:
        self.size = size
        self._folder = folder
        self._ended = False
        self._lock = Lock()
        self._alive: list[subprocess.Popen[str]] = []
        self._idle: SimpleQueue[subprocess.Popen[str] | None] = SimpleQueue()
        for _ in range(size):
            self._idle.put(None)

    def run(self, job: Job) -> Outcome:
        """Let an idle worker do the job; a worker that dies costs that job and is replaced."""
        worker = self._idle.get() or self._start()
        answer = None if worker is None else _ask(worker, job)
        self._idle.put(worker if answer is not None else None)
        if answer is None:
            return Outcome(job, None, f"its process ended without a word; {self._folder.log} may say why")
        return Outcome(job, answer.get("record"), answer.get("error"))

    def end(self) -> None:
        """End all workers, whatever they are at; the threads that wait for them go on."""
        with self._lock:
            self._ended = True
        for worker in self._alive:
            worker.kill()

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock, self._folder.log.open("ab") as log:
            if self._ended:
                return None
            worker = subprocess.Popen(
                [sys.executable, "-m", "bench.validation.modes.worker", str(self._folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is the parent's alone
            )
            self._alive.append(worker)
        return worker


def _ask(worker: subprocess.Popen[str], job: Job) -> dict[str, Any] | None:
    """Send a job and wait for its answer; None when the worker has died."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(job.model_dump_json() + "\n")
        worker.stdin.flush()
        answer: dict[str, Any] = json.loads(worker.stdout.readline())
    except (OSError, ValueError):
        return None
    return answer
