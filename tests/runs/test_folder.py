"""Run folders and atomic files: one owner, honest states, nothing torn."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.worker_functions import own_run
from safetensors.numpy import save

from bench.errors import BenchError
from bench.execution.running import sweep
from bench.files import append_jsonl, read_json, read_jsonl, write_atomic, write_json
from bench.owning import MARK, this_machine
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
    holder.kill()
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


def test_who_asks_for_a_lock_does_not_see_others_ask(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state="running"))
    with folder.owned():
        pass
    with (tmp_path / ".lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # another process that asks, for longer than any does
        assert not folder.is_locked()
        assert folder.effective_state() == "interrupted"


def test_a_run_is_read_without_opening_anything_for_writing(tmp_path: Path) -> None:
    """As another user's, or on a disk that is only readable."""
    folder = RunFolder(tmp_path / "run")
    with folder.owned():
        folder.write_status(Status(state="running"))
        write_json(folder.metrics_file, 1)
    written: list[object] = []
    watched = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watched and event == "open" and str(tmp_path) in str(arguments[0]):
            flags = arguments[2]
            assert isinstance(flags, int)
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                written.append(arguments[0])

    sys.addaudithook(watch)  # which cannot be taken out again
    try:
        assert folder.effective_state() == "interrupted"
        assert not folder.is_locked()
        assert folder.leftovers() == folder.damaged_snapshots() == []
    finally:
        watched.clear()
    assert written == []


def killed_process() -> int:
    """Return the number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_owner_deletes_what_killed_processes_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state="done", phase="evaluating"))
    append_jsonl(folder.metrics_file, [{"metric": "fd", "value": 1.0}] * 3)
    gone = killed_process()
    left = [
        *(tmp_path / name for name in (f".status.json.{gone}.ab_c1", "checkpoint-00000008.ckpt")),
        folder.samples / f".step-00000008.png.{gone}.xyz",
        folder.snapshots / f".step-00000008.safetensors.{gone}.xyz",
    ]
    mine = tmp_path / f".card.json.{os.getpid()}.abc"
    for path in (*left, mine):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with folder.owned():
        folder.sweep()
    assert folder.status().phase is None
    assert folder.status().metric_lines == 3
    kept = [mine.name, ".lock", "metrics.jsonl", "status.json"]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == kept


def test_the_mark_of_a_process_that_was_killed_at_its_very_end_is_swept_away(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state="done", metric_lines=0))
    (tmp_path / MARK).write_text(f"{'0' * 16} {this_machine()} {killed_process()}\n")
    sweep(folder)
    assert not (tmp_path / MARK).exists()


def test_a_checkpoint_of_an_unfinished_run_is_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state="running"))
    folder.checkpoint_file(8).touch()
    folder.sweep()
    assert folder.checkpoint_file(8).exists()


def test_a_snapshot_that_was_cut_off_is_noticed_and_begun_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_status(Status(state="done", generator_steps=8, attempts=2))
    whole = save({"raw/x": np.zeros(100, np.float32)})
    for step in (4, 8):
        write_atomic(folder.snapshot_file(step), whole)
    write_atomic(folder.metrics_file, "{}\n")
    assert folder.damaged_snapshots() == []
    for cut in (len(whole) - 1, 20, 4, 0):
        folder.snapshot_file(4).write_bytes(whole[:cut])
        assert folder.damaged_snapshots() == [folder.snapshot_file(4)], cut
    folder.begin_again("why")
    status = folder.status()
    assert (status.state, status.generator_steps, status.attempts) == ("planned", 0, 2)
    assert [failure.generator_steps for failure in status.failures] == [8]
    assert folder.snapshot_steps() == []
    assert not folder.metrics_file.exists()
