"""A fingerprint tells code that computes otherwise from code that only reads otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, study, trained

from bench.config.recipe import WarmUp
from bench.data import PreparedData, prepare
from bench.execution import proving
from bench.files import read_json, write_json
from bench.objectives.r1 import ZeroCentredReal
from bench.runs.folder import RunFolder
from bench.runs.identity import code_hash
from bench.runs.plan import RunSpec, make_plan, run_state
from bench.training import iteration, schedule, state
from bench.training.fingerprint import ITERATIONS, compressed, fingerprint, row_key
from bench.training.rng import StepRNG

RECIPE = {
    "lazy_penalty": 8,
    "instance_noise": 0.1,
    "warm_up": {"generator_steps": 20, "discriminator_steps": 5, "repeat_every": 500},
}


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def data(data_root: Path) -> PreparedData:
    return prepare(study().data, data_root)


def spec_of(objective: str = "r1", seed: int = 0, **recipe: Any) -> RunSpec:
    entry = {"objective": objective, "label": "row", "recipe": RECIPE | recipe}
    return make_plan(
        study(objectives=(entry,), seeds=(seed,), budget={"generator_steps": 1000, "batch": 8, "halve_every": 400})
    ).runs[0]


def test_everything_that_a_schedule_does_happens_within_it() -> None:
    small = compressed(spec_of().training)
    settings = schedule.IterationSettings.of(small)
    timetable = schedule.Schedule(settings, ZeroCentredReal())
    steps, shapes = 0, []
    for step in range(ITERATIONS):
        shapes.append(timetable.shape(step, steps))
        steps += len(shapes[-1].lazy_penalties)
    assert {len(shape.lazy_penalties) for shape in shapes} == {1, 2}  # warm-up, and none
    assert {due for shape in shapes for due in shape.lazy_penalties} == {True, False}
    assert {shape.noisy for shape in shapes} == {True, False}
    assert len({timetable.learning_rates(step).generator for step in range(ITERATIONS)}) == 3
    assert small.recipe.warm_up == WarmUp(generator_steps=2, discriminator_steps=2, repeat_every=4)


def test_seeds_of_a_row_share_one_and_rows_do_not() -> None:
    assert row_key(spec_of(seed=0).training) == row_key(spec_of(seed=7).training)
    assert row_key(spec_of().training) != row_key(spec_of(weight_decay=0.1).training)


def planted(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a change of one constant of training code."""
    adam, average, normal = torch.optim.Adam, iteration.update_average, StepRNG._fresh

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        if name == "schedule":
            monkeypatch.setattr(schedule, "lr_factor", lambda step, every: 0.501 ** (step // every))
        elif name == "noise":
            noise = schedule.noise_level
            monkeypatch.setattr(schedule, "noise_level", lambda settings, step: 1.001 * noise(settings, step))
        elif name == "lazy share":
            real = state.make_optimizer
            monkeypatch.setattr(
                state, "make_optimizer", lambda *words, share=1.0: real(*words, share=0.999 * share if share < 1 else 1)
            )
        elif name == "optimiser":
            monkeypatch.setattr(torch.optim, "Adam", lambda *words, eps, **rest: adam(*words, eps=2 * eps, **rest))
        elif name == "average":
            doubled = lambda one, scalars: (average(one, scalars), average(one, scalars))  # noqa: E731
            monkeypatch.setattr(iteration, "update_average", doubled)
        elif name == "draws":
            monkeypatch.setattr(StepRNG, "_fresh", lambda self, draw: 1.0001 * normal(self, draw))
        elif name == "objective":
            penalty = ZeroCentredReal.discriminator_penalty
            more = lambda *words: {key: 1.01 * value for key, value in penalty(*words).items()}  # noqa: E731
            monkeypatch.setattr(ZeroCentredReal, "discriminator_penalty", more)
        elif name == "checkpoint":
            load = state.TrainingState.load_state_dict

            def forgets(self: state.TrainingState, saved: Any) -> None:
                load(self, saved)
                self.ema[0].zero_()

            monkeypatch.setattr(state.TrainingState, "load_state_dict", forgets)

    return patch


CHANGES = ("schedule", "noise", "lazy share", "optimiser", "average", "draws", "objective", "checkpoint")


def test_the_same_code_gives_the_same_and_each_planted_constant_another(data: PreparedData) -> None:
    run = spec_of()
    first = fingerprint(run, data, CPU)
    assert fingerprint(spec_of(seed=3), data, CPU) == first
    hashes = {}
    for name in CHANGES:
        with pytest.MonkeyPatch.context() as monkeypatch:
            planted(name)(monkeypatch)
            hashes[name] = fingerprint(run, data, CPU)["weights"]
    assert first["weights"] not in hashes.values()
    assert len(set(hashes.values())) == len(CHANGES)


# What becomes of a run whose fingerprint file was changed so.
VERDICTS: dict[str, dict[str, Any]] = {
    "proved": {},
    "differs": {"weights": "0" * 32},
    "another machine": {"machine": "torch 1.0, abacus"},
    "no fingerprint": {"version": 0},
}


def finished_under_other_text(root: Path, data: PreparedData, seed: int) -> tuple[RunSpec, RunFolder]:
    """Return a run of the present plan whose recorded code is another."""
    run = make_plan(study(seeds=(seed,))).runs[0]
    folder, _, _ = trained(root / run.study / run.folder, data, seeds=(seed,))
    values = read_json(folder.spec_file)
    values["code"]["training"] = "another text"
    write_json(folder.spec_file, values)
    assert run_state(run, folder) == "stale"
    return run, folder


def test_runs_whose_row_gives_the_same_bits_are_no_longer_stale_and_others_are_accepted_by_name(
    tmp_path: Path, data: PreparedData, data_root: Path
) -> None:
    root = tmp_path / "runs"
    runs, folders = zip(*(finished_under_other_text(root, data, seed) for seed in range(len(VERDICTS))), strict=True)
    measured = fingerprint(runs[0], data, CPU)
    for folder, changed in zip(folders, VERDICTS.values(), strict=True):
        write_json(folder.fingerprint_file, measured | changed)
    proofs = {proof.run.training.seed: proof.verdict for proof in proving.prove(runs, root, data_root)}
    assert proofs == dict(enumerate(VERDICTS))
    assert [run_state(run, folder) for run, folder in zip(runs, folders, strict=True)] == ["done", *["stale"] * 3]
    assert folders[0].accepted_code(runs[0].code) == "fingerprint"
    assert proving.stale(runs[:1], root) == []
    later = runs[0].model_copy(update={"code": runs[0].code | {"training": "yet another"}})
    assert run_state(later, folders[0]) == "stale"  # accepted for the code that was tried, and for no other

    assert proving.accept(runs, root) == list(runs[1:])
    for run, folder in zip(runs[1:], folders[1:], strict=True):
        assert run_state(run, folder) == "done"
        (accepted,) = read_json(folder.accepted_file)["accepted"]
        assert (accepted["by"], accepted["code"]["training"]) == ("name", code_hash("training"))


def test_a_fingerprint_that_cannot_be_repeated_leaves_its_row_stale(
    tmp_path: Path, data: PreparedData, data_root: Path
) -> None:
    root = tmp_path / "runs"
    run, folder = finished_under_other_text(root, data, 0)
    write_json(folder.fingerprint_file, {"version": 1, "machine": "", "weights": ""})
    (proof,) = proving.prove([run], root, tmp_path / "no-images")
    assert (proof.run, proof.verdict) == (run, "failed")
    assert "not prepared" in proof.reason
    assert run_state(run, folder) == "stale"
