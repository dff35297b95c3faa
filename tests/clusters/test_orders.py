"""Orders, and what is decided about them, with a pretended cluster whose answers a test writes."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from helpers.training_fixture import study
from rich.console import Console

import bench.clusters.standings
import bench.clusters.stopping
from bench.clusters import slurm
from bench.clusters.cluster import ClusterAwayError, Finding, Piece, Standing
from bench.clusters.orders import Ended, Order, Turn
from bench.clusters.standings import Standings
from bench.clusters.stopping import stop_orders
from bench.config.clusters import ClusterSettings, find_cluster
from bench.config.reading import load_config
from bench.errors import EXIT_WRONG_USAGE, BenchError
from bench.execution import clustered, piece
from bench.execution.clustered import Destination, Watch, orders_for, run_on
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions
from bench.execution.running import folder_of, lay_out, states_of
from bench.execution.worker import SparingFolder, Work, work_on
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import Plan, make_plan
from bench.watch.progress import progress_of, with_standings

NAME = "gpu"


@dataclass
class Pretended:
    """A cluster whose pieces stand where a test says; new ones wait."""

    orders: list[Order] = field(default_factory=list)
    stands: dict[Piece, Standing] = field(default_factory=dict)
    asked: int = 0
    answers: bool = True

    def submit(self, order: Order) -> None:
        if not order.file.is_file():
            raise AssertionError("it was not written down first")
        self.orders.append(order)
        self.stands |= {(order.id, index): Standing("queued", "Priority") for index in range(len(order.pieces))}

    def standings(self, orders: Sequence[Order]) -> dict[Piece, Standing]:
        self.asked += 1
        if not self.answers:
            raise ClusterAwayError("it does not answer")
        return {piece: standing for piece, standing in self.stands.items() if piece[0] in {o.id for o in orders}}

    def cancel(self, order: Order, pieces: Collection[int]) -> None:
        for index in pieces:
            del self.stands[order.id, index]

    def check(self) -> list[Finding]:
        return []


class Silent:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def started(self, job: Job) -> None:
        self.said.append(f"start {job.spec.training.seed}")

    def finished(self, job: Job) -> None:
        self.said.append(f"{job.outcome} {job.spec.training.seed}")

    def will_retry(self, job: Job) -> None:
        raise AssertionError

    def notice(self, text: str) -> None:
        self.said.append(text)

    def stopping(self, running: int) -> None:
        raise AssertionError

    def tick(self, jobs: Sequence[Job]) -> None:
        return None


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    found = Pretended()
    for module in (clustered, bench.clusters.standings, bench.clusters.stopping):
        monkeypatch.setattr(module, "open_cluster", lambda settings: found)
    return found


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(study(seeds=(0, 1)))


def submitted(plan: Plan, root: Path, detach: bool = True, **settings: Any) -> Any:
    return run_on(
        plan,
        plan.runs,
        Destination(NAME, ClusterSettings(**settings), detach),
        runs_root=root,
        options=PoolOptions(root / "data"),
        console=Console(quiet=True),
        stop=lambda: False,
        states=states_of(plan.runs, root),
    )


def watch(plan: Plan, root: Path, cluster: Pretended) -> tuple[Watch, list[Job], Silent]:
    """Return a watch over what was submitted, its jobs, and what it tells."""
    destination, silent = Destination(NAME, ClusterSettings()), Silent()
    standings = Standings(root, plan.study.name)
    placed = standings.look()
    jobs = clustered.jobs_on(plan.runs, root, destination)
    options = PoolOptions(root / "data")
    found = Watch(plan, jobs, placed, destination, standings, root, options, silent, Pacer(1))
    return found, sorted(jobs, key=lambda job: job.spec.training.seed), silent


def test_nothing_is_submitted_twice(plan: Plan, tmp_path: Path, cluster: Pretended) -> None:
    first = submitted(plan, tmp_path)
    assert (first.on, len(first.jobs), first.complete) == (NAME, 2, True)
    again = submitted(plan, tmp_path)
    assert (len(cluster.orders), len(again.jobs)) == (1, 2)
    order = cluster.orders[0]
    order.note_ended(0, Ended(1, through=True))
    del cluster.stands[order.id, 0]
    submitted(plan, tmp_path)
    assert [order.pieces for order in cluster.orders[1:]] == [(order.pieces[0],)]  # the one that is not done alone


def test_a_cluster_that_does_not_answer_is_not_submitted_to(plan: Plan, tmp_path: Path, cluster: Pretended) -> None:
    submitted(plan, tmp_path)
    cluster.answers = False
    with pytest.raises(ClusterAwayError):
        submitted(plan, tmp_path)
    assert len(cluster.orders) == 1
    submitted(plan, tmp_path, kind="ray")  # another one: a cluster that is gone for good stands in nobody's way
    assert len(cluster.orders) == 2


def test_what_a_cluster_loses_is_submitted_again_but_not_for_ever(
    plan: Plan, tmp_path: Path, cluster: Pretended
) -> None:
    submitted(plan, tmp_path)
    found, jobs, silent = watch(plan, tmp_path, cluster)
    cluster.stands[cluster.orders[0].id, 0] = Standing("running", where="n1")
    found.ask(0.0)
    assert [job.running for job in found._jobs].count(True) == 1
    now = 0.0
    for lost in range(1, clustered.RESUBMISSIONS + 2):
        cluster.stands.clear()
        found.ask(now + 1)
        assert len(cluster.orders) == lost  # a network file system may be late
        cluster.answers = False
        found.ask(now + 2 * clustered.GRACE_SECONDS)
        assert len(cluster.orders) == lost  # nobody says that it is lost
        cluster.answers = True
        now += 3 * clustered.GRACE_SECONDS
        found.ask(now)
    assert [len(order.pieces) for order in cluster.orders] == [2] * (1 + clustered.RESUBMISSIONS)
    assert [job.outcome for job in jobs] == ["interrupted"] * 2
    assert silent.said.count("it does not answer") == 1 + clustered.RESUBMISSIONS


def test_how_pieces_ended_is_what_their_files_say(plan: Plan, tmp_path: Path, cluster: Pretended) -> None:
    submitted(plan, tmp_path)
    found, _, _ = watch(plan, tmp_path, cluster)
    (order,) = cluster.orders
    (first,), (second,) = order.pieces
    cluster.stands.clear()
    order.note_ended(0, Ended(1, through=True, runs={first: ("failed", "out of memory")}))
    order.note_ended(1, Ended(2, through=True, refused="other code"))
    found.ask(0.0)
    said = {job.spec.folder.as_posix(): (job.outcome, job.reason) for job in found._jobs}
    assert said == {first: ("failed", "out of memory"), second: ("failed", "other code")}


def test_stopping_some_leaves_the_others(plan: Plan, tmp_path: Path, cluster: Pretended) -> None:
    submitted(plan, tmp_path)
    with pytest.raises(BenchError):
        stop_orders(tmp_path, plan.study.name, ["nobody"], 1)
    cluster.stands[cluster.orders[0].id, 1] = Standing("running")
    stopped = stop_orders(tmp_path, plan.study.name, ["r*"], 1)
    assert (stopped.queued, stopped.running, stopped.left) == (1, 1, 0)
    found, jobs, _ = watch(plan, tmp_path, cluster)
    found.ask(0.0)
    assert [job.outcome for job in jobs] == ["interrupted"] * 2
    assert len(cluster.orders) == 1


def test_status_has_the_clusters_word_for_why_a_run_waits(plan: Plan, tmp_path: Path, cluster: Pretended) -> None:
    submitted(plan, tmp_path)
    (order,) = cluster.orders
    order.note_began(0, Turn(2, "n7", ""))
    cluster.stands[order.id, 0] = Standing("running", where="n7")
    standings, folder = Standings(tmp_path, plan.study.name), tmp_path / plan.study.name
    rows = progress_of(plan._as_json(), folder)
    with_standings(rows, folder, standings)
    by_piece = {row["piece"]: row for row in rows}
    assert (by_piece[0]["phase"], by_piece[0]["turns"], by_piece[0]["queued_because"]) == ("starting", 2, None)
    assert (by_piece[1]["state"], by_piece[1]["queued_because"], by_piece[1]["on"]) == ("queued", "Priority", NAME)
    with_standings(progress_of(plan._as_json(), folder), folder, standings)
    assert cluster.asked == 1  # for both looks; there was nothing to ask before the order


def test_an_order_of_a_folder_that_was_copied_is_another_machines(
    plan: Plan, tmp_path: Path, cluster: Pretended
) -> None:
    submitted(plan, tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "here")
    assert Standings(tmp_path / "here", plan.study.name).look() == {}


def of_jobs(plan: Plan, count: int, root: Path, **settings: Any) -> list[Order]:
    jobs = [Job(plan.runs[0], RunFolder(root))] * count
    return orders_for(jobs, plan, Destination(NAME, ClusterSettings(**settings)), root, PoolOptions(root))


def test_orders_hold_as_many_pieces_as_an_array_may(plan: Plan, tmp_path: Path) -> None:
    orders = of_jobs(plan, 2500, tmp_path, at_a_time=30)
    assert [len(order.pieces) for order in orders] == [1000, 1000, 500]
    assert [order.cluster.at_a_time for order in orders] == [10] * 3
    assert len({order.id for order in orders}) == 3
    assert [len(order.pieces) for order in of_jobs(plan, 2500, tmp_path, runs_per_job=10)] == [250]


def test_a_piece_asks_for_what_its_runs_need(plan: Plan, tmp_path: Path) -> None:
    (order,) = of_jobs(plan, 8, tmp_path, gpus=2, per_device=2, runs_per_job=4)
    assert (order.slots(), order.gpus(), order.cpus()) == (["cuda:0", "cuda:1"] * 2, 2, 5)
    (order,) = of_jobs(plan, 2, tmp_path, gpus=0, per_device=4, runs_per_job=2)
    assert (order.slots(), order.gpus(), order.cpus()) == (["cpu"] * 4, 0, 3)
    ranks = order.model_copy(update={"ranks": 2, "cluster": ClusterSettings(gpus=4)})
    assert (ranks.slots(), ranks.gpus()) == (["cuda:0,cuda:1", "cuda:2,cuda:3"], 4)


def test_the_script_survives_blanks_and_names_one_task(plan: Plan, tmp_path: Path) -> None:
    settings = {"minutes": 4, "memory_gb": 1.5, "options": ("--comment=a b",), "setup": ("module load cuda",)}
    (order,) = of_jobs(plan, 3, tmp_path / "a b", at_a_time=2, **settings)
    lines = slurm.script(order).splitlines()
    options = [shlex.split(line.removeprefix("#SBATCH "))[0] for line in lines if line.startswith("#SBATCH")]
    assert {"--array=0-2%2", "--signal=B:USR1@60", "--mem=1536M", "--time=4", "--comment=a b"} <= set(options)
    assert f"--output={order.folder}/piece-%a.log" in options
    *_, setup, start = lines
    words = shlex.split(start)
    assert (setup, words[0], words[-1]) == ("module load cuda", "exec", "$SLURM_ARRAY_TASK_ID")
    assert Path(words[-2]) == order.file


@pytest.fixture
def ordered(plan: Plan, tmp_path: Path, cluster: Pretended) -> Order:
    submitted(plan, tmp_path)
    return cluster.orders[0]


class Told(piece.Signals):
    """What a piece is told before it begins."""

    def __init__(self, time_up: bool) -> None:
        self.time_up = time_up

    def __call__(self) -> bool:
        return self.time_up


def test_turns_that_bring_nothing_end(ordered: Order, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pool that is stopped at once, and once after a step that counts."""
    requeued: list[int] = []
    folder = RunFolder(Path(ordered.runs) / ordered.study / ordered.pieces[0][0])
    steps = [0, 0, 5, 5, 5, 5]
    monkeypatch.setattr(piece, "requeue", lambda: requeued.append(1))

    def stopped(order: Order, jobs: Sequence[Job], signals: piece.Signals) -> bool:
        folder.write_status(Status(state="running", generator_steps=steps[len(requeued)]))
        return False

    monkeypatch.setattr(piece, "_run", stopped)
    for _ in steps:
        piece.work(ordered, 0, Told(True))
    assert len(requeued) == 5
    ended = ordered.ended(0)
    assert ended is not None
    assert (ended.turn, ended.through, ended.idle) == (6, True, 3)
    status = folder.status()
    assert (status.state, len(status.failures)) == ("failed", 1)
    assert "minutes" in str(status.reason)


def test_other_code_refuses_before_any_run_is_touched(ordered: Order) -> None:
    other = ordered.model_copy(update={"code": "0" * 16})
    assert piece.work(other, 0, Told(False)) == EXIT_WRONG_USAGE
    ended = other.ended(0)
    assert ended is not None
    assert (ended.through, ended.refused is not None, ended.runs) == (True, True, {})
    folder = RunFolder(Path(ordered.runs) / ordered.study / ordered.pieces[0][0])
    assert folder.status() == Status()


def test_a_piece_whose_runs_were_removed_says_so(ordered: Order) -> None:
    run = Path(ordered.runs) / ordered.study / ordered.pieces[0][0]
    (run / "spec.json").unlink()
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        assert piece.main([str(ordered.file), "0"]) == EXIT_WRONG_USAGE
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
    ended = ordered.ended(0)
    assert ended is not None
    assert "spec.json" in str(ended.refused)


def test_a_training_says_how_far_it_is_as_seldom_as_it_is_told(tmp_path: Path) -> None:
    folder, seen = SparingFolder(tmp_path, seconds=3600.0), RunFolder(tmp_path)
    for step in range(3):
        folder.write_status(Status(state="running", generator_steps=step))
    assert seen.status().generator_steps == 0
    folder.flush()
    assert seen.status().generator_steps == 2
    folder.write_status(Status(state="running", generator_steps=7))
    folder.write_status(Status(state="done", generator_steps=8))
    folder.flush()
    assert (seen.status().state, seen.status().generator_steps) == ("done", 8)


def test_a_stopped_piece_does_not_begin(ordered: Order) -> None:
    ordered.note_stopped(0)
    piece.work(ordered, 0, Told(False))
    assert ordered.began(0) is None


def test_an_objective_that_changed_in_the_queue_is_not_trained(plan: Plan, tmp_path: Path) -> None:
    run = plan.runs[0].model_copy(update={"code": {**plan.runs[0].code, "objective": "0" * 16}})
    folder = lay_out(run, plan, tmp_path, "planned")
    with folder.owned():
        work_on(folder, Work(tmp_path / "data", "cpu"), lambda: False)
    (failure,) = folder_of(run, tmp_path).status().failures
    assert (failure.kind, "(objective)" in failure.reason) == ("input", True)


def test_clusters_in_the_file_are_checked_like_studies(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    good = (
        '[study.a]\ntitle = "A"\ndata = {source = "faces"}\nobjectives = ["nsgan"]\nseeds = "0"\nbaseline = "nsgan"\n'
    )
    budget = "[study.a.budget]\ngenerator_steps = 1\nhalve_every = 1\n"
    table = '[cluster.x]\nkind = "slurm"\nminutes = 0\nwalltime = 3\n[cluster.y]\noptions = ["--array=3"]\n'
    file.write_text(good + budget + table + '[cluster.z]\nkind = "ray"\noptions = ["-p gpu"]\n')
    with pytest.raises(BenchError) as caught:
        load_config(file)
    assert "4 mistakes" in caught.value.message
    assert "line 12, cluster.x.minutes" in caught.value.message
    file.write_text(good + budget + "[cluster.x]\ngpus = 0\n")
    clusters = load_config(file).clusters
    assert find_cluster("x", clusters).gpus == 0
    assert find_cluster("slurm", clusters).kind == "slurm"
    assert find_cluster("ray://head:10001", clusters).address == "ray://head:10001"
    with pytest.raises(BenchError):
        find_cluster("xx", clusters)
