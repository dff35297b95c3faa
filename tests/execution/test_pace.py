"""The time left as the pool sees its runs go: in time that is told, not waited for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from helpers.study_fixture import Fate, realistic, write_bytes
from rich.console import Console

from bench.execution.display import Following, PlainDisplay
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.files import append_jsonl, read_jsonl
from bench.runs.folder import RunFolder, Status

STEPS = 1000


@dataclass
class Run:
    """A run that starts in 20 s, trains 10 steps a second and is measured in 30 s. It was thought to train in 30 s."""

    job: Job
    begins: float

    def at(self, now: float) -> None:
        job, trained = self.job, min(int(10 * (now - self.begins - 20)), STEPS)
        if now < self.begins:
            return
        if job.process is None:
            job.process, job.device, job.started, job.heard = cast(Any, object()), "cpu", self.begins, self.begins
        if trained >= 20:  # its first word comes after two seconds of training
            state = "done" if trained == STEPS else "running"
            phase = "evaluating" if trained == STEPS else "training"
            status = Status(state, trained, STEPS, steps_per_second=10.0, phase=phase, attempts=1)  # type: ignore[arg-type]
            if status != job.status:
                job.status, job.heard = status, now
        if now >= self.begins + 150:
            job.outcome = "done"


def job_named(name: str, folder: Path) -> Job:
    budget = SimpleNamespace(budget=SimpleNamespace(generator_steps=STEPS))
    asked = SimpleNamespace(id=lambda: None)
    spec = SimpleNamespace(name=name, folder=Path(name), training=budget, evaluation=asked)
    return Job(cast(Any, spec), RunFolder(folder), {"cpu": 36.0}, {"cpu": 20.0})


def test_the_estimate_settles_within_the_first_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elapsed time over the share of thought seconds said 1,650 s here at 40 s, where 560 were left."""
    clock = 0.0
    monkeypatch.setattr("bench.execution.pace.time.monotonic", lambda: clock)
    runs = [Run(job_named(f"row-{at}/seed-0", tmp_path), 150.0 * (at // 2)) for at in range(8)]
    pacer = Pacer(2)
    errors = {}
    for tick in range(600):
        clock = float(tick)
        for run in runs:
            run.at(clock)
        left = pacer.see([run.job for run in runs], clock)
        if left is not None and tick < 590:
            errors[tick] = abs(left - (600 - tick)) / 600
    assert 20 < min(errors) <= 30
    assert all(error < 0.12 for tick, error in errors.items() if tick >= 60)
    assert all(error < 0.02 for tick, error in errors.items() if tick >= 160)  # one was measured to its end


def test_an_interrupted_attempt_says_nothing_of_the_next(tmp_path: Path) -> None:
    job = job_named("row/seed-0", tmp_path)
    job.process, job.device, job.share_before = cast(Any, object()), "cpu", 0.5
    job.status = Status("running", 500, STEPS, steps_per_second=99.0, phase="training", attempts=1)
    pacer = Pacer(1)
    assert pacer.see([job], 0.0) is None
    assert pacer.see([job], 10.0) is None
    job.status = Status("running", 520, STEPS, steps_per_second=10.0, phase="training", attempts=2)
    assert pacer.see([job], 20.0) is None


def test_in_a_pipe_every_grid_and_score_is_told_once(tmp_path: Path) -> None:
    fixture = realistic(objectives=("nsgan",), seeds=(0,), fates={("nsgan", "controlled", 0): Fate("running", 500)})
    folder = RunFolder(next(fixture.write(tmp_path).glob("*/seed-*")))
    measured = read_jsonl(folder.metrics_file)
    folder.metrics_file.unlink()
    job = job_named("nsgan-controlled/seed-0", folder.path)
    job.process, job.device = cast(Any, object()), "cpu"
    console = Console(file=io.StringIO(), width=10_000)
    display = PlainDisplay(console, 1, Pacer(1), Following("fd_lite0", "raw"))
    display.started(job)  # what was there before is no news
    grid = folder.sample_file(500)
    write_bytes(grid, folder.sample_file(450).read_bytes())
    append_jsonl(folder.metrics_file, measured[-1:])
    display._read = display._last = -1000.0
    display._newest._known.clear()
    display.tick([job])
    display.tick([job])
    job.outcome = "done"
    display.finished(job)
    lines = cast(io.StringIO, console.file).getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["start", "samples", "measured", "running", "done"]
    assert lines[1].endswith(str(grid))
    assert "fd_lite0@500" in lines[2]
    assert "D real 0." in lines[3]
