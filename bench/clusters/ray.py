"""A Ray cluster that runs already; bench never starts one. The extra `ray` brings the package.

Its tasks belong to a detached actor inside of it (`desk.py`), so that the command which submits may end.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from typing import Any

from bench.clusters.cluster import ClusterAwayError, Finding, Piece, Standing
from bench.clusters.orders import Order
from bench.config.clusters import ClusterSettings
from bench.errors import BenchError

REACH_SECONDS = 5.0
ANSWER_SECONDS = 60.0
_TRY_SECONDS = 60.0

_connected: list[str] = []  # the address of the one cluster that this process is connected to


class Ray:
    """The Ray cluster at an address."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings

    def submit(self, order: Order) -> None:
        try:
            ray = connect(self._settings.address)
        except ClusterAwayError as error:  # it has nothing of this order, for certain
            raise BenchError(error.message, error.hint, error.exit_code) from error
        refuse_what_fits_nowhere(order, ray.nodes())
        desk = _desk(order.runs, make=True)
        _get(desk.submit.remote(order.model_dump_json()))

    def standings(self, orders: Sequence[Order]) -> dict[Piece, Standing]:
        if not orders:
            return {}
        connect(self._settings.address)
        desk = _desk(orders[0].runs)
        if desk is None:
            return {}
        said = _get(desk.standings.remote([order.id for order in orders]))
        return {piece: Standing(*words) for piece, words in said.items()}

    def cancel(self, order: Order, pieces: Collection[int]) -> None:
        connect(self._settings.address)
        desk = _desk(order.runs)
        if desk is not None:
            _get(desk.cancel.remote(order.id, list(pieces)))

    def check(self) -> list[Finding]:
        try:
            ray = connect(self._settings.address)
        except BenchError as error:
            return [Finding("missing", error.message, error.hint or "")]
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(resources.get("GPU", 0) for resources in nodes)
        cpus = sum(resources.get("CPU", 0) for resources in nodes)
        found = f"Ray {ray.__version__}: {len(nodes)} nodes, {gpus:g} GPUs, {cpus:g} cores"
        token = os.environ.get("RAY_AUTH_MODE") == "token"
        advice = "whoever reaches its ports runs code there: start it with RAY_AUTH_MODE=token"
        return [
            Finding("ok", found),
            Finding("ok", "a token is asked for") if token else Finding("note", "no token is asked for", advice),
        ]


def connect(address: str) -> Any:
    """Connect this process to a Ray cluster, once, in place of another one, and return the package.

    Raises BenchError where the package is missing, ClusterAwayError where the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise BenchError("The package ray is not installed", hint="pip install 'ganbench[ray]'") from error
    if ray.is_initialized():
        if _connected == [address]:
            return ray
        ray.shutdown()
    if ":" in address:
        _reach(address)
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, namespace="bench", log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # which kinds there are is nowhere said
        words = str(error).strip().splitlines()
        raise ClusterAwayError(f"Ray at {address} cannot be reached: {words[0] if words else error!r}") from error
    finally:
        if in_main:  # Ray puts its own in the place
            signal.signal(signal.SIGTERM, handler)
    _connected[:] = [address]
    return ray


def refuse_what_fits_nowhere(order: Order, nodes: Sequence[dict[str, Any]]) -> None:
    """Raise BenchError where no node has what a piece asks for: Ray would let it wait for ever."""
    from bench.clusters.desk import needs

    asked = needs(order)
    wanted = {"CPU": asked["num_cpus"], "GPU": asked["num_gpus"], **asked["resources"]}
    wanted |= {"memory": asked["memory"]} if "memory" in asked else {}
    there = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in there):
        most = ", ".join(f"{name} {max((n.get(name, 0) for n in there), default=0):g}" for name in wanted)
        needed = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items() if amount)
        raise BenchError(
            f"A job asks for {needed}, which no node of {order.on} has", hint=f"The most that nodes have: {most}."
        )


def _reach(address: str) -> None:
    """Raise ClusterAwayError where nothing listens there: `ray.init` would try for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise ClusterAwayError(f"Nothing answers at {address}: {error}") from error
    if address.startswith("ray://"):
        return
    # On a machine that is no node of the cluster Ray aborts the whole process: another one tries first.
    code = f"import ray; ray.init(address={address!r}, log_to_driver=False, logging_level='ERROR')"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=_TRY_SECONDS, check=False)
        works = done.returncode == 0
    except subprocess.TimeoutExpired:
        works = False
    if not works:
        raise ClusterAwayError(f"This machine is no node of the Ray cluster at {address}: ray://{host}:10001 may work")


def _desk(runs: str, *, make: bool = False) -> Any:
    """Return the desk of a folder of runs, None where there is none; `make` makes it, in place of an older idle one."""
    import ray

    name = f"desk-{hashlib.sha256(runs.encode()).hexdigest()[:12]}"
    try:
        desk = ray.get_actor(name, namespace="bench")
    except ValueError:
        desk = None
    if not make:
        return desk
    from bench.clusters import desk as here

    if desk is not None and _get(desk.version.remote()) != here.VERSION:
        if _get(desk.count.remote()):
            raise BenchError(
                "Another version of bench has runs in that Ray cluster",
                hint="Wait until they are through, or type `bench stop`; this version then takes over.",
            )
        ray.kill(desk)
        desk = None
    if desk is None:
        # On the head: a desk on a node that is lost would take its tasks along.
        options = {"name": name, "namespace": "bench", "lifetime": "detached", "num_cpus": 0, "get_if_exists": True}
        desk = ray.remote(here.Desk).options(**options, resources={"node:__internal_head__": 0.001}).remote()
    return desk


def _get(ref: Any) -> Any:
    import ray

    try:
        return ray.get(ref, timeout=ANSWER_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterAwayError(f"Ray has not answered for {ANSWER_SECONDS:.0f} s") from error
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        if "No module named" in said:
            raise BenchError(
                f"The Python of Ray's nodes has another bench, or none: {said}",
                hint="Install this version of bench where `ray start` is typed, then start the nodes again.",
            ) from error
        raise ClusterAwayError(f"Ray does not answer: {said}") from error
