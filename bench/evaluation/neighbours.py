"""Metrics of pairwise distances, from one blocked pass over each matrix of inner products.

One product x·y gives both the distance (precision, recall, density, coverage, diversity, near-duplicates) and the
kernel (KID), so each of the three matrices (generated-generated, real-real, generated-real) is computed once, in
float64 and by rows: memory grows with N, not with N^2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.evaluation_settings import NEIGHBOURS_DENSITY_COVERAGE, NEIGHBOURS_PRECISION_RECALL

_BLOCK_ELEMENTS = 2**20  # 8 MB of float64: a block stays in the processor's cache
_KID_SEED = 2020  # torch-fidelity's
_DUPLICATE_QUANTILE = 0.01


@dataclass(frozen=True)
class Subsets:
    """KID's random subsets: `generated` N x S and `real` M x S hold 1 where an image is in a subset, else 0."""

    generated: Tensor
    real: Tensor
    size: int


@dataclass(frozen=True)
class Geometry:
    """What the distances within one set of N images say.

    nearest, radius_precision, radius_coverage   distance to the 1st, 3rd and 5th nearest other image, N float64
    mean_distance   mean over all pairs of different images
    kernel_sums     sum of the kernel over the pairs of different images of each of KID's S subsets
    close           how many images lie within the duplicate distance of each, itself included; None when not asked
    """

    nearest: Tensor
    radius_precision: Tensor
    radius_coverage: Tensor
    mean_distance: float
    kernel_sums: Tensor
    close: Tensor | None


def draw_subsets(generated: int, real: int, size: int, subsets: int) -> Subsets:
    """Draw KID's subsets exactly as torch-fidelity does; a subset is never larger than either set."""
    size = min(size, generated, real)
    random = np.random.RandomState(_KID_SEED)
    chosen_generated = torch.zeros(generated, subsets, dtype=torch.float64)
    chosen_real = torch.zeros(real, subsets, dtype=torch.float64)
    for column in range(subsets):
        chosen_generated[random.choice(generated, size, replace=False), column] = 1
        chosen_real[random.choice(real, size, replace=False), column] = 1
    return Subsets(chosen_generated, chosen_real, size)


def geometry(features: Tensor, subsets: Tensor, duplicate_distance: float | None = None) -> Geometry:
    """Measure a set of N x d features against itself; `subsets` is its half of KID's, N x S."""
    features = features.double()
    squares = features.square().sum(dim=1)
    count = len(features)
    nearest = torch.empty(count, 3, dtype=torch.float64)
    close = torch.zeros(count, dtype=torch.int64)
    distance_sum = 0.0
    kernel_sums = torch.zeros(subsets.shape[1], dtype=torch.float64)
    wanted = [1, NEIGHBOURS_PRECISION_RECALL, NEIGHBOURS_DENSITY_COVERAGE]
    for rows in _row_blocks(count, count):
        products = features[rows] @ features.T
        distances = _distances(products, squares[rows], squares)
        positions = torch.arange(rows.start, rows.stop)
        distances[positions - rows.start, positions] = 0  # exactly: rounding leaves noise there
        nearest[rows] = distances.topk(max(wanted) + 1, dim=1, largest=False).values[:, wanted]
        distance_sum += float(distances.sum())
        if duplicate_distance is not None:
            close[rows] = (distances <= duplicate_distance).sum(dim=1)
        kernel = _kernel(products, features.shape[1])
        kernel[positions - rows.start, positions] = 0
        kernel_sums += (subsets[rows] * (kernel @ subsets)).sum(dim=0)
    first, third, fifth = (column.contiguous() for column in nearest.unbind(dim=1))
    return Geometry(
        nearest=first,
        radius_precision=third,
        radius_coverage=fifth,
        mean_distance=distance_sum / (count * (count - 1)),
        kernel_sums=kernel_sums,
        close=close if duplicate_distance is not None else None,
    )


def duplicate_distance(real: Geometry) -> float:
    """Return the distance below which two images count as one.

    It is what 99 % of the real images keep from their nearest neighbour, but more than rounding leaves between equal
    images where the real ones themselves hold duplicates.
    """
    return max(float(torch.quantile(real.nearest, _DUPLICATE_QUANTILE)), 1e-4 * real.mean_distance)


def effective_unique_share(generated: Geometry) -> float:
    """Return the effective number of different images over their number: the mean of 1 / n.

    n is the number of images within the duplicate distance of an image, itself included. It is the diversity of order
    0 under that similarity (Leinster and Cobbold 2012): m different images, each repeated N/m times, give m/N.
    """
    assert generated.close is not None
    return float((1 / generated.close.double()).mean())


def compare(
    generated: Tensor, real: Tensor, generated_geometry: Geometry, real_geometry: Geometry, subsets: Subsets
) -> dict[str, float]:
    """Return precision, recall, density, coverage and KID of N x d generated against M x d real features.

    Precision and recall follow torch-fidelity (k = 3, <=; arXiv 1904.06991), density and coverage `prdc` (k = 5, <;
    arXiv 2002.09797), KID torch-fidelity (arXiv 1801.01401).
    """
    generated, real = generated.double(), real.double()
    squares_generated, squares_real = generated.square().sum(dim=1), real.square().sum(dim=1)
    inside_real, balls = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    kernel_sums = torch.zeros(subsets.real.shape[1], dtype=torch.float64)
    for rows in _row_blocks(len(generated), len(real)):
        products = generated[rows] @ real.T
        distances = _distances(products, squares_generated[rows], squares_real)
        inside_real += int((distances <= real_geometry.radius_precision).any(dim=1).sum())
        recalled |= (distances <= generated_geometry.radius_precision[rows, None]).any(dim=0)
        within = distances < real_geometry.radius_coverage
        balls += int(within.sum())
        covered |= within.any(dim=0)
        kernel_sums += (subsets.generated[rows] * (_kernel(products, real.shape[1]) @ subsets.real)).sum(dim=0)
    size = subsets.size
    within_sets = (generated_geometry.kernel_sums + real_geometry.kernel_sums) / (size * (size - 1))
    return {
        "kid": float((within_sets - 2 * kernel_sums / size**2).mean()),
        "precision": inside_real / len(generated),
        "recall": float(recalled.double().mean()),
        "density": balls / (NEIGHBOURS_DENSITY_COVERAGE * len(generated)),
        "coverage": float(covered.double().mean()),
    }


def _row_blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK_ELEMENTS // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _distances(products: Tensor, squares_rows: Tensor, squares_columns: Tensor) -> Tensor:
    """Return |x - y| from x·y, |x|^2 and |y|^2; rounding may leave a square below 0."""
    return torch.add(squares_rows[:, None] + squares_columns, products, alpha=-2).clamp_(min=0).sqrt_()


def _kernel(products: Tensor, dimension: int) -> Tensor:
    """Return KID's kernel (x·y / d + 1)^3."""
    base = products / dimension + 1
    return base * base * base
