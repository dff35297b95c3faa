"""How far a study is, and when it will be through, by its run folders alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.study_fixture import realistic, write_json

from bench.files import read_json
from bench.runs.folder import RunFolder, Status, read_plan
from bench.watch.progress import Row, progress_of, study_seconds_left


def rows(root: Path) -> list[Row]:
    return progress_of(read_plan(root, "quick"), root / "quick")


def left(root: Path) -> float | None:
    return study_seconds_left(read_plan(root, "quick"), rows(root))


def test_the_time_left_is_learnt_from_the_runs_that_were_seen(tmp_path: Path) -> None:
    study = realistic(objectives=("nsgan",), seeds=(0, 1, 2, 3)).write(tmp_path)
    folders = [RunFolder(study / run["path"]) for run in read_plan(tmp_path, "quick")["runs"]]
    assert left(tmp_path) is None  # nothing runs
    done = replace(folders[0].status(), steps_per_second=9.0, evaluation_seconds=20.0)
    folders[0].write_status(done)  # 900 steps at 9 a second: 100 s
    for folder in folders[1:]:
        folder.write_status(Status())
    assert left(tmp_path) is None
    going = Status("running", 450, 900, steps_per_second=9.0, phase="training", device="cpu")
    with FileLock(folders[1].path / ".lock"):
        folders[1].write_status(going)
        assert left(tmp_path) == pytest.approx((50 + 20) + 2 * (6 + 100 + 20), abs=1)
        assert rows(tmp_path)[1]["seconds_left"] == 50
        with FileLock(folders[2].path / ".lock"):  # a worker that has just begun: two at a time from now on
            assert rows(tmp_path)[2]["phase"] == "starting"
            assert left(tmp_path) == pytest.approx((50 + 20) + (6 + 100 + 20), abs=1)
    assert left(tmp_path) is None  # both have lost their processes


def test_a_silent_run_has_no_estimate(tmp_path: Path) -> None:
    study = realistic(objectives=("nsgan",), seeds=(0,)).write(tmp_path)
    folder = RunFolder(next(study.glob("*/seed-*")))
    folder.write_status(Status("running", 450, 900, steps_per_second=9.0, phase="training", device="cpu"))
    with FileLock(folder.path / ".lock"):
        assert left(tmp_path) is not None
        values = read_json(folder.status_file) | {"updated": "2026-01-01T00:00:00+00:00"}
        write_json(folder.status_file, values)
        assert left(tmp_path) is None
