"""Metrics on given features: known values, limits, and that tiles and scales change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.feature_sets import all_of, feature_sets, geometries

from bench.evaluation import tiles
from bench.evaluation.features import UNSURE
from bench.evaluation.frechet import can_extrapolate, extrapolated_distance, fit, frechet_distance
from bench.evaluation.nearest import copying_z, nearest_in_features, nearest_in_pixels, thumbnails
from bench.evaluation.neighbours import draw_subsets
from bench.evaluation.scores import inception_score, mode_scores


def test_frechet_distance_of_known_gaussians() -> None:
    # Sets with exactly these moments: for diagonal covariances the distance is sum (m1-m2)^2 + (s1-s2)^2.
    signs = torch.tensor([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], dtype=torch.float64)
    unbias = math.sqrt(7 / 8)
    first = signs * unbias * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.0, 1.0, 0.0])
    second = signs * unbias * torch.tensor([2.0, 2.0, 1.0])
    assert frechet_distance(first, fit(second)) == pytest.approx(1 + 1 + 0 + 4, rel=1e-12)


def test_frechet_distance_of_equal_and_of_degenerate_sets() -> None:
    first, second = feature_sets(400, 400, 100)
    scale = float(second.double().var(dim=0).sum())
    assert frechet_distance(second, fit(second)) == pytest.approx(0, abs=1e-6 * scale)
    few = second[:80]
    assert frechet_distance(few, fit(few)) == pytest.approx(0, abs=1e-6 * scale)
    repeated = first[:1].expand(400, -1)
    away = float((repeated[0].double() - second.double().mean(dim=0)).square().sum())
    assert frechet_distance(repeated, fit(second)) == pytest.approx(away + scale, rel=1e-6)
    constant = torch.cat([second, torch.zeros(400, 1)], dim=1)  # a feature that never varies: no Cholesky factor
    varied = torch.cat([first, torch.zeros(400, 1)], dim=1)
    assert frechet_distance(varied, fit(constant)) == pytest.approx(frechet_distance(first, fit(second)), rel=1e-6)


def test_extrapolation_takes_away_what_the_number_of_images_adds() -> None:
    dimension = 24
    random = torch.Generator().manual_seed(0)
    deviations = torch.linspace(0.5, 1.5, dimension, dtype=torch.float64)
    reference = fit(torch.randn(100_000, dimension, generator=random, dtype=torch.float64))
    true = float((deviations - 1).square().sum()) + 4.0  # N(m, diag s^2) with |m|^2 = 4 against N(0, I)
    plain, extrapolated = [], []
    for _ in range(30):
        drawn = torch.randn(240, dimension, generator=random, dtype=torch.float64) * deviations + 2 / dimension**0.5
        plain.append(frechet_distance(drawn, reference))
        extrapolated.append(extrapolated_distance(drawn, reference))
    error = np.std(extrapolated, ddof=1) / len(extrapolated) ** 0.5
    assert np.mean(plain) - true > 10 * error  # what is to be taken away is there
    assert np.mean(extrapolated) == pytest.approx(true, abs=4 * error)
    assert np.std(extrapolated) < 1.5 * np.std(plain)


def test_extrapolation_is_the_line_through_six_distances() -> None:
    first, second = feature_sets(301, 400, 20)
    reference = fit(second)
    edges = np.linspace(0, 301, 7).round().astype(int)
    parts = [(0, 6), (0, 3), (3, 6), (0, 2), (2, 4), (4, 6)]
    places = [(edges[start], edges[stop]) for start, stop in parts]
    distances = [frechet_distance(first[start:stop], reference) for start, stop in places]
    expected = np.polyfit([1 / (stop - start) for start, stop in places], distances, 1)[1]
    assert extrapolated_distance(first, reference) == pytest.approx(expected, rel=1e-9)


def test_extrapolation_needs_more_images_than_features_in_each_third() -> None:
    assert can_extrapolate(5_000, 1_280)
    assert can_extrapolate(10_000, 2_048)
    assert not can_extrapolate(5_000, 2_048)
    assert not can_extrapolate(300, 128)


@pytest.mark.parametrize("tile", [37, 64, 259])
def test_tiles_change_nothing(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = feature_sets(300, 260, 40)
    first[100:140] = first[50:90]  # repeats, and copies of real images: distances that are exactly equal
    first[200:220] = second[:20]
    (own, real_own), whole = geometries(first, second), all_of(first, second, size=100)
    monkeypatch.setattr(tiles, "TILE", tile)
    tiled_own, tiled_real_own = geometries(first, second)
    for one, other in ((own, tiled_own), (real_own, tiled_real_own)):
        assert torch.equal(one.nearest, other.nearest)
    assert torch.equal(tiled_own.close, own.close)  # type: ignore[arg-type]
    assert torch.equal(tiled_own.back, own.back)  # type: ignore[arg-type]
    tiled = all_of(first, second, size=100)
    counts = ("precision", "recall", "density", "coverage", "unique", "support")
    assert {name: tiled[name] for name in counts} == {name: whole[name] for name in counts}
    assert tiled == pytest.approx(whole, rel=1e-11)


@pytest.mark.parametrize("tile", [1024, 96])
def test_equal_distances_are_equal_wherever_they_stand(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every ball has an image exactly on its border: one bit of rounding would show in the density.
    monkeypatch.setattr(tiles, "TILE", tile)
    _, real = feature_sets(10, 500, 60)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    values = all_of(real[order], real)
    exact = {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0, "diversity": 1.0}
    assert {name: values[name] for name in exact} == pytest.approx(exact, rel=1e-12)


def test_features_of_any_scale_give_the_same_counts() -> None:
    first, second = feature_sets(200, 180, 30)
    counts = ("precision", "recall", "density", "coverage", "unique", "support")
    expected = all_of(first, second)
    for factor in (1e-4, 4096.0):
        found = all_of(first * factor, second * factor)
        assert {name: found[name] for name in counts} == {name: expected[name] for name in counts}


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
    monkeypatch.setattr("bench.evaluation.nearest._ROWS", 2)
    assert nearest_in_pixels(images, training) == pytest.approx(every.min(axis=1), rel=1e-12)
    places = np.array([5, 50, 89])
    others = np.sqrt(((training[places][:, None].astype(float) - training[None]) ** 2).sum(axis=2))
    others[np.arange(3), places] = np.inf
    assert not nearest_in_pixels(training[places], training).any()
    assert nearest_in_pixels(training[places], training, places) == pytest.approx(others.min(axis=1))


def test_nearest_distance_in_features_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE", 64)
    first, second = feature_sets(150, 200, 40)
    first[7] = second[150]
    every = torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist")
    found = nearest_in_features(first, second, tiles.scale_of(second))
    assert found == pytest.approx(every.amin(dim=1).numpy(), rel=1e-8, abs=1e-4)
    assert found[7] == 0
    own = torch.cdist(first.double(), first.double(), compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(9e9)
    found = nearest_in_features(first[:90], first, tiles.scale_of(second), same_place=True)
    assert found == pytest.approx(own[:90].amin(dim=1).numpy(), rel=1e-8)


def test_the_copying_test_tells_copies_from_unseen_images() -> None:
    everything, _ = feature_sets(1_200, 10, 30)
    training, heldout, fresh = everything[:600], everything[600:900], everything[900:]
    scale = tiles.scale_of(training)
    noise = 0.05 * torch.randn(300, 30, generator=torch.Generator().manual_seed(1))
    distances = {
        name: nearest_in_features(images, training, scale)
        for name, images in {
            "heldout": heldout,
            "fresh": fresh,
            "copies": training[:300] + noise,
            "half copies": torch.cat([training[:150] + noise[:150], fresh[:150]]),
            "elsewhere": fresh * 1.3,
        }.items()
    }
    z = {name: copying_z(values, distances["heldout"]) for name, values in distances.items()}
    assert z["heldout"] == 0
    assert abs(z["fresh"]) < 3
    assert z["copies"] < -15
    assert z["half copies"] < -5
    assert z["elsewhere"] > 5
    # Meehan's own form, but for its continuity correction: U over all pairs, centred and scaled.
    pairs = (distances["copies"][:, None] > distances["heldout"]).sum()
    assert z["copies"] == pytest.approx((pairs - 300 * 300 / 2) / math.sqrt(300 * 300 * 601 / 12), rel=1e-9)
