"""Training with labels: fakes have the conditions of real samples, engines and ranks agree, nothing else changes."""

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

from bench.data import PreparedData, faces, prepare
from bench.errors import BenchError
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.features import extract
from bench.evaluation.samples import conditions_of, generate
from bench.execution.evaluating import evaluate_folder, load_snapshot
from bench.files import read_jsonl
from bench.networks.conditioning import Batch
from bench.networks.sampling import GRID, grid_samples
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import RunSpec, make_plan
from bench.training.engine import CompiledEngine, EagerEngine
from bench.training.fingerprint import fingerprint
from bench.training.loop import build_state, train
from bench.training.state import TrainingState
from bench.validation.contract.ranks import Trial, certify

DATA = {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60, "labels": ("hat", "glasses")}
SIZES = (3, 3)


def state_of(objective: str = "nsgan", conditioning: str | None = None, **recipe: Any) -> TrainingState:
    own = recipe | ({"conditioning": conditioning} if conditioning else {})
    entry = {"objective": objective, "label": "row", "recipe": own or None}
    return build_state(make_plan(study(objectives=(entry,), data=DATA)).runs[0].training, CPU)


def batch(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    images = torch.rand(8, 3, 32, 32, generator=random) * 2 - 1
    hot = [torch.eye(3)[torch.randint(3, (8,), generator=random)] for _ in SIZES]
    return Batch(images.to(memory_format=torch.channels_last), torch.cat(hot, dim=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(study(data=DATA).data, tmp_path_factory.mktemp("data"), workers=1)


def written(place: Path, **changes: Any) -> tuple[RunFolder, RunSpec]:
    folder, spec = RunFolder(place), make_plan(study(data=DATA, **changes)).runs[0]
    spec.write(folder.spec_file)
    return folder, spec


@pytest.mark.parametrize("objective", ["nsgan", "wgan-gp", "cramer", "vae", "ebgan"])
def test_both_players_are_told_the_conditions_of_the_real_batch(objective: str) -> None:
    state = state_of(objective)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    expected = batch(0).condition
    assert expected is not None
    assert seen["G"]
    assert seen["D"]
    for condition in (*seen["G"], *seen["D"]):
        assert torch.equal(condition, expected.repeat(len(condition) // 8, 1))


def test_one_condition_for_every_discriminator_step_and_the_last_for_the_generator() -> None:
    state = state_of(discriminator_steps=3)
    with told_to(state) as seen:
        EagerEngine(state).run_iteration(0, batch)
    asked = [batch(step).condition for step in (0, 0, 1, 1, 2, 2, 2)]  # real and fake thrice, then G's step
    assert all(torch.equal(got, want) for got, want in zip(seen["D"], asked, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("conditioning", ["concat", "projection", "product", "none"])
def test_a_wrong_condition_changes_the_loss_exactly_where_it_is_told(conditioning: str) -> None:
    losses = []
    for shift in (0, 1):
        state = state_of(conditioning=conditioning)
        images, condition = batch(0)
        assert condition is not None
        hot = condition.roll(shift, dims=0)
        torch.nn.init.zeros_(state.G.told.weight)  # type: ignore[union-attr, arg-type]
        EagerEngine(state).run_iteration(0, lambda _, images=images, hot=hot: Batch(images, hot))
        losses.append(float(state.meter.sums["discriminator/real"]))
    assert (losses[0] == losses[1]) == (conditioning == "none")


@pytest.mark.parametrize(
    ("objective", "recipe"),
    [
        ("nsgan", {}),
        ("nsgan", {"conditioning": "projection", "norm": "spectral", "discriminator_steps": 2}),
        ("wgan-gp", {"lazy_penalty": 2}),
        ("nsgan", {"packing": 2}),
        ("vae", {}),
    ],
)
def test_recorded_iterations_are_eager_ones_under_other_labels_than_at_the_recording(
    objective: str, recipe: dict[str, Any]
) -> None:
    eager, recorded = state_of(objective, **recipe), state_of(objective, **recipe)
    assert recorded_as_eager(eager, recorded, batch, 4)


@pytest.mark.parametrize("conditioning", ["concat", "projection", "product"])
def test_no_told_iteration_waits_for_the_device(conditioning: str) -> None:
    state = state_of("wgan-gp" if conditioning == "concat" else "nsgan", conditioning)
    run_without_waiting(state, batch)


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_told_networks_can_be_compiled(conditioning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # all of it but the code it makes
    eager, compiled = state_of(conditioning=conditioning), state_of(conditioning=conditioning)
    engine = CompiledEngine(compiled)
    EagerEngine(eager).run_iteration(0, batch)
    engine.run_iteration(0, batch)
    assert engine.reason is None
    for one, other in zip(eager.D.parameters(), compiled.D.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_told_rows_over_ranks() -> None:
    trial = Trial(steps=2, norm="layer", packing=2, factor_sizes=SIZES)
    certificates = certify(["nsgan", "wgan-gp", "vae"], (2,), trial)
    assert all(certificate.holds for certificate in certificates), certificates


def test_a_run_with_labels_from_training_to_metrics(tmp_path: Path, data: PreparedData) -> None:
    evaluation = {"extractors": ("judge",), "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20}
    folder, spec = written(tmp_path / "run", evaluation=evaluation)
    status = train(folder, spec, data, CPU)
    assert status.state == "done"
    assert status.data_sha256 == data.digests()
    G = load_snapshot(folder.snapshot_file(8), "raw", spec)
    assert G.told_scale.tolist() == pytest.approx([3**0.5] * 6)
    evaluate_folder(folder, spec, data, tmp_path / "cache", CPU, lambda: False)
    assert {line["metric"] for line in read_jsonl(folder.metrics_file)} >= {"fd_judge", "coverage_judge"}
    with Image.open(folder.sample_file(8)) as grid:
        assert grid.size == (GRID * 32, 3 * 32)  # a row for each hat
    architecture = json.loads((folder.path / "architecture.json").read_text())
    assert architecture["conditioning"] == "concat"


def test_a_grid_has_a_row_for_each_value_and_a_latent_for_each_column() -> None:
    latents, condition = grid_samples("normal", 5, (3, 2))
    assert condition is not None
    rows, told = latents.reshape(3, GRID, 5), condition.reshape(3, GRID, 5)
    assert torch.equal(rows[0], rows[2])
    assert [row[:, :3].argmax(1).unique().tolist() for row in told] == [[0], [1], [2]]
    assert told[1, :, 3:].argmax(1).tolist() == [0, 1] * 4
    assert [len(part) for part in grid_samples("normal", 5, (40,)) if part is not None] == [20 * GRID] * 2
    plain, nothing = grid_samples("normal", 5)
    assert nothing is None
    assert torch.equal(plain[:GRID], rows[0])


def test_resuming_and_fingerprints_cover_labels(data: PreparedData) -> None:
    spec = make_plan(study(data=DATA)).runs[0]
    once, again = (fingerprint(spec, data, CPU)["weights"] for _ in range(2))
    assert once == again  # it cuts the run and takes it up again
    other = copy.deepcopy(data)
    labels = other.train.labels()
    assert labels is not None
    shifted = np.roll(labels, 1, axis=0)
    object.__setattr__(other.train, "labels", lambda: shifted)
    assert fingerprint(spec, other, CPU)["weights"] != once


def test_a_run_that_began_with_other_labels_is_refused(tmp_path: Path, data: PreparedData) -> None:
    folder, spec = written(tmp_path / "run")
    seen = data.digests() | {"train_labels": "0" * 64}
    folder.write_status(Status(state="running", data_sha256=seen, device="cpu"))
    with pytest.raises(BenchError, match="different images"):
        train(folder, spec, data, CPU)


@pytest.mark.slow
def test_what_both_players_are_told_is_drawn(tmp_path: Path) -> None:
    """Six backgrounds: after 1,000 small steps most are right, where chance is one in six."""
    labels = {"source": "faces", "resolution": 32, "train_count": 6000, "heldout_count": 300, "labels": ("background",)}
    entry = {"objective": "nsgan", "label": "row"}
    changes: dict[str, Any] = {
        "backbone": {"width": 16, "latent": 32},
        "budget": {"generator_steps": 1000, "batch": 64, "halve_every": 10_000},
        "training": {"snapshots": 1, "log_every": 500},
        "recipe": {"learning_rate": 2e-4},
    }
    run = make_plan(study(objectives=(entry,), data=labels, **changes)).runs[0]
    data = prepare(run.training.data, tmp_path / "data")
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    assert train(folder, run, data, CPU).state == "done"
    G = load_snapshot(folder.snapshot_file(1000), "raw", run)
    conditions = conditions_of(data)
    assert conditions is not None
    images = generate(G, 300, 0, latent=32, law="normal", device=CPU, conditions=conditions)
    answers = extract(JudgeExtractor("faces", CPU), images).answers
    assert answers is not None
    right = answers[:, list(faces.FACTORS).index("background")] == conditions.samples.argmax(1)
    assert float(right.double().mean()) > 0.4
