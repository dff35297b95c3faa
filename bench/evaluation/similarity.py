"""Similarity of two images: SSIM, and MS-SSIM (Wang, Simoncelli and Bovik 2003) in the form that small images allow.

An 11-tap window fits three halvings of 128 pixels, two of 64 and one of 32: those are the scales used (4, 3 and 2 of
the original's 5), with the original's weights for them divided by their sum. The values cannot be compared with
published ones, which need 161 pixels; beside them stands what real images give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

PAIRS = 500
_PAIR_SEED = 2020
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS = 11
_DEVIATION = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BLOCK = 20

Bytes = npt.NDArray[np.uint8]


def pairs_of(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the places of 500 pairs of different images among `count`: the same for every set of that size."""
    random = np.random.RandomState(_PAIR_SEED)
    first = random.randint(count, size=PAIRS)
    return first, (first + random.randint(1, count, size=PAIRS)) % count


def mean_similarity(first: Bytes, second: Bytes, device: torch.device | None = None) -> float:
    """Return the mean MS-SSIM of pairs of images, uint8 N x 3 x R x R, computed on `device`; 1 where both are equal."""
    total = 0.0
    for start in range(0, len(first), _BLOCK):
        block = [torch.from_numpy(images[start : start + _BLOCK]).to(device).float() for images in (first, second)]
        total += float(ms_ssim(*block).double().sum())
    return total / len(first)


def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the MS-SSIM of each pair of N x 3 x R x R float32 images in 0..255, N values.

    Each colour by itself, then their mean; windows lie wholly inside the images, and negative means count as 0: as in
    TensorFlow and pytorch-msssim.
    """
    scales = scale_count(first.shape[-1])
    weights = (torch.tensor(_WEIGHTS[:scales]) / sum(_WEIGHTS[:scales])).to(first.device)
    parts = []
    for scale in range(scales):
        parts.append(_similarity(first, second, whole=scale == scales - 1).relu())
        first, second = avg_pool2d(first, 2), avg_pool2d(second, 2)
    return (torch.stack(parts) ** weights[:, None, None]).prod(dim=0).mean(dim=1)


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the SSIM (Wang et al. 2004) of each pair of N x 3 x R x R images in 0..255, N values.

    An 11 x 11 Gaussian window of deviation 1.5, only where it lies wholly inside; each colour by itself, then their
    mean.
    """
    return _similarity(first, second, whole=True).mean(dim=1)


def _similarity(first: Tensor, second: Tensor, *, whole: bool) -> Tensor:
    """Return the mean over windows of each colour's structure, with `whole` times that of its brightness: N x 3."""
    window = _window(first.shape[-1]).to(first.device, first.dtype)
    both = torch.stack([first, second, first * first, second * second, first * second])
    mean_1, mean_2, square_1, square_2, product = window @ both @ window.T
    means = mean_1 * mean_2
    mean_squares = mean_1.square() + mean_2.square()
    structure: Tensor = (2 * (product - means) + _C2) / (square_1 + square_2 - mean_squares + _C2)
    if whole:
        structure = structure * (2 * means + _C1) / (mean_squares + _C1)
    return structure.mean(dim=(2, 3))


def scale_count(resolution: int) -> int:
    """Return how many scales an image of this resolution has room for."""
    return sum(resolution >> scale >= _TAPS for scale in range(len(_WEIGHTS)))


def _window(size: int) -> Tensor:
    """Return the Gaussian window at each place where it fits, as a matrix, float32 (size - 10) x size."""
    taps = torch.exp(-((torch.arange(_TAPS, dtype=torch.float64) - _TAPS // 2) ** 2) / (2 * _DEVIATION**2))
    taps = (taps / taps.sum()).float()
    matrix = torch.zeros(size - _TAPS + 1, size)
    for row in range(len(matrix)):
        matrix[row, row : row + _TAPS] = taps
    return matrix
