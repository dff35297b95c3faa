"""The pool of devices: what is placed where, what is tried again, and what a failure costs. Workers are real ones."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_study import on_cpu, write_tiny_study
from helpers.training_fixture import study
from rich.console import Console

from bench.__main__ import run as type_bench
from bench.data import prepare
from bench.errors import BenchError
from bench.evaluation.units import missing_evaluations
from bench.execution import devices, pool
from bench.execution.devices import choose_slots, evaluation_slots
from bench.execution.display import Following, make_display
from bench.execution.failures import advice, failure_of_process, kind_of, may_end_better
from bench.execution.jobs import Job
from bench.execution.pace import Pacer, phase, place
from bench.execution.placement import Placement
from bench.execution.pool import PoolOptions, _last_words, run_pool
from bench.execution.running import jobs_for, run_all
from bench.files import read_jsonl
from bench.owning import MARK
from bench.runs.folder import Failure, FailureKind, RunFolder, Status
from bench.runs.plan import make_plan
from bench.training.fingerprint import ITERATIONS

ROOT = Path(__file__).parents[2]
LSGAN = (ROOT / "bench" / "objectives" / "lsgan.py").read_text(encoding="utf-8")


def jobs(root: Path, seeds: int = 1, seconds: Sequence[dict[str, float]] = (), **changes: Any) -> list[Job]:
    runs = make_plan(study(seeds=tuple(range(seeds)), **changes)).runs
    found = [Job(run, RunFolder(root / run.folder)) for run in runs]
    for job in found:
        job.spec.write(job.folder.spec_file)
    for job, estimate in zip(found, seconds, strict=False):
        job.seconds = estimate
    return found


class Watcher:
    """Notes what the pool says, and does `at_start` to every job that starts."""

    def __init__(self, at_start: Callable[[Job], None] = lambda job: None) -> None:
        self.said: list[str] = []
        self.at_start = at_start

    def started(self, job: Job) -> None:
        self.said.append(f"{'start' if job.stage == 'train' else job.stage} {job.spec.training.seed} on {job.device}")
        self.at_start(job)

    def finished(self, job: Job) -> None:
        self.said.append(f"{job.outcome} {job.spec.training.seed}")

    def will_retry(self, job: Job) -> None:
        self.said.append(f"again {job.spec.training.seed}")

    def notice(self, text: str) -> None:
        self.said.append(text)

    def stopping(self, running: int) -> None:
        self.said.append(f"stopping {running}")

    def tick(self, jobs: Sequence[Job]) -> None:
        return None


def kill(job: Job) -> None:
    assert job.process is not None
    os.kill(job.process.pid, signal.SIGKILL)


def never() -> bool:
    return False


def test_a_killed_run_is_tried_once_more_after_the_others_and_then_reported(tmp_path: Path) -> None:
    first, second = jobs(tmp_path, seeds=2)
    watcher = Watcher(kill)
    assert run_pool([first, second], ["cpu"], PoolOptions(tmp_path), watcher, never)
    assert [words for words in watcher.said if words.startswith("start")] == [
        *("start 0 on cpu", "start 1 on cpu"),
        *("start 0 on cpu", "start 1 on cpu"),
    ]
    assert watcher.said[-1] == "failed 1"
    status = first.folder.status()
    assert status.state == "failed" == first.folder.effective_state()
    assert status.reason is not None
    assert status.reason.startswith("2 times on cpu: ")
    assert "signal 9" in status.reason
    assert [(failure.device, failure.kind) for failure in status.failures] == [("cpu", "memory")] * 2


def test_another_attempt_goes_to_another_device_first(tmp_path: Path) -> None:
    found = jobs(tmp_path, seeds=3)
    watcher = Watcher(kill)
    assert run_pool(found, ["cpu:0", "cpu:1"], PoolOptions(tmp_path), watcher, never)
    attempts = {
        job.spec.training.seed: [failure.device for failure in job.folder.status().failures]  # as it was written down
        for job in found
    }
    assert all(sorted(places) == ["cpu:0", "cpu:1"] for places in attempts.values()), attempts
    assert "; then on cpu:" in str(found[0].reason)


def test_nothing_is_tried_again_after_a_stop(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)
    asked: list[bool] = []

    def kill_and_stop(job: Job) -> None:
        kill(job)
        assert job.process is not None
        job.process.wait()
        asked.append(True)

    watcher = Watcher(kill_and_stop)
    assert not run_pool([job], ["cpu"], PoolOptions(tmp_path), watcher, lambda: bool(asked))
    assert watcher.said == ["start 0 on cpu"]
    assert job.outcome == "interrupted"


def test_a_run_that_another_process_has_is_left_to_it_and_the_rest_is_done(tmp_path: Path) -> None:
    first, second = found = jobs(tmp_path, seeds=2)
    watcher = Watcher(kill)
    with first.folder.owned():
        assert run_pool(found, ["cpu"], PoolOptions(tmp_path), watcher, never)
    assert watcher.said[:2] == ["taken 0", "start 1 on cpu"]
    assert (first.outcome, first.failures, second.outcome) == ("taken", [], "failed")
    assert not first.folder.status_file.exists()


def test_a_run_that_is_taken_while_its_worker_starts_is_no_failure(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)
    with ExitStack() as held:
        assert run_pool(
            [job], ["cpu"], PoolOptions(tmp_path), Watcher(lambda job: held.enter_context(job.folder.owned())), never
        )
    assert (job.outcome, job.failures) == ("taken", [])
    assert not job.folder.status_file.exists()


def test_a_run_that_is_taken_over_is_no_failure_and_the_rest_is_done(tmp_path: Path) -> None:
    """By a process that no lock tells of: the worker meets its mark, and says nothing in the run's folder."""
    first, second = found = jobs(tmp_path, seeds=2)
    mark = first.folder.path / MARK

    def displace(job: Job) -> None:
        if job is second:
            kill(job)
        else:
            while not mark.exists():
                time.sleep(0.01)
            mark.write_text(f"0123456789abcdef another {os.getpid()}\n")

    watcher = Watcher(displace)
    assert run_pool(found, ["cpu"], PoolOptions(tmp_path), watcher, never)
    assert watcher.said == ["start 0 on cpu", "taken 0", "start 1 on cpu", "again 1", "start 1 on cpu", "failed 1"]
    assert (first.outcome, first.failures) == ("taken", [])
    assert not first.folder.status_file.exists()
    assert mark.read_text().startswith("0123456789abcdef")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("FOLDER: the message\nThe hint.\n", "the message"),
        ("Traceback (most recent call last):\n  File\n    x\nOSError: why\nleaked semaphores\n", "OSError: why"),
        ("Traceback (most recent call last):\n  a\nKeyError: 1\n\nThen:\n\n"
         "Traceback (most recent call last):\n  b\nOSError: 2\n", "OSError: 2"),
        ("Abort\nterminate called\n", "terminate called"),
    ],
)  # fmt: skip
def test_a_worker_that_recorded_nothing_is_given_by_its_message(tmp_path: Path, said: str, reason: str) -> None:
    (job,) = jobs(tmp_path)
    (job.folder.path / "worker.log").write_text("FOLDER: of before\n".replace("FOLDER", str(job.folder.path)))
    job.log_before = (job.folder.path / "worker.log").stat().st_size
    with (job.folder.path / "worker.log").open("a") as log:
        log.write(said.replace("FOLDER", str(job.folder.path)))
    assert _last_words(job) == reason


def test_two_bench_runs_at_once_share_the_work(tmp_path: Path) -> None:
    plan = make_plan(study(seeds=(0, 1)))
    options = PoolOptions(tmp_path)
    first = RunFolder(tmp_path / plan.study.name / plan.runs[0].folder)
    console = Console(file=io.StringIO())
    with first.owned():
        first.write_status(Status(state="running"))
        plan.runs[0].write(first.spec_file)
        outcomes = run_all(
            plan, plan.runs, runs_root=tmp_path, slots=["cpu"], options=options, console=console, stop=never
        )
    assert (outcomes.taken, outcomes.skipped, outcomes.done) == (1, 0, 0)
    assert [job.spec.training.seed for job in outcomes.jobs] == [1]  # its images are not prepared: it fails
    assert outcomes.failed == 1


def test_what_a_killed_worker_had_is_not_called_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 0.2)
    first, second = found = jobs(tmp_path, seeds=2)
    for job, command in (
        (first, "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"),
        (second, "print(1, flush=True); import time; time.sleep(60)"),
    ):
        job.process = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE)
        with job.process.stdout or io.BytesIO() as said:
            said.readline()
    pool._stop_all(found, PoolOptions(tmp_path))
    assert [job.outcome for job in found] == ["interrupted"] * 2
    assert (first.saved, second.saved) == (False, True)  # the second had not begun to listen, nor to train


def test_a_silent_worker_has_no_estimate(tmp_path: Path) -> None:
    first, second = found = jobs(tmp_path, seeds=2, seconds=[{"cpu": 100.0}] * 2)
    now = time.monotonic()
    pacer = Pacer(2)
    for job in found:
        job.process, job.device = subprocess.Popen([sys.executable, "-c", ""]), "cpu"
        job.process.wait()
        job.started = job.heard = now - 20
    assert pacer.see(found, now - 20) is None
    for seconds, steps in ((-10, 1), (0, 3)):
        for job in found:
            job.status = Status(
                state="running", phase="training", generator_steps=steps, steps_per_second=0.2, attempts=1
            )
            job.heard = now + seconds
        left = pacer.see(found, now + seconds)
    assert left is not None
    assert phase(first) == "training"
    first.heard = now - 3600
    assert pacer.see(found, now) is None
    assert phase(first) != "training"
    assert "1 h" in phase(first)
    first.status = Status(state="done", phase="evaluating", generator_steps=4)  # which says nothing while it measures
    assert pacer.see(found, now) is not None
    second.heard, second.status = now - 300, replace(second.status, steps_per_second=0.01)
    assert pacer.see(found, now) is not None  # its steps take that long


def test_a_worker_that_cannot_be_started_costs_only_its_run(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)
    (job.folder.path / "worker.log").mkdir()
    assert run_pool([job], ["cpu"], PoolOptions(tmp_path), Watcher(), never)
    assert "could not be started: Is a directory" in str(job.reason)
    assert len(job.folder.status().failures) == 2


def test_a_lost_device_costs_a_run_one_attempt(tmp_path: Path) -> None:
    """cuda:99 stands for a lost device; killing the other attempt is quicker than training."""
    (job,) = jobs(tmp_path)
    watcher = Watcher(lambda job: kill(job) if job.device == "cpu" else None)
    assert run_pool([job], ["cuda:99", "cpu"], PoolOptions(tmp_path), watcher, never)
    assert watcher.said == ["start 0 on cuda:99", "again 0", "start 0 on cpu", "failed 0"]
    failures = job.folder.status().failures
    assert [(failure.device, failure.kind) for failure in failures] == [("cuda:99", "device"), ("cpu", "memory")]
    assert str(job.reason).startswith("on cuda:99: ")
    assert re.search(r"; then on cpu: .*signal 9", str(job.reason))


MEASURED = {
    "data": {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 100},
    "evaluation": {"extractors": ("judge",), "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20},
}


def test_a_run_is_evaluated_while_the_next_trains_on_its_device(tmp_path: Path) -> None:
    """cpu:0 stands for an accelerator: both kinds of slots are its own, and what trains there is measured apart."""
    slots = ["cpu:0"]
    first, second = found = jobs(tmp_path, seeds=2, **MEASURED)
    prepare(first.spec.training.data, tmp_path, workers=1)
    watcher = Watcher()

    def at_work(job: Job) -> bool:
        return job.process is not None and job.process.poll() is None

    def both_are_at_work() -> bool:
        return first.stage == "evaluate" and at_work(first) and at_work(second)

    assert not run_pool(found, slots, PoolOptions(tmp_path), watcher, both_are_at_work, slots)
    assert watcher.said == ["start 0 on cpu:0", "start 1 on cpu:0", "evaluate 0 on cpu:0", "stopping 2"]
    assert (first.outcome, second.outcome, second.stage) == ("interrupted", "interrupted", "train")
    assert not at_work(first)
    assert not at_work(second)
    assert first.folder.status().state == "done"
    assert missing_evaluations(first.folder.path, first.spec.evaluation)

    def kill_the_first_evaluation(job: Job) -> None:
        if job.stage == "evaluate" and job.spec.training.seed == 0 and not job.failures:
            kill(job)

    first, second = found = jobs(tmp_path, seeds=2, **MEASURED)
    watcher = Watcher(kill_the_first_evaluation)
    assert run_pool(found, slots, PoolOptions(tmp_path), watcher, never, slots)
    assert watcher.said[:4] == ["start 1 on cpu:0", "evaluate 0 on cpu:0", "again 0", "evaluate 0 on cpu:0"]
    assert sorted(watcher.said[4:]) == ["done 0", "done 1", "evaluate 1 on cpu:0"], [job.failures for job in found]
    assert second.started < first.finished
    for job in found:
        status = job.folder.status()
        assert (status.state, status.reason) == ("done", None)
        assert not missing_evaluations(job.folder.path, job.spec.evaluation)
    status = first.folder.status()
    assert (status.attempts, [failure.kind for failure in status.failures]) == (1, ["memory"])  # trained once


def test_a_run_whose_evaluation_fails_stays_trained(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)  # 40 training images are too few to be measured with
    prepare(job.spec.training.data, tmp_path, workers=1)
    watcher = Watcher()
    assert run_pool([job], ["cpu:0"], PoolOptions(tmp_path), watcher, never, ["cpu:0"])
    assert watcher.said == ["start 0 on cpu:0", "evaluate 0 on cpu:0", "failed 0"]
    status = job.folder.status()
    assert (status.state, [failure.kind for failure in status.failures]) == ("done", ["input"])
    assert "metrics need at least 50" in str(job.reason)


def test_accelerators_alone_have_evaluation_slots_as_many_as_cores_and_memory_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "available_memory_bytes", lambda: 10**12)
    monkeypatch.setattr(devices, "cores", lambda: 8)
    assert evaluation_slots(["cpu"] * 8, 1) == []
    assert evaluation_slots(["cuda:0", "cuda:1"] * 2, 1) == ["cuda:0", "cuda:1"] * 2
    assert evaluation_slots(["cuda:0", "cuda:1"] * 3, 1) == ["cuda:0", "cuda:1"]  # six cores serve the trainings
    assert evaluation_slots(["cuda:0"] * 3, 4) == ["cuda:0"]
    assert evaluation_slots(["cuda:0,cuda:1", "cuda:2,cuda:3"], 1) == ["cuda:0", "cuda:2"]
    assert evaluation_slots(["cuda:0", "cpu", "cpu"], 1) == ["cuda:0"]
    monkeypatch.setattr(devices, "available_memory_bytes", lambda: 6 * devices.WORKER_BYTES)
    assert evaluation_slots(["cuda:0"] * 4, 1) == ["cuda:0"] * 2


def troubled(trouble: str, file: Path, calls: Path) -> None:
    """Write an objective that does `trouble` from its eighth step on, which follows those of the run's fingerprint.

    `first` is true in the first process.
    """
    code = f"""
def _trouble() -> None:
    import os, signal, torch
    from pathlib import Path
    with Path({str(calls)!r}).open("a") as log:
        log.write(f"{{os.getpid()}}\\n")
    lines = Path({str(calls)!r}).read_text().split()
    first = len(set(lines)) == 1
    if len(lines) >= {ITERATIONS + 8}:
        {trouble}


class LeastSquares("""
    text = LSGAN.replace("class LeastSquares(", code.lstrip())
    text = text.replace('return {"fake": 0.5', '_trouble()\n        return {"fake": 0.5')
    file.write_text(text, encoding="utf-8")


def test_a_user_meets_killed_and_hungry_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    write_tiny_study(tmp_path, training={"snapshots": 1, "log_every": 2}, evaluation={"generators": ["raw"]})
    troubled("first and os.kill(os.getpid(), signal.SIGKILL)", Path("killed.py"), tmp_path / "killed-calls")
    troubled('raise torch.OutOfMemoryError("CUDA out of memory.")', Path("hungry.py"), tmp_path / "hungry-calls")
    before = signal.getsignal(signal.SIGTERM)
    words = ["run", "./killed.py", "./hungry.py", "--per-device", "2", "--checkpoint-seconds", "0", "--steps", "12"]
    code = type_bench(on_cpu(words))
    signal.signal(signal.SIGTERM, before)
    printed = capsys.readouterr()
    output = printed.out + printed.err
    assert code == 1, output
    assert "1 done, 1 failed" in output
    again = re.findall(r"^again +(\S+)", output, re.MULTILINE)
    assert sorted(again) == ["hungry-controlled/seed-0", "killed-controlled/seed-0"]
    assert re.search(r"^device +cpu takes 1 at a time", output, re.MULTILINE)
    reason = "2 times on cpu: out of memory (OutOfMemoryError: CUDA out of memory.)"
    assert f"\nfailed   hungry-controlled/seed-0: {reason}" in output
    assert "fewer runs at a time (--per-device 1)" in output
    again = "bench run --devices cpu --per-device 2 --checkpoint-seconds 0.0 ./killed.py ./hungry.py --study tiny"
    assert f"To try again: {again}" in output

    folder = RunFolder(next((tmp_path / "runs" / "tiny" / "killed-controlled").glob("seed-*")))
    status = folder.status()
    assert (status.state, status.attempts, status.reason) == ("done", 2, None)
    assert [(failure.kind, failure.device) for failure in status.failures] == [("memory", "cpu")]
    assert [line["generator_steps"] for line in read_jsonl(folder.log_file)] == [2, 4, 6, 8, 10, 12]
    # The fingerprint, seven whole steps and the one in which it was killed; then the twelve, less those seven.
    assert len((tmp_path / "killed-calls").read_text().split()) == ITERATIONS + 8 + (12 - 7)
    hungry = RunFolder(next((tmp_path / "runs" / "tiny" / "hungry-controlled").glob("seed-*"))).status()
    assert (hungry.state, hungry.reason, len(hungry.failures)) == ("failed", reason, 2)


@pytest.mark.parametrize("terminal", [True, False])
def test_displays_show_attempts_and_what_becomes_of_devices(tmp_path: Path, terminal: bool) -> None:
    (job,) = jobs(tmp_path)
    job.device, job.reason = "cuda:1", "out of [memory]"
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    with make_display(console, 1, Pacer(1), Following("fd_judge", "raw")) as display:
        display.will_retry(job)
        display.notice("cuda:1 is taken out")
        failed(job, "cuda:1", "device")
        job.device = "cuda:0"
        display.started(job)
        display.tick([job])
        job.stage = "evaluate"
        display.started(job)
    assert phase(job) == "evaluating"
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "out of [memory]" in said
    assert "cuda:1 is taken out" in said
    assert place(job) == "cuda:0, attempt 2"
    assert terminal or "start    row-controlled/seed-0 on cuda:0, attempt 2" in said
    assert terminal or "evaluate row-controlled/seed-0 on cuda:0, attempt 2" in said


def failed(job: Job, device: str, kind: FailureKind) -> Failure:
    job.failures.append(Failure(device, kind, "why"))
    return job.failures[-1]


def test_a_device_where_runs_only_fail_is_taken_out(tmp_path: Path) -> None:
    a, b, c, d = jobs(tmp_path, seeds=4)
    placement = Placement([a, b, c, d], ["cuda:0", "cuda:1"])

    def start(job: Job, device: str) -> None:
        assert placement.next() == (job, device)
        job.device = device

    start(a, "cuda:0")
    start(b, "cuda:1")
    assert placement.next() is None
    assert placement.ended(a, failed(a, "cuda:0", "device")) == []
    placement.again(a)
    start(c, "cuda:0")  # a waits for another device, though it stands first
    (said,) = placement.ended(c, failed(c, "cuda:0", "process"))
    assert said.startswith("cuda:0 is taken out: 2 runs")
    placement.again(c)
    assert placement.next() is None
    assert placement.ended(b, None) == []
    start(c, "cuda:1")
    assert placement.ended(c, None) == []
    start(a, "cuda:1")


def test_the_last_device_is_never_taken_out_and_a_good_run_clears_it(tmp_path: Path) -> None:
    found = jobs(tmp_path, seeds=4)
    placement = Placement(found, ["cpu"])
    for job in found:
        assert placement.next() == (job, "cpu")
        job.device = "cpu"
        assert placement.ended(job, failed(job, "cpu", "device")) == []

    placement = Placement(found, ["cpu:0", "cpu:1"])
    for job, failure in zip(
        found, (Failure("cpu:0", "device", ""), None, Failure("cpu:0", "device", "")), strict=False
    ):
        job.device = "cpu:0"
        assert placement.ended(job, failure) == []  # not two in a row
    found[3].device = "cpu:0"
    assert placement.ended(found[3], Failure("cpu:0", "code", "")) == []  # the run's own fault


def test_a_shared_device_without_memory_takes_fewer_runs(tmp_path: Path) -> None:
    a, b, c = jobs(tmp_path, seeds=3)
    placement = Placement([a, b, c], ["cuda:0", "cuda:0"])
    for job in (a, b):
        assert placement.next() == (job, "cuda:0")
        job.device = "cuda:0"
    assert "takes 1 at a time" in placement.ended(a, failed(a, "cuda:0", "memory"))[0]
    placement.again(a)
    assert placement.next() is None  # b is still there
    assert placement.ended(b, None) == []
    assert placement.next() == (c, "cuda:0")
    assert placement.next() is None


def test_a_lone_device_gets_its_failed_run_back_and_the_cpu_beside_it_only_a_lost_one(tmp_path: Path) -> None:
    cases: tuple[tuple[int, FailureKind, str], ...] = (
        (2, "memory", "cuda:0"),
        (1, "memory", "cpu"),
        (1, "device", "cpu"),
    )
    for takes, kind, expected in cases:
        (job,) = jobs(tmp_path, seconds=[{"cuda": 10.0, "cpu": 1000.0}])
        placement = Placement([job], ["cuda:0"] * takes + ["cpu"])
        assert placement.next() == (job, "cuda:0")
        job.device = "cuda:0"
        placement.ended(job, failed(job, "cuda:0", kind))
        placement.again(job)
        assert placement.next() == (job, expected)


def test_the_cpu_beside_a_gpu_never_makes_the_others_wait(tmp_path: Path) -> None:
    long, middle, short = jobs(
        tmp_path, seeds=3, seconds=[{"cuda": cuda, "cpu": 10 * cuda} for cuda in (90.0, 40.0, 10.0)]
    )
    placement = Placement([long, middle, short], ["cuda:0", "cpu"])
    assert placement.next() == (long, "cuda:0")
    assert placement.next() is None  # 100 s on the CPU; the GPU has both others done in 50
    placement = Placement([long, middle, short], ["cpu", "cuda:0"])
    assert placement.next() == (short, "cpu")
    assert placement.next() == (long, "cuda:0")


def test_the_longest_runs_start_first_where_several_go_at_a_time(tmp_path: Path) -> None:
    entries = tuple(
        {"objective": name, "label": label} for name, label in (("vae", "row"), ("nsgan", "b"), ("wgan-gp", "c"))
    )
    runs = make_plan(study(objectives=entries, seeds=(0, 1))).runs

    def order(slots: list[str]) -> list[str]:
        return [job.spec.label for job in jobs_for(runs, tmp_path, slots)]

    assert order(["cpu"]) == ["row", "b", "c"] * 2
    assert order(["cpu", "cpu"]) == ["c"] * 2 + ["b"] * 2 + ["row"] * 2
    assert order(["cpu,cpu", "cpu,cpu"]) == order(["cpu", "cpu"])  # runs over two ranks each


def test_runs_share_a_device_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [devices.Device(name, "") for name in ("cuda:0", "cuda:1", "cpu")]
    monkeypatch.setattr(devices, "available_devices", lambda: there)
    monkeypatch.setattr(devices, "available_memory_bytes", lambda: 10**12)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    assert choose_slots("auto", None, 1) == ["cuda:0", "cuda:1"]
    assert choose_slots("auto", 2, 1) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert choose_slots("all", None, 1) == ["cuda:0", "cuda:1", "cpu", "cpu", "cpu"]
    assert choose_slots("all", 1, 1) == ["cuda:0", "cuda:1", "cpu"]
    assert choose_slots("cuda", 2, 1, ranks=2) == ["cuda:0,cuda:1"] * 2
    assert choose_slots("all", None, 1, ranks=2) == ["cuda:0,cuda:1", "cpu,cpu"]
    monkeypatch.setattr(devices, "available_memory_bytes", lambda: 5 * devices.WORKER_BYTES)
    assert choose_slots("cpu", 4, 1, ranks=2) == ["cpu,cpu"] * 2
    monkeypatch.setattr(devices, "available_memory_bytes", lambda: devices.WORKER_BYTES)
    with pytest.raises(BenchError, match=r"needs about 2\.4 GB"):
        choose_slots("cpu", 1, 1, ranks=2)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), "device"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "device"),
        (RuntimeError("No CUDA GPUs are available"), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu!"), "other"),
        (OSError("Stale file handle"), "other"),
        (TypeError("unsupported operand"), "code"),
        (KeyError("x"), "code"),
        (BenchError("The images ran out of memory"), "input"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind
    assert may_end_better(Failure("cpu", kind_of(error), "")) == (kind not in ("code", "input"))


def test_a_worker_that_was_told_to_stop_by_others_is_a_failure() -> None:
    failure = failure_of_process(130, "cpu", 7, "")
    assert failure.kind == "process"
    assert "another program" in failure.reason
    assert failure_of_process(-signal.SIGSEGV, "cpu", 0, "").kind == "process"
    assert failure_of_process(3, "cpu", 0, "the last line").reason == "the last line"


def test_advice_names_the_device_and_fewer_runs_only_where_there_were_several() -> None:
    failure = Failure("cuda:3", "memory", "")
    assert "cuda:3" in str(advice(failure, 4))
    assert "--per-device 2" in str(advice(failure, 4))
    assert "--per-device" not in str(advice(failure, 1))
    assert advice(Failure("cpu", "code", ""), 2) is None


def test_what_another_process_has_done_since_is_not_begun(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path)
    job.before = Status()
    job.folder.write_status(Status(state="done"))
    assert job.taken_by_another() is None  # it is not measured yet
    job.folder.write_status(Status(state="done", reason="a metric failed", metric_lines=0))
    assert job.taken_by_another() is None
    job.folder.write_status(Status(state="done", metric_lines=0))
    watcher = Watcher()
    assert run_pool([job], ["cpu"], PoolOptions(tmp_path), watcher, never)
    assert (job.outcome, job.reason, job.process) == ("taken", "another process has done it", None)
    assert watcher.said == ["taken 0"]


def test_what_another_command_has_set_aside_and_begun_again_is_left_alone(tmp_path: Path) -> None:
    plan = make_plan(study())
    (run,) = plan.runs
    folder = RunFolder(tmp_path / plan.study.name / run.folder)
    run.write(folder.spec_file)
    folder.write_status(Status(state="running"))
    outcomes = run_all(
        plan,
        plan.runs,
        runs_root=tmp_path,
        slots=["cpu"],
        options=PoolOptions(tmp_path),
        console=Console(file=io.StringIO()),
        stop=lambda: True,
        states={run.folder: "stale"},
    )
    assert [path.name for path in folder.path.parent.iterdir()] == [folder.path.name]
    assert not outcomes.complete
