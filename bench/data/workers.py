"""Render blocks of images in several processes, in order.

Processes rather than threads: Pillow releases the interpreter's lock while it decodes, but the images are so small that
threads wait for it all the same (5,999 CelebA images on two cores: 5.3 s alone, 4.4 s with two threads, 3.6 s with two
processes), and the drawn faces hold it nearly all the time.

They are plain child processes behind pipes, not `multiprocessing`: forking is unsafe beside torch's threads, and
spawning runs the caller's script once more in every child. A child ends when its pipe does, so none survives its
parent.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from bench.data.crops import Rendered

Render = Callable[[Any], Rendered]

_CHILD = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from bench.data.workers import serve
serve()
"""


def render_in_order(render: Render, payloads: Iterable[Any], workers: int) -> Generator[Rendered, None, None]:
    """Yield `render(payload)` for each payload, in order, computed by `workers` processes; 1 means in this one.

    `render` must be picklable. Payloads are taken only a few ahead, so that memory stays bounded. When a process cannot
    be started or dies, this one does its work; an error that `render` raises is raised here.
    """
    if workers <= 1:
        yield from map(render, payloads)
        return
    team = _Team(render, workers)
    waiting: deque[Future[Rendered]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for payload in payloads:
                waiting.append(threads.submit(team.render, payload))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)
            team.close()


def serve() -> None:
    """What a child does: take `render`, then answer each payload with its result until the pipe ends."""
    payloads, results = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a stray print must not get between the results
    try:
        render: Render = pickle.load(payloads)
        while True:
            pickle.dump(render(pickle.load(payloads)), results, pickle.HIGHEST_PROTOCOL)
            results.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent is done, or gone


class _Team:
    """Child processes, of which each thread borrows one at a time; None stands for one that has died."""

    def __init__(self, render: Render, size: int) -> None:
        self._render = render
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        for _ in range(size):
            self._idle.put(self._start())

    def render(self, payload: Any) -> Rendered:
        """Let an idle child render, or this thread where the child has died."""
        child = self._idle.get()
        try:
            if child is not None:
                result = _ask(child, payload)
                if result is not None:
                    return result
                child = None
            return self._render(payload)
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End all children; none may be rendering."""
        for child in self._children:
            child.kill()
            child.communicate()

    def _start(self) -> subprocess.Popen[bytes] | None:
        try:
            child = subprocess.Popen(
                [sys.executable, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the parent's alone
            )
        except OSError:
            return None
        self._children.append(child)
        assert child.stdin is not None
        try:
            pickle.dump(sys.path, child.stdin)
            pickle.dump(self._render, child.stdin)
            child.stdin.flush()
        except BrokenPipeError:
            return None
        return child


def _ask(child: subprocess.Popen[bytes], payload: Any) -> Rendered | None:
    """Send a payload and wait for its result; None when the child has died."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        pickle.dump(payload, child.stdin, pickle.HIGHEST_PROTOCOL)
        child.stdin.flush()
        result = pickle.load(child.stdout)
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        return None
    return result if isinstance(result, Rendered) else None
