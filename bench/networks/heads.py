"""What a discriminator returns under each head."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Head = Literal["score", "sliced", "autoencoder", "encoder", "embedding"]
EMBEDDING_SIZE = 128


class Autoencoded(NamedTuple):
    """What an autoencoding discriminator returns: `images` N x 3 x R x R in [-1, 1] and `code` N x latent."""

    images: Tensor
    code: Tensor


class Encoded(NamedTuple):
    """What an encoder returns: the mean and log-variance of a Gaussian over latents, each N x latent."""

    mean: Tensor
    log_variance: Tensor


class Sliced(NamedTuple):
    """What a sliced score head returns, twice the same N values: their graphs differ (Takida et al., 2301.12811).

    With features h and the last layer's weight w = |w| omega: in `function` omega is a constant, in `direction` all but
    omega is.
    """

    function: Tensor
    direction: Tensor


def sliced(features: Tensor, weight: Tensor) -> Sliced:
    """Return both scores of features N x d under the last layer's weight (d,); see `Sliced`."""
    norm = torch.linalg.vector_norm(weight)
    omega, scaled = weight / norm, features * norm
    return Sliced(scaled @ omega.detach(), scaled.detach() @ omega)
