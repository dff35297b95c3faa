"""Metrics of pairwise distances, from one tiled pass over each matrix of inner products.

One product x·y gives both the distance (precision, recall, density, coverage, diversity, near-duplicates) and the
kernel (KID), so each of the three matrices (generated-generated, real-real, generated-real) is computed once, in
float64; of the first two, which are symmetric, only half. All of it on the device where the features are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.evaluation.tiles import Tile, scale_of, tiles_between, tiles_within
from bench.metrics.settings import NEIGHBOURS_DENSITY_COVERAGE, NEIGHBOURS_PRECISION_RECALL

_KID_SEED = 2020  # torch-fidelity's
_DUPLICATE_QUANTILE = 0.01
_NEIGHBOURS = max(NEIGHBOURS_PRECISION_RECALL, NEIGHBOURS_DENSITY_COVERAGE)


@dataclass(frozen=True)
class Subsets:
    """KID's random subsets: `generated` N x S and `real` M x S hold 1 where an image is in a subset, else 0."""

    generated: Tensor
    real: Tensor
    size: int

    def on(self, device: torch.device) -> Subsets:
        """Return the same on another device."""
        return Subsets(self.generated.to(device), self.real.to(device), self.size)


@dataclass(frozen=True)
class Geometry:
    """What the distances within one set of N images say. Squared distances are in quanta of `scale` (see tiles.py).

    nearest         N x 5, squared distances to the 1st to 5th nearest other image, ascending
    mean_distance   mean over all pairs of different images, in units of the features
    kernel_sums     sum of the kernel over the pairs of different images of each of KID's S subsets
    close           how many images lie within the duplicate distance of each, itself included; None when not asked
    back            how many images before it, in cyclic order, the last one within that distance lies; N where none
                    does; None when not asked
    """

    scale: float
    nearest: Tensor
    mean_distance: float
    kernel_sums: Tensor
    close: Tensor | None = None
    back: Tensor | None = None

    def radius(self, neighbours: int) -> Tensor:
        """Return the squared distance to the so many-th nearest other image, N."""
        return self.nearest[:, neighbours - 1]


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


def real_geometry(features: Tensor, subsets: Tensor) -> Geometry:
    """Measure real N x d features against themselves; `subsets` is their half of KID's, N x S."""
    return _geometry(features, subsets, scale_of(features), None)


def generated_geometry(features: Tensor, subsets: Tensor, real: Geometry) -> Geometry:
    """Measure generated N x d features against themselves, with near-duplicates as the real images define them."""
    return _geometry(features, subsets, real.scale, duplicate_distance(real))


def duplicate_distance(real: Geometry) -> float:
    """Return the squared distance, in quanta, up to which two images count as one.

    It is what 99 % of the real images keep from their nearest neighbour, but more than the batch an image was in
    changes in its features where the real ones themselves hold duplicates.
    """
    quantile = float(torch.quantile(real.radius(1), _DUPLICATE_QUANTILE))
    return max(quantile, (1e-4 * real.mean_distance * real.scale) ** 2)


def effective_unique_share(generated: Geometry) -> float:
    """Return the effective number of different images over their number: the mean of 1 / n.

    n is the number of images within the duplicate distance of an image, itself included. It is the diversity of order
    0 under that similarity (Leinster and Cobbold 2012): m different images, each repeated N/m times, give m/N.
    """
    assert generated.close is not None
    return float((1 / generated.close.double()).mean())


def compare(generated: Tensor, real: Tensor, own: Geometry, real_own: Geometry, subsets: Subsets) -> dict[str, float]:
    """Return precision, recall, density, coverage and KID of N x d generated against M x d real features.

    Precision and recall follow torch-fidelity (k = 3, <=; arXiv 1904.06991), density and coverage `prdc` (k = 5, <;
    arXiv 2002.09797), KID and its standard deviation over the subsets torch-fidelity (arXiv 1801.01401). The subsets
    overlap, so the deviation is no standard error; where they are no smaller than the sets it is 0 and says nothing.
    """
    precise = generated.new_zeros(len(generated), dtype=torch.bool)
    recalled, covered = real.new_zeros(2, len(real), dtype=torch.bool)
    balls = 0
    kernel_sums = torch.zeros_like(real_own.kernel_sums)
    own_radius, real_radius = own.radius(NEIGHBOURS_PRECISION_RECALL), real_own.radius(NEIGHBOURS_PRECISION_RECALL)
    coverage_radius = real_own.radius(NEIGHBOURS_DENSITY_COVERAGE)
    for tile in tiles_between(generated, real, real_own.scale):
        rows, columns = tile.rows, tile.columns
        precise[rows] |= (tile.squared <= real_radius[columns]).any(dim=1)
        recalled[columns] |= (tile.squared <= own_radius[rows, None]).any(dim=0)
        within = tile.squared < coverage_radius[columns]
        balls += int(within.sum())
        covered[columns] |= within.any(dim=0)
        kernel = _kernel(tile, real.shape[1], real_own.scale)
        kernel_sums += (subsets.generated[rows] * (kernel @ subsets.real[columns])).sum(dim=0)
    pairs_within = subsets.size * (subsets.size - 1)
    kid = (own.kernel_sums + real_own.kernel_sums) / pairs_within - 2 * kernel_sums / subsets.size**2
    return {
        "kid": float(kid.mean()),
        "kid_deviation": float(kid.std(correction=0)),
        "precision": float(precise.double().mean()),
        "recall": float(recalled.double().mean()),
        "density": balls / (NEIGHBOURS_DENSITY_COVERAGE * len(generated)),
        "coverage": float(covered.double().mean()),
    }


def _geometry(features: Tensor, subsets: Tensor, scale: float, duplicates: float | None) -> Geometry:
    count = len(features)
    nearest = features.new_full((count, _NEIGHBOURS), torch.inf, dtype=torch.float64)
    close = features.new_ones(count, dtype=torch.int64)
    back = features.new_full((count,), count, dtype=torch.int64)
    distance_sum = 0.0
    kernel_sums = subsets.new_zeros(subsets.shape[1])
    for tile in tiles_within(features, scale):
        rows, columns = tile.rows, tile.columns
        times = 1 if tile.on_diagonal else 2  # a tile off the diagonal stands for its transpose too
        distance_sum += times * float(tile.squared.sqrt().sum())
        kernel = _kernel(tile, features.shape[1], scale)
        if tile.on_diagonal:
            kernel.fill_diagonal_(0)
            tile.squared.fill_diagonal_(torch.inf)
        kernel_sums += times * (subsets[rows] * (kernel @ subsets[columns])).sum(dim=0)
        _keep_smallest(nearest[rows], tile.squared)
        if not tile.on_diagonal:
            _keep_smallest(nearest[columns], tile.squared.T)
        if duplicates is not None:
            _note_duplicates(tile, duplicates, close, back)
    asked = duplicates is not None
    return Geometry(
        scale=scale,
        nearest=nearest,
        mean_distance=distance_sum / scale / (count * (count - 1)),
        kernel_sums=kernel_sums,
        close=close if asked else None,
        back=back if asked else None,
    )


def _keep_smallest(kept: Tensor, found: Tensor) -> None:
    """Put the smallest of each row of `kept` and `found` into `kept`, ascending."""
    smallest = found.topk(min(kept.shape[1], found.shape[1]), dim=1, largest=False).values
    kept.copy_(torch.cat([kept, smallest], dim=1).sort(dim=1).values[:, : kept.shape[1]])


def _note_duplicates(tile: Tile, limit: float, close: Tensor, back: Tensor) -> None:
    """Count the pairs of different images of a tile within the limit, for both images of each pair."""
    first, second = (tile.squared <= limit).nonzero().unbind(dim=1)
    first, second = first + tile.rows.start, second + tile.columns.start
    pairs = [(first, second)] if tile.on_diagonal else [(first, second), (second, first)]
    for image, other in pairs:
        close += torch.bincount(image, minlength=len(close))
        back.scatter_reduce_(0, image, (image - other) % len(back), "amin")


def _kernel(tile: Tile, dimension: int, scale: float) -> Tensor:
    """Return KID's kernel (x·y / d + 1)^3."""
    base = tile.products / (dimension * scale**2) + 1
    return base * base * base
