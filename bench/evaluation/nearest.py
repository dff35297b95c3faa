"""Distances to the nearest training image, in 16 x 16 pixels and in features: does a generator copy?

Pixels are whole numbers, whose products float32 holds exactly; the distance that is kept is computed from them anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import ranksums
from torch import Tensor

from bench.evaluation.features import Progress
from bench.evaluation.tiles import tiles_between

SIDE = 16
_IMAGES = 1_000
_ROWS = 1_024
_COLUMNS = 4_096

Thumbnails = npt.NDArray[np.uint8]
Distances = npt.NDArray[np.float64]


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


def nearest_in_pixels(
    images: Thumbnails,
    training: Thumbnails,
    own_place: npt.NDArray[np.int64] | None = None,
    device: torch.device | None = None,
) -> Distances:
    """Return the Euclidean distance from each of N `images` to its nearest of `training`, in pixel values.

    own_place   where `images` are themselves training images: their places there, which do not count
    device      where it is computed; None is the CPU
    """
    found = np.empty(len(images))
    for start in range(0, len(images), _ROWS):
        rows = slice(start, start + _ROWS)
        place = _nearest_places(images[rows], training, None if own_place is None else own_place[rows], device)
        difference = images[rows].astype(np.int64) - training[place].astype(np.int64)
        found[rows] = np.sqrt((difference**2).sum(axis=1))
    return found


def _nearest_places(
    images: Thumbnails, training: Thumbnails, own_place: npt.NDArray[np.int64] | None, device: torch.device | None
) -> npt.NDArray[np.int64]:
    centred = _centred(images, device)
    best = centred.new_full((len(images),), torch.inf)
    place = centred.new_zeros(len(images), dtype=torch.int64)
    own = None if own_place is None else torch.from_numpy(own_place).to(device)
    for start in range(0, len(training), _COLUMNS):
        part = _centred(training[start : start + _COLUMNS], device)
        # |y|^2 / 2 - x·y orders the distances. The products are exact: whole numbers below 2^24 (768 x 128^2).
        half = torch.addmm(part.square().sum(dim=1) / 2, centred, part.T, alpha=-1)
        if own is not None:
            inside = ((own >= start) & (own < start + len(part))).nonzero()[:, 0]
            half[inside, own[inside] - start] = torch.inf
        value, where = half.min(dim=1)
        closer = value < best
        best = torch.where(closer, value, best)
        place = torch.where(closer, where + start, place)
    return place.cpu().numpy()


def nearest_in_features(features: Tensor, training: Tensor, scale: float, *, same_place: bool = False) -> Distances:
    """Return the distance from each of N x d features to its nearest of M x d ones of training images.

    scale        see tiles.py
    same_place   the features are themselves those of the first N training images: an image is not its own neighbour
    """
    nearest = features.new_full((len(features),), torch.inf, dtype=torch.float64)
    for tile in tiles_between(features, training, scale):
        if same_place and tile.rows.start == tile.columns.start:
            tile.squared.fill_diagonal_(torch.inf)
        nearest[tile.rows] = torch.minimum(nearest[tile.rows], tile.squared.amin(dim=1))
    return (nearest.sqrt() / scale).cpu().numpy()


def copying_z(generated: Distances, heldout: Distances) -> float:
    """Return C_T: the z of Mann and Whitney's test between two sets of distances to the nearest training image.

    Far below 0: generated images lie nearer to the training images than unseen real ones, as copies do; far above 0:
    further away (Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675; one cell, where the paper averages over some).
    """
    return float(ranksums(generated, heldout).statistic)


def _centred(values: npt.NDArray[Any], device: torch.device | None) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) - 128).to(device)
