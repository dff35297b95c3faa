"""`bench doctor --on`: one tiny job that says what a node of the cluster is like, and what of this machine it sees."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.clusters.cluster import Finding
from bench.clusters.opening import open_cluster
from bench.clusters.orders import Order
from bench.errors import EXIT_DONE, BenchError
from bench.execution.clustered import Destination
from bench.files import is_held, read_json, write_record
from bench.processes import package_root
from bench.runs.identity import code_hash
from bench.version import __version__

HOLD_SECONDS = 30.0  # how long the node keeps a lock for us to look at
_ANSWER, _LOCK, _SEEN = "probe.json", "probe.lock", "probe.seen"


def answer(order: Order, stop: Callable[[], bool]) -> int:
    """Do what the probe's piece does on its node: say what is there, and hold a lock until it has been looked at."""
    import torch

    count = torch.cuda.device_count()
    lock = FileLock(order.folder / _LOCK)
    with suppress(OSError, NotImplementedError):
        lock.acquire(timeout=0)
    record = {
        "node": platform.node(),
        "bench": __version__,
        "code": code_hash("training"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpus": [torch.cuda.get_device_name(index) for index in range(count)],
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "data": Path(order.data).is_dir(),
    }
    write_record(order.folder / _ANSWER, record)
    deadline = time.monotonic() + HOLD_SECONDS
    while not stop() and time.monotonic() < deadline and not (order.folder / _SEEN).exists():
        time.sleep(0.2)
    lock.release()
    return EXIT_DONE


def examine_cluster(
    destination: Destination, runs_root: Path, data_root: Path, wait_seconds: float, say: Callable[[str], None]
) -> list[Finding]:
    """Look at a cluster, and at one of its nodes by a job of its own. Raises BenchError where the job is refused."""
    cluster = open_cluster(destination.settings)
    findings = cluster.check()
    if any(finding.level == "missing" for finding in findings):
        return findings
    order = Order(
        id=f"bench-doctor-{secrets.token_hex(4)}",
        study="doctor",
        on=destination.name,
        cluster=destination.settings,
        runs=str(runs_root.resolve() / ".doctor"),
        data=str(data_root.resolve()),
        pieces=((),),
        threads=1,
        ranks=1,
        code=code_hash("training"),
        root=package_root(),
    )
    order.folder.mkdir(parents=True)
    try:
        order.write()
        try:
            cluster.submit(order)
        except BenchError as error:
            return [*findings, Finding("missing", error.message, error.hint or "")]
        findings.append(Finding("ok", "a job is accepted"))
        say(f"A job is on its way to {destination.name}; Ctrl-C ends this.")
        return findings + _of_node(order, destination, wait_seconds)
    finally:
        with suppress(BenchError):
            cluster.cancel(order, [0])
        _remove(order.folder)


def _of_node(order: Order, destination: Destination, wait_seconds: float) -> list[Finding]:
    cluster = open_cluster(destination.settings)
    deadline, why, gone = time.monotonic() + wait_seconds, "", 0
    while not (order.folder / _ANSWER).exists():
        standing = cluster.standings([order]).get((order.id, 0))
        gone = gone + 1 if standing is None else 0
        if gone > 5:
            said = _last_line(order.folder / "piece-0.log")
            advice = said or f"does it see {order.folder.parents[3]}, and {order.python}?"
            return [Finding("missing", "the job ended without an answer", advice)]
        why = (standing.why if standing else "") or why
        if time.monotonic() > deadline:
            reason = f" ({why})" if why else ""
            return [Finding("note", f"the job has not run within {wait_seconds:.0f} s{reason}", "ask again later")]
        time.sleep(1.0)
    said = read_json(order.folder / _ANSWER)
    held = is_held(order.folder / _LOCK)
    (order.folder / _SEEN).touch()
    return _findings(order, destination, said, held)


def _findings(order: Order, destination: Destination, said: dict[str, Any], held: bool | None) -> list[Finding]:
    findings = [
        Finding("ok", f"node {said['node']} sees the runs; bench {said['bench']}, Python {said['python']}"),
        Finding("ok", "it has the same code")
        if said["code"] == order.code
        else Finding("missing", "it has another version of bench's code", "install the same on both"),
        Finding("ok", "a lock that it takes is seen here")
        if held
        else Finding("note", "a lock that it takes is not seen here", "runs are kept apart by their owners' marks"),
    ]
    if Path(order.data).is_dir() and not said["data"]:
        findings.append(Finding("missing", f"it does not see {order.data}", "put --data on the shared file system"))
    wanted, there = order.gpus(), said["gpus"]
    if not wanted:
        findings.append(Finding("ok", "runs go on its CPUs (gpus = 0)"))
    elif len(there) >= wanted:
        findings.append(Finding("ok", f"the job has {', '.join(there)}"))
    else:
        visible = "" if said["visible"] is None else f" (CUDA_VISIBLE_DEVICES={said['visible']})"
        what = f"torch {said['torch']} sees {len(there)} of the job's {wanted} GPUs{visible}"
        findings.append(Finding("missing", what, f"gpus = 0 in [cluster.{destination.name}] runs on CPUs"))
    return findings


def _last_line(file: Path) -> str:
    return (file.read_text(errors="replace").strip().splitlines() or [""])[-1] if file.exists() else ""


def _remove(folder: Path) -> None:
    """Delete the probe's folder, and those above it that are empty then."""
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    for path in (folder, folder.parent, *folder.parent.parents[:2]):
        with suppress(OSError):
            path.rmdir()
