"""What the command that watches a cluster costs: 10,000 runs on 500 GPUs, with time limits, preemption and lost nodes.

    python benchmarks/cluster_scale.py [--runs 10000] [--gpus 500]

Orders, pieces, standings and the watch are the package's own, with their files; the cluster is pretended, and so are
the hours that a run trains. Prints what became of the runs, how many hours went by, and the driver's work: the share of
the time that `bench run --on` computes, and the parts of that.
"""

from __future__ import annotations

import argparse
import heapq
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

import bench.clusters.standings
from bench.clusters.cluster import Standing
from bench.clusters.orders import Order
from bench.config.clusters import ClusterSettings
from bench.config.models import Study
from bench.execution import clustered, piece
from bench.execution.clustered import Destination, Watch, orders_for, submit
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions
from bench.execution.running import folder_of
from bench.runs.folder import Status
from bench.runs.plan import make_plan

HOURS = 3600.0
LIMIT = 4 * HOURS
REQUEUE_SECONDS = 120.0
ROUND_SECONDS = 600.0  # between two looks here; each costs what one costs that comes every half minute
STEPS = 50_000
PREEMPTIONS_PER_HOUR = 0.05  # of each running piece
LOSSES_PER_HOUR = 0.002
VANISHED = 0.002  # pieces that the cluster forgets
FAILED = 0.01


class Pretended:
    """A cluster of so many GPUs, in hours of its own; `piece.work` is what it starts."""

    def __init__(self, gpus: int, seed: int) -> None:
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self.busy_seconds = 0.0
        self._free, self._random = gpus, random.Random(seed)
        self._queue: deque[tuple[Order, int]] = deque()
        self._events: list[tuple[float, int, str, Order, int, float]] = []
        self._states: dict[tuple[str, int], Standing] = {}
        self._left: dict[str, float] = {}  # seconds that a run still trains
        self._number = 0

    def submit(self, order: Order) -> None:
        for index in range(len(order.pieces)):
            self._wait(order, index)

    def standings(self, orders: Sequence[Order]) -> dict[tuple[str, int], Standing]:
        return dict(self._states)

    def advance(self, until: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until:
            self.now, _, what, order, index, since = heapq.heappop(self._events)
            if what == "queue":
                self._wait(order, index)
            else:
                self._end(what, order, index, self.now - since)
            self._fill()
        self.now = until
        self._fill()

    def _wait(self, order: Order, index: int) -> None:
        self._states[order.id, index] = Standing("queued", "Priority")
        self._queue.append((order, index))

    def _fill(self) -> None:
        while self._free and self._queue:
            order, index = self._queue.popleft()
            self._free -= 1
            self._states[order.id, index] = Standing("running", where="node")
            (run,) = order.pieces[index]
            left = self._left.setdefault(run, self._random.lognormvariate(1.0, 0.5) * HOURS)
            chances = {
                "done": left,
                "limit": LIMIT - 120,
                "preempted": self._random.expovariate(PREEMPTIONS_PER_HOUR) * HOURS,
                "lost": self._random.expovariate(LOSSES_PER_HOUR) * HOURS,
            }
            what = min(chances, key=lambda name: chances[name])
            self._at(self.now + chances[what], what, order, index)

    def _at(self, when: float, what: str, order: Order, index: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, order, index, self.now))

    def _end(self, what: str, order: Order, index: int, seconds: float) -> None:
        """Let the piece do its turn, all at once, and the cluster what it does then."""
        self._free += 1
        self.busy_seconds += seconds
        self.counts[what] += 1
        (run,) = order.pieces[index]
        kept = seconds if what != "lost" else max(0.0, seconds - 300)  # up to its last checkpoint
        self._left[run] = 0.0 if what == "done" else self._left[run] - kept
        if what != "lost":
            Turn.what, Turn.failed = what, what == "done" and self._random.random() < FAILED
            piece.work(order, index, Turn())
        del self._states[order.id, index]
        if what == "done":
            return
        if self._random.random() < VANISHED:
            self.counts["vanished"] += 1
            return
        self._states[order.id, index] = Standing("queued", "BeginTime")
        self._at(self.now + REQUEUE_SECONDS, "queue", order, index)


class Turn(piece.Signals):
    """What a piece is told, and what its pool then does."""

    what = ""
    failed = False

    def __init__(self) -> None:
        self.time_up = self.what == "limit"

    def __call__(self) -> bool:
        return self.what != "done"


def pretended_run(order: Order, jobs: Sequence[Job], signals: piece.Signals) -> bool:
    for job in jobs:
        status = job.folder.status()
        if Turn.what != "done":
            steps = min(status.generator_steps + 1000, STEPS - 1)
            job.folder.write_status(replace(status, state="running", generator_steps=steps))
        elif Turn.failed:
            job.outcome, job.reason = "failed", "out of memory"
            job.folder.write_status(replace(status, state="failed", reason="out of memory"))
        else:
            job.outcome = "done"
            job.folder.write_status(replace(status, state="done", generator_steps=STEPS, metric_lines=0))
    return Turn.what == "done"


class Silent:
    """Stands where the display does."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--gpus", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        simulate(Path(place), options.runs, options.gpus, Console())


def simulate(root: Path, runs: int, gpus: int, console: Console) -> None:
    """Go through all runs, and print what became of them and what the driver did."""
    study = Study.model_validate(
        {
            "name": "many",
            "title": "Many",
            "objectives": ({"objective": "nsgan", "label": "nsgan"},),
            "seeds": tuple(range(runs)),
            "data": {"source": "faces"},
            "budget": {"generator_steps": STEPS, "halve_every": STEPS},
        }
    )
    plan = make_plan(study)
    for run in plan.runs:
        folder = folder_of(run, root)
        folder.path.mkdir(parents=True)
        run.write(folder.spec_file)
        folder.write_status(Status())
    cluster = Pretended(gpus, seed=0)
    for module in (clustered, bench.clusters.standings):
        module.open_cluster = lambda settings: cluster  # type: ignore[attr-defined]
    piece._run = pretended_run  # type: ignore[assignment]
    code = piece.code_hash("training")
    piece.code_hash = lambda of: code  # type: ignore[assignment]  # once in a process, and a piece has its own
    piece.requeue = lambda: None  # type: ignore[assignment]
    piece._say = lambda text: None  # type: ignore[assignment]
    clustered.Watch._is_whole = lambda self, job: job.status.metric_lines is not None  # type: ignore[method-assign]
    destination = Destination("many", ClusterSettings())
    spent: Counter[str] = Counter()

    began = time.perf_counter()
    jobs = clustered.jobs_on(plan.runs, root, destination)
    pool = PoolOptions(root)
    placed = submit(orders_for(jobs, plan, destination, root, pool))
    spent["submitting"] = time.perf_counter() - began
    standings = bench.clusters.standings.Standings(root, study.name)
    watch = Watch(plan, jobs, placed, destination, standings, root, pool, Silent(), Pacer(1))  # type: ignore[arg-type]
    asks = 0
    pacer = Pacer(gpus)
    while any(job.outcome is None for job in jobs):
        cluster.advance(cluster.now + ROUND_SECONDS)
        asks += 1
        for name, function in (("asking", watch.ask), ("reading", watch.read)):
            began = time.perf_counter()
            function(cluster.now)
            spent[name] += time.perf_counter() - began
        if asks % 20 == 0:
            began = time.perf_counter()
            pacer.see(jobs, cluster.now)
            spent["showing"] += 20 * (time.perf_counter() - began)
    outcomes = Counter(str(job.outcome) for job in jobs)
    became = ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))
    turns = ", ".join(f"{count:,} {name}" for name, count in sorted(cluster.counts.items()))
    console.print(f"{runs:,} runs on {gpus} GPUs: {became} after {cluster.now / HOURS:.0f} h. Turns ended: {turns}")
    console.print(f"GPUs busy {cluster.busy_seconds / (gpus * cluster.now):.1%} of the time")
    console.print(f"submitting {spent.pop('submitting'):.1f} s; a look at all runs, {asks:,} of them:")
    least = {"asking": clustered.ASK_SECONDS[1], "reading": clustered.READ_SECONDS, "showing": 0.25}
    shares = {}
    for name, seconds in spent.items():
        look = seconds / asks
        every = max(least[name], clustered.PAUSE_PER_WORK * look)
        shares[name] = look / (look + every)
        console.print(f"  {name:8} {1000 * look:6.1f} ms every {every:5.1f} s: {shares[name]:.2%} of the time")
    console.print(f"the driver works {sum(shares.values()):.2%} of the time")


if __name__ == "__main__":
    main()
