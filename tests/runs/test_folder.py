"""Run folders and atomic files: one owner, honest states, nothing torn."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from helpers.worker_functions import own_run

from bench.errors import BenchError
from bench.files import append_jsonl, read_json, read_jsonl, write_atomic, write_json
from bench.runs.folder import RunFolder, Status, read_plan


def test_one_owner_at_a_time_and_a_killed_one_frees_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_status(Status(state="running"))
    holder = multiprocessing.get_context("spawn").Process(target=own_run, args=(folder.path, tmp_path / "ready"))
    holder.start()
    while not (tmp_path / "ready").exists():
        assert holder.is_alive(), "the process that was to own the run has ended"
        time.sleep(0.02)
    assert folder.is_locked()
    assert folder.effective_state() == "running"
    with pytest.raises(BenchError, match="another process"), folder.owned():
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert not folder.is_locked()
    assert folder.effective_state() == "interrupted"


def test_a_run_without_a_status_is_planned(tmp_path: Path) -> None:
    assert RunFolder(tmp_path).effective_state() == "planned"


def test_a_status_of_another_version_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "status.json", {"schema": 99, "state": "done"})
    with pytest.raises(BenchError, match="another version"):
        RunFolder(tmp_path).status()


def test_a_torn_last_line_is_dropped_and_never_joined(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_jsonl(path, [{"a": 1}, {"a": 2}])
    with path.open("a") as file:
        file.write('{"a": 3, "b"')
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]
    append_jsonl(path, [{"a": 4}])
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}, {"a": 4}]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
    with pytest.raises(BenchError, match="line 2"):
        read_jsonl(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    write_json(path, {"a": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchError, match="No space left"):
        write_atomic(path, "x" * 1000)
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def test_not_a_number_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})


def test_an_unplanned_study_says_what_to_type(tmp_path: Path) -> None:
    write_json(tmp_path / "other" / "plan.json", {"schema": 1})
    with pytest.raises(BenchError) as caught:
        read_plan(tmp_path, "quick")
    assert "other" in caught.value.message
    assert "bench run --all --study quick" in str(caught.value.hint)
