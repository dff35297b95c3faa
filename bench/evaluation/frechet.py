"""The Fréchet distance between Gaussians fitted to two feature sets (Heusel et al. 2017, arXiv 1706.08500)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, split

_BLOCK = 4096
_MARGIN = 1.1


@dataclass(frozen=True)
class Gaussian:
    """What a Fréchet distance needs of a reference of `count` images, float64.

    mean    d
    root    d x r: A with A A^T the covariance. Its Cholesky factor; the centred images themselves where there are no
            more of them than features, so that there is none
    trace   of the covariance
    """

    count: int
    mean: Tensor
    root: Tensor
    trace: float

    @property
    def singular(self) -> bool:
        """Tell whether the covariance is singular for want of images."""
        return self.count <= len(self.mean)


def fit(features: Tensor) -> Gaussian:
    """Fit a Gaussian to N x d features. Of many images only a block is widened to float64 at a time."""
    count, dimension = features.shape
    mean = _mean(features)
    if count <= dimension:
        root = (features.double() - mean).T / (count - 1) ** 0.5
        return Gaussian(count, mean, root, float(root.square().sum()))
    covariance = _covariance(features, mean)
    root, failed = torch.linalg.cholesky_ex(covariance)
    if bool(failed):  # a feature that never varies makes it singular
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp(min=0).sqrt()
    return Gaussian(count, mean, root, float(covariance.trace()))


def frechet_distance(features: Tensor, reference: Gaussian) -> float:
    """Return |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of N x d features, in float64.

    The last trace is the sum of the singular values of A1^T A2 (S = A A^T), which is exact where a covariance is
    singular and an eigenvalue solver is off by about 1e-5. Where both sets have more images than features, the roots
    of the eigenvalues of A2^T S1 A2 are the same numbers in a third of the time.
    """
    if reference.singular or len(features) <= features.shape[1]:
        own = fit(features)
        mean, trace = own.mean, own.trace
        root_trace = float(torch.linalg.svdvals(own.root.T @ reference.root).sum())
    else:
        mean = _mean(features)
        covariance = _covariance(features, mean)
        trace = float(covariance.trace())
        root_trace = _sum_of_roots(reference.root.T @ covariance @ reference.root)
    return float((mean - reference.mean).square().sum()) + trace + reference.trace - 2 * root_trace


def can_extrapolate(images: int, dimension: int) -> bool:
    """Tell whether a third of so many images is still more than there are features, by a tenth."""
    return images >= 3 * _MARGIN * dimension


def extrapolated_distance(features: Tensor, reference: Gaussian) -> float:
    """Return the Fréchet distance extrapolated to infinitely many images (Chong and Forsyth 2020, arXiv 1911.07023).

    A line in 1/n is fitted to the distances of all N images, of both halves and of all three thirds to the same
    reference; it is its value at 1/n = 0. On drawn faces that has the mean of a fit to fifteen sizes and less scatter,
    as no size leaves an image out, at a third of the cost. What the reference's own finite number of images adds stays
    in it. Needs `can_extrapolate`.
    """
    # In coordinates y = A2^T x the matrix whose eigenvalues matter is the covariance, so sums over sixths serve all.
    centre = _mean(features)
    edges = np.linspace(0, len(features), 7).round().astype(int)
    sixths = [_sums(features[start:stop], centre, reference.root) for start, stop in pairwise(edges)]
    sizes, distances = [], []
    for parts in (1, 2, 3):
        for start in range(0, 6, 6 // parts):
            joined = sixths[start : start + 6 // parts]
            sizes.append(sum(sums.count for sums in joined))
            distances.append(_distance_from_sums(joined, centre, reference))
    return float(np.polyfit(1 / np.array(sizes), distances, 1)[1])


@dataclass(frozen=True)
class _Sums:
    """Of x, |x|^2 and y y^T over `count` images, x being centred and y = A2^T x."""

    count: int
    total: Tensor
    squares: float
    outer: Tensor


def _sums(features: Tensor, centre: Tensor, root: Tensor) -> _Sums:
    total, outer = torch.zeros_like(centre), root.new_zeros(2 * (root.shape[1],))
    squares = 0.0
    for block in split(features, _BLOCK):
        centred = block.double() - centre
        total += centred.sum(dim=0)
        squares += float(centred.square().sum())
        turned = centred @ root
        outer.addmm_(turned.T, turned)
    return _Sums(len(features), total, squares, outer)


def _distance_from_sums(parts: list[_Sums], centre: Tensor, reference: Gaussian) -> float:
    count = sum(part.count for part in parts)
    mean = torch.stack([part.total for part in parts]).sum(dim=0) / count
    turned = mean @ reference.root
    outer = torch.stack([part.outer for part in parts]).sum(dim=0)
    covariance = (outer - count * torch.outer(turned, turned)) / (count - 1)
    trace = (sum(part.squares for part in parts) - count * float(mean.square().sum())) / (count - 1)
    between = float((centre + mean - reference.mean).square().sum())
    return between + trace + reference.trace - 2 * _sum_of_roots(covariance)


def _mean(features: Tensor) -> Tensor:
    total = features.new_zeros(features.shape[1], dtype=torch.float64)
    for block in split(features, _BLOCK):
        total += block.double().sum(dim=0)
    return total / len(features)


def _covariance(features: Tensor, mean: Tensor) -> Tensor:
    total = mean.new_zeros(2 * (len(mean),))
    for block in split(features, _BLOCK):
        centred = block.double() - mean
        total.addmm_(centred.T, centred)
    return total / (len(features) - 1)


def _sum_of_roots(matrix: Tensor) -> float:
    """Return the sum of the square roots of a symmetric matrix's eigenvalues; rounding may leave some below 0."""
    return float(torch.linalg.eigvalsh(matrix).clamp(min=0).sqrt().sum())
