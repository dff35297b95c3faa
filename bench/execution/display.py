"""What the user sees while runs go: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bench.execution.jobs import Job
from bench.execution.pace import Pacer, phase, place
from bench.formatting import format_duration, format_estimate, plural
from bench.runs.latest import Follower, Latest, Score

PLAIN_SECONDS = 30.0
READ_SECONDS = 1.0  # between two readings of what the runs have written
WIDE = 100  # columns from which on a run's line has a bar
_STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class Following:
    """Which score of the runs is shown: the study's primary metric and its generator."""

    metric: str
    generator: str


class _Newest:
    """The newest of every job's run, read when it is asked for and at most once a second."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._followers: dict[str, Follower] = {}
        self._known: dict[str, tuple[float, Latest]] = {}

    def of(self, job: Job, least_age: float = READ_SECONDS) -> Latest:
        name, now = job.spec.name, time.monotonic()
        if name not in self._followers:
            asked = self._following
            evaluation_id = job.spec.evaluation.id()
            self._followers[name] = Follower(job.folder, asked.metric, asked.generator, evaluation_id)
        if name not in self._known or now - self._known[name][0] >= least_age:
            try:
                self._known[name] = now, self._followers[name].latest()
            except (OSError, LookupError, TypeError, ValueError):  # no display is worth a training
                self._known[name] = now, Latest({})
        return self._known[name][1]


class PlainDisplay:
    """A line when a run starts or ends, or has a new grid or score; and one about all of them every half minute."""

    def __init__(self, console: Console, total: int, pacer: Pacer, following: Following) -> None:
        self._console = console
        self._total = total
        self._pacer = pacer
        self._newest = _Newest(following)
        self._told: dict[str, tuple[Path | None, Score | None]] = {}
        self._ended = 0
        self._last = self._read = time.monotonic()

    def started(self, job: Job) -> None:
        newest = self._newest.of(job)
        self._told.setdefault(job.spec.name, (newest.grid, newest.score))
        self._line(f"{'start' if job.stage == 'train' else 'evaluate':8} {job.spec.name} on {place(job)}")

    def finished(self, job: Job) -> None:
        self._tell_news(job, least_age=0)
        self._ended += 1
        took = format_duration(job.finished - job.started)
        why = f": {job.reason}" if job.reason else ""
        self._line(f"{job.outcome or '':8} {job.spec.name} in {took} ({self._ended} of {self._total}){why}")

    def will_retry(self, job: Job) -> None:
        self._line(f"again    {job.spec.name} will be tried once more; it failed on {job.device}: {job.reason}")

    def notice(self, text: str) -> None:
        self._line(f"device   {text}")

    def stopping(self, running: int) -> None:
        self._line(f"stopping {_stopping(running)}")

    def tick(self, jobs: Sequence[Job]) -> None:
        now = time.monotonic()
        left = self._pacer.see(jobs, now)
        running = [job for job in jobs if job.running]
        if now - self._read >= READ_SECONDS:
            self._read = now
            for job in running:
                self._tell_news(job)
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        parts = []
        for job in running:
            steps = f"{job.status.generator_steps}/{job.spec.training.budget.generator_steps}"
            losses = self._newest.of(job).losses_in_words()
            parts.append(f"{job.spec.name} {phase(job)} {steps}" + (f" ({losses})" if losses else ""))
        self._line("running  " + ", ".join(parts) + (f"; about {format_estimate(left)} left" if left else ""))

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def _tell_news(self, job: Job, least_age: float = READ_SECONDS) -> None:
        newest = self._newest.of(job, least_age)
        grid, score = self._told.get(job.spec.name, (None, None))
        if newest.grid is not None and newest.grid != grid:
            self._line(f"samples  {job.spec.name} at step {newest.grid_step:,}: {newest.grid}")
        if newest.score is not None and newest.score != score:
            self._line(f"measured {job.spec.name} at step {newest.score.generator_steps:,}: {newest.score}")
        self._told[job.spec.name] = (newest.grid, newest.score)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """The runs that go now, under each its loss terms, score and newest grid; ended ones scroll away above them.

    A run takes three lines, or two, or one, whatever the terminal has room for.
    """

    def __init__(self, console: Console, total: int, pacer: Pacer, following: Following) -> None:
        self._console = console
        self._total = total
        self._pacer = pacer
        self._newest = _Newest(following)
        self._metric = following.metric
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
        newest = self._newest.of(job, least_age=0)
        line = Text(f"{job.outcome or '':11} ", style=_STYLES.get(job.outcome or "", ""))
        line.append(f"{job.spec.name}  {format_duration(job.finished - job.started)}", style="default")
        if newest.score is not None:
            line.append(f"  {newest.score}", style="default")
        if job.reason:
            line.append(f"  {job.reason}", style="dim")
        self._live.console.print(line)
        if newest.grid is not None:
            self._live.console.print(_linked(newest.grid, str(newest.grid)), soft_wrap=True)

    def will_retry(self, job: Job) -> None:
        line = Text("again       ", style="yellow").append(f"{job.spec.name} failed on {job.device}", style="default")
        self._live.console.print(line.append(f"  {job.reason}", style="dim"))

    def notice(self, text: str) -> None:
        self._live.console.print(Text("device      ", style="yellow").append(text, style="default"))

    def stopping(self, running: int) -> None:
        self._live.console.print(Text("stopping    ", style="yellow").append(_stopping(running), style="default"))

    def tick(self, jobs: Sequence[Job]) -> None:
        left = self._pacer.see(jobs, time.monotonic())
        self._live.update(self._render(jobs, left))

    def _render(self, jobs: Sequence[Job], left: float | None) -> Group:
        running = [job for job in jobs if job.running]
        room = max(self._console.height - 3, 1)
        each = max(min(room // max(len(running), 1), 3), 1)
        shown = running if each * len(running) <= room else running[: max(room - 1, 1)]
        lines: list[RenderableType] = [line for job in shown for line in self._lines(job, each)]
        if len(shown) < len(running):
            lines.append(Text(f"and {len(running) - len(shown)} more", style="dim"))
        ended = sum(job.outcome is not None for job in jobs)
        waiting = self._total - ended - len(running)
        summary = Text(f"{ended} of {plural(self._total, 'run')} through, {len(running)} running, {waiting} waiting; ")
        summary.append(f"{format_duration(time.monotonic() - self._began)} so far", style="dim")
        if left is not None:
            summary.append(f", about {format_estimate(left)} left", style="dim")
        return Group(*lines, summary)

    def _lines(self, job: Job, most: int) -> list[RenderableType]:
        newest = self._newest.of(job)
        lines: list[RenderableType] = [self._head(job)]
        if most > 1:
            line = Text("  ")
            if newest.score is not None:  # first, so that no narrow terminal cuts it off
                line.append(f"{newest.score} at step {newest.score.generator_steps:,}; ")
            line.append(newest.losses_in_words() or "nothing logged yet", style="dim")
            lines.append(_one_line(line, self._console.width))
        if most > 2:
            grid = newest.grid
            room = self._console.width - 2
            lines.append(
                Text("  no sample grid yet", style="dim") if grid is None else _linked(grid, shortened(str(grid), room))
            )
        return lines

    def _head(self, job: Job) -> Table:
        steps, total = job.status.generator_steps, job.spec.training.budget.generator_steps
        rate = f"{job.status.steps_per_second:.1f}/s" if job.status.steps_per_second else ""
        wide = self._console.width >= WIDE
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        cells: list[RenderableType] = [job.spec.name]
        if wide:
            line.add_column(no_wrap=True)
            line.add_column(no_wrap=True)
            cells += [place(job), ProgressBar(total=total, completed=steps, width=20)]
        line.add_column(justify="right", no_wrap=True)
        cells.append(f"{phase(job)} {steps:,}/{total:,} {rate}".rstrip())
        line.add_row(*cells)
        return line


def _stopping(running: int) -> str:
    return f"{plural(running, 'run')} at the next step, where each is saved"


def _linked(path: Path, shown: str) -> Text:
    """Return a path that terminals which know links open, whatever part of it there was room for."""
    return Text("  ").append(shown, style=Style(dim=True, link=path.absolute().as_uri()))


def _one_line(text: Text, width: int) -> Text:
    """Return a text that ends in an ellipsis where the terminal does."""
    text.truncate(width, overflow="ellipsis")
    return text


def shortened(path: str, width: int) -> str:
    """Return a path without its first folders where it is wider than `width`: its end is what counts."""
    if len(path) <= width:
        return path
    parts = path.split("/")
    while len(parts) > 1 and len("/".join(parts)) + 2 > width:
        del parts[0]
    kept = "/".join(parts)
    return f"…/{kept}" if len(kept) + 2 <= width else kept[-width:]


def make_display(console: Console, total: int, pacer: Pacer, following: Following) -> PlainDisplay | LiveDisplay:
    """Return the display that fits where the output goes."""
    kind = LiveDisplay if console.is_terminal else PlainDisplay
    return kind(console, total, pacer, following)
