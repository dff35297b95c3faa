"""A linear classifier of labels on fixed features: what some images teach of labels, read in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from bench.evaluation.conditional import one_hot

WEIGHT_DECAY = 0.1
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

    Minimises the sum over factors of the mean cross-entropy, plus half of WEIGHT_DECAY times the weights' squares
    (biases are free), by L-BFGS in float64 from zero. That is convex and has one minimum, so neither a seed nor an
    order of images plays a part.
    """
    wide = features.double()
    mean, scale = wide.mean(0), wide.std(0, correction=0)
    scale = torch.where(scale > 1e-12 * (1 + mean.abs()), scale, 1.0)
    inputs = torch.nn.functional.pad((wide - mean) / scale, (0, 1), value=1.0)  # the last weight is the bias
    count, width = inputs.shape
    hot = torch.cat([one_hot(labels[:, place], size) for place, size in enumerate(sizes)], dim=1).to(inputs)
    decay = torch.full((width, 1), WEIGHT_DECAY).to(inputs)
    decay[-1] = 0

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = torch.from_numpy(flat).to(inputs.device).view(width, sum(sizes))
        logits = inputs @ weights
        by_factor = [part.log_softmax(1) for part in torch.split(logits, list(sizes), dim=1)]
        likely = torch.cat(by_factor, dim=1)
        value = -(likely * hot).sum() / count + (decay * weights.square()).sum() / 2
        gradient = inputs.T @ (likely.exp() - hot) / count + decay * weights
        return float(value), gradient.cpu().numpy().ravel()

    start = np.zeros(width * sum(sizes))
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": 0.0},
    )
    weights = torch.from_numpy(found.x).to(inputs.device).view(width, sum(sizes))
    return Probe(mean, scale, weights[:-1], weights[-1], tuple(sizes))
