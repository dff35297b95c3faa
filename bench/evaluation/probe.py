"""A linear classifier of labels on fixed features: what some images teach of labels, read in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

_WEIGHT_DECAY = 1e-2
_ITERATIONS = 200
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Probe:
    """Multinomial logistic regression on standardised features, a softmax for each factor.

    mean, scale   (d,), of the features that it was fitted to; a feature that never varies has scale 1
    weights       d x K, columns of all factors side by side
    biases        (K,)
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor
    biases: Tensor
    sizes: tuple[int, ...]

    def read(self, features: Tensor) -> npt.NDArray[np.int64]:
        """Return the likeliest value of each factor, N x F, for N x d features."""
        logits = (features.double() - self.mean) / self.scale @ self.weights + self.biases
        by_factor = torch.split(logits, list(self.sizes), dim=1)
        return np.stack([part.argmax(1).cpu().numpy() for part in by_factor], axis=1)

    def accuracy(self, features: Tensor, labels: npt.NDArray[np.uint8]) -> float:
        """Return the share of images in which every factor is read as labelled, N x F."""
        return float((self.read(features) == labels).all(axis=1).mean())


def fit_probe(features: Tensor, labels: npt.NDArray[np.uint8], sizes: Sequence[int]) -> Probe:
    """Fit a probe to N x d features and N x F labels of factors with `sizes` values.

    Minimises, for each factor, the mean cross-entropy plus 1/200 of the weights' squares (biases are free) by L-BFGS in
    float64 from zero. The loss is convex with one minimum, so neither a seed nor an order of images plays a part.
    """
    wide = features.double()
    mean, scale = wide.mean(0), wide.std(0, correction=0)
    scale = torch.where(scale > 1e-12 * (1 + mean.abs()), scale, 1.0)
    inputs = torch.nn.functional.pad((wide - mean) / scale, (0, 1), value=1.0)  # the last weight is the bias
    fitted = [_fit_factor(inputs, labels[:, place], size) for place, size in enumerate(sizes)]
    weights = torch.cat(fitted, dim=1)
    return Probe(mean, scale, weights[:-1], weights[-1], tuple(sizes))


def _fit_factor(inputs: Tensor, labels: npt.NDArray[np.uint8], size: int) -> Tensor:
    """Return (d + 1) x K weights."""
    count, width = inputs.shape
    hot = torch.eye(size, dtype=inputs.dtype, device=inputs.device)[torch.from_numpy(labels.astype(np.int64))]
    decay = torch.full((width, 1), _WEIGHT_DECAY, dtype=inputs.dtype, device=inputs.device)
    decay[-1] = 0

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = torch.from_numpy(flat).to(inputs.device).view(width, size)
        logits = inputs @ weights
        normaliser = logits.logsumexp(1, keepdim=True)
        value = (normaliser.sum() - (logits * hot).sum()) / count + (decay * weights.square()).sum() / 2
        gradient = inputs.T @ ((logits - normaliser).exp() - hot) / count + decay * weights
        return float(value), gradient.cpu().numpy().ravel()

    found = minimize(
        loss,
        np.zeros(width * size),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": 0.0},
    )
    return torch.from_numpy(found.x).to(inputs.device).view(width, size)
