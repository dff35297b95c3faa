"""One piece of an order: `python -m bench.execution.piece ORDER.json N`, on a cluster's node. No torch.

The local pool over the piece's runs, with the slots that the order says, so that retries, packing and stopping are
those of this machine. SIGTERM (a preemption, or `bench stop`) and the end of the process above it: save and end.
SIGUSR1 (the time limit is near): the same, and queue again, as long as turns bring something.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.clusters.orders import Ended, Order, Turn
from bench.clusters.slurm import requeue
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED, EXIT_WRONG_USAGE, BenchError
from bench.evaluation.units import missing_evaluations
from bench.execution.jobs import Job
from bench.execution.pace import place
from bench.execution.pool import PoolOptions, run_pool
from bench.formatting import plural
from bench.runs.folder import Failure, RunFolder
from bench.runs.identity import code_hash
from bench.runs.spec import RunSpec

IDLE_TURNS = 3  # in a row, after which more of them are in vain
PATIENCE_SECONDS = 300.0  # with a run's former process, which may still go on a node that was given up
_ASK_AGAIN_SECONDS = 10.0


@dataclass
class Signals:
    """What asks the piece to end. `time_up`: only this turn, since its time is."""

    time_up: bool = False
    _stop: bool = False
    _parent: int = field(default_factory=os.getppid)

    def __post_init__(self) -> None:
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGUSR1, self._note)

    def __call__(self) -> bool:
        return self.time_up or self._stop or os.getppid() != self._parent

    def _note(self, number: int, _: object) -> None:
        if number == signal.SIGUSR1:
            self.time_up = True
        else:
            self._stop = True


class _Lines:
    """What the pool tells, as lines of the piece's log."""

    def started(self, job: Job) -> None:
        _say(f"{job.stage:9} {job.spec.name} on {place(job)}")

    def finished(self, job: Job) -> None:
        _say(f"{job.outcome:9} {job.spec.name}" + (f": {job.reason}" if job.reason else ""))

    def will_retry(self, job: Job) -> None:
        _say(f"again     {job.spec.name}, which failed on {job.device}: {job.reason}")

    def notice(self, text: str) -> None:
        _say(f"device    {text}")

    def stopping(self, running: int) -> None:
        _say(f"stopping  {plural(running, 'run')}, where each is saved")

    def tick(self, jobs: Sequence[Job]) -> None:
        return None


def main(arguments: list[str] | None = None) -> int:
    """Run the piece; see the module's text."""
    signals = Signals()
    parser = argparse.ArgumentParser(prog="bench.execution.piece")
    parser.add_argument("order", type=Path)
    parser.add_argument("piece", type=int)
    options = parser.parse_args(arguments)
    try:
        order = Order.read(options.order)
    except BenchError as error:
        print(f"{error.message} (does this node see that folder?)", file=sys.stderr)
        return EXIT_WRONG_USAGE
    if not order.pieces[options.piece]:
        from bench.execution.probing import answer

        return answer(order, signals)
    try:
        return work(order, options.piece, signals)
    except BenchError as error:  # a run's folder that was removed, a full disk
        turn = order.began(options.piece)
        order.note_ended(options.piece, Ended(turn.turn if turn else 0, through=True, refused=error.message))
        _say(f"refused   {error.message}")
        return EXIT_WRONG_USAGE


def work(order: Order, piece: int, signals: Signals) -> int:
    """Do what a piece's runs lack, note how the turn ended, and return the exit code."""
    if order.is_stopped(piece):  # it was ended while it was on its way here
        return EXIT_INTERRUPTED
    before, ended = order.began(piece), order.ended(piece)
    turn = Turn(before.turn + 1 if before else 1, platform.node(), _now())
    order.note_began(piece, turn)
    _say(f"turn {turn.turn} of piece {piece}, {plural(len(order.pieces[piece]), 'run')}")
    here = code_hash("training")
    if here != order.code:
        why = "another version of bench is installed on the node than where this was submitted"
        order.note_ended(piece, Ended(turn.turn, through=True, refused=why))
        _say(f"refused   {why} ({here}, {order.code})")
        return EXIT_WRONG_USAGE
    folders = [RunFolder(Path(order.runs) / order.study / name) for name in order.pieces[piece]]
    brought = _brought(folders)
    jobs = [Job(RunSpec.read(folder.spec_file), folder, before=folder.status()) for folder in folders]
    left = [job for job in jobs if before is None or not is_through(job)]
    through = _run(order, left, signals)
    idle = 0 if _brought(folders) > brought else (ended.idle if ended else 0) + signals.time_up
    if signals.time_up and not through and idle >= IDLE_TURNS:
        through = True
        for job in left:
            _give_up(job, f"{IDLE_TURNS} turns brought no step: give it longer (`minutes` in [cluster.{order.on}])")
    again = signals.time_up and not through and not order.is_stopped(piece)
    runs: dict[str, tuple[str | None, str | None]] = {
        job.spec.folder.as_posix(): (job.outcome, job.reason) for job in left
    }
    order.note_ended(piece, Ended(turn.turn, through, idle=idle, runs=runs))
    if again:
        _say("the time is up: queued again")
        requeue()
    failed = any(job.outcome == "failed" for job in left)
    return EXIT_RUNS_FAILED if failed else EXIT_DONE if through or again else EXIT_INTERRUPTED


def is_through(job: Job) -> bool:
    """Tell whether an earlier turn has trained and measured the run."""
    folder, status = job.folder, job.folder.status()
    if status.state not in ("done", "diverged") or status.phase is not None or folder.again_file.exists():
        return False
    whole = status.metric_lines is not None and (status.state == "diverged" or status.reason is None)
    return whole and not missing_evaluations(folder.path, job.spec.evaluation)


def _run(order: Order, jobs: Sequence[Job], signals: Signals) -> bool:
    """Give the runs to the pool; returns False when it was stopped.

    A run's former process may still be at it, on a node that the cluster has given up. It is waited for; where no lock
    tells of it, it is displaced in the end.
    """
    cluster = order.cluster
    options = PoolOptions(
        Path(order.data), order.threads, cluster.checkpoint_seconds, order.ranks, cluster.status_seconds
    )
    began = time.monotonic()
    todo = list(jobs)
    while todo:
        if not run_pool(todo, order.slots(), options, _Lines(), signals):
            return False
        todo = [job for job in todo if job.outcome == "taken" and job.folder.is_locked() and not job.insist]
        asked = time.monotonic()
        while todo and time.monotonic() - asked < _ASK_AGAIN_SECONDS:
            if signals():
                return False
            time.sleep(0.5)
        for job in todo:
            job.process = job.outcome = job.reason = None
            job.insist = time.monotonic() - began > PATIENCE_SECONDS
    return True


def _brought(folders: Sequence[RunFolder]) -> int:
    """Return a number that grows with every step that is kept and every metric."""
    files = [folder.measuring_file for folder in folders]
    steps = sum(folder.status().generator_steps for folder in folders)
    return steps + sum(file.stat().st_size for file in files if file.exists())


def _give_up(job: Job, why: str) -> None:
    """Have a run count as failed."""
    status = job.folder.status()
    if status.state in ("done", "diverged"):
        return
    job.outcome, job.reason = "failed", why
    failure = Failure(str(job.device), "other", why, status.generator_steps)
    with job.folder.owned():
        failed = replace(status, state="failed", phase=None, reason=why, failures=[*status.failures, failure])
        job.folder.write_status(failed)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _say(text: str) -> None:
    print(f"{_now()} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
