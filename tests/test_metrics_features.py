"""Metrics on given features: agreement with torch-fidelity and prdc, known values, limits."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from bench.evaluation import neighbours
from bench.evaluation.features import UNSURE
from bench.evaluation.frechet import frechet_distance
from bench.evaluation.nearest import mean_nearest_distance, thumbnails
from bench.evaluation.neighbours import (
    compare,
    draw_subsets,
    duplicate_distance,
    effective_unique_share,
    geometry,
)
from bench.evaluation.scores import inception_score, mode_scores

FROZEN = {
    "kid": 0.07129396330242965,
    "precision": 0.8166666666666667,
    "recall": 0.22,
    "density": 0.825,
    "coverage": 0.77,
    "unique": 0.95,
    "diversity": 0.7874835091964826,
    "fd": 0.050336116296517686,
}


def feature_sets(generated: int, real: int, dimension: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw two overlapping sets of features near a curved surface, float32, as pooled ReLU features are."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(12, dimension, generator=random)

    def draw(count: int, scale: float, shift: float) -> Tensor:
        latent = scale * torch.randn(count, 12, generator=random)
        return (latent @ mixing).relu() + 0.1 * torch.randn(count, dimension, generator=random) + shift

    return draw(generated, 1.0, 0.0), draw(real, 1.1, 0.05)


def all_of(generated: Tensor, real: Tensor, size: int = 300, subsets: int = 10) -> dict[str, float]:
    chosen = draw_subsets(len(generated), len(real), size, subsets)
    real_geometry = geometry(real, chosen.real)
    own = geometry(generated, chosen.generated, duplicate_distance(real_geometry))
    return {
        **compare(generated, real, own, real_geometry, chosen),
        "unique": effective_unique_share(own),
        "diversity": own.mean_distance / real_geometry.mean_distance,
    }


def torch_fidelity_fid(first: Tensor, second: Tensor) -> float:
    statistics = [fid_features_to_statistics(features.double()) for features in (first, second)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


@pytest.mark.parametrize(("generated", "real", "tolerance"), [(700, 600, 1e-6), (150, 600, 1e-4), (150, 150, 1e-4)])
def test_frechet_distance_agrees_with_torch_fidelity(generated: int, real: int, tolerance: float) -> None:
    first, second = feature_sets(generated, real, 200)
    assert frechet_distance(first, second) == pytest.approx(torch_fidelity_fid(first, second), rel=tolerance)


def test_frechet_distance_of_known_gaussians() -> None:
    # Sets with exactly these moments: for diagonal covariances the distance is sum (m1-m2)^2 + (s1-s2)^2.
    signs = torch.tensor([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], dtype=torch.float64)
    unbias = math.sqrt(7 / 8)
    first = signs * unbias * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.0, 1.0, 0.0])
    second = signs * unbias * torch.tensor([2.0, 2.0, 1.0])
    assert frechet_distance(first, second) == pytest.approx(1 + 1 + 0 + 4, rel=1e-12)


def test_frechet_distance_of_equal_and_of_degenerate_sets() -> None:
    first, second = feature_sets(400, 400, 100)
    scale = float(second.double().var(dim=0).sum())
    assert frechet_distance(second, second) == pytest.approx(0, abs=1e-6 * scale)
    few = second[:80]
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6 * scale)
    repeated = first[:1].expand(400, -1)
    away = float((repeated[0].double() - second.double().mean(dim=0)).square().sum())
    assert frechet_distance(repeated, second) == pytest.approx(away + scale, rel=1e-6)
    constant = torch.cat([second, torch.zeros(400, 1)], dim=1)  # a feature that never varies: no Cholesky factor
    varied = torch.cat([first, torch.zeros(400, 1)], dim=1)
    assert frechet_distance(varied, constant) == pytest.approx(frechet_distance(first, second), rel=1e-6)


@pytest.mark.parametrize(("generated", "real", "dimension"), [(500, 450, 60), (350, 520, 600)])
def test_neighbour_metrics_agree_with_the_libraries(generated: int, real: int, dimension: int) -> None:
    first, second = feature_sets(generated, real, dimension)
    ours = all_of(first, second)
    theirs = prc_features_to_metric(first.double(), second.double(), verbose=False)
    # The same counts; torch-fidelity divides them in float32.
    assert round(ours["precision"] * generated) == round(theirs["precision"] * generated)
    assert round(ours["recall"] * real) == round(theirs["recall"] * real)
    assert ours["precision"] == pytest.approx(theirs["precision"], abs=1e-7)
    with contextlib.redirect_stdout(io.StringIO()):
        expected = compute_prdc(second.double().numpy(), first.double().numpy(), nearest_k=5)
    assert ours["density"] == pytest.approx(expected["density"], rel=1e-12)
    assert ours["coverage"] == expected["coverage"]
    kid = kid_features_to_metric(
        first.double(), second.double(), kid_subsets=10, kid_subset_size=300, verbose=False, rng_seed=2020
    )
    assert ours["kid"] == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-10)


def test_frozen_values() -> None:
    # So that a change of the libraries and of this code together would not go unseen.
    first = torch.arange(360, dtype=torch.float64).square().mul(0.618034).frac().view(120, 3)
    second = torch.arange(300, dtype=torch.float64).square().mul(0.414214).frac().view(100, 3).mul(1.2)
    values = {**all_of(first, second, size=60, subsets=5), "fd": frechet_distance(first, second)}
    assert values == pytest.approx(FROZEN, rel=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = feature_sets(300, 260, 40)
    whole = all_of(first, second, size=100)
    monkeypatch.setattr(neighbours, "_BLOCK_ELEMENTS", 7 * 300)
    assert all_of(first, second, size=100) == pytest.approx(whole, rel=1e-12)


def test_kid_subsets_are_never_larger_than_a_set() -> None:
    first, second = feature_sets(90, 70, 20)
    assert draw_subsets(90, 70, 1000, 3).size == 70
    assert abs(all_of(first, second, size=1000)["kid"]) < 10


def test_unique_share_counts_repeats() -> None:
    _, real = feature_sets(10, 400, 64)
    assert all_of(real, real)["unique"] > 0.98
    assert all_of(real[:1].repeat(400, 1), real)["unique"] == pytest.approx(1 / 400)
    assert all_of(real[:40].repeat(10, 1), real)["unique"] == pytest.approx(0.1, rel=0.05)
    uneven = torch.cat([real[:1].repeat(200, 1), real[200:]])
    assert all_of(uneven, real)["unique"] == pytest.approx(201 / 400, rel=0.02)


def test_unique_share_where_real_images_repeat_themselves() -> None:
    _, real = feature_sets(10, 200, 64)
    doubled = real.repeat(2, 1)
    assert all_of(doubled, doubled)["unique"] == pytest.approx(0.5)  # only true repeats count, never all images


def test_one_repeated_image_is_seen_by_everything_but_precision() -> None:
    _, real = feature_sets(10, 300, 64)
    centre = int((real - real.mean(dim=0)).square().sum(dim=1).argmin())
    values = all_of(real[centre : centre + 1].repeat(300, 1), real)
    assert values["precision"] == 1
    assert values["recall"] < 0.05
    assert values["coverage"] < 0.2
    assert values["diversity"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("splits", [1, 7, 10])
def test_inception_score_agrees_with_torch_fidelity(splits: int) -> None:
    logits = 3 * torch.randn(503, 100, generator=torch.Generator().manual_seed(1))
    expected = isc_features_to_metric(logits, splits=splits)["inception_score_mean"]
    assert inception_score(logits, splits) == pytest.approx(expected, rel=1e-12)


def test_inception_score_at_its_ends() -> None:
    assert inception_score(torch.zeros(100, 10), 10) == pytest.approx(1)
    certain = torch.eye(10).repeat(100, 1) * 2_000  # float64 softmax underflows here
    assert inception_score(certain, 1) == pytest.approx(10)


def test_mode_scores() -> None:
    modes = torch.tensor([0, 0, 1, 2, UNSURE, UNSURE])
    scores = mode_scores(modes, 4)
    assert scores["modes"] == 3
    assert scores["judge_confident"] == pytest.approx(4 / 6)
    assert scores["mode_kl"] == pytest.approx(0.5 * math.log(2) + 0.0)
    assert mode_scores(torch.arange(4), 4)["mode_kl"] == pytest.approx(0, abs=1e-12)
    nothing = mode_scores(torch.full((5,), UNSURE), 4)
    assert nothing == {"modes": 0, "judge_confident": 0, "mode_kl": pytest.approx(math.log(4))}


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_thumbnails_are_area_means(resolution: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, resolution, resolution), dtype=np.uint8)
    cell = resolution // 16
    exact = images.reshape(5, 3, 16, cell, 16, cell).astype(float).mean(axis=(3, 5)).reshape(5, -1)
    assert np.abs(thumbnails(images) - exact).max() <= 0.5


def test_nearest_distance_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    training = random.integers(0, 256, (90, 768), dtype=np.uint8)
    images = random.integers(0, 256, (40, 768), dtype=np.uint8)
    images[3] = training[50]
    every = np.sqrt(((images[:, None].astype(float) - training[None]) ** 2).sum(axis=2))
    monkeypatch.setattr("bench.evaluation.nearest._COLUMNS", 32)
    assert mean_nearest_distance(images, training) == pytest.approx(every.min(axis=1).mean(), rel=1e-12)
    places = np.array([5, 50, 89])
    others = np.sqrt(((training[places][:, None].astype(float) - training[None]) ** 2).sum(axis=2))
    others[np.arange(3), places] = np.inf
    assert mean_nearest_distance(training[places], training) == 0
    assert mean_nearest_distance(training[places], training, places) == pytest.approx(others.min(axis=1).mean())
