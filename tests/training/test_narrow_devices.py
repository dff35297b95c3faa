"""Training on a device without float64, as Apple's GPUs are: nothing of an iteration or its log needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fake_device import NoFloat64Error, fake_device
from helpers.training_fixture import labelled_if_needed, study

from bench.data import prepare
from bench.files import read_jsonl
from bench.networks.conditioning import Batch
from bench.objectives import load, names
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.engine import make_engine
from bench.training.loop import build_state, train
from bench.validation.contract.scene import conditions, variants

STEPS = 2
STABILISERS: dict[str, dict[str, Any]] = {
    "instance noise": {"instance_noise": 0.3, "instance_noise_steps": 2},
    "packing": {"packing": 2},
    "spectral": {"norm": "spectral"},
    "layer": {"norm": "layer"},
    "lazy penalty": {"lazy_penalty": 2},
    "rmsprop": {"optimizer": "rmsprop"},
    "warm-up": {"warm_up": {"generator_steps": 1, "discriminator_steps": 3}},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def check_training(entry: dict[str, Any], engine: str, root: Path, folder: RunFolder) -> None:
    """Train two steps and log each, on a device that refuses float64."""
    training = {"snapshots": 1, "log_every": 1, "engine": engine}
    changes: dict[str, Any] = {"budget": {"generator_steps": STEPS, "batch": 8, "halve_every": 1}, "training": training}
    changes |= labelled_if_needed(entry["objective"])
    run = make_plan(study(objectives=({"label": "row", **entry},), **changes)).runs[0]
    data = prepare(run.training.data, root)
    with fake_device("mps") as device:
        assert train(folder, run, data, device).generator_steps == STEPS
    lines = read_jsonl(folder.log_file)
    assert [line["generator_steps"] for line in lines] == [1, 2]
    assert all(value is not None for line in lines for value in line["generator"].values())


@pytest.mark.parametrize("objective", names())
def test_every_objective_trains_and_logs(objective: str, root: Path, tmp_path: Path) -> None:
    settings = load(objective).card.published.settings
    check_training({"objective": objective, "settings": settings}, "graph", root, RunFolder(tmp_path / "run"))


@pytest.mark.parametrize("objective", names())
def test_every_setting_of_an_objective_takes_a_step(objective: str) -> None:
    for variant in variants(load(objective)):
        entry = {"objective": objective, "label": "row", "settings": variant.settings}
        run = make_plan(study(objectives=(entry,), **labelled_if_needed(objective))).runs[0]
        with fake_device("mps") as device:
            state = build_state(run.training, device)
            images = torch.rand(8, 3, 32, 32).to(memory_format=torch.channels_last) * 2 - 1
            sizes = state.settings.factor_sizes
            told = images.flip(0) if run.training.data.input else conditions(8, sizes).float() if sizes else None
            batch = Batch(images, None if told is None else told.to(device))
            make_engine("eager", state).run_iteration(0, lambda number, batch=batch: batch)
            assert state.meter.take_means()


@pytest.mark.parametrize("stabiliser", STABILISERS)
def test_every_stabiliser_trains_and_logs(stabiliser: str, root: Path, tmp_path: Path) -> None:
    entry = {"objective": "wgan-gp", "recipe": STABILISERS[stabiliser]}
    check_training(entry, "eager", root, RunFolder(tmp_path / "run"))


@pytest.mark.parametrize(
    "wide",
    [
        lambda device: torch.ones(2, device=device).double(),
        lambda device: torch.zeros(2, dtype=torch.float64, device=device),
        lambda device: torch.zeros(2, dtype=torch.float64).to(device),
        lambda device: torch.ones(2).mean(dtype=torch.float64),
    ],
)
def test_the_device_that_stands_in_refuses_float64(wide: Any) -> None:
    with fake_device("mps") as device, pytest.raises(NoFloat64Error):
        wide(device)
