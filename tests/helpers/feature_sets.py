"""Feature sets for tests of metrics, and every pairwise metric of two of them."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.evaluation.diversity import birthday_support
from bench.evaluation.neighbours import (
    Geometry,
    compare,
    draw_subsets,
    effective_unique_share,
    generated_geometry,
    real_geometry,
)


def feature_sets(generated: int, real: int, dimension: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw two overlapping sets of features near a curved surface, float32, as pooled ReLU features are."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(12, dimension, generator=random)

    def draw(count: int, scale: float, shift: float) -> Tensor:
        latent = scale * torch.randn(count, 12, generator=random)
        return (latent @ mixing).relu() + 0.1 * torch.randn(count, dimension, generator=random) + shift

    return draw(generated, 1.0, 0.0), draw(real, 1.1, 0.05)


def geometries(generated: Tensor, real: Tensor, size: int = 300, subsets: int = 10) -> tuple[Geometry, Geometry]:
    chosen = draw_subsets(len(generated), len(real), size, subsets)
    real_own = real_geometry(real, chosen.real)
    return generated_geometry(generated, chosen.generated, real_own), real_own


def all_of(generated: Tensor, real: Tensor, size: int = 300, subsets: int = 10) -> dict[str, float]:
    own, real_own = geometries(generated, real, size, subsets)
    return {
        **compare(generated, real, own, real_own, draw_subsets(len(generated), len(real), size, subsets)),
        "unique": effective_unique_share(own),
        "support": birthday_support(own),
        "diversity": own.mean_distance / real_own.mean_distance,
    }
