"""What a discriminator returns under each head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

Head = Literal["score", "sliced", "autoencoder", "encoder", "embedding", "classified", "twins", "contrastive"]
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


class Classified(NamedTuple):
    """A score N and class logits N x K: those of every factor, side by side; of codes, all that is said of them."""

    score: Tensor
    classes: Tensor


class Twins(NamedTuple):
    """A score N and the class logits of two heads, each N x K."""

    score: Tensor
    classes: Tensor
    twin: Tensor


class Contrastive(NamedTuple):
    """A score N, embeddings N x 128 of length 1, and their inner products `classes` with each value's proxy, N x K."""

    score: Tensor
    embedding: Tensor
    classes: Tensor


MakeHead = Callable[[int], nn.Module]
"""Makes a head on the trunk's features with so many outputs."""


class ClassHead(nn.Module):
    """One class head beside the score's."""

    def __init__(self, make: MakeHead, values: int) -> None:
        super().__init__()
        self.classes = make(values)

    def forward(self, score: Tensor, features: Tensor) -> Classified:
        return Classified(score, self.classes(features).flatten(1))


class TwinHeads(nn.Module):
    """Two class heads beside the score's."""

    def __init__(self, make: MakeHead, values: int) -> None:
        super().__init__()
        self.classes, self.twin = make(values), make(values)

    def forward(self, score: Tensor, features: Tensor) -> Twins:
        return Twins(score, self.classes(features).flatten(1), self.twin(features).flatten(1))


class ContrastiveHead(nn.Module):
    """An embedding beside the score, and a proxy for each value of each factor; both have length 1."""

    def __init__(self, make: MakeHead, values: int) -> None:
        super().__init__()
        self.embedding = make(EMBEDDING_SIZE)
        self.proxies = nn.Parameter(torch.empty(values, EMBEDDING_SIZE))

    def forward(self, score: Tensor, features: Tensor) -> Contrastive:
        embedding = normalize(self.embedding(features).flatten(1), dim=1)
        return Contrastive(score, embedding, embedding @ normalize(self.proxies, dim=1).T)


RECOGNISING: Mapping[Head, type[ClassHead | TwinHeads | ContrastiveHead]] = MappingProxyType(
    {"classified": ClassHead, "twins": TwinHeads, "contrastive": ContrastiveHead}
)
"""The heads that recognise labels: made for so many values, they take the score and the trunk's features."""
