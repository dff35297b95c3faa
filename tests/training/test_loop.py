"""The loop in this process: schedule, counts, divergence, the averaged generator, and who gets which images."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from helpers.training_fixture import CPU, first_fakes, study, trained
from PIL import Image
from safetensors.torch import load_file

from bench.config.recipe import Recipe, WarmUp
from bench.data import PreparedData, prepare
from bench.errors import BenchError
from bench.execution.devices import available_devices, choose_slots
from bench.files import read_json, read_jsonl
from bench.networks.sampling import draw_latents, latent_blocks, recalibrated, to_uint8
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import make_plan
from bench.training.loop import Interrupted, Pace, build_state, snapshot_steps, train
from bench.training.recording import share_at_edge
from bench.training.schedule import discriminator_steps_at, lr_factor

NAN_OBJECTIVE = """
from bench.objectives.nsgan import NonSaturating

class Poisoned(NonSaturating):
    card = NonSaturating.card

    def generator_loss(self, D, fake, real, step):
        terms = super().generator_loss(D, fake, real, step)
        return {"fake": terms["fake"] * float("nan")}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(study().data, tmp_path_factory.mktemp("data"))


def test_weights_at_the_edge_are_those_near_the_largest_of_their_layer() -> None:
    first, second = torch.tensor([[1.0, -1.0], [0.995, 0.5]]), torch.tensor([[0.01, 0.0098, 0.0, 0.0]])
    assert share_at_edge([first, second, torch.ones(100)]) == pytest.approx(4 / 8)
    assert math.isnan(share_at_edge([first, torch.tensor([[1.0, math.inf]])]))
    assert math.isnan(share_at_edge([torch.tensor([[1.0, math.nan]])]))


def test_a_run_leaves_what_a_run_directory_promises(tmp_path: Path, data: PreparedData) -> None:
    folder, run, status = trained(tmp_path, data)
    assert status.state == "done"
    assert (status.generator_steps, status.discriminator_steps, status.images_seen) == (8, 8, 64)
    assert folder.snapshot_steps() == snapshot_steps(run.training) == [4, 8]
    log = read_jsonl(folder.log_file)
    assert [line["generator_steps"] for line in log] == [2, 4, 6, 8]
    assert [line["learning_rate"]["generator"] for line in log] == [1e-3, 5e-4, 5e-4, 2.5e-4]
    assert set(log[0]["discriminator"]) == {"real", "fake"}
    assert log[0]["observed"]["gradient_norm"] > 0
    with Image.open(folder.sample_file(8)) as grid:
        assert grid.size == (8 * 32, 8 * 32)
    architecture = read_json(folder.architecture_file)
    assert architecture["parameters"]["norm"] > 0
    environment = read_json(folder.environment_file)
    assert environment["packages"]["torch"]
    assert environment["device_type"] == "cpu"
    assert status.data_sha256 == {"train": data.train.sha256, "heldout": data.heldout.sha256}


def test_logged_terms_are_means_over_every_step_taken(tmp_path: Path, data: PreparedData) -> None:
    """Three discriminator steps per generator step: the mean is over all of them, whatever the log's interval."""
    often, _, _ = trained(tmp_path / "often", data, recipe={"discriminator_steps": 3}, training={"log_every": 1})
    seldom, _, _ = trained(
        tmp_path / "seldom", data, recipe={"discriminator_steps": 3}, training={"log_every": 8, "snapshots": 1}
    )
    for player in ("discriminator", "generator"):
        term = "fake"
        each = [line[player][term] for line in read_jsonl(often.log_file)]
        assert read_jsonl(seldom.log_file)[-1][player][term] == pytest.approx(sum(each) / len(each), rel=1e-5)
    assert seldom.status().discriminator_steps == 24


def test_a_run_that_meets_nan_has_diverged_and_says_where(tmp_path: Path, data: PreparedData) -> None:
    (tmp_path / "poisoned.py").write_text(NAN_OBJECTIVE)
    entry = ({"objective": str(tmp_path / "poisoned.py"), "label": "row"},)
    folder, _, status = trained(tmp_path / "run", data, objectives=entry)
    assert status.state == "diverged"
    assert status.reason == "non-finite loss in generator step 1"
    assert status.generator_steps == 2  # the log's first step, where the device's flag is read
    assert read_jsonl(folder.log_file)[-1]["generator"]["fake"] is None
    assert not list(folder.path.glob("checkpoint-*"))


def test_the_vae_counts_generator_steps_alone(tmp_path: Path, data: PreparedData) -> None:
    folder, _, status = trained(tmp_path, data, objectives=({"objective": "vae", "label": "row"},))
    assert (status.generator_steps, status.discriminator_steps, status.images_seen) == (8, 0, 64)
    line = read_jsonl(folder.log_file)[-1]
    assert set(line["generator"]) == {"reconstruction", "kl"}
    assert line["discriminator"] == {}


def test_a_stop_saves_and_goes_on(tmp_path: Path, data: PreparedData) -> None:
    straight, _, _ = trained(tmp_path / "straight", data)
    run = make_plan(study()).runs[0]
    folder = RunFolder(tmp_path / "stopped")
    run.write(folder.spec_file)
    calls = iter([False, False, True] + [False] * 20)
    with pytest.raises(Interrupted):
        train(folder, run, data, CPU, Pace(stop=lambda: next(calls)))
    assert folder.status().generator_steps == 3
    train(folder, run, data, CPU)
    assert folder.snapshot_file(8).read_bytes() == straight.snapshot_file(8).read_bytes()
    assert folder.status().attempts == 2


def test_other_images_than_it_began_with_are_refused(tmp_path: Path, data: PreparedData) -> None:
    folder, run, status = trained(tmp_path, data)
    folder.write_status(
        Status(state="running", data_sha256={"train": "0" * 64, "heldout": "0" * 64}, device=status.device)
    )
    with pytest.raises(BenchError, match="different images"):
        train(folder, run, data, CPU)


def test_the_same_seed_meets_the_same_images_and_latents_under_every_objective(data: PreparedData) -> None:
    """The first discriminator step of every alternating objective sees one and the same batch of fakes."""
    seen = {}
    for name in ("nsgan", "wgan-gp", "ebgan"):
        run = make_plan(study(objectives=({"objective": name, "label": "row"},))).runs[0]
        state = build_state(run.training, CPU)
        seen[name] = first_fakes(state, 8)
    assert torch.equal(seen["nsgan"], seen["wgan-gp"])
    assert torch.equal(seen["nsgan"], seen["ebgan"])


def test_the_averaged_generator_follows_with_a_ramp(tmp_path: Path, data: PreparedData) -> None:
    folder, _, _ = trained(tmp_path, data, training={"ema_decay": 0.0, "snapshots": 1, "log_every": 8})
    tensors = load_file(folder.snapshot_file(8))
    names = [name.removeprefix("raw/") for name in tensors if name.startswith("raw/")]
    assert all(torch.equal(tensors[f"raw/{name}"], tensors[f"ema/{name}"]) for name in names)
    slow, _, _ = trained(tmp_path / "slow", data)
    tensors = load_file(slow.snapshot_file(8))
    assert not torch.equal(tensors["raw/layers.conv0.weight"], tensors["ema/layers.conv0.weight"])


def test_bf16_trains_and_is_another_run(tmp_path: Path, data: PreparedData) -> None:
    folder, run, status = trained(
        tmp_path,
        data,
        objectives=({"objective": "wgan-gp", "label": "row"},),
        training={"precision": "bf16", "log_every": 4},
    )
    assert status.state == "done"
    assert read_jsonl(folder.log_file)[-1]["discriminator"]["penalty"] > 0
    assert run.id != make_plan(study(objectives=({"objective": "wgan-gp", "label": "row"},))).runs[0].id


def test_halving_counts_generator_steps() -> None:
    assert [lr_factor(step, 3) for step in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_warm_up_and_its_repetition() -> None:
    recipe = Recipe(discriminator_steps=5, warm_up=WarmUp(generator_steps=2, discriminator_steps=100, repeat_every=4))
    assert [discriminator_steps_at(recipe, step) for step in range(8)] == [100, 100, 5, 100, 5, 5, 5, 100]


def test_latents_come_in_blocks_that_do_not_depend_on_how_many_are_asked_for() -> None:
    few = torch.cat(list(latent_blocks("normal", 130, 4, "x")))
    many = torch.cat(list(latent_blocks("normal", 250, 4, "x")))
    assert torch.equal(few, many[:130])
    uniform = draw_latents("uniform", 1000, 4, "y")
    assert -1 <= uniform.min() < -0.9
    assert 0.9 < uniform.max() <= 1


def test_recalibration_makes_a_sample_a_function_of_its_latent(data: PreparedData) -> None:
    state = build_state(make_plan(study()).runs[0].training, CPU)
    before = {name: value.clone() for name, value in state.G.state_dict().items()}
    G = recalibrated(state.G, "normal", 8, CPU)
    z = draw_latents("normal", 50, 8, "z")
    with torch.no_grad():
        torch.testing.assert_close(G(z)[:3], G(z[:3]), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in state.G.state_dict().items())
    assert to_uint8(torch.tensor([-1.0, 1.0, 0.0, 2.0])).tolist() == [0, 255, 128, 255]


def test_slots_follow_what_is_asked() -> None:
    assert choose_slots("cpu", 3, 1) == ["cpu"] * 3
    assert choose_slots("cpu", None, 1000) == ["cpu"]
    assert available_devices()[-1].name == "cpu"
    with pytest.raises(BenchError, match="no device"):
        choose_slots("cpu,cuda:99", None, 1)


def test_too_little_memory_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution.devices.available_memory_bytes", lambda: 3 * 10**9)
    assert choose_slots("cpu", 8, 1) == ["cpu"] * 2
    monkeypatch.setattr("bench.execution.devices.available_memory_bytes", lambda: 10**8)
    with pytest.raises(BenchError, match="GB of memory are free"):
        choose_slots("cpu", 1, 1)
