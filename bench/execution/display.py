"""What the user sees while runs go: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.execution.devices import device_type
from bench.execution.jobs import Job
from bench.formatting import format_duration

PLAIN_SECONDS = 30.0
SILENT_SECONDS = 60.0  # without a word from a worker that trains, nothing is known of when it ends
AROUND_SECONDS = 40.0  # a run's start and evaluation, roughly: nothing estimates them


def share_done(job: Job) -> float:
    """Return how much of a job's training is done, 0 to 1."""
    if job.outcome is not None:
        return 1.0
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
    if job.process is None or job.outcome is not None or job.stage == "evaluate" or job.status.phase == "evaluating":
        return None
    silent, rate = time.monotonic() - job.heard, job.status.steps_per_second
    return silent if silent > max(SILENT_SECONDS, 10 / rate if rate else 0) else None


def place(job: Job) -> str:
    """Return where a job runs, and that it is not its first attempt."""
    return f"{job.device}, attempt {len(job.failures) + 1}" if job.failures else str(job.device)


def seconds_left(jobs: Sequence[Job], elapsed: float) -> float | None:
    """Estimate the time until all jobs are through, from the pace so far; None before there is any.

    Nor is there one while a job is silent, which may never end.

    What jobs were thought to take weighs them against each other: the longest go first, and say little of the others.
    """
    thought = sum(_seconds(job) + AROUND_SECONDS for job in jobs)
    left = sum(_seconds_left(job) for job in jobs)
    if any(seconds_silent(job) is not None for job in jobs):
        return None
    if elapsed < 5 or thought - left <= 0.005 * thought:
        return None
    return elapsed * left / (thought - left)


def _seconds_left(job: Job) -> float:
    if job.outcome is not None:
        return 0.0
    done = max(0.0, share_done(job) - job.share_before)
    return _seconds(job) * (1 - done / max(1 - job.share_before, 1e-9)) + AROUND_SECONDS


def _seconds(job: Job) -> float:
    """Return what a job's training is thought to take where it runs, or would by the first type of device."""
    here = device_type(job.device) if job.device is not None else next(iter(job.seconds), "")
    return job.seconds.get(here, 0.0)


class PlainDisplay:
    """A line when a run's worker starts and when a run ends, and one about all of them every half minute."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended = 0
        self._began = self._last = time.monotonic()

    def started(self, job: Job) -> None:
        self._line(f"{'start' if job.stage == 'train' else 'evaluate':8} {job.spec.name} on {place(job)}")

    def finished(self, job: Job) -> None:
        self._ended += 1
        took = format_duration(job.finished - job.started)
        why = f": {job.reason}" if job.reason else ""
        self._line(f"{job.outcome or '':8} {job.spec.name} in {took} ({self._ended} of {self._total}){why}")

    def will_retry(self, job: Job) -> None:
        self._line(f"again    {job.spec.name} will be tried once more; it failed on {job.device}: {job.reason}")

    def notice(self, text: str) -> None:
        self._line(f"device   {text}")

    def tick(self, jobs: Sequence[Job]) -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        running = [job for job in jobs if job.process is not None and job.outcome is None]
        parts = [
            f"{job.spec.name} {phase(job)} {job.status.generator_steps}/{job.spec.training.budget.generator_steps}"
            for job in running
        ]
        left = seconds_left(jobs, now - self._began)
        self._line("running  " + ", ".join(parts) + (f"; about {format_duration(left)} left" if left else ""))

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A table of the runs that go now under a bar over all of them; ended ones scroll away above it."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._began = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(None, None, None)

    def started(self, job: Job) -> None:
        return None

    def finished(self, job: Job) -> None:
        styles = {"done": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow"}
        line = Text(f"{job.outcome or '':11} ", style=styles.get(job.outcome or "", ""))
        line.append(f"{job.spec.name}  {format_duration(job.finished - job.started)}", style="default")
        if job.reason:
            line.append(f"  {job.reason}", style="dim")
        self._live.console.print(line)

    def will_retry(self, job: Job) -> None:
        line = Text("again       ", style="yellow").append(f"{job.spec.name} failed on {job.device}", style="default")
        self._live.console.print(line.append(f"  {job.reason}", style="dim"))

    def notice(self, text: str) -> None:
        self._live.console.print(Text("device      ", style="yellow").append(text, style="default"))

    def tick(self, jobs: Sequence[Job]) -> None:
        self._live.update(self._render(jobs))

    def _render(self, jobs: Sequence[Job]) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading, justify in (("run", "left"), ("device", "left"), ("", "left"), ("steps", "right"), ("", "left")):
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("rate", justify="right", no_wrap=True)
        running = [job for job in jobs if job.process is not None and job.outcome is None]
        for job in running:
            steps, total = job.status.generator_steps, job.spec.training.budget.generator_steps
            table.add_row(
                job.spec.name,
                place(job),
                phase(job),
                f"{steps:,} / {total:,}",
                ProgressBar(total=total, completed=steps, width=20),
                f"{job.status.steps_per_second:.1f}/s" if job.status.steps_per_second else "",
            )
        ended = sum(job.outcome is not None for job in jobs)
        waiting = self._total - ended - len(running)
        left = seconds_left(jobs, time.monotonic() - self._began)
        summary = Text(f"{ended} of {self._total} runs through, {len(running)} running, {waiting} waiting")
        summary.append(f"; {format_duration(time.monotonic() - self._began)} so far", style="dim")
        if left is not None:
            summary.append(f", about {format_duration(left)} left", style="dim")
        return Group(table, summary)


def make_display(console: Console, total: int) -> PlainDisplay | LiveDisplay:
    """Return the display that fits where the output goes."""
    return LiveDisplay(console, total) if console.is_terminal else PlainDisplay(console, total)
