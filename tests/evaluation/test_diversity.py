"""How many different images: the Vendi score, the birthday paradox, the similarity of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.feature_sets import feature_sets, geometries
from torch import Tensor

from bench.evaluation.diversity import birthday_support, vendi_score
from bench.evaluation.similarity import PAIRS, mean_similarity, ms_ssim, pairs_of, scale_count


def test_vendi_score_at_its_ends() -> None:
    assert vendi_score(torch.eye(7)) == pytest.approx(7)
    assert vendi_score(torch.ones(50, 3)) == pytest.approx(1)
    assert vendi_score(torch.eye(5).repeat(20, 1) * 3) == pytest.approx(5)  # lengths do not count
    assert vendi_score(torch.eye(40, 60).repeat(3, 1)) == pytest.approx(40)


def test_vendi_score_is_the_same_from_either_matrix() -> None:
    features, _ = feature_sets(90, 10, 40)
    unit = torch.nn.functional.normalize(features.double())
    eigenvalues = np.linalg.eigvalsh((unit @ unit.T / 90).numpy()).clip(min=1e-300)
    assert vendi_score(features) == pytest.approx(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))


def support_of(different: int, count: int, seed: int) -> float:
    """Return the estimate for a generator that makes `different` images, each as often."""
    items, real = feature_sets(different, count, 32, seed)
    drawn = torch.randint(different, (count,), generator=torch.Generator().manual_seed(seed))
    own, _ = geometries(items[drawn], real)
    return birthday_support(own)


@pytest.mark.parametrize(("different", "count"), [(365, 1_500), (60, 600)])
def test_birthday_support_finds_the_number_of_different_images(different: int, count: int) -> None:
    found = np.mean([support_of(different, count, seed) for seed in range(4)])
    assert found == pytest.approx(different, rel=0.2)  # one more image in a batch is 20 % more at 60


def test_birthday_support_by_its_definition() -> None:
    items, real = feature_sets(60, 300, 32)
    drawn = torch.randint(60, (300,), generator=torch.Generator().manual_seed(3)).tolist()
    own, _ = geometries(items[drawn], real)
    sizes = []
    for start in range(300):
        seen: set[int] = set()
        while drawn[(start + len(seen)) % 300] not in seen:
            seen.add(drawn[(start + len(seen)) % 300])
        sizes.append(len(seen) + 1)
    half = sorted(sizes)[149]
    assert birthday_support(own) == pytest.approx(half * (half - 1) / (2 * math.log(2)))


def test_birthday_support_at_its_ends() -> None:
    _, real = feature_sets(10, 300, 32)
    own, _ = geometries(real[:1].repeat(300, 1), real)
    assert birthday_support(own) == pytest.approx(1 / math.log(2))  # two images suffice
    own, _ = geometries(real * 50, real)
    assert birthday_support(own) == pytest.approx(300 * 299 / (2 * math.log(2)))  # no two alike: the most there is
    own, _ = geometries(real, real)
    assert birthday_support(own) > 3_000  # the real ones themselves: the nearest hundredth counts as alike


def noise(count: int, resolution: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, resolution, resolution), generator=random, dtype=torch.uint8)


def test_pairs_are_of_different_images_and_the_same_each_time() -> None:
    first, second = pairs_of(50)
    assert len(first) == PAIRS
    assert (first != second).all()
    assert set(first) | set(second) == set(range(50))
    assert np.array_equal(pairs_of(50)[1], second)
    assert not np.array_equal(pairs_of(51)[1], second)


@pytest.mark.parametrize(("resolution", "scales"), [(32, 2), (64, 3), (128, 4)])
def test_similarity_of_pairs_at_its_ends(resolution: int, scales: int) -> None:
    assert scale_count(resolution) == scales
    images = noise(30, resolution, 0)
    assert mean_similarity(images.numpy(), images.numpy()) == pytest.approx(1, abs=1e-5)
    assert mean_similarity(images.numpy(), noise(30, resolution, 1).numpy()) < 0.1
    mixed = (0.9 * images.float() + 0.1 * noise(30, resolution, 1).float()).round()
    half = (0.5 * images.float() + 0.5 * noise(30, resolution, 1).float()).round()
    assert (ms_ssim(images.float(), mixed) > ms_ssim(images.float(), half)).all()
