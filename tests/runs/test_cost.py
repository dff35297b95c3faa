"""What a run is thought to cost: by finished runs of its kind, by timed steps, by arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, study, trained

from bench.data import prepare
from bench.execution.calibrating import calibrate, machine_of
from bench.runs.cost import START_SECONDS, Estimates, kind_of_step, multiply_adds, read_calibration
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan
from bench.training import timing
from bench.training.loop import build_state


def run_of(objective: str = "nsgan", recipe: dict[str, Any] | None = None, **changes: Any) -> RunSpec:
    entry = {"objective": objective, "label": "row", **({"recipe": recipe} if recipe else {})}
    return make_plan(study(objectives=(entry,), **changes)).runs[0]


def test_steps_are_of_a_kind_when_their_arithmetic_is() -> None:
    kind = kind_of_step(run_of().training)
    assert kind == kind_of_step(run_of(seeds=(7,)).training)
    assert kind == kind_of_step(run_of(recipe={"learning_rate": 5e-4, "betas": (0.0, 0.9)}).training)
    assert kind == kind_of_step(run_of(budget={"generator_steps": 99, "batch": 8, "halve_every": 9}).training)
    others = [
        run_of("hinge"),
        run_of(recipe={"discriminator_steps": 2}),
        run_of(backbone={"width": 8, "latent": 8}),
        run_of(budget={"generator_steps": 8, "batch": 16, "halve_every": 3}),
        run_of(training={"precision": "bf16"}),
        run_of(training={"engine": "graph"}),
    ]
    assert len({kind, *(kind_of_step(other.training) for other in others)}) == 7


def test_arithmetic_counts_forward_and_backward_passes() -> None:
    """Width 4 at 32 px: three convolutions of 4 x 4 each way, a head that is left out, and a first map from latents."""
    trunk = 16 * (16 * 16 * 3 * 4 + 8 * 8 * 4 * 8 + 4 * 4 * 8 * 16)
    generator = trunk + 16 * 8 * 16
    once = multiply_adds(run_of("nsgan").training)
    assert once == pytest.approx(8 * (6 * trunk + 3 * generator + 2 * trunk), rel=0.1)
    twice = multiply_adds(run_of("nsgan", {"discriminator_steps": 2}).training)
    assert twice - once == pytest.approx(8 * (6 * trunk + generator), rel=0.1)
    assert multiply_adds(run_of("wgan-gp").training) > 1.3 * once


def test_a_finished_run_is_believed_before_calibration_before_arithmetic(tmp_path: Path) -> None:
    run = run_of()
    guess = Estimates(tmp_path, "cpu")(run)
    assert (guess.known_from, guess.measured) == ("arithmetic", False)
    timed = Estimates(tmp_path, "cpu", {kind_of_step(run.training): 0.5})(run)
    assert (timed.known_from, timed.seconds) == ("calibration", START_SECONDS + 8 * 0.5)
    data = prepare(study().data, tmp_path / "data")
    _, _, status = trained(tmp_path / run.study / run.folder, data)
    finished = Estimates(tmp_path, "cpu", {kind_of_step(run.training): 0.5})(run_of(seeds=(1,)))
    assert finished.known_from == "finished run"
    assert finished.seconds == pytest.approx(START_SECONDS + status.device_seconds)
    assert Estimates(tmp_path, "cpu")(run_of("hinge")).known_from == "arithmetic"


def test_a_step_s_time_is_the_average_over_what_a_run_is_made_of() -> None:
    """With 4 discriminator steps in the first of 8 iterations and 1 in the rest, the average is between them."""
    warm = {"warm_up": {"generator_steps": 1, "discriminator_steps": 4}}
    training = run_of("wgan", warm | {"discriminator_steps": 1}).training
    occurring = timing._occurring(build_state(training, CPU), 8)
    assert occurring == [((1, 4), 7), ((0, 0), 1)]
    assert 0 < timing.seconds_per_step(training, torch.device("cpu"), seconds=0.0) < 5


def test_calibration_times_every_kind_once_and_is_kept(tmp_path: Path) -> None:
    runs = [*make_plan(study(seeds=(0, 1))).runs, run_of("hinge")]
    heard: list[str] = []
    found = calibrate(runs, tmp_path, ["cpu"], lambda name, seconds: heard.append(name))
    assert found.keys() == {kind_of_step(run.training) for run in runs}
    assert len(heard) == 2
    assert read_calibration(tmp_path, machine_of(["cpu"])) == found
    assert read_calibration(tmp_path, machine_of(["cpu", "cpu"])) == {}


def test_a_row_s_runs_are_read_once_however_many_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_plan(study(seeds=tuple(range(20)))).runs
    for run in runs:
        run.write(tmp_path / run.study / run.folder / "spec.json")
    asked: list[Path] = []
    status = RunFolder.status
    monkeypatch.setattr(RunFolder, "status", lambda folder: asked.append(folder.path) or status(folder))
    estimate = Estimates(tmp_path, "cpu")
    assert {estimate(run).known_from for run in runs} == {"arithmetic"}
    assert sorted(asked) == sorted(tmp_path / run.study / run.folder for run in runs)
