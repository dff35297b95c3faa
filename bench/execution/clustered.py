"""`bench run --on`: submit what is missing to a cluster, and watch what stands there until it is through.

What a run came to is read from its files alone; the cluster says only where a piece is. So this command can be ended,
and typed again, at any time: what stands with the cluster is attached to, and nothing is submitted twice.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.clusters.cluster import ClusterAwayError, Standing
from bench.clusters.opening import open_cluster
from bench.clusters.orders import Order, order_id
from bench.clusters.slurm import MOST_PIECES, script
from bench.clusters.standings import Placed, Standings
from bench.config.clusters import ClusterSettings
from bench.data import present_images
from bench.errors import BenchError
from bench.execution.devices import device_type
from bench.execution.display import Following, make_display
from bench.execution.jobs import Job, Outcome
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions, Watcher
from bench.execution.running import (
    Outcomes,
    Parted,
    States,
    folder_of,
    lay_out_all,
    part,
    share_trained,
    state_of,
    work_for,
)
from bench.formatting import format_duration, plural
from bench.runs.added import study_locked
from bench.runs.cost import Estimates
from bench.runs.identity import code_hash
from bench.runs.plan import Plan, RunSpec

GRACE_SECONDS = 60.0  # a network file system may show the last files of a piece so long after it has gone
RESUBMISSIONS = 2  # of a run that its cluster has lost, by one command
READ_SECONDS = 2.0
ASK_SECONDS = (2.0, 30.0)  # between two questions to a cluster: at first, and later
PAUSE_PER_WORK = 399  # seconds in which nothing is looked at, for each second that looking took
_TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Destination:
    """A cluster that takes runs, by name and settings. `detach`: do not stay to watch.

    settings = bench.load_config("bench.toml").clusters["gpu"]
    bench.run_study(plan, on=bench.Destination("gpu", settings, detach=True))
    """

    name: str
    settings: ClusterSettings
    detach: bool = False

    def device_type(self) -> str:
        return "cuda" if self.settings.gpus else "cpu"


def run_on(
    plan: Plan,
    selected: Sequence[RunSpec],
    destination: Destination,
    *,
    runs_root: Path,
    options: PoolOptions,
    console: Console,
    stop: Callable[[], bool],
    states: States,
    before: Callable[[], None] = lambda: None,
) -> Outcomes:
    """Submit what is missing of the selected runs and does not stand with a cluster; then watch all of these.

    `before` is called where there is something to submit. Raises BenchError with the cluster's words where it refuses.
    """
    standings = Standings(runs_root, plan.study.name)
    if part(selected, runs_root, states, _asked(standings, destination, console)).todo:
        before()
        if stop():
            return Outcomes(0, 0, 0, 0, 0, complete=False, jobs=(), slots=())
    with study_locked(runs_root, plan.study.name):  # two commands at once: the second one sees the first one's orders
        placed = _asked(standings, destination)
        parted = part(selected, runs_root, states, placed)
        lay_out_all(plan, parted, runs_root, states, present_images(plan.study.data, options.data_root))
        new = jobs_on(parted.todo, runs_root, destination)
        orders = orders_for(new, plan, destination, runs_root, options)
        console.print(f"study    {in_words(plan.study.name, destination, parted, new, orders)}")
        placed |= submit(orders)
    jobs = [*new, *jobs_on(parted.away, runs_root, destination)]
    complete = True
    if jobs and not destination.detach:
        console.print(f"cluster  Ctrl-C leaves them to {destination.name}; `bench stop` ends them")
        pacer = Pacer(1)
        follow = Following(plan.study.primary_metric, plan.study.generator)
        with make_display(console, len(jobs), pacer, follow) as display:
            watch = Watch(plan, jobs, placed, destination, standings, runs_root, options, display, pacer)
            complete = watch.until_through(stop)
    counts = Counter(job.outcome for job in jobs)
    return Outcomes(
        done=counts["done"],
        diverged=counts["diverged"],
        failed=counts["failed"],
        taken=len(parted.taken) + counts["taken"],
        skipped=len(parted.whole),
        complete=complete,
        jobs=tuple(jobs),
        slots=(),
        on=destination.name if counts[None] else None,
    )


def jobs_on(runs: Sequence[RunSpec], runs_root: Path, destination: Destination) -> list[Job]:
    """Return runs as jobs, the longest first: those of one piece take equally long, and none is left over late."""
    device = destination.device_type()
    estimates = Estimates(runs_root, device)
    jobs = []
    for run in runs:
        folder = folder_of(run, runs_root)
        status = folder.status()
        share = share_trained(run, status)
        seconds = (1 - share) * estimates(run).seconds
        jobs.append(Job(run, folder, {device: seconds}, share_before=share, before=status, status=status))
    return sorted(jobs, key=lambda job: -job.seconds[device])


def orders_for(
    jobs: Sequence[Job], plan: Plan, destination: Destination, runs_root: Path, options: PoolOptions
) -> list[Order]:
    """Return the orders that hold these jobs, in pieces; writes nothing."""
    settings = destination.settings
    each = settings.runs_per_job
    pieces = [tuple(job.path for job in jobs[at : at + each]) for at in range(0, len(jobs), each)]
    parts = [tuple(pieces[at : at + MOST_PIECES]) for at in range(0, len(pieces), MOST_PIECES)]
    if settings.at_a_time:  # shared out over the orders
        settings = settings.model_copy(update={"at_a_time": max(1, settings.at_a_time // max(1, len(parts)))})
    return [
        Order(
            id=order_id(plan.study.name),
            study=plan.study.name,
            on=destination.name,
            cluster=settings,
            runs=str(runs_root.resolve()),
            data=str(options.data_root.resolve()),
            pieces=pieces,
            threads=options.threads,
            ranks=options.ranks,
            code=code_hash("training"),
        )
        for pieces in parts
    ]


def submit(orders: Sequence[Order]) -> dict[str, Placed]:
    """Write orders down, submit them, and return where their runs are then. Raises BenchError when one is refused."""
    placed: dict[str, Placed] = {}
    for order in orders:
        order.folder.mkdir(parents=True)
        order.write()  # before the cluster has it: its answer may never arrive here
        try:
            open_cluster(order.cluster).submit(order)
        except ClusterAwayError:
            raise  # it may have it all the same, and is asked by name
        except BenchError:
            shutil.rmtree(order.folder)  # it has nothing of it
            raise
        for piece, runs in enumerate(order.pieces):
            placed |= dict.fromkeys(runs, Placed(order, piece, Standing("queued")))
    return placed


def in_words(study: str, destination: Destination, parted: Parted, new: Sequence[Job], orders: Sequence[Order]) -> str:
    """Return what is about to be done, in a line."""
    parts = [f"{study}: {plural(len(new) + len(parted.away), 'run')} to do"]
    parts += [f"{len(parted.away)} stand with a cluster already"] if parted.away else []
    pieces = sum(len(order.pieces) for order in orders)
    parts += [f"{len(new)} new for {destination.name} in {plural(pieces, 'job')}" if new else "none new"]
    seconds = sum(job.seconds[destination.device_type()] for job in new)
    about = f"; about {format_duration(seconds)} of training in all" if new else ""
    return ", ".join(parts) + about


def script_of(order: Order) -> str:
    """Return what a cluster would be given for the order."""
    return script(order) if order.cluster.kind == "slurm" else " ".join(order.command("PIECE")) + "\n"


class Paced:
    """Calls a function every so often: at first after `least` seconds, later as seldom as every `most`.

    Never for more than a 400th of the time: three of them take less than a hundredth, however many runs there are.
    """

    def __init__(self, function: Callable[[float], object], least: float, most: float = 0.0) -> None:
        self._function, self._least, self._most = function, least, most
        self._began = time.monotonic()
        self._next = self._began

    def may_call(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._function(now)
        end = time.monotonic()
        usual = max(self._least, min((now - self._began) / 20, self._most))
        self._next = end + max(usual, PAUSE_PER_WORK * (end - now))


class Watch:
    """Watches jobs that stand with a cluster until each has an outcome."""

    def __init__(
        self,
        plan: Plan,
        jobs: Sequence[Job],
        placed: dict[str, Placed],
        destination: Destination,
        standings: Standings,
        runs_root: Path,
        options: PoolOptions,
        watcher: Watcher,
        pacer: Pacer,
    ) -> None:
        self._plan, self._destination, self._root, self._options = plan, destination, runs_root, options
        self._jobs, self._watcher, self._pacer, self._standings = jobs, watcher, pacer, standings
        self._places = {job.path: placed[job.path] for job in jobs}
        self._gone: dict[str, float] = {}  # when a run was first missed
        self._lost: Counter[str] = Counter()
        self._away: dict[tuple[str, str], str] = {}

    def until_through(self, stop: Callable[[], bool]) -> bool:
        """Watch; returns False where `stop` ended that before all were through."""
        asking = Paced(self.ask, *ASK_SECONDS)
        reading = Paced(self.read, READ_SECONDS)
        showing = Paced(lambda now: self._watcher.tick(self._jobs), _TICK_SECONDS)
        while any(job.outcome is None for job in self._jobs):
            if stop():
                return False
            for paced in (asking, reading, showing):
                paced.may_call()
            time.sleep(_TICK_SECONDS)
        return True

    def ask(self, now: float) -> None:
        """Ask where the pieces are, and decide about those that are nowhere."""
        placed = self._standings.look()
        if self._standings.away != self._away:
            self._away = dict(self._standings.away)
            self._watcher.notice(next(iter(self._away.values()), "") or f"{self._destination.name} answers again")
        lost = []
        for job in self._open():
            name = job.path
            found = placed.get(name)
            if found is not None and found.standing is not None:
                self._gone.pop(name, None)
                self._places[name] = found
                self._stands(job, found)
            elif not self._is_unknown(job) and self._is_over(job, now):
                lost.append(job)
        if lost:
            self._again(lost)
        self._pacer.slots = max(1, sum(job.running for job in self._jobs))

    def read(self, now: float) -> None:
        """Read how far the runs of running pieces are."""
        for job in self._open():
            if (standing := self._places[job.path].standing) is None or standing.state != "running":
                continue
            status = job.folder.status()
            if status != job.status:
                job.status, job.heard = status, now
                job.device = status.device or job.device
            trained = status.state in ("done", "diverged") and status.phase is None
            if trained and status != job.before and self._is_whole(job):
                self._end(job, status.state, status.reason)

    def _open(self) -> list[Job]:
        return [job for job in self._jobs if job.outcome is None]

    def _is_whole(self, job: Job) -> bool:
        return work_for(job.spec, self._root, state_of(job.spec, self._root)) is None and not job.folder.is_locked()

    def _stands(self, job: Job, place: Placed) -> None:
        """Note where the job's piece is, and tell when the run starts there."""
        assert place.standing is not None
        was = job.running
        job.standing = place.standing
        together = len(place.order.pieces[place.piece]) > 1
        if together and job.standing.state == "running" and not job.folder.is_locked():
            job.standing = Standing("queued", "other runs of its job")
        if job.running and not was:
            job.device = job.device or device_type(place.order.slots()[0])
            job.started = job.heard = time.monotonic()
            self._watcher.started(job)

    def _is_unknown(self, job: Job) -> bool:
        """Tell whether the cluster that has the job's piece did not answer."""
        cluster = self._places[job.path].order.cluster
        return (cluster.kind, cluster.address) in self._away

    def _is_over(self, job: Job, now: float) -> bool:
        """End a job whose piece says how it ended; returns True where it is lost: gone without a word for a while."""
        place = self._places[job.path]
        ended = place.order.ended(place.piece)
        if ended is not None and ended.through:
            if ended.refused is not None:
                self._end(job, "failed", ended.refused)
                return False
            outcome, reason = ended.runs.get(job.path, (None, None))
            self._end(job, outcome or str(job.folder.status().state), reason)
            return False
        if place.order.is_stopped(place.piece):
            self._end(job, "interrupted", "ended by `bench stop`")
            return False
        job.standing = None
        return now - self._gone.setdefault(job.path, now) >= GRACE_SECONDS

    def _again(self, lost: Sequence[Job]) -> None:
        """Submit runs again that their cluster has lost; those lost too often are left for the next command."""
        for job in lost:
            self._lost[job.path] += 1
            self._gone.pop(job.path, None)
            if self._lost[job.path] > RESUBMISSIONS:
                self._end(job, "interrupted", f"{self._destination.name} has lost it {RESUBMISSIONS + 1} times")
        again = [job for job in lost if job.outcome is None]
        if not again:
            return
        self._watcher.notice(f"{self._destination.name} has lost {plural(len(again), 'run')}: submitted again")
        with study_locked(self._root, self._plan.study.name):
            placed = self._standings.look()  # another command may have been faster
            needed = [job for job in again if (at := placed.get(job.path)) is None or at.standing is None]
            orders = orders_for(needed, self._plan, self._destination, self._root, self._options)
            placed |= submit(orders)
        for job in again:
            self._places[job.path] = placed[job.path]

    def _end(self, job: Job, outcome: str, reason: str | None) -> None:
        known: dict[str, Outcome] = {"done": "done", "diverged": "diverged", "failed": "failed", "taken": "taken"}
        job.outcome = known.get(outcome, "interrupted")
        job.reason, job.finished = reason, time.monotonic()
        job.started = job.started or job.finished
        job.status = job.folder.status()
        job.failures = list(job.status.failures[len(job.before.failures) if job.before else 0 :])
        self._watcher.finished(job)


def _asked(standings: Standings, destination: Destination, console: Console | None = None) -> dict[str, Placed]:
    """Return where the study's runs stand. Raises ClusterAwayError where the cluster does not say that is to have more.

    Of another one that does not say it is told: should it still have runs, their marks leave each to one owner.
    """
    placed = standings.look()
    own = (destination.settings.kind, destination.settings.address)
    if own in standings.away:
        raise ClusterAwayError(standings.away[own])
    if console is not None:
        for text in standings.away.values():
            console.print(f"cluster  {text}: what waits there is submitted anew", markup=False)
    return {path: where for path, where in placed.items() if where.standing is not None}
