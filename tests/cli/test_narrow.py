"""What a terminal of 60, 80 and 120 columns shows while runs go: through a real pty."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.study_fixture import Fate, realistic
from helpers.terminal import Terminal
from helpers.tiny_study import write_tiny_study
from rich.console import Console

from bench.cli.progress import progress_table
from bench.runs.folder import RunFolder, Status, read_plan
from bench.watch.progress import progress_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
REASON = "out of memory (CUDA out of memory. Tried to allocate 2.00 GiB)"


@pytest.mark.parametrize("columns", [60, 120])
def test_a_run_shows_losses_grids_and_scores_as_it_goes(tmp_path: Path, columns: int) -> None:
    write_tiny_study(tmp_path, objectives=["wgan-gp"], baseline="wgan-gp")
    terminal = Terminal(["-m", "bench", "run", "--all", "--devices", "cpu"], tmp_path, columns)
    assert terminal.end() == 0
    lines = terminal.lines()
    assert max(len(line) for line in lines if not line.endswith(".png")) <= columns  # a path can be copied whole
    shown = terminal.shown()
    assert "wgan-gp-controlled/seed-0" in shown
    assert "/12" in shown
    losses = [line for line in lines if line.startswith("  D real")]
    assert any("penalty" in line for line in losses)
    done = next(index for index, line in enumerate(lines) if line.startswith("done "))
    assert "samples/step-00000012.png" in "".join(lines[done:]).replace(" ", "")


LIVE = """
import sys, time, types
from pathlib import Path
from bench.cli.console import Console
from bench.execution.display import Following, LiveDisplay
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.runs.folder import RunFolder, Status
class Spec:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.training = types.SimpleNamespace(budget=types.SimpleNamespace(generator_steps=900))
        self.evaluation = types.SimpleNamespace(id=lambda: sys.argv[2])
jobs = []
for path in sorted(Path(sys.argv[1]).glob("*/seed-*")):
    job = Job(Spec(path.parent.name + "/" + path.name.rpartition("-")[0], path), RunFolder(path), {"cpu": 100.0})
    job.process, job.device, job.started = object(), "cpu", time.monotonic()
    job.status = Status("running", 450, 900, steps_per_second=12.5, phase="training", attempts=1)
    job.heard = time.monotonic()
    jobs.append(job)
with LiveDisplay(Console(), len(jobs), Pacer(4), Following("fd_lite0", "raw")) as display:
    display.tick(jobs)
"""


@pytest.mark.parametrize(
    ("columns", "rows", "each"), [(60, 1, 3), (80, 5, 3), (120, 5, 3), (60, 9, 2), (80, 15, 1), (60, 40, 1)]
)
def test_every_run_has_the_lines_that_there_is_room_for(tmp_path: Path, columns: int, rows: int, each: int) -> None:
    fixture = realistic(objectives=("wgan-gp",), seeds=tuple(range(rows)))
    fixture.write(tmp_path / "runs")
    terminal = Terminal(["-c", LIVE, "runs/quick", fixture.evaluation.id()], tmp_path, columns)
    assert terminal.end() == 0
    lines = terminal.lines()
    assert max(map(len, lines)) <= columns
    names = {line.split()[0] for line in lines if line.startswith("wgan-gp-controlled/seed-")}
    losses = {line for line in lines if "D real" in line}
    grids = {line.strip() for line in lines if line.endswith("samples/step-00000900.png")}
    assert len(names) == min(rows, 20)
    assert bool(losses) is (each > 1)
    assert bool(grids) is (each > 2)
    assert all("450/900 12.5/s" in line for line in lines if line.startswith("wgan-gp-controlled/seed-"))
    if each > 1:
        assert all(line.startswith("  fd_lite0 ") and "at step 900" in line for line in losses)
    if rows > 20:
        assert "and 20 more" in lines


def study_in_a_terminal(tmp_path: Path) -> Path:
    fates = {("began", "controlled", 1): Fate("failed", 300, REASON), ("began", "controlled", 0): None}
    return realistic("tiny", objectives=("wgan-gp", "began"), fates=fates).write(tmp_path / "runs")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_status_keeps_every_run_on_its_line(tmp_path: Path, columns: int) -> None:
    study_in_a_terminal(tmp_path)
    write_tiny_study(tmp_path)
    terminal = Terminal(["-m", "bench", "status"], tmp_path, columns)
    assert terminal.end() == 0
    lines = [line.rstrip() for line in terminal.lines()]
    assert max(map(len, lines)) <= columns
    states = {words[0]: words[1] for line in lines if len(words := line.split()) > 1 and "/seed-" in words[0]}
    assert states.pop("began-controlled/seed-1:", "out") == "out"
    assert states == {
        "wgan-gp-controlled/seed-0": "done",
        "wgan-gp-controlled/seed-1": "done",
        "began-controlled/seed-0": "planned",
        "began-controlled/seed-1": "failed",
    }
    assert REASON.replace(" ", "") in "".join(lines).replace(" ", "")
    assert "2 done, 1 planned, 1 failed" in lines


def test_what_many_runs_have_in_common_is_said_once_in_a_narrow_table(tmp_path: Path) -> None:
    realistic("tiny", objectives=("nsgan",), seeds=tuple(range(9))).write(tmp_path)
    rows = progress_of(read_plan(tmp_path, "tiny"), tmp_path / "tiny")
    for row in rows[1:]:
        row["unmeasured"] = True
    below = ("9 runs lack metrics",)
    console = Console(file=io.StringIO(), width=60)
    console.print(progress_table(rows, below, width=60, height=12))
    lines = [line.rstrip() for line in str(console.file.getvalue()).splitlines()]  # type: ignore[attr-defined]
    named = [f"nsgan-controlled/seed-{seed}" for seed in (1, 2, 3)]
    assert "".join(lines[7:9]).replace(" ", "") == f"{','.join(named)}and5more:unmeasured"
    assert lines[9:] == ["9 done; 3 not shown", *below]


def test_status_watch_waits_for_the_first_run_and_ends_with_the_last(tmp_path: Path) -> None:
    write_tiny_study(tmp_path)
    terminal = Terminal(["-m", "bench", "status", "--watch"], tmp_path, 60)
    terminal.read_until("Waiting")
    assert terminal.process.poll() is None
    study = realistic("tiny", objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs.new")
    folder = RunFolder(next(study.glob("*/seed-*")))
    done = folder.status()
    with FileLock(folder.path / ".lock"):
        going = Status("running", 450, 900, steps_per_second=9.0, phase="training", device="cpu")
        folder.write_status(going)
        study.parent.rename(tmp_path / "runs")
        terminal.read_until("training")
        there = RunFolder(tmp_path / "runs" / "tiny" / folder.path.relative_to(study))
        there.write_status(replace(done, phase=None))
    assert terminal.end() == 0
    assert "1 done" in terminal.shown()


def test_status_watch_of_an_unknown_study_does_not_wait(tmp_path: Path) -> None:
    write_tiny_study(tmp_path)
    terminal = Terminal(["-m", "bench", "status", "--watch", "--study", "tinny"], tmp_path, 80)
    assert terminal.end() == 2
    assert '"tiny"' in terminal.shown()


def test_of_hundreds_of_runs_those_that_go_are_shown(tmp_path: Path) -> None:
    study = realistic("tiny", objectives=("nsgan",), seeds=tuple(range(60)), final_step=100).write(tmp_path / "runs")
    write_tiny_study(tmp_path)
    folder = RunFolder(next(study.glob("*/seed-57-*")))
    with FileLock(folder.path / ".lock"):
        folder.write_status(Status("running", 45, 100, steps_per_second=9.0, phase="training", device="cpu"))
        terminal = Terminal(["-m", "bench", "status", "--watch"], tmp_path, 80)
        shown = terminal.read_until("not shown")
        terminal.interrupt()
        terminal.end()
    assert "seed-57" in shown
    assert len(shown.split("not shown")[0].splitlines()) <= 24
