"""One run over several processes: every objective's gradients and weights are those of the single process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from bench.networks import Norm, build_networks
from bench.objectives import load, names
from bench.recipe import Recipe
from bench.training.ranks import Ranks
from bench.training.step import Players, StepSettings

BATCH, RESOLUTION = 16, 16
SETTINGS: dict[str, dict[str, Any]] = {"ebgan": {"pulling_away": 0.1}, "lecam": {"start": 0}}
Trained = dict[str, tuple[Tensor, Tensor]]


def players_of(name: str, ranks: Ranks, norm: Norm, packing: int, dtype: torch.dtype) -> Players:
    objective = load(name).model_validate(SETTINGS.get(name, {}))
    norm = norm if norm in objective.norms else "layer"
    packing = packing if objective.head in ("score", "sliced", "embedding") else 1
    G, D = build_networks(
        resolution=RESOLUTION, width=4, latent=8, head=objective.head, norm=norm, seed=1, packing=packing
    )
    settings = StepSettings(
        recipe=Recipe(norm=norm, packing=packing, instance_noise=0.1),
        latent=8,
        latent_law="normal",
        generator_steps=100,
        halve_every=100,
        ema_decay=0.99,
        precision="fp32",
        seed=1,
    )
    return Players(settings, objective, G.to(dtype), D.to(dtype), torch.device("cpu"), ranks)


def trained(
    chosen: list[str], ranks: Ranks, steps: int, norm: Norm, packing: int, dtype: torch.dtype = torch.float64
) -> Trained:
    """Return, by objective, the first step's gradients and the weights after `steps`, both networks flattened."""
    found = {}
    for name in chosen:
        players = players_of(name, ranks, norm, packing, dtype)
        normal, uniform = players.draws.normal, players.draws.uniform
        players.draws.normal = lambda *where, draw=normal: draw(*where).to(dtype)  # type: ignore[method-assign]
        players.draws.uniform = lambda *where, draw=uniform: draw(*where).to(dtype)  # type: ignore[method-assign]
        parameters = [*players.D.parameters(), *players.G.parameters()]
        players.iterate(0, lambda step: batch(step, dtype))
        gradients = torch.cat([value.grad.flatten() for value in parameters if value.grad is not None])
        for step in range(1, steps):
            players.iterate(step, lambda step: batch(step, dtype))
        found[name] = gradients.clone(), torch.cat([value.detach().flatten() for value in parameters])
    return found


def batch(step: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.rand(BATCH, 3, RESOLUTION, RESOLUTION, generator=generator, dtype=dtype) * 2 - 1


def _rank(rank: int, count: int, folder: str, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count)
    try:
        torch.save(trained(arguments[0], Ranks(rank, count), *arguments[1:]), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def over_ranks(folder: Path, count: int, *arguments: Any) -> list[Trained]:
    """Train in `count` processes and return what each of them found."""
    folder.mkdir()
    multiprocessing.spawn(_rank, (count, str(folder), arguments), count)
    return [torch.load(folder / f"{rank}.pt") for rank in range(count)]


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def assert_equal_training(single: Trained, ranks: list[Trained], gradients: float, weights: float) -> None:
    for name, (gradient, weight) in single.items():
        assert relative_error(ranks[0][name][0], gradient) < gradients, name
        assert relative_error(ranks[0][name][1], weight) < weights, name
        assert all(torch.equal(other[name][1], ranks[0][name][1]) for other in ranks), name


@pytest.mark.parametrize(("count", "norm", "packing"), [(2, "batch", 1), (4, "layer", 2)])
def test_every_objective_over_ranks(tmp_path: Path, count: int, norm: Norm, packing: int) -> None:
    arguments = (names(), 3, norm, packing)
    single = trained(arguments[0], Ranks(), *arguments[1:])
    assert_equal_training(single, over_ranks(tmp_path / "ranks", count, *arguments), gradients=1e-9, weights=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("norm", ["batch", "layer", "spectral", "none"])
def test_fifty_steps_of_every_objective_over_ranks(tmp_path: Path, count: int, norm: Norm) -> None:
    arguments = (names(), 50, norm, 1)
    single = trained(arguments[0], Ranks(), *arguments[1:])
    assert_equal_training(single, over_ranks(tmp_path / "ranks", count, *arguments), gradients=1e-9, weights=1e-6)


@pytest.mark.slow
def test_single_steps_in_fp32_agree_to_rounding(tmp_path: Path) -> None:
    arguments = (names(), 1, "layer", 1, torch.float32)
    single = trained(arguments[0], Ranks(), *arguments[1:])
    ranks = over_ranks(tmp_path / "ranks", 2, *arguments)
    for name, (gradient, _) in single.items():
        assert relative_error(ranks[0][name][0], gradient) < 1e-4, name
