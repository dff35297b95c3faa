"""What a job is at, and when all of them will be through, by what the pool has seen of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.execution.devices import device_type
from bench.execution.jobs import Job
from bench.formatting import format_duration
from bench.runs.remaining import START_SECONDS, Doing, RunPace, seconds_left

SILENT_SECONDS = 60.0  # without a word from a worker that trains, nothing is known of when it ends
PACE_SECONDS = 4.0  # of training that have to be seen before a pace is believed


def share_done(job: Job) -> float:
    """Return how much of a job's training is done, 0 to 1."""
    return job.status.generator_steps / max(job.spec.training.budget.generator_steps, 1)


def phase(job: Job) -> str:
    """Return what a running job is at, in a word, or for how long nothing has been heard of it."""
    if (silent := seconds_silent(job)) is not None:
        return f"silent for {format_duration(silent)}"
    if job.status.phase is not None:
        return job.status.phase
    if job.stage == "evaluate":
        return "evaluating"
    return "starting" if job.status.state in ("planned", "running", "failed") else "finishing"


def seconds_silent(job: Job) -> float | None:
    """Return for how long a job that trains has not said how far it is, where that is unusually long; else None."""
    if not job.running or job.stage == "evaluate" or job.status.phase == "evaluating":
        return None
    silent, rate = time.monotonic() - job.heard, job.status.steps_per_second
    return silent if silent > max(SILENT_SECONDS, 10 / rate if rate else 0) else None


def place(job: Job) -> str:
    """Return where a job runs, and that it is not its first attempt."""
    where = f"{job.device}" + (f" of {job.standing.where}" if job.standing and job.standing.where else "")
    return f"{where}, attempt {len(job.failures) + 1}" if job.failures else where


@dataclass
class _Seen:
    """What has been seen of a job: when its training was first heard of and at which step, and of its evaluation."""

    attempt: float  # when its attempt began
    attempts: int  # how many there had been
    heard: float | None = None
    steps: int = 0
    start: float | None = None
    training: float | None = None
    measuring_since: float | None = None
    evaluation: float | None = None


class Pacer:
    """Watches jobs as the pool works on them. Call `see` at every tick; it returns the seconds that are left, or None.

    There is no estimate before a run has been seen training, nor while one is silent, which may never end.
    """

    def __init__(self, slots: int, evaluators: int = 0) -> None:
        self.slots, self._evaluators = slots, evaluators
        self._seen: dict[str, _Seen] = {}

    def see(self, jobs: Sequence[Job], now: float) -> float | None:
        """Note how far all jobs are at `now` (time.monotonic), and return the seconds until they are through."""
        paces = [self._pace(job, now) for job in jobs]
        if any(seconds_silent(job) is not None for job in jobs):
            return None
        return seconds_left(paces, self.slots, self._evaluators)

    def _pace(self, job: Job, now: float) -> RunPace:
        seen = self._seen.get(job.path)
        if seen is None or seen.attempt != job.started:
            seen = self._seen[job.path] = _Seen(job.started, job.status.attempts)
        doing = _doing(job, seen)
        self._note(seen, job, doing, now)
        kind = device_type(job.device) if job.device is not None else next(iter(job.seconds), "")
        whole = max(1 - job.share_before, 1e-9)
        return RunPace(
            row=job.path.rpartition("/")[0],
            doing=doing,
            share=min(share_done(job), 1.0),
            since=now - (seen.measuring_since if doing == "evaluating" and seen.measuring_since else job.started),
            thought=max(job.seconds.get(kind, 0.0) / whole - START_SECONDS, 0.0),
            thought_evaluation=job.evaluation_seconds.get(kind, 0.0),
            start=seen.start,
            training=seen.training,
            evaluation=seen.evaluation,
        )

    def _note(self, seen: _Seen, job: Job, doing: Doing, now: float) -> None:
        status, total = job.status, job.spec.training.budget.generator_steps
        if doing == "training" and status.steps_per_second:
            if seen.heard is None:
                taken = status.generator_steps - round(job.share_before * total)
                seen.heard, seen.steps = job.heard, status.generator_steps
                seen.start = max(job.heard - job.started - taken / status.steps_per_second, 0.0)
            elif job.heard - seen.heard >= PACE_SECONDS and status.generator_steps > seen.steps:
                # Not the run's own rate, which counts the first steps too: a graph is captured in them.
                seen.training = total * (job.heard - seen.heard) / (status.generator_steps - seen.steps)
        elif doing == "evaluating" and seen.measuring_since is None:
            seen.measuring_since = now
            if seen.heard is not None and seen.training is None and status.steps_per_second:
                seen.training = total / status.steps_per_second
        elif job.outcome in ("done", "diverged") and seen.measuring_since is not None and seen.evaluation is None:
            seen.evaluation = now - seen.measuring_since


def _doing(job: Job, seen: _Seen) -> Doing:
    if job.outcome is not None:
        return "ended"
    if not job.running:
        return "waiting"
    if job.stage == "evaluate" or job.status.state in ("done", "diverged"):
        return "evaluating"
    began = job.status.attempts > seen.attempts  # before that, the status is an interrupted attempt's
    return "training" if began and job.status.phase == "training" else "starting"
