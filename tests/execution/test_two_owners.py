"""Two workers on one run where locks do nothing: one of them finishes it, as if the other had never been."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.training_fixture import study, trained

from bench.data import prepare
from bench.errors import EXIT_DONE, EXIT_TAKEN
from bench.execution.jobs import Job
from bench.files import read_jsonl
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan

ROOT = Path(__file__).parents[2]
STEPS = 120
CHANGES = {"budget": {"generator_steps": STEPS, "batch": 8, "halve_every": 50}}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="patches flock")


@contextmanager
def worker(machine: str, locks: str, folder: RunFolder, data: Path, pause: float) -> Iterator[subprocess.Popen[bytes]]:
    place = ["--folder", str(folder.path), "--data", str(data), "--checkpoint-seconds", "0.3", "--train-only"]
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.no_locks", machine, locks, str(pause), *place],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """The folder of the images, and a run that was trained in this process."""
    root = tmp_path_factory.mktemp("undisturbed")
    data = prepare(study(**CHANGES).data, root / "data", workers=1)
    folder, _, _ = trained(root / "run", data, **CHANGES)
    return root / "data", folder


def result_of(folder: RunFolder) -> tuple[list[Any], list[bytes]]:
    """Return a run's log without its times, and its snapshots' bytes."""
    log = [{k: v for k, v in line.items() if k != "device_seconds"} for line in read_jsonl(folder.log_file)]
    return log, [folder.snapshot_file(step).read_bytes() for step in folder.snapshot_steps()]


@pytest.mark.parametrize("locks", ["unheard", "missing"])
def test_the_later_worker_takes_a_run_over_while_it_is_trained(
    tmp_path: Path, undisturbed: tuple[Path, RunFolder], locks: str
) -> None:
    data, alone = undisturbed
    run = make_plan(study(**CHANGES)).runs[0]
    folder = RunFolder(tmp_path)
    job = Job(run, folder)
    run.write(folder.spec_file)
    with worker("a", locks, folder, data, 0.5) as first:
        wait_until(lambda: len(read_jsonl(folder.log_file)) >= 3)
        assert job.taken_by_another() is not None  # a pool on any other machine leaves it alone
        assert folder.effective_state() == "running"
        with worker("b", locks, folder, data, 0) as second:
            assert first.wait(120) == EXIT_TAKEN
            assert folder.status().state == "running"
            assert second.wait(120) == EXIT_DONE
    log, snapshots = result_of(folder)
    assert [line["generator_steps"] for line in log] == list(range(2, STEPS + 1, 2))
    assert (log, snapshots) == result_of(alone)
    status = folder.status()
    seconds = [line["device_seconds"] for line in read_jsonl(folder.log_file)]
    assert seconds == sorted(seconds)  # each step's counted once
    assert status.device_seconds == pytest.approx(seconds[-1], abs=0.01)
    assert (status.state, status.attempts, status.failures) == ("done", 2, [])
    assert list(folder.path.glob(".owner*")) == list(folder.path.glob("*.ckpt")) == []
    assert job.taken_by_another() is None
