"""The mark of a run's owner: who may write, and who is taken to be at work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bench.owning
import bench.runs.folder
from bench.files import append_jsonl, read_jsonl, write_atomic
from bench.owning import MARK, SILENT_SECONDS, Mark, TakenError, this_machine
from bench.runs.folder import RunFolder, Status


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave_mark(folder: RunFolder, machine: str, process: int, age: float = 0.0) -> None:
    folder.path.mkdir(exist_ok=True)
    (folder.path / MARK).write_text(f"0123456789abcdef {machine} {process}\n")
    os.utime(folder.path / MARK, (time.time() - age,) * 2)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: folder.write_status(Status(state="done")),
        lambda folder: append_jsonl(folder.log_file, [{"a": 2}]),
        lambda folder: write_atomic(folder.snapshot_file(4), b"x"),
    ],
)
def test_who_was_displaced_writes_nothing_more(tmp_path: Path, write: Callable[[RunFolder], None]) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.owned():
        folder.write_status(Status(state="running"))
        append_jsonl(folder.log_file, [{"a": 1}])
        leave_mark(folder, "another", 1)
        with pytest.raises(TakenError):
            write(folder)
    assert folder.status().state == "running"
    assert read_jsonl(folder.log_file) == [{"a": 1}]
    found = sorted(path.name for path in folder.path.rglob("*") if path.is_file())
    assert found == [".lock", MARK, "log.jsonl", "status.json"]
    assert (folder.path / MARK).read_text().startswith("0123456789abcdef")  # the new owner's stays


def test_other_folders_may_be_written_and_a_released_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.owned():
        leave_mark(folder, "another", 1)
        write_atomic(tmp_path / "other" / "file", b"x")
    folder.write_status(Status(state="done"))
    assert folder.status().state == "done"


def test_a_mark_is_gone_when_its_owner_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.owned():
        assert (tmp_path / MARK).exists()
    assert not (tmp_path / MARK).exists()
    assert not folder.is_locked()


def test_a_folder_that_was_deleted_is_not_written_into(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.owned():
        (folder.path / MARK).unlink()
        with pytest.raises(TakenError):
            folder.write_status(Status())


@pytest.mark.parametrize(
    ("machine", "process", "age", "lives"),
    [
        ("another", 1, 0.0, True),
        ("another", 1, SILENT_SECONDS + 1, False),  # its host is dead, and no lock of it stays
        ("another", 1, -SILENT_SECONDS - 1, False),  # by a clock that is wrong
        (this_machine(), os.getpid(), 0.0, False),  # the lock, which works here, says so
    ],
    ids=["fresh", "old", "from the future", "of this machine"],
)
def test_who_is_at_work_elsewhere_is_told_by_the_age_of_its_mark(
    tmp_path: Path, machine: str, process: int, age: float, lives: bool
) -> None:
    folder = RunFolder(tmp_path)
    leave_mark(folder, machine, process, age)
    assert folder.is_locked() == lives
    if not lives:
        with folder.owned():
            assert folder.is_locked()
        return
    with pytest.raises(TakenError), folder.owned():
        pass
    assert (tmp_path / MARK).read_text().startswith("0123456789abcdef")


def test_without_locks_the_process_tells_who_is_at_work_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.runs.folder, "is_held", lambda path: None)
    folder = RunFolder(tmp_path)
    leave_mark(folder, this_machine(), os.getpid())
    assert folder.is_locked()
    leave_mark(folder, this_machine(), dead_process())
    assert not folder.is_locked()


def test_an_owner_at_work_touches_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.owning, "TOUCH_SECONDS", 0.02)
    with RunFolder(tmp_path).owned():
        os.utime(tmp_path / MARK, (0, 0))
        deadline = time.monotonic() + 10
        while time.time() - (tmp_path / MARK).stat().st_mtime > SILENT_SECONDS:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_of_two_that_take_a_run_at_once_one_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one writes its mark while this one waits for the one before to have seen its own."""
    folder = RunFolder(tmp_path)
    leave_mark(folder, "another", 1)
    monkeypatch.setattr(bench.runs.folder.time, "sleep", lambda seconds: leave_mark(folder, "third", 1))
    with pytest.raises(TakenError), folder.owned(take_over=True):
        pass
    assert Mark.read(tmp_path) == Mark("0123456789abcdef", "third", 1, pytest.approx(time.time(), abs=9))
