"""The Fréchet distance between Gaussians fitted to two feature sets (Heusel et al. 2017, arXiv 1706.08500)."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)) of two feature sets, N1 x d and N2 x d, in float64.

    `second` is the reference: where both sets have more images than features its covariance is factored. Where one
    has fewer, the covariances are singular and an eigenvalue solver is off by about 1e-5; the trace term is then the
    nuclear norm of the centred sets' product, which is exact.
    """
    first, second = first.double(), second.double()
    mean_1, mean_2 = first.mean(dim=0), second.mean(dim=0)
    scaled_1 = (first - mean_1) / (len(first) - 1) ** 0.5
    scaled_2 = (second - mean_2) / (len(second) - 1) ** 0.5
    if min(len(first), len(second)) > first.shape[1]:
        root_trace = _root_trace(scaled_1.T @ scaled_1, scaled_2.T @ scaled_2)
    else:
        root_trace = float(torch.linalg.svdvals(scaled_1 @ scaled_2.T).sum())
    traces = float(scaled_1.square().sum() + scaled_2.square().sum())
    return float((mean_1 - mean_2).square().sum()) + traces - 2 * root_trace


def _root_trace(covariance_1: Tensor, covariance_2: Tensor) -> float:
    """Return tr((S1 S2)^(1/2)) as the sum of the roots of the eigenvalues of L^T S1 L, where S2 = L L^T."""
    factor, failed = torch.linalg.cholesky_ex(covariance_2)
    if bool(failed):  # a feature that never varies makes S2 singular
        values, vectors = torch.linalg.eigh(covariance_2)
        factor = vectors * values.clamp(min=0).sqrt()
    eigenvalues = torch.linalg.eigvalsh(factor.T @ covariance_1 @ factor)
    return float(eigenvalues.clamp(min=0).sqrt().sum())
