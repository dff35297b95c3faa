"""The team of workers: in order, bounded, killed, interrupted, and out of reach of what lies in the current folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.worker_functions import (
    die_at_five,
    die_while_sending,
    divide,
    exit_early,
    lambda_of,
    prepare,
    prepared_value,
    refuse,
    sleep,
    slow_pid,
)

from bench.errors import EXIT_RUNS_FAILED, BenchError
from bench.processes import Team, WorkerDiedError, map_in_order, python_command, python_environment, usable_cores

ROOT = Path(__file__).parent.parent


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_results_come_in_order_and_from_other_processes() -> None:
    results = list(map_in_order(slow_pid, range(12), 2))
    assert [value for value, _ in results] == list(range(12))
    assert len({pid for _, pid in results} - {os.getpid()}) == 2


def test_payloads_are_taken_a_few_ahead_only() -> None:
    taken = 0

    def payloads() -> Iterator[int]:
        nonlocal taken
        for value in range(1, 100):
            taken += 1
            yield value

    results = map_in_order(divide, payloads(), 2)
    assert [next(results), next(results)] == [1, 0]
    assert taken <= 2 + 2 * 2 + 1
    results.close()


def test_one_process_is_this_one() -> None:
    assert [pid for _, pid in map_in_order(slow_pid, [0, 3], 1)] == [os.getpid()] * 2


def test_an_error_of_the_function_is_raised_here_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(divide, [1, 0, 1], 2))
    with pytest.raises(BenchError) as caught:
        list(map_in_order(refuse, [1], 2))
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("the message", "the hint", 7)
    with pytest.raises(RuntimeError, match="pickle"):
        list(map_in_order(lambda_of, [1], 2))


def test_a_killed_worker_is_an_error_that_says_so() -> None:
    with pytest.raises(WorkerDiedError) as caught:
        list(map_in_order(die_at_five, range(12), 2))
    assert "SIGKILL" in caught.value.message
    assert "fewer processes" in str(caught.value.hint)
    assert caught.value.exit_code == EXIT_RUNS_FAILED


def test_a_worker_killed_while_it_sends_is_an_error_too() -> None:
    with pytest.raises(WorkerDiedError):
        list(map_in_order(die_while_sending, [50_000_000], 2))


def test_a_team_goes_on_without_the_call_whose_worker_died() -> None:
    ended = []
    waiting = list(range(8))
    with Team(die_at_five, 2) as team:
        while waiting or team.busy:
            while waiting and team.free:
                team.give(waiting.pop(0))
            assert team.busy <= 2
            ended += team.wait()
    assert sorted((call.number, call.payload, call.result) for call in ended if call.error is None) == [
        (value, value, value) for value in range(8) if value != 5
    ]
    (lost,) = [call for call in ended if call.error is not None]
    assert (lost.payload, type(lost.error)) == (5, WorkerDiedError)


def test_a_worker_that_died_while_idle_costs_one_call() -> None:
    with Team(slow_pid, 1) as team:
        team.give(0)
        ((_, pid),) = [call.get() for call in team.wait()]
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
            time.sleep(0.01)
        team.give(3)
        (call,) = team.wait()
        assert isinstance(call.error, WorkerDiedError)
        team.give(6)
        (call,) = team.wait()
        assert call.get()[0] == 6


def test_every_worker_is_prepared_once() -> None:
    with Team(prepared_value, 1, prepare) as team:
        team.give(0)
        assert [call.get() for call in team.wait()] == ["yes"]
    assert "PREPARED" not in os.environ


def test_the_end_of_the_block_ends_workers_at_work() -> None:
    began = time.monotonic()
    with Team(sleep, 2) as team:
        team.give(600)
        assert team.wait(0.01) == []
        assert (team.busy, team.free) == (1, 1)
    assert time.monotonic() - began < 60


SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from bench.processes import map_in_order
from helpers.worker_functions import slow_pid
print(os.getpid(), flush=True)
for value, pid in map_in_order(slow_pid, range({count}), 2):
    print(pid, flush=True)
"""


def script(folder: Path, *options: str, count: int, prefix: str = "") -> subprocess.Popen[str]:
    """Start a script without a guard, in a process group of its own, with `folder` as the current one."""
    code = prefix + SCRIPT.format(count=count)
    path = folder / "elsewhere" / "script.py"
    path.parent.mkdir()
    path.write_text(code)
    return subprocess.Popen(
        [sys.executable, *options, *(["-c", code] if prefix else [str(path)])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("name", ["types", "socket", "signal", "random", "numpy"])
def test_workers_import_nothing_from_the_current_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    output, errors = script(tmp_path, count=3).communicate(timeout=120)
    assert (errors, len(output.splitlines())) == ("", 4)


def test_nor_do_those_of_a_session_that_looks_there_itself(tmp_path: Path) -> None:
    """As in a notebook: "" is on the path, and what this process has imported is hidden by a file since then."""
    prefix = "import random, types, pathlib\nfor name in ('random', 'types'):\n"
    prefix += "    pathlib.Path(f'{name}.py').write_text('raise SystemExit(1)')\n"
    prefix += "import sys; assert '' in sys.path\n"
    process = script(tmp_path, count=3, prefix=prefix)
    output, errors = process.communicate(timeout=120)
    assert (errors, len(output.splitlines())) == ("", 4)


def test_workers_do_not_run_the_callers_script(tmp_path: Path) -> None:
    output, errors = script(tmp_path, count=3).communicate(timeout=120)
    assert errors == ""
    assert len(output.splitlines()) == 4  # a script that runs again prints its process id again


@pytest.mark.parametrize("way", ["interrupted", "killed"])
def test_no_worker_survives_its_parent(tmp_path: Path, way: str) -> None:
    process = script(tmp_path, count=10_000)
    assert process.stdout is not None
    lines = [int(process.stdout.readline()) for _ in range(4)]
    if way == "interrupted":
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: the whole group
    else:
        process.kill()
    _, errors = process.communicate(timeout=120)
    if way == "interrupted":
        assert errors.count("Traceback") == 1  # this script's own
        assert errors.rstrip().endswith("KeyboardInterrupt")
    deadline = time.monotonic() + 30
    while not all(map(gone, lines)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(gone, lines))


SIGNALLED = """
import os, signal
from bench.processes import Team
from helpers.worker_functions import sleep
for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, lambda *_: None)
with Team(sleep, 1) as team:
    team.give(0)
    os.killpg(0, signal.SIGINT)  # it is still starting
    print([call.error for call in team.wait()])
    team.give(1)
    for name in (signal.SIGINT, signal.SIGTERM):
        os.killpg(0, name)
    print([call.error for call in team.wait()])
"""


def test_signals_to_the_group_are_the_parents_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        timeout=120,
    )
    assert done.stdout == "[None]\n[None]\n"


@pytest.mark.parametrize("name", ["glob", "types", "random", "argparse"])
def test_a_module_that_is_run_imports_nothing_from_the_current_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise SystemExit('hostile')")
    command = python_command("bench.execution.worker", "--help")
    done = subprocess.run(command, cwd=tmp_path, env=python_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_path_that_is_handed_over_has_no_empty_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}mine{os.pathsep}")
    assert python_environment()["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "mine"]


def test_sys_exit_in_a_function_costs_its_call_alone() -> None:
    with Team(exit_early, 1) as team:
        for _ in range(2):
            team.give(0)
            (call,) = team.wait()
            assert isinstance(call.error, RuntimeError)
            assert not isinstance(call.error, WorkerDiedError)


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/gone\n", {"cpu.max": "max 100000"}, None),
        ("3:cpu,cpuacct:/x\n", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("2:memory:/a\n0::/\n", {"a/cpu.max": "100000 100000"}, None),
        ("", {}, None),
    ],
)
def test_a_containers_quota_bounds_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], cores: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    (tmp_path / "own").write_text(groups)
    for name, content in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(content)
    assert usable_cores(tmp_path / "groups", tmp_path / "own") == (cores or 4)
