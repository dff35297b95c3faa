"""Distances between many features, one tile of the matrix at a time.

The matrix of N x M distances is never whole, nor is a float64 copy of the features: a tile's rows and columns are
widened to float64 when their turn comes. Memory grows with N, not with N^2.

Squared distances are whole multiples of a quantum, about 2^-32 of a real feature vector's squared length: far above
what rounding adds to a product in float64, far below what float32 features can tell. Without it two equal distances
may differ in their last bit with the place of their tile, and <= and < would give another answer in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

TILE = 1024
_QUANTA_BITS = 32


@dataclass(frozen=True)
class Tile:
    """Rows x columns of the matrix between two feature sets.

    products   inner products x·y of the features times the scale, float64
    squared    |x - y|^2 in quanta: float64 holding whole numbers, never below 0
    """

    rows: slice
    columns: slice
    products: Tensor
    squared: Tensor

    @property
    def on_diagonal(self) -> bool:
        return self.rows == self.columns


def scale_of(features: Tensor) -> float:
    """Return the power of two by which features (N x d) are multiplied so that a quantum of squared distance is 1."""
    total = sum(float(features[part].double().square().sum()) for part in _slices(len(features)))
    mean = total / len(features)
    return 2.0 ** math.floor((_QUANTA_BITS - math.log2(mean)) / 2) if mean > 0 else 1.0


def tiles_between(first: Tensor, second: Tensor, scale: float) -> Iterator[Tile]:
    """Yield every tile of the matrix between N x d and M x d features, row after row of tiles."""
    for rows in _slices(len(first)):
        widened = _widened(first, rows, scale)
        for columns in _slices(len(second)):
            yield _tile(rows, columns, widened, _widened(second, columns, scale))


def tiles_within(features: Tensor, scale: float) -> Iterator[Tile]:
    """Yield the tiles on and above the diagonal of a set's own matrix; the others are their transposes.

    An image's distance to itself is exactly 0.
    """
    for rows in _slices(len(features)):
        widened = _widened(features, rows, scale)
        for columns in _slices(len(features), rows.start):
            tile = _tile(rows, columns, widened, widened if columns == rows else _widened(features, columns, scale))
            if tile.on_diagonal:
                tile.squared.fill_diagonal_(0)
            yield tile


def _tile(rows: slice, columns: slice, first: Tensor, second: Tensor) -> Tile:
    products = first @ second.T
    squared = products * -2
    squared += first.square().sum(dim=1)[:, None]
    squared += second.square().sum(dim=1)
    return Tile(rows, columns, products, squared.round_().clamp_(min=0))


def _widened(features: Tensor, part: slice, scale: float) -> Tensor:
    return features[part].double() * scale


def _slices(count: int, start: int = 0) -> Iterator[slice]:
    for begin in range(start, count, TILE):
        yield slice(begin, min(begin + TILE, count))
