"""Training with input images: both players are told those of the real batch, engines and ranks agree."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.told import recorded_as_eager, run_without_waiting, told_to
from helpers.training_fixture import CPU, study
from PIL import Image
from torch import Tensor

from bench.data import PreparedData, prepare
from bench.evaluation.reference import fixed_order
from bench.evaluation.samples import conditions_of, generate
from bench.execution.evaluating import evaluate_folder, load_snapshot
from bench.files import read_jsonl
from bench.networks.conditioning import Batch, in_unit_range
from bench.networks.sampling import latent_blocks, recalibrated, to_uint8
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.engine import CompiledEngine, EagerEngine
from bench.training.fingerprint import fingerprint
from bench.training.loop import build_state, train
from bench.training.state import TrainingState
from bench.training.timing import seconds_per_step
from bench.validation.contract.ranks import Trial, certify

DATA = {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60, "input": "edges"}
PATCHES = {"width": 4, "latent": 8, "patch": 22}


def state_of(objective: str = "pix2pix", settings: dict[str, Any] | None = None, **recipe: Any) -> TrainingState:
    backbone = recipe.pop("backbone", {"width": 4, "latent": 8})
    entry = {"objective": objective, "label": "row", "settings": settings or {}, "recipe": recipe or None}
    plan = make_plan(study(objectives=(entry,), data=DATA, backbone=backbone))
    return build_state(plan.runs[0].training, CPU)


def batch(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    return Batch(
        *(
            (torch.rand(8, 3, 32, 32, generator=random) * 2 - 1).to(memory_format=torch.channels_last)
            for _ in ("image", "input")
        )
    )


@pytest.mark.parametrize("objective", ["pix2pix", "wgan-gp", "cramer", "vae", "ebgan", "r3gan", "san", "lecam"])
def test_both_players_are_told_the_pictures_of_the_real_batch(objective: str) -> None:
    state = state_of(objective)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    expected = batch(0).condition
    assert expected is not None
    assert seen["G"]
    assert seen["D"]
    for condition in (*seen["G"], *seen["D"]):
        assert torch.equal(condition, expected.repeat(len(condition) // 8, 1, 1, 1))
    assert state.rng.labels is None


def test_the_generator_is_held_near_the_target_at_its_index() -> None:
    state = state_of(settings={"adversarial_weight": 0.0}, discriminator_steps=2)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    assert len(seen["D"]) == 4  # real and fake in both of D's steps, and nothing in G's
    last = state_of(settings={"adversarial_weight": 0.0}, discriminator_steps=2)
    fakes: list[Tensor] = []
    call_G = last.call_G
    last.call_G = lambda *given: fakes.append(call_G(*given)) or fakes[-1]  # type: ignore[func-returns-value]
    EagerEngine(last).run_iteration(0, batch)
    error = float((fakes[-1].detach() - batch(1).images).abs().mean())
    assert float(last.meter.sums["observed/l1"]) == pytest.approx(error, rel=1e-6)
    assert float(last.meter.sums["generator/l1"]) == pytest.approx(100 * error, rel=1e-6)


@pytest.mark.parametrize("base", ["nsgan", "wgan-gp", "rasgan", "r3gan"])
def test_a_batch_of_one_is_trained_on(base: str) -> None:
    """As pix2pix's authors do, with batch norm in both networks where the base allows it."""
    norm = "layer" if base in ("wgan-gp", "r3gan") else "batch"
    state = state_of(settings={"base": base}, norm=norm)
    for step in range(2):
        EagerEngine(state).run_iteration(step, lambda number: Batch(*(part[:1] for part in batch(number))))  # type: ignore[index]
    assert int(state.first_bad_step) < 0
    assert all(bool(weight.isfinite().all()) for weight in (*state.G.parameters(), *state.D.parameters()))


ROWS = [
    ("pix2pix", {}, {}),
    ("pix2pix", {"base": "wgan-gp"}, {"discriminator_steps": 2, "lazy_penalty": 2}),
    ("pix2pix", {"base": "r3gan"}, {"backbone": PATCHES}),
    ("nsgan", {}, {"packing": 2, "norm": "spectral"}),
    ("nsgan", {}, {"conditioning": "none"}),
    ("vae", {}, {}),
]


@pytest.mark.parametrize(("objective", "settings", "recipe"), ROWS)
def test_recorded_iterations_are_eager_ones_under_other_pictures_than_at_the_recording(
    objective: str, settings: dict[str, Any], recipe: dict[str, Any]
) -> None:
    eager, recorded = (state_of(objective, settings, **dict(recipe)) for _ in range(2))
    assert recorded_as_eager(eager, recorded, batch, 3)


@pytest.mark.parametrize("backbone", [{"width": 4, "latent": 8}, PATCHES])
def test_no_iteration_with_pictures_waits_for_the_device(backbone: dict[str, Any]) -> None:
    state = state_of(settings={"base": "wgan-gp"}, backbone=backbone)
    run_without_waiting(state, batch)


def test_networks_that_are_told_pictures_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # all of it but the code it makes
    eager, compiled = state_of(), state_of()
    engine = CompiledEngine(compiled)
    EagerEngine(eager).run_iteration(0, batch)
    engine.run_iteration(0, batch)
    assert engine.reason is None
    for one, other in zip(eager.G.parameters(), compiled.G.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_rows_with_pictures_over_ranks() -> None:
    trial = Trial(steps=2, norm="batch", packing=2, pictured=True)
    certificates = certify(["nsgan", "wgan-gp", "vae", "pix2pix"], (2,), trial)
    assert all(certificate.holds for certificate in certificates), certificates


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(study(data=DATA).data, tmp_path_factory.mktemp("data"), workers=1)


def test_a_run_with_pictures_from_training_to_metrics_and_samples(tmp_path: Path, data: PreparedData) -> None:
    evaluation = {"extractors": ("judge",), "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20}
    entry = {"objective": "pix2pix", "label": "row"}
    run = make_plan(study(objectives=(entry,), data=DATA, evaluation=evaluation)).runs[0]
    folder = RunFolder(tmp_path / "s" / run.folder)
    run.write(folder.spec_file)
    status = train(folder, run, data, CPU)
    assert status.state == "done"
    assert status.data_sha256 == data.digests()
    evaluate_folder(folder, run, data, tmp_path / "cache", CPU, lambda: False)
    assert {line["metric"] for line in read_jsonl(folder.metrics_file)} >= {"fd_judge", "coverage_judge"}
    assert read_jsonl(folder.log_file)[-1]["observed"]["l1"] > 0
    architecture = json.loads((folder.path / "architecture.json").read_text())
    assert architecture["parameters"]["encoder"] > 0

    inputs, targets = data.heldout.inputs(), data.heldout.images()
    assert inputs is not None
    with Image.open(folder.sample_file(8)) as grid:
        rows = np.array(grid).reshape(5, 32, 8, 32, 3).transpose(0, 2, 4, 1, 3)  # inputs, three outputs, targets
    shown = np.arange(8) * 60 // 8
    assert np.array_equal(rows[0], inputs[shown])
    assert np.array_equal(rows[4], targets[shown])
    assert not np.array_equal(rows[1], rows[2])

    G = load_snapshot(folder.snapshot_file(8), "raw", run)
    told = conditions_of(data)
    assert told is not None
    whole = generate(G, 60, 0, latent=8, law="normal", device=CPU, conditions=told)
    order = fixed_order(60)
    assert torch.equal(told.samples, torch.from_numpy(np.array(inputs)[order]))
    latents = next(latent_blocks("normal", 100, 8, "evaluation", 0))
    twin = recalibrated(G, "normal", 8, CPU, told.calibration)
    with torch.no_grad():
        fifth = to_uint8(twin(latents[5:6], in_unit_range(told.samples[5:6])))
    assert (fifth.int() - whole[5].int()).abs().max() <= 1
    assert torch.equal(whole[:10], generate(G, 10, 0, latent=8, law="normal", device=CPU, conditions=told))


def test_resuming_and_fingerprints_cover_pictures(data: PreparedData) -> None:
    entry = {"objective": "pix2pix", "label": "row"}
    spec = make_plan(study(objectives=(entry,), data=DATA)).runs[0]
    once, again = (fingerprint(spec, data, CPU)["weights"] for _ in range(2))
    assert once == again  # it cuts the run and takes it up again
    other = copy.deepcopy(data)
    inputs = other.train.inputs()
    assert inputs is not None
    shifted = np.roll(inputs, 1, axis=0)
    object.__setattr__(other.train, "inputs", lambda: shifted)
    assert fingerprint(spec, other, CPU)["weights"] != once


@pytest.mark.slow
def test_a_pair_is_learned_from_its_picture(tmp_path: Path) -> None:
    """A face from its own grey image: after 300 small steps the error is less than half that to another face."""
    paired = DATA | {"train_count": 2000, "heldout_count": 100, "input": "grey"}
    entry = {"objective": "pix2pix", "label": "row"}
    changes: dict[str, Any] = {
        "backbone": {"width": 16, "latent": 16},
        "budget": {"generator_steps": 300, "batch": 32, "halve_every": 10_000},
        "training": {"snapshots": 1, "log_every": 100},
    }
    run = make_plan(study(objectives=(entry,), data=paired, **changes)).runs[0]
    data = prepare(run.training.data, tmp_path / "data", workers=1)
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    assert train(folder, run, data, CPU).state == "done"
    G = load_snapshot(folder.snapshot_file(300), "raw", run)
    made = generate(G, 100, 0, latent=16, law="normal", device=CPU, conditions=conditions_of(data)).float()
    targets = torch.from_numpy(data.heldout.images()[fixed_order(100)]).float()
    own, others = ((made - each).abs().mean() for each in (targets, targets.roll(1, dims=0)))
    assert own < 0.5 * others


@pytest.mark.parametrize("told", [{"input": "edges"}, {"labels": ("glasses", "hat")}, {}])
def test_steps_are_timed_with_what_the_networks_are_told(told: dict[str, Any]) -> None:
    data = {key: value for key, value in DATA.items() if key != "input"} | told
    plan = make_plan(study(data=data, backbone={"width": 4, "latent": 8}))
    assert seconds_per_step(plan.runs[0].training, CPU, seconds=0.01) > 0
