"""Metrics on given features: agreement with the libraries that define the field's standard, live and frozen.

Frozen numbers were made once with torch-fidelity 0.4.0 (float64 features), prdc 0.2, vendi-score 0.0.3 and
pytorch-msssim 1.0.0, so that a change of a library and of this code together would not go unseen.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from helpers.feature_sets import all_of, feature_sets
from prdc import compute_prdc
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from bench.evaluation import tiles
from bench.evaluation.diversity import vendi_score
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.scores import inception_score
from bench.evaluation.similarity import ms_ssim


def spread(count: int, dimension: int, factor: float) -> Tensor:
    """Return the same N x d numbers in [0, 1) whatever draws random ones."""
    places = torch.arange(1, count * dimension + 1, dtype=torch.float64)
    return places.square().mul(factor).frac().view(count, dimension)


GENERATED = spread(400, 24, 0.6180339887) * torch.linspace(0.5, 1.5, 24, dtype=torch.float64)
REAL = spread(360, 24, 0.4142135623) * 1.1


def test_frozen_values_of_the_libraries() -> None:
    found = all_of(GENERATED, REAL, size=100, subsets=20)
    assert frechet_distance(GENERATED, fit(REAL)) == pytest.approx(0.9080646427335735, rel=1e-6)
    assert found["kid"] == pytest.approx(0.1344897437177075, rel=1e-10)
    assert found["kid_deviation"] == pytest.approx(0.012953132981817892, rel=1e-10)
    assert found["precision"] == 240 / 400
    assert found["recall"] == 45 / 360
    assert found["density"] == 0.521
    assert found["coverage"] == 194 / 360
    assert inception_score(10 * GENERATED, 10) == pytest.approx(3.789921266152484, rel=1e-12)
    assert vendi_score(GENERATED) == pytest.approx(3.651602944019416, rel=1e-12)


def torch_fidelity_fid(first: Tensor, second: Tensor) -> float:
    statistics = [fid_features_to_statistics(features.double()) for features in (first, second)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


@pytest.mark.parametrize(
    ("generated", "real", "tolerance"),
    [(700, 600, 1e-6), (150, 600, 1e-4), (700, 150, 1e-4), (150, 150, 1e-4), (200, 201, 1e-4)],
)
def test_frechet_distance_agrees_with_torch_fidelity(generated: int, real: int, tolerance: float) -> None:
    first, second = feature_sets(generated, real, 200)
    assert frechet_distance(first, fit(second)) == pytest.approx(torch_fidelity_fid(first, second), rel=tolerance)


@pytest.mark.parametrize(("generated", "real", "dimension"), [(500, 450, 60), (350, 520, 600)])
@pytest.mark.parametrize("tile", [1024, 96])
def test_neighbour_metrics_agree_with_the_libraries(
    generated: int, real: int, dimension: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "TILE", tile)
    first, second = feature_sets(generated, real, dimension)
    ours = all_of(first, second)
    theirs = prc_features_to_metric(first.double(), second.double(), verbose=False)
    # The same counts; torch-fidelity divides them in float32.
    assert round(ours["precision"] * generated) == round(theirs["precision"] * generated)
    assert round(ours["recall"] * real) == round(theirs["recall"] * real)
    with contextlib.redirect_stdout(io.StringIO()):
        expected = compute_prdc(second.double().numpy(), first.double().numpy(), nearest_k=5)
    assert ours["density"] == pytest.approx(expected["density"], rel=1e-12)
    assert ours["coverage"] == expected["coverage"]
    kid = kid_features_to_metric(
        first.double(), second.double(), kid_subsets=10, kid_subset_size=300, verbose=False, rng_seed=2020
    )
    assert ours["kid"] == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-10)
    assert ours["kid_deviation"] == pytest.approx(kid["kernel_inception_distance_std"], rel=1e-9)


@pytest.mark.parametrize("splits", [1, 7, 10])
def test_inception_score_agrees_with_torch_fidelity(splits: int) -> None:
    logits = 3 * torch.randn(503, 100, generator=torch.Generator().manual_seed(1))
    expected = isc_features_to_metric(logits, splits=splits)["inception_score_mean"]
    assert inception_score(logits, splits) == pytest.approx(expected, rel=1e-12)


def waves(resolution: int, frequency: float) -> Tensor:
    """Return two colour images of waves, float32 2 x 3 x R x R, whole numbers in 0..255."""
    row, column = torch.meshgrid(*(torch.arange(resolution) / resolution,) * 2, indexing="ij")
    place = torch.arange(1, 7).view(2, 3, 1, 1)
    wave = torch.sin(frequency * place * column + 7 * row + place) * torch.cos(3 * place * row)
    return (127.5 + 127.5 * wave).round()


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        (192, [0.928554356098175, 0.8018765449523926]),  # room for all five scales: the original MS-SSIM
        (64, [0.9299938678741455, 0.7952947616577148]),
        (32, [0.9361340403556824, 0.7965380549430847]),
    ],
)
def test_ms_ssim_agrees_with_pytorch_msssim(resolution: int, expected: list[float]) -> None:
    first = waves(resolution, 3.0)
    second = (0.7 * first + 0.3 * waves(resolution, 4.0)).round()
    assert ms_ssim(first, second).tolist() == pytest.approx(expected, abs=2e-5)


def test_vendi_score_of_the_papers_matrix() -> None:
    kernel = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert vendi_score(torch.from_numpy(np.linalg.cholesky(kernel))) == pytest.approx(2.1573, abs=5e-5)
