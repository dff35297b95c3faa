"""Training with the backbone's and the recipe's switches: engines and ranks agree, and old ids stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, study
from torch import Tensor

from bench.config.reading import load_config, packaged_config
from bench.data import prepare
from bench.errors import BenchError
from bench.execution.evaluating import load_snapshot
from bench.files import read_jsonl
from bench.networks.backbone import Switches
from bench.networks.conditioning import Batch
from bench.networks.sampling import draw_latents
from bench.objectives import load, names
from bench.runs.cost import multiply_adds
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.runs.snapshots import generator_width
from bench.training.engine import EagerEngine
from bench.training.graph import GraphEngine
from bench.training.loop import build_state, train
from bench.training.optimizers import make_optimizer
from bench.training.state import TrainingState
from bench.validation.contract.ranks import Trial, certify

MLP = {"width": 8, "latent": 8, "network": "mlp", "depth": 2}
UNTOLD = [name for name in names() if load(name).needs is None]


def spec_of(objective: str = "nsgan", backbone: dict[str, Any] | None = None, **recipe: Any) -> Any:
    entry = {"objective": objective, "label": "row", **({"recipe": recipe} if recipe else {})}
    return make_plan(study(objectives=(entry,), backbone=backbone or {"width": 4, "latent": 8})).runs[0].training


def state_of(*args: Any, **recipe: Any) -> TrainingState:
    return build_state(spec_of(*args, **recipe), CPU)


def batches(step: int) -> Batch:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(step)) * 2 - 1
    return Batch(images.to(memory_format=torch.channels_last))


def tensors(state: TrainingState) -> list[Tensor]:
    return [value.detach().clone() for value in state.tensors()]


@pytest.mark.parametrize("objective", UNTOLD)
def test_every_objective_trains_a_fully_connected_network_and_replays_it(objective: str) -> None:
    eager, recorded = state_of(objective, MLP), state_of(objective, MLP)
    graphs, before = GraphEngine(recorded), tensors(eager)
    for step in range(2):
        EagerEngine(eager).run_iteration(step, batches)
        graphs.run_iteration(step, batches)
    assert int(eager.first_bad_step) == -1
    assert not torch.equal(before[0], next(eager.G.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(eager.tensors(), recorded.tensors(), strict=True))


@pytest.mark.parametrize(
    "recipe",
    [
        {"generator_steps_per_iteration": 2, "discriminator_steps": 2, "instance_noise": 0.1, "packing": 2},
        {"optimizer": "sgd", "momentum": 0.5, "norm": "batch+spectral"},
        {"optimizer": "sgd", "latent_law": "unit"},
    ],
)
def test_recorded_iterations_are_the_eager_ones(recipe: dict[str, Any]) -> None:
    eager, recorded = state_of(**recipe), state_of(**recipe)
    graphs = GraphEngine(recorded)
    for step in range(4):
        EagerEngine(eager).run_iteration(step, batches)
        graphs.run_iteration(step, batches)
    assert all(torch.equal(a, b) for a, b in zip(eager.tensors(), recorded.tensors(), strict=True))
    assert (eager.discriminator_steps, eager.images_seen) == (recorded.discriminator_steps, recorded.images_seen)


def test_two_ranks_are_one() -> None:
    """Batch norm in both players, the gated activation, SGD and more than one step of G, all at once."""
    switches = Switches(network="mlp", depth=2, generator_norm="batch", activation="gated")
    recipe = {"generator_steps_per_iteration": 2, "optimizer": "sgd", "momentum": 0.9}
    certificates = certify(("nsgan", "began"), (2,), Trial(3, "batch+spectral", switches=switches, recipe=recipe))
    assert all(certificate.holds for certificate in certificates), certificates


def test_further_generator_steps_leave_the_discriminator_and_its_batch() -> None:
    """Two G steps an iteration: D moves in every other one, on a batch that the next step of G sees again."""
    state, seen = state_of(generator_steps_per_iteration=2), []

    def batch(index: int) -> Batch:
        seen.append(index)
        return batches(index)

    engine = EagerEngine(state)
    fakes = []
    for step in range(4):
        D, G = ([p.detach().clone() for p in network.parameters()] for network in (state.D, state.G))
        engine.run_iteration(step, batch)
        assert torch.equal(D[0], next(state.D.parameters())) == bool(step % 2)
        assert not torch.equal(G[0], next(state.G.parameters()))
        fakes.append(state.rng.latents("normal", 2, 2))
    assert seen == [0, 0, 1, 1]
    assert (state.discriminator_steps, state.images_seen) == (2, 16)
    assert len({float(fake[0, 0]) for fake in fakes}) == 4


def test_sgd_moves_by_its_rule() -> None:
    recipe = spec_of(optimizer="sgd", momentum=0.5, weight_decay=0.1).recipe
    layer = torch.nn.Linear(1, 1, bias=False)
    start, optimizer = layer.weight.item(), make_optimizer(layer, recipe, 0.1)
    velocity, weight = 0.0, start
    for gradient in (1.0, -2.0, 0.5):
        layer.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        velocity = 0.5 * velocity + gradient + 0.1 * weight
        weight -= 0.1 * velocity
    assert layer.weight.item() == pytest.approx(weight, abs=1e-6)


def test_unit_latents_are_the_shifted_uniform_ones() -> None:
    unit, uniform = (draw_latents(law, 500, 8, "here") for law in ("unit", "uniform"))
    assert torch.equal(unit * 2 - 1, uniform)
    assert unit.min() >= 0
    assert (unit**2).mean().item() == pytest.approx(1 / 3, abs=0.02)


def test_a_run_on_switches_is_logged_saved_and_loaded(tmp_path: Path) -> None:
    """batch+spectral has no gradient of one image's own; a snapshot knows its network from the spec alone."""
    generator = {"generator_network": "mlp", "generator_width": 6, "depth": 1, "output": "linear"}
    recipe = {"norm": "batch+spectral", "generator_steps_per_iteration": 2}
    run = make_plan(study(backbone={"width": 4, "latent": 8, **generator}, recipe=recipe)).runs[0]
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    status = train(folder, run, prepare(study().data, tmp_path / "data", workers=1), CPU)
    assert (status.state, status.generator_steps, status.discriminator_steps) == ("done", 8, 4)
    line = read_jsonl(folder.log_file)[-1]
    assert "gradient_norm" not in line["observed"]
    assert line["images_seen"] == 8 * line["discriminator_steps"]
    file = folder.snapshot_file(8)
    assert load_snapshot(file, "raw", run)(torch.zeros(2, 8)).shape == (2, 3, 32, 32)
    assert generator_width(file) == 6


def test_switches_change_ids_and_their_defaults_do_not() -> None:
    plain = spec_of()
    told = {
        "network": "dcgan",
        "depth": None,
        "widths": "doubling",
        "bias": None,
        "output": "tanh",
        "activation": "relu",
    }
    assert spec_of(backbone={"width": 4, "latent": 8, **told}).id() == plain.id()
    assert spec_of(generator_steps_per_iteration=1, momentum=0.0).id() == plain.id()
    changed = [{"bias": False}, {"network": "mlp"}, {"generator_norm": "none"}, {"output": "linear"}]
    ids = {spec_of(backbone={"width": 4, "latent": 8, **change}).id() for change in changed}
    assert len(ids | {plain.id()}) == 5
    assert len({plain.id(), spec_of(generator_steps_per_iteration=2).id(), spec_of(norm="batch+spectral").id()}) == 3


IDS = {"quick": "c985ff77fd", "faces": "38e754e34b", "landscape": "20a4f9c722"}


def test_the_first_runs_of_committed_studies_keep_their_ids() -> None:
    config = load_config(packaged_config())
    assert {name: make_plan(config.study(name)).runs[0].id for name in IDS} == IDS


@pytest.mark.parametrize(
    ("backbone", "word"),
    [
        ({"depth": 3}, "depth"),
        ({"network": "mlp", "widths": "constant"}, "widths"),
        ({"width": 1024}, "512"),
        ({"generator_width": 600}, "512"),
    ],
)
def test_a_switch_without_meaning_is_refused(backbone: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        study(backbone={"latent": 8, **backbone})


def test_batch_norm_is_refused_beside_spectral_norm_where_it_is_alone() -> None:
    with pytest.raises(BenchError, match=r"batch\+spectral"):
        spec_of("wgan-gp", norm="batch+spectral")
    joint = {"objective": "vae", "label": "row"}
    row = make_plan(study(objectives=(joint,), recipe={"generator_steps_per_iteration": 2})).entries[0]
    assert row.recipe.generator_steps_per_iteration == 1
    assert any("generator_steps_per_iteration" in note for note in row.notes)


def test_costs_follow_the_network() -> None:
    """A fully connected layer multiplies once per weight; D's share falls with the steps of G beside it."""
    mlp = multiply_adds(spec_of(backbone=MLP))
    d, g = 8 * (3 * 1024 + 8), 8 * (8 + 8 + 3 * 1024)
    assert mlp == pytest.approx(8 * (6 * d + 3 * g + 2 * d), rel=0.03)  # and what nsgan's own loss costs
    whole, half = multiply_adds(spec_of()), multiply_adds(spec_of(generator_steps_per_iteration=2))
    assert 0.5 < half / whole < 0.8
    assert multiply_adds(spec_of(backbone={"width": 4, "latent": 8, "widths": "constant"})) < whole
