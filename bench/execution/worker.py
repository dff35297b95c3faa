"""One run in a process of its own: `python -m bench.execution.worker --folder FOLDER --data FOLDER --device cpu`.

Under torchrun one run has several processes, its ranks: `--device` then names one device for each, or "cpu" for all.
The first rank owns the run's folder, writes and evaluates.

It trains what is missing, evaluates what is missing, and says what became of it in status.json. Exit codes: 0 the run
is done or diverged (both are results), 1 it failed, 2 it cannot be worked on, 75 another process is at it, 130 it was
asked to stop and can be taken up again.

With `--supervised`, standard input is a pipe whose end says that whoever started this is gone: the run is saved, and a
process that does not get so far is killed. The signal that Linux sends when a parent dies would not do, since ranks
have torchrun for a parent, which goes on when its own is killed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_RUNS_FAILED,
    EXIT_TAKEN,
    EXIT_WRONG_USAGE,
    BenchError,
)
from bench.execution.failures import kind_of
from bench.files import write_atomic, write_record
from bench.owning import TakenError, join_owner
from bench.runs.folder import Failure, RunFolder, Status

if TYPE_CHECKING:
    import torch

    from bench.runs.plan import RunSpec

ORPHAN_SECONDS = 20.0  # what a worker has to save in once its supervisor is gone
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Work:
    """What to do with a run's folder, and where.

    `device` names one device, or one for each rank with commas between them; `train_only` leaves out the evaluation;
    `status_seconds` are the least between two words on how far the training is.
    """

    data_root: Path
    device: str
    checkpoint_seconds: float = 60.0
    train_only: bool = False
    status_seconds: float = 0.0


@dataclass(frozen=True)
class SparingFolder(RunFolder):
    """A run's folder that passes on one word of a training in `seconds` at most: a shared disk serves many.

    `flush` passes on the newest.
    """

    seconds: float = 0.0
    _held: list[Status] = field(default_factory=list)
    _written: list[float] = field(default_factory=list)

    def write_status(self, status: Status) -> None:
        now = time.monotonic()
        if status.state == "running" and self._written and now - self._written[-1] < self.seconds:
            self._held[:] = [status]
            return
        super().write_status(status)
        self._held[:], self._written[:] = [], [now]

    def flush(self) -> None:
        for status in self._held:
            super().write_status(status)
        self._held[:] = []


def main(arguments: list[str] | None = None) -> int:
    """Run the worker; see the module's text."""
    parser = argparse.ArgumentParser(prog="bench.execution.worker")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    parser.add_argument("--status-seconds", type=float, default=0.0)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--supervised", action="store_true")
    options = parser.parse_args(arguments)
    stop = _StopRequest()
    if "RANK" in os.environ:
        _end_with_parent()
    if options.supervised:
        if sys.platform != "win32" and select.select([0], [], [], 0)[0]:
            return EXIT_INTERRUPTED  # left alone before it began: the run is for another attempt
        threading.Thread(target=stop.when_left_alone, daemon=True).start()
    folder = RunFolder(options.folder)
    work = Work(options.data, options.device, options.checkpoint_seconds, options.train_only, options.status_seconds)
    try:
        if _rank() > 0:
            return work_on(folder, work, stop)
        with folder.owned(take_over=True):
            folder.sweep()
            if damaged := folder.damaged_snapshots():
                folder.begin_again(f"snapshots/{damaged[0].name} was cut off")
            return work_on(folder, work, stop)
    except TakenError as error:
        _tell(options.folder, error)
        return EXIT_TAKEN
    except BenchError as error:
        _tell(options.folder, error)
        return EXIT_WRONG_USAGE


def _tell(folder: Path, error: BenchError) -> None:
    """Say what is wrong: the line that begins with the folder is what the pool gives as the reason."""
    print(f"{folder}: {error}", file=sys.stderr)


def _rank() -> int:
    """Return which rank of its run this process is; torchrun sets RANK."""
    return int(os.environ.get("RANK", "0"))


def _end_with_parent() -> None:
    """Have Linux kill this rank when torchrun is killed: waiting for the other ranks, it may be deaf to all else."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _device(names: str) -> str:
    """Return this rank's device out of the names of all ranks' devices."""
    devices = names.split(",")
    return devices[int(os.environ.get("LOCAL_RANK", "0")) % len(devices)]


class _StopRequest:
    """True once a signal asked to stop, or the process that started this one is gone."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked or os.getppid() != self._parent

    def when_left_alone(self) -> None:
        """Ask to stop when standard input ends, and see that it is done."""
        while os.read(0, 1):
            continue
        self._asked = True
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def work_on(folder: RunFolder, work: Work, stop: Callable[[], bool]) -> int:
    """Do what a run lacks, say what became of it in its status, and return the exit code; see the module's text.

    Call it with the run owned; raises TakenError when another process takes it over. It sets torch's threads and
    determinism for the whole process.
    """
    # torch takes seconds to import: only once it is certain that there is work.
    import torch

    from bench.gpus import entered
    from bench.runs.plan import RunSpec
    from bench.training.environment import prepare_process, refuse_unusual_workspace
    from bench.training.loop import Interrupted

    try:
        spec = RunSpec.read(folder.spec_file)
        device = torch.device(_device(work.device))
        if device.type == "cuda":
            refuse_unusual_workspace()
        prepare_process(spec.training.training.threads)
        with entered(device):
            _train_and_evaluate(folder, spec, work, device, stop)
    except Interrupted:
        return EXIT_INTERRUPTED
    except TakenError:  # no failure of the run, and not this process's to write down
        raise
    except (Exception, SystemExit) as error:  # an objective's file may call sys.exit()
        _record_failure(folder, work.device, error)
        return EXIT_RUNS_FAILED
    return EXIT_DONE


def _train_and_evaluate(
    folder: RunFolder, spec: RunSpec, work: Work, device: torch.device, stop: Callable[[], bool]
) -> None:
    from bench.data import is_prepared
    from bench.execution.evaluating import evaluate_folder
    from bench.training.fingerprint import fingerprint
    from bench.training.loop import Pace, train
    from bench.training.ranks import Ranks

    ranks = Ranks.of_environment(device)
    if not ranks.is_main:
        join_owner(folder.path)  # the first rank put its mark there before it came here
    trained = folder.status().state in ("done", "diverged")
    if ranks.is_main and not trained:
        _refuse_other_code(folder, spec)
    data = is_prepared(spec.training.data, work.data_root)
    if data is None:
        raise BenchError(
            f"The images of {spec.name} are not prepared in {work.data_root}", hint="Type `bench data prepare`."
        )
    if not trained:
        if not folder.fingerprint_file.exists() and folder.status().generator_steps == 0 and not ranks.grouped:
            write_record(folder.fingerprint_file, fingerprint(spec, data, device))
        pace = Pace(checkpoint_seconds=work.checkpoint_seconds, stop=stop)
        sparing = SparingFolder(folder.path, work.status_seconds)
        try:
            train(sparing, spec, data, device, pace, ranks)
        finally:
            sparing.flush()
    ranks.close()
    if ranks.is_main and not work.train_only:
        evaluate_folder(folder, spec, data, work.data_root, device, stop)
        _forget_reason(folder)


def _refuse_other_code(folder: RunFolder, spec: RunSpec) -> None:
    """Raise BenchError where the code here is not what the run was planned with: on another machine, or since then."""
    from bench.runs.plan import code_of

    present = code_of(spec.training.objective)
    if spec.code != present and not folder.accepted_code(present):
        other = ", ".join(sorted(name for name in present if present[name] != spec.code.get(name)))
        raise BenchError(
            f"{spec.name} was planned with other code than is here ({other})",
            hint="Bring the same version of bench and of the objective's file to both, then type `bench run` again.",
        )


def _forget_reason(folder: RunFolder) -> None:
    """Drop the reason of a done run, which was that an earlier evaluation of it failed."""
    status = folder.status()
    if status.state == "done" and status.reason is not None:
        folder.write_status(replace(status, reason=None))


def _record_failure(folder: RunFolder, device: str, error: Exception | SystemExit) -> None:
    """Write why the run failed into its status, and the traceback into failure.txt beside it."""
    reason = error.message if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
    kind = kind_of(error)
    if kind == "memory":
        reason = f"out of memory ({reason.splitlines()[0]})"
    if _rank() > 0:
        reason = f"rank {_rank()}: {reason}"
    write_atomic(folder.path / "failure.txt", "".join(traceback.format_exception(error)))
    status = folder.status()
    # A trained run whose evaluation failed stays trained: `bench run` evaluates it again.
    trained = status.state in ("done", "diverged")
    failure = Failure(device, kind, reason, status.generator_steps)
    folder.write_status(
        replace(
            status,
            state=status.state if trained else "failed",
            phase=None,
            reason=status.reason if status.state == "diverged" else reason,
            failures=[*status.failures, failure],
        )
    )
    print(f"{folder.path}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
