"""A team of worker processes on this machine: a function's calls spread over them, each answered or accounted for.

Every worker has a pipe of its own. `concurrent.futures.ProcessPoolExecutor` shares one queue among them, and a worker
that is killed while it sends a large result (a block of images) leaves that queue waiting for the rest for good.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Generic, TypeVar, cast

from bench.errors import EXIT_RUNS_FAILED, BenchError

Payload = TypeVar("Payload")
Result = TypeVar("Result")

_ROOT = Path(__file__).parent.parent
_STARTING = threading.Lock()


_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def python_command(*module: str) -> list[str]:
    """Return what runs a module with this Python, which then imports nothing from the current folder."""
    return [sys.executable, "-P", "-m", *module]


def python_environment() -> dict[str, str]:
    """Return the environment of such a process and of all that it starts: this package is found, wherever it lies.

    An empty entry of PYTHONPATH means the current folder; nobody means it.
    """
    path = [*filter(None, [package_root()]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path)}


def package_root() -> str | None:
    """Return the folder that has to be named for this package to be found; None where Python looks there anyway.

    It comes in front of the standard library: never a folder in which others' packages lie.
    """
    return None if _ROOT.name in ("site-packages", "dist-packages") else str(_ROOT)


def usable_cores(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int:
    """Return how many processors this process may keep busy: by its affinity, and by its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *map(int, _quotas(cgroups, own))]))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield the processors that each control group around this process allows (cgroup v2's cpu.max, v1's CFS quota)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / "cpu" if controllers else cgroups
        inside = root / path.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(root):
                yield from _quota(folder)


def _quota(group: Path) -> Iterator[float]:
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if quota != "max" and float(quota) > 0:
            yield float(quota) / float(period)
    except (OSError, ValueError):
        return


class WorkerDiedError(BenchError):
    """A worker process ended while it had work to do."""


@dataclass(frozen=True)
class Ended(Generic[Payload, Result]):
    """A call that has ended: its result, or the error that the function raised or that its worker died of.

    `number` counts the calls of a team from 0, in the order in which they were given.
    """

    number: int
    payload: Payload
    result: Result | None
    error: Exception | None

    def get(self) -> Result:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("Result", self.result)


class Team(Generic[Payload, Result]):
    """Worker processes that call `function(payload)`; they end with the `with` block, whatever they are doing.

    `function` and `prepare`, which each worker calls once before, must be importable by name, and payloads and results
    picklable. Ctrl-C in a terminal reaches this process only. A worker that dies costs the call that it had; another
    one takes its place.
    """

    def __init__(
        self, function: Callable[[Payload], Result], size: int, prepare: Callable[[], None] | None = None
    ) -> None:
        self._function = function
        self._prepare = prepare
        self._size = size
        self._idle: list[_Worker] = []
        self._given = 0
        self._busy: dict[Connection, tuple[_Worker, int, Payload]] = {}
        self._lost: list[Ended[Payload, Result]] = []

    def __enter__(self) -> Team[Payload, Result]:
        try:
            for _ in range(self._size):  # all at once, so that they start side by side
                self._idle.append(_Worker(self._function, self._prepare))
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kill()

    @property
    def free(self) -> int:
        """How many more payloads the team can take now."""
        return self._size - self.busy

    @property
    def busy(self) -> int:
        """How many calls have been given and have not been returned by `wait`."""
        return len(self._busy) + len(self._lost)

    def give(self, payload: Payload) -> None:
        """Hand a payload to an idle worker; only while `free` is not 0."""
        worker = self._idle.pop() if self._idle else _Worker(self._function, self._prepare)
        try:
            worker.connection.send(payload)
        except OSError:  # it died while it was idle
            self._lost.append(Ended(self._given, payload, None, worker.account()))
        else:
            self._busy[worker.connection] = (worker, self._given, payload)
        self._given += 1

    def wait(self, timeout: float | None = None) -> list[Ended[Payload, Result]]:
        """Wait up to `timeout` seconds (None: any time) for calls to end, and return those that have, [] for none."""
        ended, self._lost = self._lost, []
        if not self._busy:
            return ended
        for connection in wait(list(self._busy), 0 if ended else timeout):
            assert isinstance(connection, Connection)
            worker, number, payload = self._busy[connection]
            try:
                result, error = connection.recv()
            except (EOFError, OSError):
                result, error = None, worker.account()
            else:
                self._idle.append(worker)
            del self._busy[connection]
            ended.append(Ended(number, payload, result, error))
        return ended

    def _kill(self) -> None:
        workers = [*self._idle, *(worker for worker, *_ in self._busy.values())]
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.connection.close()
        self._idle, self._busy = [], {}


def map_in_order(
    function: Callable[[Payload], Result], payloads: Iterable[Payload], processes: int
) -> Generator[Result, None, None]:
    """Yield `function(payload)` for each payload, in order, computed by `processes` workers; 1 means in this process.

    Payloads are taken only a few ahead, so that memory stays bounded. Raises what `function` raises, and BenchError
    when a worker dies.
    """
    if processes <= 1:
        yield from map(function, payloads)
        return
    waiting, exhausted = iter(payloads), object()
    ended: dict[int, Result] = {}
    given = returned = 0
    upcoming = next(waiting, exhausted)  # read while the workers are busy, so that a free one need not wait for it
    with Team(function, processes) as team:
        while True:
            # While one call takes long, the others must not run away from it: their results wait in memory.
            while upcoming is not exhausted and team.free and given - returned <= 2 * processes:
                team.give(cast("Payload", upcoming))
                given += 1
                upcoming = next(waiting, exhausted)
            if returned in ended:
                yield ended.pop(returned)
                returned += 1
            elif returned < given:
                for call in team.wait():
                    ended[call.number] = call.get()
            else:
                return


class _Worker:
    """One process and our end of its pipe. The process ends when the pipe does, so that none survives its parent."""

    def __init__(self, function: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
        self.connection, theirs = Pipe()
        self.process = SpawnProcess(target=_serve, args=(theirs, function, prepare), daemon=True)
        try:
            with theirs, _clean_start():
                self.process.start()
        except OSError as error:
            raise BenchError(
                f"Cannot start a worker process: {error.strerror or error}", hint="Use fewer processes."
            ) from error

    def account(self) -> WorkerDiedError:
        """Say how the process ended."""
        self.connection.close()
        self.process.join(5)
        code = self.process.exitcode
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        killed = code == -9
        return WorkerDiedError(
            f"A worker process {how} in the middle of its work",
            hint="Memory may have run out: use fewer processes, and type the same command again." if killed else None,
            exit_code=EXIT_RUNS_FAILED,
        )


@contextmanager
def _clean_start() -> Iterator[None]:
    """While a process starts, keep from it what Python hands on by default and a worker must not have.

    The current folder: Python looks there first, so that a file `types.py` in it would end the worker. The caller's
    script: it would run once more in every worker, unless it guards itself. Ctrl-C: a signal blocked here stays
    blocked there.
    """
    with _STARTING:
        main, path, safe_path = sys.modules["__main__"], sys.path, os.environ.get("PYTHONSAFEPATH")
        sys.modules["__main__"] = ModuleType("__main__")
        sys.path = _path_without_surprises(path)
        os.environ["PYTHONSAFEPATH"] = "1"
        try:
            with _sigint_blocked():
                yield
        finally:
            sys.modules["__main__"] = main
            sys.path = path
            if safe_path is None:
                del os.environ["PYTHONSAFEPATH"]
            else:
                os.environ["PYTHONSAFEPATH"] = safe_path


def _path_without_surprises(path: Sequence[str]) -> list[str]:
    """Return where workers import from: as this process, but the current folder ("", of a notebook) comes last.

    What this process imported before may be hidden there by a file of the same name. The folder stays where it is when
    this package itself lies in it.
    """
    if Path.cwd() == _ROOT or "" not in path:
        return list(path)
    return [*filter(None, path), ""]


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # it comes with the first process, and unblocks the signal when it has started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, function: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
    """What a worker does: answer each payload with (result, None) or (None, error) until the pipe ends."""
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        os.setsid()  # a signal to the parent's process group is the parent's alone
    if prepare is not None:
        prepare()
    while True:
        try:
            payload = connection.recv()
        except (EOFError, OSError):
            return  # the parent is done, or gone
        try:
            answer: tuple[Any, Exception | None] = (function(payload), None)
        except SystemExit as error:
            answer = (None, RuntimeError(f"the code called sys.exit({error.code!r})"))
        except Exception as error:
            answer = (None, error)
        try:
            connection.send(answer)
        except OSError:
            return
        except Exception as error:  # what cannot be pickled
            connection.send((None, RuntimeError(f"{type(error).__name__}: {error}")))
