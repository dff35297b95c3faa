"""Stabilisers: packing, instance noise, lazy penalties, two time scales; for all rows of a study or for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, first_fakes, study, trained
from safetensors.torch import load_file

from bench.config.reading import load_config
from bench.data import PreparedData, prepare
from bench.errors import BenchError
from bench.files import read_jsonl
from bench.networks.backbone import build_networks, describe_architecture, pack
from bench.networks.conditioning import Batch
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.engine import EagerEngine
from bench.training.loop import Interrupted, Pace, build_state, train
from bench.training.schedule import IterationSettings, noise_level
from bench.training.state import TrainingState


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(study().data, tmp_path_factory.mktemp("data"))


def state_of(objective: str = "nsgan", **recipe: Any) -> TrainingState:
    entry = {"objective": objective, "label": "row", **({"recipe": recipe} if recipe else {})}
    return build_state(make_plan(study(objectives=(entry,))).runs[0].training, CPU)


def batches(steps: int) -> Batch:
    return Batch(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(steps)) * 2 - 1)


def test_packs_hold_images_that_follow_each_other() -> None:
    images = torch.arange(4 * 3 * 2 * 2).reshape(4, 3, 2, 2)
    packs = pack(images, 2)
    assert packs.shape == (2, 6, 2, 2)
    assert torch.equal(packs[1, :3], images[2])
    assert torch.equal(packs[1, 3:], images[3])
    assert pack(torch.zeros(6, 2), 3).shape == (2, 6)


def test_packing_changes_nothing_but_the_first_kernel() -> None:
    def networks(packing: int) -> Any:
        return build_networks(resolution=32, width=4, latent=10, head="score", norm="layer", seed=0, packing=packing)

    (G, D), (G3, D3) = networks(1), networks(3)
    first = "trunk.conv0.weight"
    plain, packed = D.state_dict(), D3.state_dict()
    assert packed[first].shape == (4, 9, 4, 4)
    assert torch.equal(packed[first][:, :3], plain[first])
    assert not torch.equal(packed[first][:, 3:6], plain[first])
    assert all(torch.equal(packed[name], plain[name]) for name in plain if name != first)
    assert describe_architecture(G, D)["backbone_hash"] == describe_architecture(G3, D3)["backbone_hash"]
    assert D3(pack(torch.zeros(6, 3, 32, 32), 3)).shape == (2,)


def test_a_packed_run_sees_as_many_images(tmp_path: Path, data: PreparedData) -> None:
    packed = ({"objective": "wgan-gp", "label": "row", "recipe": {"packing": 2}},)
    _, run, status = trained(tmp_path, data, objectives=packed)
    assert status.state == "done"
    assert status.images_seen == 8 * 8
    assert run.protocol == "custom"


def test_noise_falls_linearly_to_nothing() -> None:
    settings = state_of(instance_noise=0.4).settings
    assert [round(noise_level(settings, step), 3) for step in (0, 2, 4, 8, 9)] == [0.4, 0.3, 0.2, 0, 0]
    short = state_of(instance_noise=0.4, instance_noise_steps=2).settings
    assert [round(noise_level(short, step), 3) for step in (0, 1, 2)] == [0.4, 0.2, 0]


def test_noise_reaches_real_and_generated_images_of_both_players() -> None:
    state = state_of(instance_noise=0.5)
    seen: list[torch.Tensor] = []
    D = state.D
    heard = D.forward
    D.forward = lambda images: (seen.append(images.detach()), heard(images))[1]  # type: ignore[method-assign]
    EagerEngine(state).run_iteration(0, batches)
    real, fake, again = seen
    noise = real - batches(0).images
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    clean = first_fakes(state_of(), 8)
    assert (fake - clean).std().item() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(fake, again)  # the generator step judges the same noisy images
    assert not torch.equal(noise, fake - clean)


def test_a_lazy_penalty_is_as_strong_on_average_and_rescales_the_optimiser() -> None:
    eager, lazy = state_of("r1"), state_of("r1", lazy_penalty=4)
    for step in range(8):
        EagerEngine(lazy).run_iteration(step, batches)
        EagerEngine(eager).run_iteration(step, batches)
    (group,) = lazy.optimizer_D.param_groups
    assert group["lr"] == pytest.approx(1e-3 * 0.25 * 4 / 5)  # steps 6 and 7 were halved twice
    assert group["betas"] == pytest.approx((0.5**0.8, 0.999**0.8))
    assert lazy.optimizer_G.param_groups[0]["betas"] == pytest.approx((0.5, 0.999))
    state = next(iter(lazy.optimizer_D.state.values()))
    assert state["step"].item() == 8 + 2  # two of the eight steps took the penalty as a step of its own
    assert lazy.meter.sums["discriminator/r1"].item() > 0


def test_the_log_has_the_rate_that_adam_uses(tmp_path: Path, data: PreparedData) -> None:
    """Under a lazy penalty D's steps count as k/(k+1) of one: the log says what the optimiser has."""
    entry = {"objective": "r1", "label": "row", "recipe": {"lazy_penalty": 4}}
    used: list[float] = []

    class Watched(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            used.append(self.param_groups[0]["lr"])
            return super().step(closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Watched)
        folder, _, _ = trained(tmp_path, data, objectives=(entry,), training={"log_every": 1, "snapshots": 1})
    logged = [line["learning_rate"] for line in read_jsonl(folder.log_file)]
    assert {rate["discriminator"] for rate in logged} | {rate["generator"] for rate in logged} == set(used)
    assert logged[0]["discriminator"] == pytest.approx(logged[0]["generator"] * 4 / 5)


def test_without_a_penalty_lazy_changes_nothing() -> None:
    plain = state_of()
    settings = IterationSettings(
        **{**vars(plain.settings), "recipe": plain.settings.recipe.model_copy(update={"lazy_penalty": 4})}
    )
    lazy = TrainingState(
        settings,
        plain.objective,
        *build_networks(resolution=32, width=4, latent=8, head="score", norm="layer", seed=0),
        CPU,
    )
    for state in (plain, lazy):
        for step in range(3):
            EagerEngine(state).run_iteration(step, batches)
    for mine, other in zip(plain.D.parameters(), lazy.D.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_two_time_scales() -> None:
    state = state_of(learning_rate_discriminator=2e-3, learning_rate_generator=5e-4)
    EagerEngine(state).run_iteration(0, batches)
    assert state.optimizer_D.param_groups[0]["lr"] == 2e-3
    assert state.optimizer_G.param_groups[0]["lr"] == 5e-4


def test_settings_of_a_study_go_to_every_row_that_has_them() -> None:
    rows = tuple({"objective": name, "label": name} for name in ("nsgan", "lsgan", "hinge"))
    plan = make_plan(study(objectives=rows, baseline="nsgan", settings={"real_label": 0.9}))
    entries = {entry.label: entry for entry in plan.entries}
    assert entries["nsgan"].spec.settings["real_label"] == entries["lsgan"].spec.settings["real_label"] == 0.9
    assert "real_label" not in entries["hinge"].spec.settings
    assert any('"real_label" has no meaning' in note for note in entries["hinge"].notes)
    with pytest.raises(BenchError, match="no row's objective has this setting"):
        make_plan(study(settings={"smoothing": 0.9}))


def test_what_has_no_meaning_is_left_out_with_a_note_or_refused() -> None:
    rows = tuple({"objective": name, "label": name} for name in ("nsgan", "ebgan", "vae", "r1"))
    recipe = {"packing": 2, "instance_noise": 0.1, "lazy_penalty": 16, "latent_law": "uniform"}
    plan = make_plan(study(objectives=rows, baseline="nsgan", recipe=recipe))
    entries = {entry.label: entry for entry in plan.entries}
    packings = {label: entry.recipe.packing for label, entry in entries.items()}
    assert packings == {"nsgan": 2, "ebgan": 1, "vae": 1, "r1": 2}
    assert entries["r1"].recipe.lazy_penalty == 16
    assert entries["nsgan"].recipe.lazy_penalty == 1
    assert entries["vae"].recipe.instance_noise == 0
    laws = {run.label: run.training.backbone.latent_law for run in plan.runs}
    assert laws == {"nsgan": "uniform", "ebgan": "uniform", "vae": "normal", "r1": "uniform"}
    assert any(note.startswith("without packing") for note in entries["ebgan"].notes)
    with pytest.raises(BenchError, match="ebgan: packing has no meaning"):
        make_plan(study(objectives=(rows[0], {**rows[1], "recipe": {"packing": 2}}), baseline="nsgan"))


def test_a_batch_that_cannot_be_packed_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bench.toml"
    file.write_text(
        """
[study.one]
title = "One"
objectives = ["nsgan", {objective = "nsgan", packing = 3, label = "pacgan3"}]
seeds = 1
data = {source = "faces"}
budget = {generator_steps = 10, batch = 32, halve_every = 5}
"""
    )
    with pytest.raises(BenchError, match="cannot be packed by 3"):
        load_config(file)


def test_wrapped_losses_name_a_bad_base() -> None:
    for settings, words in (
        ({"base": "ebgan"}, "has no score head"),
        ({"base": "lecam"}, "has no score head"),
        ({"base": "nothing"}, "is no objective"),
        ({"base": "lsgan", "base_settings": {"real_label": "one"}}, "base_settings real_label"),
    ):
        with pytest.raises(BenchError, match=words):
            make_plan(study(objectives=({"objective": "san", "label": "row", "settings": settings},)))


def test_a_wrapped_run_is_stale_when_its_base_changes() -> None:
    def code(base: str) -> str:
        row = {"objective": "lecam", "label": "row", "settings": {"base": base}}
        return make_plan(study(objectives=(row,))).runs[0].code["objective"]

    assert code("hinge") != code("lsgan")


def test_a_run_with_everything_on_resumes_bit_for_bit(tmp_path: Path, data: PreparedData) -> None:
    recipe = {"packing": 2, "instance_noise": 0.2, "lazy_penalty": 3, "weight_decay": 1e-4}
    row = {"objective": "lecam", "label": "row", "settings": {"base": "r1", "start": 2}, "recipe": recipe}
    whole, run, _ = trained(tmp_path / "whole", data, objectives=(row,))
    parts = RunFolder(tmp_path / "parts")
    parts.path.mkdir()
    asked = iter([False] * 4 + [True])
    with pytest.raises(Interrupted):
        train(parts, run, data, CPU, Pace(stop=lambda: next(asked)))
    train(parts, run, data, CPU)
    mine, other = load_file(whole.snapshot_file(8)), load_file(parts.snapshot_file(8))
    assert all(torch.equal(mine[name], other[name]) for name in mine)
    logs = [
        [{key: line[key] for key in ("discriminator", "generator", "observed")} for line in read_jsonl(folder.log_file)]
        for folder in (whole, parts)
    ]
    assert logs[0] == logs[1]
