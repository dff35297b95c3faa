"""How networks are told the condition of each sample: its labels, as one-hots of all factors side by side, N x K, or
the picture that it is to be made of, N x 3 x R x R (`pictures.py`).

Telling by concatenation means more input channels of the first kernel. A convolution of concatenated inputs is the sum
of a convolution of each, so the added channels are a kernel of their own: the one that meets latents and images keeps
its name, its initial weights and its spectral norm, and a row that is told differs from one that is not in nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d

Conditioning = Literal["concat", "projection", "product", "none"]
"""How D is told: by input planes; by an inner product that is added to its score (Miyato and Koyama 2018) or is its
score (as in R3GAN's code); or not at all. Pictures are told by input planes or not at all."""


class Batch(NamedTuple):
    """Real images, N x 3 x R x R in [-1, 1], and what both players are told of them; None: nothing.

    condition  N x K one-hots of labels; or of pairs the input images, as the images are
    """

    images: Tensor
    condition: Tensor | None = None


def in_unit_range(images: Tensor) -> Tensor:
    """Return images of bytes, N x 3 x R x R, as networks see them: float32 in [-1, 1], channels_last.

    x / 127.5 - 1, the same bits on every device: the divisor is a tensor because CUDA would multiply by the reciprocal
    of a plain number.
    """
    pixels = images.to(torch.float32, memory_format=torch.channels_last)
    return pixels.div_(torch.full((), 127.5, device=images.device)).sub_(1)


class Labels(NamedTuple):
    """The labels of a batch: `hot` N x K, the one-hots of factors with `sizes` values, side by side."""

    hot: Tensor
    sizes: tuple[int, ...]

    def by_factor(self, values: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return for each factor its columns of `values` N x K, such as class logits, and of the one-hots."""
        return tuple(zip(*(torch.split(part, list(self.sizes), dim=1) for part in (values, self.hot)), strict=True))


def told(network: Callable[..., Any], condition: Tensor | None) -> Callable[..., Any]:
    """Return the network as a function of images (or latents) alone; it is told the condition beside them.

    Sample i of any batch has condition i mod N: fakes and interpolates have that of the real sample at their index. A
    second argument stands in the condition's place.
    """
    if condition is None:
        return network

    def call(samples: Tensor, other: Tensor | None = None) -> Any:
        own = condition if other is None else other
        if len(own) < len(samples):
            own = own.repeat(-(-len(samples) // len(own)), *(1,) * (own.dim() - 1))
        return network(samples, own[: len(samples)])

    return call


def convolved_planes(condition: Tensor, kernel: Tensor, side: int) -> Tensor:
    """Return a halving convolution of constant planes: for each sample K planes side x side that hold its condition.

    condition  N x K
    kernel     C x K x 4 x 4, with stride 2 and padding 1

    Returns N x C x side/2 x side/2, channels_last. Each plane is one map times a number, so the convolution is computed
    once for all samples.
    """
    outputs, inputs = kernel.shape[:2]
    half = side // 2
    each = kernel.transpose(0, 1).reshape(inputs * outputs, 1, 4, 4)
    maps = conv2d(kernel.new_ones(1, 1, side, side), each, stride=2, padding=1)
    rows = maps.view(inputs, outputs, half, half).permute(0, 2, 3, 1).flatten(1)
    return (condition @ rows).view(len(condition), half, half, outputs).permute(0, 3, 1, 2)
