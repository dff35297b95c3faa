"""A run killed with SIGKILL and started again ends bit for bit where one that was never killed ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.training_fixture import small_study

from bench.data import prepare
from bench.files import read_json, read_jsonl
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan

STEPS = 120  # with a halving after 100


def start(folder: Path, data: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.execution.worker", "--folder", str(folder), "--data", str(data)]
    return subprocess.Popen(
        [*command, "--checkpoint-seconds", "0.05"], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors.decode()


def kill_at(process: subprocess.Popen[bytes], folder: RunFolder, step: int) -> None:
    """Kill the worker once its log has reached `step`, at whatever it is doing then."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(line["generator_steps"] >= step for line in read_jsonl(folder.log_file)):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return
        time.sleep(0.002)
    raise AssertionError(f"the run ended before step {step}")


def without_times(path: Path) -> list[Any]:
    return [{key: value for key, value in line.items() if key != "device_seconds"} for line in read_jsonl(path)]


@pytest.mark.parametrize(
    ("entry", "kills"),
    [
        ({"objective": "began", "settings": {"lambda_k": 0.1}}, (20, 70)),
        ({"objective": "wgan", "recipe": {"discriminator_steps": 3, "optimizer": "rmsprop"}}, (40,)),
        ({"objective": "wgan-gp"}, (10, 100)),
    ],
    ids=["state", "several discriminator steps", "penalty draws"],
)
def test_a_killed_run_ends_where_an_uninterrupted_one_ends(
    entry: dict[str, Any], kills: tuple[int, ...], tmp_path: Path
) -> None:
    study = small_study(dict(entry), STEPS)
    run = make_plan(study).runs[0]
    prepare(study.data, tmp_path / "data")
    straight, broken = RunFolder(tmp_path / "straight"), RunFolder(tmp_path / "broken")
    for folder in (straight, broken):
        run.write(folder.spec_file)
    finish(start(straight.path, tmp_path / "data"))
    for step in kills:
        kill_at(start(broken.path, tmp_path / "data"), broken, step)
        assert broken.effective_state() == "interrupted"
    finish(start(broken.path, tmp_path / "data"))

    assert broken.status().attempts == len(kills) + 1
    assert broken.effective_state() == straight.effective_state() == "done"
    assert without_times(broken.log_file) == without_times(straight.log_file)
    assert straight.snapshot_steps() == [STEPS // 4, STEPS // 2, STEPS] == broken.snapshot_steps()
    for step in straight.snapshot_steps():
        assert straight.snapshot_file(step).read_bytes() == broken.snapshot_file(step).read_bytes()
        assert straight.sample_file(step).read_bytes() == broken.sample_file(step).read_bytes()
    metrics = [json.dumps(line, sort_keys=True) for line in read_jsonl(straight.metrics_file)]
    assert metrics
    assert metrics == [json.dumps(line, sort_keys=True) for line in read_jsonl(broken.metrics_file)]
    assert not list(broken.path.glob("checkpoint-*"))


def test_sigterm_saves_and_says_that_it_can_go_on(tmp_path: Path) -> None:
    study = small_study({"objective": "nsgan"})
    run = make_plan(study).runs[0]
    prepare(study.data, tmp_path / "data")
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    process = start(folder.path, tmp_path / "data")
    deadline = time.monotonic() + 120
    while not read_jsonl(folder.log_file) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert folder.effective_state() == "interrupted"
    assert list(folder.path.glob("checkpoint-*.ckpt"))


def test_a_spec_reads_back_as_it_was_written(tmp_path: Path) -> None:
    run = make_plan(small_study({"objective": "wgan", "recipe": {"discriminator_steps": 3}})).runs[0]
    run.write(tmp_path / "spec.json")
    assert RunSpec.read(tmp_path / "spec.json") == run
    assert read_json(tmp_path / "spec.json")["id"] == run.id == run.training.id()
