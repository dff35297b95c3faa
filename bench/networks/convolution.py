"""The backbone's convolutions on small maps of a CPU, with their weight gradient as one matrix product.

oneDNN computes the weight gradient of a kernel-4, stride-2 convolution onto 4x4 at less than half the speed of the same
arithmetic as a matrix product (86 against 34 ms for 32 images, 256 to 512 channels, one AVX2 core), and weight
gradients are a third of a training step. Both functions here are differentiable as often as needed, because each
backward is made of differentiable operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad

SMALL_MAP = 8
MANY_CHANNELS = 128  # below, the product is too small to pay for gathering its columns


def use_matrix_product(images: Tensor, weight: Tensor, side: int) -> bool:
    """Tell whether a layer with this input and kernel, whose smaller map has `side` pixels, is faster this way."""
    on_cpu = images.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_cpu and 1 < side <= SMALL_MAP and weight.shape[0] >= MANY_CHANNELS


class HalvingConvolution(torch.autograd.Function):
    """conv2d with kernel 4, stride 2, padding 1: N x C x 2L x 2L and K x C x 4 x 4 to N x K x L x L."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight, None, 2, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = DoublingConvolution.apply(gradient, weight) if ctx.needs_input_grad[0] else None
        for_weight = weight_gradient(x, gradient) if ctx.needs_input_grad[1] else None
        return for_x, for_weight


class DoublingConvolution(torch.autograd.Function):
    """conv_transpose2d with kernel 4, stride 2, padding 1: N x K x L x L and K x C x 4 x 4 to N x C x 2L x 2L."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return conv_transpose2d(x, weight, None, 2, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = HalvingConvolution.apply(gradient, weight) if ctx.needs_input_grad[0] else None
        for_weight = weight_gradient(gradient, x) if ctx.needs_input_grad[1] else None
        return for_x, for_weight


def weight_gradient(large: Tensor, small: Tensor) -> Tensor:
    """Return sum over images and places of small x the 4x4 patch of large under it: K x C x 4 x 4.

    `large` is N x C x 2L x 2L, `small` N x K x L x L; the same for both directions of the convolution.
    """
    channels_large, channels_small = large.shape[1], small.shape[1]
    patches = pad(large, (1, 1, 1, 1)).unfold(2, 4, 2).unfold(3, 4, 2)
    columns = patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, 16 * channels_large)
    rows = small.permute(0, 2, 3, 1).reshape(-1, channels_small)
    return (rows.T @ columns).view(channels_small, 4, 4, channels_large).permute(0, 3, 1, 2)
