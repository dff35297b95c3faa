"""Runs on several processes, each of one thread. The parent alone writes results, and never imports torch."""

from __future__ import annotations

import io
import os
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.files import write_atomic
from bench.processes import Team, WorkerDiedError
from bench.validation.modes.jobs import Job, points_file
from bench.validation.modes.results import ModesFolder, Record
from bench.validation.modes.tasks import STACKED

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

    One run's failure, or its process's death, costs that run alone. A stop kills the workers at once: what they were
    training is lost, a few seconds each.
    """
    waiting = deque(jobs)
    with Team(partial(train, folder.path), min(processes, len(jobs)), partial(_prepare, folder.log)) as team:
        while waiting or team.busy:
            while waiting and team.free:
                team.give(waiting.popleft())
            for call in team.wait(POLL_SECONDS):
                if call.result is not None:
                    folder.add(call.result)
                if not (stop() and isinstance(call.error, WorkerDiedError)):  # a signal may have reached workers too
                    report(Outcome(call.payload, call.result, _told(call.error, folder)))
            if stop():
                return False
    return True


def _told(error: Exception | None, folder: ModesFolder) -> str | None:
    if error is None:
        return None
    if isinstance(error, WorkerDiedError):
        return f"{error.message}; {folder.log} may say why"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _prepare(log: Path) -> None:
    """Set up a worker: one thread, and whatever it prints goes to the log instead of into the progress bar."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read when torch is imported
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    from bench.training.environment import prepare_process

    prepare_process(threads=1)


def train(folder: Path, job: Job) -> Record:
    """Train one run and return its record; the points that it made are left in `folder`/points.

    One worker trains many runs, because importing torch takes longer than some of them.
    """
    import numpy as np

    from bench.validation.modes.digits import train_stacked
    from bench.validation.modes.training import as_record, train_points

    try:
        trained = train_stacked(job, folder) if job.task == STACKED.name else train_points(job)
    except Exception:
        traceback.print_exc()  # into the log; the parent shows one line
        raise
    if trained.points is not None:
        content = io.BytesIO()
        np.save(content, trained.points.astype(np.float16))  # for the figure: the counts were made before
        write_atomic(points_file(folder, job.id), content.getvalue())
    return as_record(job, trained)
