"""Slurm, by `sbatch` arrays and `squeue` alone: no accounting, no package.

The traps that this file walks around are told where it does; docs/clusters.md has what was tried.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bench.clusters.cluster import ClusterAwayError, Finding, Piece, Standing
from bench.clusters.orders import Order
from bench.config.clusters import ClusterSettings
from bench.errors import BenchError
from bench.files import write_atomic

MOST_PIECES = 1000  # of an array, by Slurm's default MaxArraySize
WARNING_SECONDS = 120  # before the time limit
_ASK_SECONDS = 60
_AWAY = ("unable to contact slurm controller", "socket timed out", "connection refused", "zero bytes were transmitted")
_QUEUED = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_RUNNING = ("CONFIGURING", "RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED", "RESIZING")


class Slurm:
    """The cluster whose commands are on this machine's PATH."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings

    def submit(self, order: Order) -> None:
        file = order.folder / "submit.sh"
        write_atomic(file, script(order))
        _ask("sbatch", str(file))

    def standings(self, orders: Sequence[Order]) -> dict[Piece, Standing]:
        if not orders:
            return {}
        found = {}
        # By name: of a job number that has gone squeue says "Invalid job id", and answers nothing of the others.
        for name, piece, _, state, why, node in _queue([order.id for order in orders]):
            if state in _QUEUED:
                found[name, piece] = Standing("queued", why)
            elif state in _RUNNING:
                found[name, piece] = Standing("running", where=node)
        return found

    def cancel(self, order: Order, pieces: Collection[int]) -> None:
        queue = [(f"{array}_{piece}", state) for _, piece, array, state, *_ in _queue([order.id]) if piece in pieces]
        waiting = [job for job, state in queue if state in _QUEUED]
        running = [job for job, state in queue if state not in _QUEUED]
        _each(waiting, "scancel", "--state=PENDING")
        # A whole `scancel` would kill after KillWait, 30 s by default; the piece ends by itself when it has saved.
        _each(running, "scancel", "--batch", "--signal=TERM")

    def check(self) -> list[Finding]:
        missing = [name for name in ("sbatch", "squeue", "scancel", "scontrol") if shutil.which(name) is None]
        if missing:
            return [Finding("missing", f"Slurm's {', '.join(missing)}", "log in to a machine that submits jobs")]
        findings = [Finding("ok", _ask("sbatch", "--version").strip())]
        try:
            there = {line.rstrip("*") for line in _ask("sinfo", "--noheader", "--format=%P").split()}
        except ClusterAwayError as error:
            return [*findings, Finding("missing", error.message)]
        for option in self._settings.options:
            named = re.fullmatch(r"(?:--partition[= ]|-p ?)(.+)", option)
            for name in named[1].split(",") if named else ():
                known = name in there
                advice = "" if known else f"there are: {', '.join(sorted(there))}"
                findings.append(Finding("ok" if known else "missing", f"partition {name}", advice))
        return findings


def script(order: Order) -> str:
    """Return what sbatch is given for an order."""
    settings = order.cluster
    limit = f"%{settings.at_a_time}" if settings.at_a_time else ""
    warning = min(WARNING_SECONDS, settings.minutes * 60 // 4) if settings.minutes else WARNING_SECONDS
    own_gpus = any(re.match(r"--gres|--gpus|-G", option) for option in settings.options)
    options = [
        f"--job-name={order.id}",
        f"--array=0-{len(order.pieces) - 1}{limit}",
        "--nodes=1",
        "--ntasks=1",
        "--requeue",
        "--open-mode=append",
        f"--output={order.folder}/piece-%a.log",
        f"--signal=B:USR1@{warning}",  # B: else steps alone are told, and there is none
        f"--cpus-per-task={order.cpus()}",
        *([f"--gres=gpu:{order.gpus()}"] if order.gpus() and not own_gpus else []),
        *([f"--mem={round(settings.memory_gb * 1024)}M"] if settings.memory_gb else []),
        *([f"--time={settings.minutes}"] if settings.minutes else []),
        *settings.options,
    ]
    # `exec`: a shell between Slurm and Python would be told of the time limit in its place.
    start = f"exec {shlex.join(order.command('PIECE'))}".removesuffix("PIECE") + '"$SLURM_ARRAY_TASK_ID"'
    lines = ["#!/bin/bash", *(f"#SBATCH {_quoted(option)}" for option in options), *settings.setup, start]
    return "\n".join(lines) + "\n"


def requeue() -> None:
    """Queue the piece that this process is again.

    By array and index: for one task of each array $SLURM_JOB_ID is the array's own number, and all would be requeued.
    """
    _ask("scontrol", "requeue", f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}")


def _queue(names: Sequence[str]) -> Iterator[tuple[str, int, str, str, str, str]]:
    """Yield what squeue says of jobs of these names: name, index, the array's number, state, reason, node."""
    form = "--format=%j|%K|%F|%T|%r|%N"
    for line in _ask("squeue", "--me", "--noheader", "--array", f"--name={','.join(names)}", form).splitlines():
        name, index, array, state, why, node = line.strip().split("|")
        if index.isdigit():
            yield name, int(index), array, state, why, node


def _each(jobs: Sequence[str], *command: str) -> None:
    """Do something to jobs, of which some may have gone meanwhile."""
    for first in range(0, len(jobs), 100):
        try:
            _ask(*command, *jobs[first : first + 100])
        except BenchError as error:
            if "invalid job id" not in error.message.lower() and "already" not in error.message.lower():
                raise


def _quoted(option: str) -> str:
    return option if re.fullmatch(r"[\w@%+=:,./-]+", option) else shlex.quote(option)


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    except FileNotFoundError as error:
        raise BenchError(
            f"There is no {command[0]} here", hint="Type this where Slurm's commands are: on a login node."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterAwayError(f"{command[0]} has not answered for {_ASK_SECONDS} s") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    if any(words in said.lower() for words in _AWAY):
        raise ClusterAwayError(f"Slurm does not answer: {said.splitlines()[-1]}")
    raise BenchError(f"{Path(command[0]).name} refused: {said}", exit_code=2)
