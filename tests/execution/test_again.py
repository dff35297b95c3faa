"""`bench evaluate --again`: the old metrics count until all new ones are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.training_fixture import CPU, study

from bench.data import prepare
from bench.execution.evaluating import evaluate_folder
from bench.execution.running import work_for
from bench.files import write_atomic
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.loop import Interrupted, train

MEASURED: dict[str, Any] = {
    "data": {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60},
    "evaluation": {"extractors": ("judge",), "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20},
}


def test_old_metrics_stay_until_new_ones_are_there(tmp_path: Path) -> None:
    data_root = tmp_path / "data"
    asked = study(**MEASURED)
    data = prepare(asked.data, data_root, workers=1)
    run = make_plan(asked).runs[0]
    folder = RunFolder(tmp_path / run.study / run.folder)
    run.write(folder.spec_file)
    train(folder, run, data, CPU)
    evaluate_folder(folder, run, data, data_root, CPU, lambda: False)
    measured = folder.metrics_file.read_bytes()
    assert work_for(run, tmp_path) is None

    write_atomic(folder.metrics_file, measured.replace(b"judge", b"Judge"))  # the old ones, to be told apart
    old = folder.metrics_file.read_bytes()
    write_atomic(folder.again_file, "")
    asked_to_stop = iter([False] * 3)
    with pytest.raises(Interrupted):
        evaluate_folder(folder, run, data, data_root, CPU, lambda: next(asked_to_stop, True))
    assert folder.metrics_file.read_bytes() == old
    assert work_for(run, tmp_path) == "evaluate"

    evaluate_folder(folder, run, data, data_root, CPU, lambda: False)
    assert folder.metrics_file.read_bytes() == measured
    assert not folder.again_file.exists()
    assert work_for(run, tmp_path) is None


def test_a_run_with_a_snapshot_that_was_cut_off_is_trained_again(tmp_path: Path) -> None:
    asked = study(**MEASURED)
    data = prepare(asked.data, tmp_path / "data", workers=1)
    run = make_plan(asked).runs[0]
    folder = RunFolder(tmp_path / run.study / run.folder)
    run.write(folder.spec_file)
    train(folder, run, data, CPU)
    assert work_for(run, tmp_path) == "evaluate"
    snapshot = folder.snapshot_file(folder.snapshot_steps()[0])
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:-100])
    assert work_for(run, tmp_path) == "train"
    words = [sys.executable, "-m", "bench.execution.worker", "--folder", str(folder.path), "--train-only"]
    subprocess.run([*words, "--data", str(tmp_path / "data")], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert snapshot.read_bytes() == whole
    status = folder.status()
    assert (status.state, status.attempts, len(status.failures)) == ("done", 2, 1)
