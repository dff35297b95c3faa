"""The desk: an actor inside of a Ray cluster that owns the tasks of one folder of runs, so that commands may end.

Only what runs inside of Ray imports this file. It keeps the code that it was made with: `VERSION` tells.
"""

from __future__ import annotations

import platform
import shlex
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from bench.clusters.orders import Order
from bench.runs.identity import hash_sources

VERSION = hash_sources([Path(__file__)])
NAMESPACE = "bench"
LOST_RETRIES = 20  # of a task whose node or process Ray has lost
SAVE_SECONDS = 60.0
_TICK_SECONDS = 0.5

Answer = dict[tuple[str, int], tuple[str, str, str]]
"""By order and piece: state, why and where."""


@dataclass
class _Task:
    """A piece's task: not submitted while as many go as may, then `ref`; where it was last heard of."""

    order: Order
    piece: int
    ref: Any = None
    node: str = ""
    host: str = ""
    cancelled: bool = field(default=False)


class Desk:
    """Made once by whoever submits first, detached from it. Its methods are called one at a time."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int], _Task] = {}
        self._lock = threading.Lock()
        self._me = ray.get_runtime_context().current_actor
        threading.Thread(target=self._serve, daemon=True).start()

    def version(self) -> str:
        return VERSION

    def submit(self, text: str) -> None:
        order = Order.model_validate_json(text)
        with self._lock:
            for piece in range(len(order.pieces)):
                self._tasks.setdefault((order.id, piece), _Task(order, piece))
        self._move()

    def standings(self, orders: Sequence[str]) -> Answer:
        self._move()
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        found: Answer = {}
        with self._lock:
            for key, task in self._tasks.items():
                if task.order.id not in orders:
                    continue
                if task.ref is None:
                    found[key] = ("queued", "at_a_time", "")
                elif task.node in alive:
                    found[key] = ("running", "", task.host)
                else:
                    found[key] = ("queued", "node lost" if task.node else "Resources", "")
        return found

    def cancel(self, order: str, pieces: Sequence[int]) -> None:
        with self._lock:
            for piece in pieces:
                task = self._tasks.get((order, piece))
                if task is not None and task.ref is None:
                    del self._tasks[order, piece]
                elif task is not None:
                    ray.cancel(task.ref)

    def count(self) -> int:
        self._move()
        with self._lock:
            return len(self._tasks)

    def begins(self, order: str, piece: int, node: str, host: str) -> None:
        with self._lock:
            if (task := self._tasks.get((order, piece))) is not None:
                task.node, task.host = node, host

    def _serve(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            self._move()

    def _move(self) -> None:
        """Forget tasks that have ended, and submit as many of the others as may go."""
        with self._lock:
            refs = [task.ref for task in self._tasks.values() if task.ref is not None]
            ended = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if refs else set()
            self._tasks = {key: task for key, task in self._tasks.items() if task.ref not in ended}
            going: dict[str, int] = {}
            for task in self._tasks.values():
                going[task.order.id] = going.get(task.order.id, 0) + (task.ref is not None)
            for task in self._tasks.values():
                most = task.order.cluster.at_a_time
                if task.ref is None and (most is None or going[task.order.id] < most):
                    going[task.order.id] += 1
                    options = needs(task.order) | {"max_retries": LOST_RETRIES, "name": f"{task.order.id}-{task.piece}"}
                    task.ref = _run.options(**options).remote(self._me, task.order.model_dump_json(), task.piece)


def needs(order: Order) -> dict[str, Any]:
    """Return what Ray is asked for a piece. Runs that are alone in theirs share a GPU as fractions of it."""
    settings = order.cluster
    gpus: float = order.gpus()
    if gpus == 1 and max(map(len, order.pieces)) == 1:
        gpus = 1 / settings.per_device
    found: dict[str, Any] = {"num_cpus": order.cpus(), "num_gpus": gpus}
    if settings.memory_gb:
        found["memory"] = round(settings.memory_gb * 2**30)
    resources = dict(option.split("=") for option in settings.options)
    return found | {"resources": {name: float(amount) for name, amount in resources.items()}}


@ray.remote  # type: ignore[untyped-decorator]
def _run(desk: Any, text: str, piece: int) -> int:
    """Run a piece as a child of this process. Polls: nothing interrupts a wait for it, and `ray.cancel` has to."""
    order = Order.model_validate_json(text)
    desk.begins.remote(order.id, piece, ray.get_runtime_context().get_node_id(), platform.node())
    lines = [*order.cluster.setup, f"exec {shlex.join(order.command(str(piece)))}"]
    with (order.folder / f"piece-{piece}.log").open("ab") as log:
        child = subprocess.Popen(
            ["bash", "-c", "\n".join(lines)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=order.folder
        )
    try:
        while child.poll() is None:
            time.sleep(_TICK_SECONDS)
    finally:
        child.terminate()
        deadline = time.monotonic() + SAVE_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(_TICK_SECONDS)
        child.kill()
    return child.returncode or 0
