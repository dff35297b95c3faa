"""Studies on a real Slurm: two nodes of this machine, started for these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.cluster_tests import need
from helpers.clustered_study import Place, place_at, result_of, steps, uninterrupted
from helpers.slurm_cluster import SlurmCluster, until, why_not

from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED, EXIT_WRONG_USAGE
from bench.files import read_jsonl

pytestmark = pytest.mark.cluster
LONG = {"generator_steps": 400, "batch": 8, "halve_every": 100}


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """Without Slurm these tests are skipped, with the reason."""
    need(why_not())
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def place(tmp_path: Path, slurm: SlurmCluster, images: Path) -> Iterator[Place]:
    yield place_at(tmp_path / "study", images, slurm.environment)
    slurm.ask("scancel", "--me")
    until(lambda: slurm.queue() == [], 60)


def test_a_command_that_is_killed_loses_nothing_and_the_next_one_attaches(place: Place) -> None:
    place.write({"runs_per_job": 2, "cpus": 2}, seeds="0-2", objectives=["nsgan"])
    before = place.start("run", "--all", "--on", "here")
    until(lambda: len(place.orders()) == 1 and any(place.orders()[0].folder.glob("began-*")), 120)
    rows = place.json("status")
    assert {row["on"] for row in rows} <= {"here", None}
    before.kill()
    before.communicate()
    after = place.json("run", "--all", "--on", "here")
    assert (after["done"], after["failed"], len(after["runs"])) == (3, 0, 3)
    (order,) = place.orders()
    assert [len(runs) for runs in order.pieces] == [2, 1]
    assert {row["state"] for row in place.json("status")} == {"done"}
    assert place.json("run", "--all", "--on", "here")["skipped"] == 3
    place.bench("report")
    place.write({}, seeds="0-2", objectives=["nsgan"], evaluation={"samples": 60})
    measured = place.json("evaluate", "--seeds", "1", "--on", "here")
    assert (measured["done"], [run["seed"] for run in measured["runs"]]) == (1, [1])


def test_a_time_limit_saves_and_queues_its_own_task_again(
    place: Place, slurm: SlurmCluster, tmp_path: Path, images: Path
) -> None:
    place.write({"minutes": 2, "cpus": 2}, seeds="0-1", budget=LONG)
    place.pause(0.5)
    command = place.start("run", "--all", "--on", "here", "--json")
    until(lambda: min(steps(place), steps(place, 1)) > 10, 120)
    (order,) = place.orders()
    array = slurm.ask("squeue", "-h", "-o", "%F").split()[0]
    slurm.ask("scancel", "--batch", "--signal=USR1", f"{array}_0")  # as Slurm does
    until(lambda: order.ended(0) is not None, 30)
    until(lambda: any(line.startswith("0 PENDING") for line in slurm.queue()), 10)
    row = next(row for row in place.json("status") if row["piece"] == 0)
    assert (row["state"], row["turns"], row["on"]) == ("queued", 1, "here")
    assert place.runs()[0].checkpoint_file(steps(place)).exists()
    other = order.began(1)
    assert other is not None
    assert other.turn == 1  # the one task alone
    until(lambda: order.ended(1) is not None, 120)  # by the limit itself, of which Slurm warns up to a minute early
    place.pause(0)
    out, err = command.communicate(timeout=300)
    assert command.returncode == EXIT_DONE, out + err
    turns = [turn.turn for piece in (0, 1) if (turn := order.began(piece))]
    assert min(turns) >= 2
    assert max(turns) <= 4
    assert [result_of(folder) for folder in place.runs()] == uninterrupted(tmp_path, images, seeds="0-1", budget=LONG)


def test_a_run_outlives_a_preemption_and_a_lost_node_with_one_owner(
    place: Place, slurm: SlurmCluster, tmp_path: Path, images: Path
) -> None:
    place.write({"cpus": 2}, budget=LONG)
    place.pause(0.3)
    assert place.bench("run", "--all", "--on", "here", "--detach")
    until(lambda: steps(place) > 5, 120)
    (order,) = place.orders()
    slurm.ask("sbatch", "-p", "high", "--exclusive", "-w", "n1,n2", "-N2", "-o", "/dev/null", "--wrap", "sleep 1")
    until(lambda: order.ended(0) is not None, 60)
    until(lambda: (turn := order.began(0)) is not None and turn.turn == 2, 90)
    saved = steps(place)
    assert saved > 5
    until(lambda: steps(place) > saved, 90)
    node = slurm.ask("squeue", "-h", "-o", "%N").strip()
    slurm.kill(f"slurmd-{node}")  # its processes live on
    try:
        until(lambda: (turn := order.began(0)) is not None and turn.turn == 3, 90)
        until(lambda: "taken" in (order.folder / "piece-0.log").read_text(), 90)
    finally:
        slurm.start_node(node)
    place.pause(0)
    command = place.json("run", "--all", "--on", "here")
    assert (command["done"], command["failed"]) == (1, 0)
    (run,) = place.runs()
    seconds = [line["device_seconds"] for line in read_jsonl(run.log_file)]
    assert seconds == sorted(seconds)
    assert run.status().failures == []
    assert [result_of(run)] == uninterrupted(tmp_path, images, budget=LONG)


def test_stopping_saves_what_runs_and_empties_the_queue(place: Place, slurm: SlurmCluster) -> None:
    place.write({"cpus": 2, "at_a_time": 1}, seeds="0-1", budget=LONG)
    place.pause(0.3)
    command = place.start("run", "--all", "--on", "here")
    until(lambda: steps(place) + steps(place, 1) > 5, 120)
    command.send_signal(2)
    out, err = command.communicate(timeout=60)
    assert command.returncode == EXIT_INTERRUPTED, out + err  # detached
    assert sorted(line.split()[1] for line in slurm.queue()) == ["PENDING", "RUNNING"]
    waiting = next(row for row in place.json("status") if row["state"] == "queued")
    assert waiting["queued_because"] == "JobArrayTaskLimit"
    here = place.json("run", "--all", "--devices", "cpu")  # leaves them to the cluster
    assert (here["taken"], here["runs"]) == (2, [])
    assert place.json("stop") == {"study": "tiny", "queued": 1, "running": 1, "left": 0}
    until(lambda: slurm.queue() == [], 30)
    begun = [run for run in place.runs() if run.status().generator_steps]
    assert len(begun) == 1
    assert begun[0].checkpoint_file(begun[0].status().generator_steps).exists()
    assert begun[0].effective_state() == "interrupted"
    assert place.json("stop")["running"] == 0


def test_refusals_are_told_in_slurms_words(place: Place, slurm: SlurmCluster) -> None:
    place.write({"options": ["--partition=nowhere"]})
    said = place.bench("run", "--all", "--on", "here", code=EXIT_WRONG_USAGE)
    assert "invalid partition" in said
    place.write({"gpus": 5})
    place.bench("run", "--all", "--on", "here", code=EXIT_WRONG_USAGE)
    assert slurm.queue() == []
    assert [row["state"] for row in place.json("status")] == ["planned"]
    slurm.kill("slurmctld")
    try:
        place.bench("run", "--all", "--on", "here", code=EXIT_RUNS_FAILED)
        assert place.json("status")[0]["on"] is None
    finally:
        slurm.start_controller()


def test_doctor_looks_at_a_node_by_a_job(place: Place) -> None:
    place.write({"gpus": 1})
    (order,) = place.json("run", "--all", "--on", "here", "--dry-run")["orders"]
    assert "#SBATCH --gres=gpu:1\n" in order["script"]
    assert place.orders() == []
    levels = {finding["what"]: finding["level"] for finding in place.json("doctor", "--on", "here", code=1)}
    (gpu,) = [what for what in levels if "CUDA_VISIBLE_DEVICES" in what]  # a make-believe one, given by gres
    assert (levels[gpu], "=0" in gpu or "=1" in gpu) == ("missing", True)
    assert list(levels.values()).count("missing") == 1
    assert not list((place.folder / "runs").glob(".doctor*"))
