"""Workers end with whoever started them, all ranks of a run included, and what they held is free then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.training_fixture import small_study

from bench.data import prepare
from bench.execution.jobs import Job
from bench.execution.pool import PoolOptions, run_pool
from bench.execution.worker import ORPHAN_SECONDS
from bench.files import read_jsonl
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="reads ps")
POOL = """
import sys
from pathlib import Path
from bench.execution.display import Following, PlainDisplay
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions, run_pool
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec
from rich.console import Console
folder = RunFolder(Path(sys.argv[1]))
job = Job(RunSpec.read(folder.spec_file), folder)
options = PoolOptions(Path(sys.argv[2]), ranks=int(sys.argv[3]), checkpoint_seconds=0.1)
display = PlainDisplay(Console(), 1, Pacer(1), Following("fd_lite0", "raw"))
run_pool([job], ["cpu,cpu" if options.ranks == 2 else "cpu"], options, display, lambda: False)
"""


def long_run(root: Path) -> tuple[RunSpec, RunFolder]:
    study = small_study({"objective": "nsgan"}, steps=1_000_000)
    prepare(study.data, root / "data", workers=1)
    run = make_plan(study).runs[0]
    folder = RunFolder(root / "run")
    run.write(folder.spec_file)
    return run, folder


def processes(words: Path, parent: int | None = None) -> list[int]:
    """Return the processes that have a path in their command line."""
    listed = subprocess.run(["ps", "-ww", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if str(words) in row[-1] and parent in (None, int(row[1]))]


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("ranks", [1, 2])
def test_no_worker_outlives_a_killed_pool(tmp_path: Path, ranks: int) -> None:
    _, folder = long_run(tmp_path)
    command = [sys.executable, "-c", POOL, str(folder.path), str(tmp_path / "data"), str(ranks)]
    pool = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        wait_until(lambda: len(read_jsonl(folder.log_file)) > 0, 180)
        assert len(processes(folder.path)) == (4 if ranks == 2 else 2)  # the pool, torchrun and its ranks
    finally:
        pool.kill()
        pool.wait()
    wait_until(lambda: not processes(folder.path), ORPHAN_SECONDS + 60)
    assert not folder.is_locked()
    assert folder.checkpoint_file(folder.status().generator_steps).exists()  # it was saved


class Killing:
    """Kills a run's torchrun as soon as it has ranks."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []

    def started(self, job: Job) -> None:
        assert job.process is not None
        launcher = job.process.pid
        wait_until(lambda: len(processes(job.folder.path, parent=launcher)) == 2, 120)
        os.kill(launcher, signal.SIGKILL)

    def finished(self, job: Job) -> None:
        self.reasons.append(job.outcome)

    def will_retry(self, job: Job) -> None:
        assert not job.folder.is_locked()

    def notice(self, text: str) -> None:
        return None

    def tick(self, jobs: Sequence[Job]) -> None:
        return None


def test_ranks_end_with_a_torchrun_that_is_killed_at_their_start(tmp_path: Path) -> None:
    run, folder = long_run(tmp_path)
    watcher = Killing()
    began = time.monotonic()
    assert run_pool([Job(run, folder)], ["cpu,cpu"], PoolOptions(tmp_path / "data", ranks=2), watcher, lambda: False)
    assert time.monotonic() - began < 200
    assert watcher.reasons == ["failed"]
    assert not folder.is_locked()
    wait_until(lambda: not processes(folder.path), 60)
