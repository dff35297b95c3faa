"""Studies on a real Ray: a head and two nodes of this machine, started for these tests."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.cluster_tests import need
from helpers.clustered_study import Place, place_at, result_of, steps, uninterrupted
from helpers.ray_cluster import RayCluster, why_not
from helpers.slurm_cluster import until

from bench.errors import EXIT_INTERRUPTED, EXIT_RUNS_FAILED, EXIT_WRONG_USAGE
from bench.files import read_jsonl

pytestmark = pytest.mark.cluster
LONG = {"generator_steps": 400, "batch": 8, "halve_every": 100}


@pytest.fixture(scope="module")
def ray() -> Iterator[RayCluster]:
    need(why_not())
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    cluster = RayCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(tmp_path: Path, ray: RayCluster, images: Path) -> Place:
    return place_at(tmp_path / "study", images, ray.environment)


def on(ray: RayCluster, place: Place, **keys: object) -> dict[str, object]:
    """Return the keys of [cluster.here]: tasks have the environment of Ray, not of the command."""
    setup = [f"export BENCH_TEST_PAUSE={place.folder}/pause"]
    return {"kind": "ray", "address": ray.address, "cpus": 2, "setup": setup, **keys}


def test_a_study_outlives_its_command_and_a_lost_node(
    place: Place, ray: RayCluster, images: Path, tmp_path: Path
) -> None:
    place.write(on(ray, place), seeds="0-1", budget=LONG)
    place.pause(0.3)
    command = place.start("run", "--all", "--on", "here")
    until(lambda: min(steps(place), steps(place, 1)) > 5, 120)
    assert {row["on"] for row in place.json("status")} == {"here"}
    command.send_signal(2)
    out, err = command.communicate(timeout=60)
    assert command.returncode == EXIT_INTERRUPTED, out + err  # detached
    (order,) = place.orders()
    ray.do("remove 0")
    until(lambda: any((turn := order.began(n)) is not None and turn.turn == 2 for n in (0, 1)) or _waits(place), 60)
    place.pause(0)
    done = place.json("run", "--all", "--on", "here")
    assert (done["done"], done["failed"], len(place.orders())) == (2, 0, 1)
    ray.do("add")
    assert sorted(turn.turn for n in (0, 1) if (turn := order.began(n))) == [1, 2]
    for run in place.runs():
        seconds = [line["device_seconds"] for line in read_jsonl(run.log_file)]
        assert seconds == sorted(seconds)
    assert [result_of(run) for run in place.runs()] == uninterrupted(tmp_path, images, seeds="0-1", budget=LONG)


def _waits(place: Place) -> bool:
    """Tell whether the lost node's piece waits for the room that the other one has."""
    return any(row["state"] == "queued" for row in place.json("status"))


def test_stopping_saves_what_runs_and_forgets_what_waits(place: Place, ray: RayCluster) -> None:
    place.write(on(ray, place, at_a_time=1), seeds="0-1", budget=LONG)
    place.pause(0.3)
    place.bench("run", "--all", "--on", "here", "--detach")
    until(lambda: steps(place) + steps(place, 1) > 5, 120)
    waiting = [row["queued_because"] for row in place.json("status") if row["state"] == "queued"]
    assert waiting == ["at_a_time"]
    assert place.json("stop") == {"study": "tiny", "queued": 1, "running": 1, "left": 0}
    (begun,) = [run for run in place.runs() if run.status().generator_steps]
    assert begun.checkpoint_file(begun.status().generator_steps).exists()
    assert begun.effective_state() == "interrupted"


def test_what_fits_nowhere_and_who_is_not_there_is_told_at_once(place: Place, ray: RayCluster) -> None:
    place.write(on(ray, place, gpus=5))
    place.bench("run", "--all", "--on", "here", code=EXIT_WRONG_USAGE)
    place.write(on(ray, place, address="127.0.0.1:9"))
    began = time.monotonic()
    place.bench("run", "--all", "--on", "here", code=EXIT_RUNS_FAILED)
    assert time.monotonic() - began < 60


def test_doctor_sees_the_gpu_that_ray_gives(place: Place, ray: RayCluster) -> None:
    place.write(on(ray, place, gpus=1))
    findings = {finding["what"]: finding["level"] for finding in place.json("doctor", "--on", "here", code=1)}
    assert list(findings.values()).count("missing") == 1
    assert any("CUDA_VISIBLE_DEVICES=0" in what for what, level in findings.items() if level == "missing")
