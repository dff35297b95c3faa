"""Runs as processes on the slots of this machine: start, watch, try again, stop, report.

On the CPU a slot is a core, and one worker trains a run and evaluates it. Beside an accelerator cores are idle: there a
run's slot takes the next training at once, while another worker evaluates the trained run in an evaluation slot.
"""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TAKEN, BenchError
from bench.execution.devices import device_type
from bench.execution.failures import ATTEMPTS, failure_of_process, in_words, may_end_better
from bench.execution.jobs import Job
from bench.execution.placement import Placement
from bench.execution.worker import ORPHAN_SECONDS
from bench.processes import python_command, python_environment
from bench.runs.folder import Failure

POLL_SECONDS = 0.25
STOP_SECONDS = 60.0  # how long workers may take to save before they are killed


class Watcher(Protocol):
    """What is told how the pool gets on."""

    def started(self, job: Job) -> None: ...

    def finished(self, job: Job) -> None: ...

    def will_retry(self, job: Job) -> None: ...

    def notice(self, text: str) -> None: ...

    def stopping(self, running: int) -> None: ...

    def tick(self, jobs: Sequence[Job]) -> None: ...


@dataclass(frozen=True)
class PoolOptions:
    """What every worker is told. `status_seconds` are the least between two words on how far a training is."""

    data_root: Path
    threads: int = 1
    checkpoint_seconds: float = 60.0
    ranks: int = 1
    status_seconds: float = 0.0


def run_pool(
    jobs: Sequence[Job],
    slots: Sequence[str],
    options: PoolOptions,
    watcher: Watcher,
    stop: Callable[[], bool],
    evaluation_slots: Sequence[str] = (),
) -> bool:
    """Run all jobs, as many at a time as there are slots. Returns False when `stop` ended it before they were through.

    Jobs start in the order given. A run that another process has is left to it. A failure costs only its own run, which
    is tried once more where that may help, on another device if there is one, from its last checkpoint. On a stop every
    worker saves a checkpoint and ends, and none is tried again. Runs trained on a type of device that
    `evaluation_slots` has are evaluated in those, beside the next training; others by the worker that trained them.
    """
    apart = set(map(device_type, evaluation_slots))
    for job in jobs:
        job.stage = "evaluate" if apart and job.folder.status().state in ("done", "diverged") else "train"
    placements = {
        "train": Placement([job for job in jobs if job.stage == "train"], slots),
        "evaluate": Placement([job for job in jobs if job.stage == "evaluate"], evaluation_slots),
    }
    running: list[Job] = []
    try:
        while running or any(placement.waiting for placement in placements.values()):
            if stop():
                return False
            for placement in placements.values():
                while (chosen := placement.next()) is not None:
                    job, device = chosen
                    _start(job, device, options, train_only=device_type(device) in apart)
                    running.append(job)
                    if job.outcome != "taken":
                        watcher.started(job)
            for job in list(running):
                _listen(job)
                if job.process is not None and job.process.poll() is None:
                    continue
                if stop():  # which may be what ended this worker too
                    return False
                running.remove(job)
                failure = _finish(job, options)
                placement = placements[job.stage]
                for text in placement.ended(job, failure):
                    watcher.notice(text)
                if failure and may_end_better(failure) and len(job.failures) < ATTEMPTS:
                    watcher.will_retry(job)
                    job.process, job.outcome = None, None
                    placement.again(job)
                elif (
                    job.outcome in ("done", "diverged")
                    and job.stage == "train"
                    and device_type(str(job.device)) in apart
                ):
                    job.process, job.outcome, job.avoid, job.stage = None, None, None, "evaluate"
                    placements["evaluate"].again(job)
                else:
                    watcher.finished(job)
            watcher.tick(jobs)
            time.sleep(POLL_SECONDS)
        return True
    finally:
        alive = sum(job.process is not None and job.process.poll() is None for job in running)
        if alive and stop():
            watcher.stopping(alive)
        _stop_all(running, options)


def _start(job: Job, device: str, options: PoolOptions, *, train_only: bool) -> None:
    """Start the job's worker on `device`; where the system refuses, `process` stays None and `reason` says why."""
    job.device = device
    job.heard = time.monotonic()
    if job.stage == "train" or not job.started:
        job.started = job.heard
    if (why := job.taken_by_another()) is not None:
        job.process, job.outcome, job.reason = None, "taken", why
        return
    job.failures_before = len(job.folder.status().failures)
    try:
        job.process, job.reason = _worker(job, device, options, train_only=train_only), None
    except OSError as error:
        job.process, job.reason = None, f"its process could not be started: {error.strerror or error}"


def _worker(job: Job, device: str, options: PoolOptions, *, train_only: bool) -> subprocess.Popen[bytes]:
    threads = str(options.threads)
    environment = {**python_environment(), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    # The worker's words go to a file: the terminal belongs to the display.
    with (job.folder.path / "worker.log").open("ab") as log:
        job.log_before = log.tell()
        return subprocess.Popen(
            [
                *launcher(_ranks(job, options)),
                "bench.execution.worker",
                *("--folder", str(job.folder.path), "--data", str(options.data_root), "--device", device),
                *("--checkpoint-seconds", str(options.checkpoint_seconds)),
                *("--status-seconds", str(options.status_seconds)),
                *(["--train-only"] if train_only and job.stage == "train" else []),
                "--supervised",
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.PIPE,  # it ends when this process does, however that ends
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the workers in order
        )


def _ranks(job: Job, options: PoolOptions) -> int:
    return options.ranks if job.stage == "train" else 1


def launcher(ranks: int) -> list[str]:
    """Return what starts a module as one process, or as many as a run has ranks."""
    if ranks == 1:
        return python_command()
    launcher = python_command("torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1")
    return [*launcher, "--nproc-per-node", str(ranks), "-m"]


def _listen(job: Job) -> None:
    status = job.folder.status()
    if status != job.status:
        job.status, job.heard = status, time.monotonic()


def _finish(job: Job, options: PoolOptions) -> Failure | None:
    """Note what became of a job whose process has ended; returns the failure if it failed."""
    _let_go(job, options)
    job.finished = time.monotonic()
    job.status = job.folder.status()
    ranks_gave_way = _ranks(job, options) > 1 and job.outcome is None and job.folder.is_locked()
    if ranks_gave_way or (job.process is not None and job.process.returncode == EXIT_TAKEN):
        job.outcome = "taken"
    if job.outcome == "taken":
        job.reason = job.reason or "another process is at it"
        return None
    if job.process is not None and job.process.returncode == EXIT_DONE and job.status.state in ("done", "diverged"):
        job.outcome = "diverged" if job.status.state == "diverged" else "done"
        job.reason = job.status.reason
        return None
    job.outcome = "failed"
    recorded = job.status.failures[job.failures_before :]
    failure = recorded[0] if recorded else _unrecorded(job, options)
    job.failures.append(failure)
    job.reason = in_words(job.failures)
    _write_down(job, [] if recorded else [failure])
    return failure


def _let_go(job: Job, options: PoolOptions) -> None:
    """Tell whatever a job's ended process left behind to end, and wait until ranks do not hold the run any more."""
    if job.process is None or job.process.stdin is None:
        return
    job.process.stdin.close()
    deadline = time.monotonic() + ORPHAN_SECONDS + 5
    while _ranks(job, options) > 1 and job.folder.is_locked() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _unrecorded(job: Job, options: PoolOptions) -> Failure:
    """Return the failure of a job whose worker could not write one: it was killed, or never began."""
    device, steps = str(job.device), job.status.generator_steps
    if job.process is None:
        return Failure(device, "other", job.reason or "", steps)
    several = "one of its processes exited without an error message; worker.log in its folder may say more"
    last_words = several if _ranks(job, options) > 1 else _last_words(job)
    return failure_of_process(job.process.returncode, device, steps, last_words)


def _write_down(job: Job, failures: Sequence[Failure]) -> None:
    """Bring a failed run's status up to date: a killed worker left it as it was. Trained runs stay trained."""
    if not job.folder.path.is_dir():
        return
    try:
        with job.folder.owned():
            status = job.folder.status()
            trained = status.state in ("done", "diverged")
            job.status = replace(
                status,
                state=status.state if trained else "failed",
                phase=None,
                reason=status.reason if status.state == "diverged" else job.reason,
                failures=[*status.failures, *failures],
            )
            job.folder.write_status(job.status)
    except BenchError:
        return  # another process has taken the run up, or the disk is full: the reason is told all the same


def _stop_all(running: Sequence[Job], options: PoolOptions) -> None:
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
        _let_go(job, options)
        job.outcome, job.saved = "interrupted", _was_saved(job, options)


def _was_saved(job: Job, options: PoolOptions) -> bool:
    """Tell whether a stopped job's worker ended in order, or had not begun. torchrun hides its ranks' exit codes."""
    assert job.process is not None
    if job.process.returncode in (EXIT_DONE, EXIT_INTERRUPTED, -signal.SIGTERM):
        return True
    steps = job.folder.status().generator_steps
    return _ranks(job, options) > 1 and (steps == 0 or job.folder.checkpoint_file(steps).exists())


def _last_words(job: Job) -> str:
    """Return the reason among what a worker said: what it told of its folder, an exception's message, or the end."""
    said = (job.folder.path / "worker.log").read_bytes()[job.log_before :].decode(errors="replace").strip()
    told = re.findall(rf"^{re.escape(str(job.folder.path))}: (.+)", said, re.MULTILINE)
    # A traceback's frames are indented: the first line that is not is its exception. What libraries say may follow.
    raised = re.findall(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)", said, re.MULTILINE)
    return ([*raised, *told] or said.splitlines() or ["its process exited without an error message"])[-1]
