"""Linear networks, whose outputs and gradients are known and can be made as large as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.networks.heads import Autoencoded, Classified, Contrastive, Encoded, Head, Twins, sliced
from bench.validation.contract.scene import LABELS

FLAT = (12,)  # an image of 12 numbers, and the same as channels and pixels
SHAPED = (3, 2, 2)


class LinearNetworks:
    """Linear networks on images of any shape with 12 numbers, whose outputs `gain` scales.

    A head that recognises labels or codes has so many `answers`. Where an output is bounded (a decoder's by tanh) or an
    exponent (log-variances), `gain` counts by its sign alone.
    """

    def __init__(self, head: Head, dtype: torch.dtype, gain: float = 1.0, answers: int = sum(LABELS)) -> None:
        generator = torch.Generator().manual_seed(5)

        def weight(columns: int) -> Tensor:
            values = torch.rand(*FLAT, columns, generator=generator, dtype=dtype)
            return (values / values.sum(0)).requires_grad_()  # an image of ones gives ones

        self._head = head
        self._gain = gain
        self._score, self._embedding, self._generated = weight(1), weight(4), weight(4)
        self._classes, self._twin = weight(answers), weight(answers)
        self._decoded = torch.full((), float(gain > 0) - float(gain < 0), dtype=dtype, requires_grad=True)

    def weights(self) -> list[Tensor]:
        """Return D's weights, which carry gradients."""
        return [self._score, self._embedding, self._decoded, self._classes, self._twin]

    def judge(self, images: Tensor, *_condition: Tensor) -> Any:
        """Return what the head returns: scores, embeddings N x 4, reconstructions, class logits."""
        flat = images.flatten(1)
        score = self._gain * (flat @ self._score).squeeze(1)
        if self._head == "score":
            return score
        if self._head == "classified":
            return Classified(score, self._gain * (flat @ self._classes))
        if self._head == "twins":
            return Twins(score, self._gain * (flat @ self._classes), self._gain * (flat @ self._twin))
        if self._head == "sliced":
            return sliced(self._gain * flat, self._score.squeeze(1))
        embedded = self._gain * (flat @ self._embedding)
        if self._head == "autoencoder":
            return Autoencoded(self._decoded * images, embedded)
        if self._head == "contrastive":
            unit = normalize(embedded, dim=1)
            return Contrastive(score, unit, unit @ normalize(self._classes[:4], dim=0))
        if self._head == "encoder":
            return Encoded(embedded, 10 * self._decoded * (flat @ self._embedding))
        return embedded

    def generator_of(self, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        """Return a generator of images of `shape` from latents N x 4."""
        return lambda z: (z @ self._generated.T).reshape(len(z), *shape)
