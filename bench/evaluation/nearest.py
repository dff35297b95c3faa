"""Distances to the nearest training image, in 16 x 16 pixels: does a generator copy?

Pixels are whole numbers, whose products float32 holds exactly; the distance that is kept is computed from them anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.evaluation.features import Progress

SIDE = 16
_IMAGES = 1_000
_COLUMNS = 4_096

Thumbnails = npt.NDArray[np.uint8]


def thumbnails(images: npt.NDArray[np.uint8], progress: Progress | None = None) -> Thumbnails:
    """Average uint8 images N x 3 x R x R over areas to N x 768 bytes (3 x 16 x 16), rounding half up."""
    count, cell = len(images), images.shape[-1] // SIDE
    result = np.empty((count, 3 * SIDE * SIDE), dtype=np.uint8)
    for start in range(0, count, _IMAGES):
        block = images[start : start + _IMAGES]
        cells = block.reshape(len(block), 3, SIDE, cell, SIDE, cell)
        sums = cells.sum(axis=(3, 5), dtype=np.uint32)
        result[start : start + _IMAGES] = ((sums + cell * cell // 2) // (cell * cell)).reshape(len(block), -1)
        if progress is not None:
            progress("thumbnails", min(start + _IMAGES, count), count)
    return result


def mean_nearest_distance(
    images: Thumbnails, training: Thumbnails, own_place: npt.NDArray[np.int64] | None = None
) -> float:
    """Return the mean Euclidean distance from each of `images` to its nearest of `training`, in pixel values.

    own_place   where `images` are themselves training images: their places there, which do not count
    """
    centred = _centred(images)
    best = torch.full((len(images),), torch.inf)
    place = torch.zeros(len(images), dtype=torch.int64)
    own = None if own_place is None else torch.from_numpy(own_place)
    for start in range(0, len(training), _COLUMNS):
        part = _centred(training[start : start + _COLUMNS])
        # |y|^2 / 2 - x·y orders the distances. The products are exact: whole numbers below 2^24 (768 x 128^2).
        half = torch.addmm(part.square().sum(dim=1) / 2, centred, part.T, alpha=-1)
        if own is not None:
            inside = ((own >= start) & (own < start + len(part))).nonzero()[:, 0]
            half[inside, own[inside] - start] = torch.inf
        value, where = half.min(dim=1)
        closer = value < best
        best = torch.where(closer, value, best)
        place = torch.where(closer, where + start, place)
    difference = images.astype(np.int64) - training[place.numpy()].astype(np.int64)
    return float(np.sqrt((difference**2).sum(axis=1)).mean())


def _centred(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) - 128)
