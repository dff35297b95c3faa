"""Runs in this very process, one after another: for a notebook, a debugger or a profiler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TAKEN, BenchError
from bench.execution.failures import in_words
from bench.execution.jobs import Job
from bench.execution.pool import PoolOptions, Watcher
from bench.execution.worker import Work, work_on
from bench.owning import TakenError


def run_in_process(
    jobs: Sequence[Job], device: str, options: PoolOptions, watcher: Watcher, stop: Callable[[], bool]
) -> bool:
    """Train and evaluate all jobs here, in the order given; a worker would give the same bits.

    Returns False when `stop` ended it before they were through. A failure costs only its own run, and is not tried
    again. Torch's threads and determinism are a worker's meanwhile.
    """
    with torch_settings_kept():
        for job in jobs:
            if stop():
                return False
            job.device, job.started = device, time.monotonic()
            code = _work_on(job, options, watcher, stop)
            job.finished = time.monotonic()
            if code == EXIT_INTERRUPTED:
                job.outcome = "interrupted"
                return False
            watcher.finished(job)
    return True


def _work_on(job: Job, options: PoolOptions, watcher: Watcher, stop: Callable[[], bool]) -> int:
    """Do one job, note what became of it, and return a worker's exit code."""
    if (why := job.taken_by_another()) is not None:
        job.outcome, job.reason = "taken", why
        return EXIT_TAKEN
    watcher.started(job)
    before = len(job.folder.status().failures)
    try:
        with job.folder.owned():
            code = work_on(job.folder, Work(options.data_root, str(job.device), options.checkpoint_seconds), stop)
    except TakenError:
        job.outcome, job.reason = "taken", "another process is at it"
        return EXIT_TAKEN
    except BenchError as error:
        job.outcome, job.reason = "failed", error.message
        return error.exit_code
    job.status = job.folder.status()
    if code == EXIT_DONE:
        job.outcome = "diverged" if job.status.state == "diverged" else "done"
        job.reason = job.status.reason
    elif code != EXIT_INTERRUPTED:
        job.failures = job.status.failures[before:]
        job.outcome, job.reason = "failed", in_words(job.failures)
    return code


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Put back what a run sets of torch for the whole process: whatever else a notebook computes goes on as before."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    tf32 = torch.backends.cuda.matmul.allow_tf32
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = cudnn
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.set_flush_denormal(False)  # torch does not tell what it was; this is what it begins with
