"""`bench modes` at work: several runs in a process, one that fails, one that dies, a call that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.files import read_jsonl
from bench.validation.modes.jobs import Job, make_job, points_file
from bench.validation.modes.results import ModesFolder
from bench.validation.modes.rows import find_rows
from bench.validation.modes.running import Outcome, run_jobs
from bench.validation.modes.tasks import RING

BROKEN = """
import os
import signal

from bench.objectives.nsgan import NonSaturating


class Broken(NonSaturating):
    def generator_loss(self, D, fake, real, step):
        print("printed by the objective", flush=True)
        {what}
"""


def jobs_of(*rows: str, seeds: int = 1) -> list[Job]:
    return [make_job(RING, row, seed, steps=3) for seed in range(seeds) for row in find_rows(rows, RING)]


def run(jobs: list[Job], folder: ModesFolder, processes: int = 1) -> dict[str, Outcome]:
    outcomes: list[Outcome] = []
    assert run_jobs(jobs, folder, processes, outcomes.append, lambda: False)
    assert len(outcomes) == len(jobs)
    return {outcome.job.id: outcome for outcome in outcomes}


def test_a_run_that_fails_or_dies_costs_itself_alone(tmp_path: Path) -> None:
    folder = ModesFolder(tmp_path / "modes")
    folder.path.mkdir()
    ends = {"raising": 'raise ValueError("too\\nlong")', "dying": "os.kill(os.getpid(), signal.SIGKILL)"}
    for name, what in ends.items():
        (tmp_path / f"{name}.py").write_text(BROKEN.format(what=what))
    jobs = jobs_of("nsgan", str(tmp_path / "raising.py"), str(tmp_path / "dying.py"), "lsgan")
    outcomes = run(jobs, folder)
    nsgan, raising, dying, lsgan = (outcomes[job.id] for job in jobs)
    assert raising.error == "ValueError: too"
    assert "SIGKILL" in str(dying.error)
    assert str(folder.log) in str(dying.error)
    for outcome in (nsgan, lsgan):
        assert outcome.error is None
        assert outcome.record is not None
        assert outcome.record["generator_steps"] == 3
        assert points_file(folder.path, outcome.job.id).is_file()
    assert [job.id for job in folder.missing(jobs)] == [raising.job.id, dying.job.id]
    log = folder.log.read_text()
    assert log.count("printed by the objective") == 2
    assert "ValueError: too" in log


def test_a_stop_keeps_what_is_done(tmp_path: Path) -> None:
    folder = ModesFolder(tmp_path)
    jobs = jobs_of("nsgan", seeds=4)
    outcomes: list[Outcome] = []
    assert not run_jobs(jobs, folder, 1, outcomes.append, lambda: bool(outcomes))
    assert 1 <= len(folder.records()) == len(outcomes) < 4


def test_ctrl_c_ends_in_order_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('hostile')")  # workers look for nothing here
    command = [sys.executable, "-P", "-m", "bench", "modes", "nsgan", "--task", "ring", "--jobs", "1", "--seeds"]
    process = subprocess.Popen(
        [*command, "0-19"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    results = tmp_path / "runs" / "modes" / "results.jsonl"
    deadline = time.monotonic() + 200
    while not results.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "failed" not in output
    kept = read_jsonl(results)
    assert [record["seed"] for record in kept] == list(range(len(kept)))
    done = subprocess.run([*command, "0", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"done": 1' in done.stdout
    assert read_jsonl(results) == kept
