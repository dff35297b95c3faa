"""The backbone's halving and doubling convolutions on a CPU, each computed the way its processor does it fastest.

A kernel-4, stride-2, padding-1 convolution joins three tensors: `large` N x C x 2L x 2L, `small` N x K x L x L and
`kernel` K x C x 4 x 4. Out of any two follows the third: `small` by conv2d, `large` by conv_transpose2d, `kernel` as
the weight gradient. Each is linear in both of what it is given, and the gradient of one is another of the three. So
these contractions are differentiable as often as a penalty needs, whatever computes them.

What computes them is fixed by the processor's capability, the values' type and the layer's shape: never by a clock, the
batch or the number of threads. `benchmarks/layers.py` measures what the choices below were made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad, pixel_shuffle

from bench.networks import winograd

Operand = Literal["large", "small", "kernel"]
Contraction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Choice:
    """By which of `ALGORITHMS` each of a layer's three tensors is computed from the other two."""

    small: str = "direct"
    large: str = "direct"
    kernel: str = "direct"


def choose(capability: str, dtype: torch.dtype, large: int, small: int, side: int) -> Choice | None:
    """Return the algorithms of a layer with so many channels and a smaller map of `side` pixels; None: torch's layer.

    `capability` is what torch.backends.cpu.get_cpu_capability() says.
    """
    narrow = dtype == torch.bfloat16
    if not _measured(capability, dtype):
        return Choice(kernel="product") if not narrow and 1 < side <= 8 and small >= 128 else None
    if side % 2:
        return None
    if 4 * large <= 64 and small >= 32:
        return Choice(large="blocks")
    if min(large, small) < 64:
        return Choice()
    if narrow:  # Winograd's sums, rounded to bf16, would have four times the error
        return Choice(kernel="product" if side == 4 else "direct")
    if side == 4 and min(large, small) >= 128:
        return Choice("winograd", "winograd", "winograd")
    return Choice(kernel="winograd" if side <= 8 else "direct")


def _measured(capability: str, dtype: torch.dtype) -> bool:
    """Tell whether the table was measured there; on AVX2, which has no instructions for bf16, in fp32 alone."""
    return capability == "AVX512" or (capability == "AVX2" and dtype != torch.bfloat16)


def halving(large: Tensor, kernel: Tensor) -> Tensor | None:
    """Return conv2d(large, kernel) with stride 2 and padding 1, or None where torch's own layer is to compute it."""
    choice = _chosen(large, kernel, large.shape[-1] // 2)
    return None if choice is None else contraction("small", _cast({"large": large, "kernel": kernel}), choice)


def doubling(small: Tensor, kernel: Tensor) -> Tensor | None:
    """Return conv_transpose2d(small, kernel) with stride 2 and padding 1, or None as `halving` does."""
    choice = _chosen(small, kernel, small.shape[-1])
    return None if choice is None else contraction("large", _cast({"small": small, "kernel": kernel}), choice)


def onto_pixel(images: Tensor, kernel: Tensor) -> Tensor | None:
    """Return conv2d of 4x4 maps onto one pixel as a matrix product, N x K x 1 x 1, or None as `halving` does."""
    if not _as_products(images) or images.shape[2:] != (4, 4):
        return None
    rows = images.permute(0, 2, 3, 1).flatten(1)
    return (rows @ kernel.permute(0, 2, 3, 1).flatten(1).T)[:, :, None, None]


def from_pixel(images: Tensor, kernel: Tensor) -> Tensor | None:
    """Return conv_transpose2d of one pixel onto 4x4 maps as a matrix product, or None as `halving` does."""
    if not _as_products(images) or images.shape[2:] != (1, 1):
        return None
    maps = images.flatten(1) @ kernel.permute(0, 2, 3, 1).flatten(1)
    return maps.view(-1, 4, 4, kernel.shape[1]).permute(0, 3, 1, 2)


def _as_products(images: Tensor) -> bool:
    return images.device.type == "cpu" and _measured(torch.backends.cpu.get_cpu_capability(), _dtype_of(images))


def contraction(wanted: Operand, given: Mapping[Operand, Tensor], choice: Choice) -> Tensor:
    """Return the `wanted` one of the three tensors from the other two, by the chosen algorithm."""
    (first, a), (second, b) = given.items()
    how = _How(wanted, first, second, choice)
    if not torch.is_grad_enabled() or not (a.requires_grad or b.requires_grad):
        return how.value(a, b)
    paths = _Path.apply(how, first, a, (b,)), _Path.apply(how, second, b, (a,))
    out: Tensor = _Joined.apply(how, (a, b), *paths)
    return out


@dataclass(frozen=True)
class _How:
    wanted: Operand
    first: Operand
    second: Operand
    choice: Choice

    def value(self, a: Tensor, b: Tensor) -> Tensor:
        by_name = {self.first: a, self.second: b}
        one, other = (by_name[name] for name in ("large", "small", "kernel") if name != self.wanted)
        return ALGORITHMS[self.wanted][getattr(self.choice, self.wanted)](one, other)

    def shape(self, a: Tensor, b: Tensor) -> tuple[int, ...]:
        by_name = {self.first: a.shape, self.second: b.shape}
        if self.wanted == "kernel":
            return by_name["small"][1], by_name["large"][1], 4, 4
        if self.wanted == "small":
            count, _, side, _ = by_name["large"]
            return count, by_name["kernel"][0], side // 2, side // 2
        count, _, side, _ = by_name["small"]
        return count, by_name["kernel"][1], 2 * side, 2 * side


class _Joined(torch.autograd.Function):
    """The contraction's value. Its gradient goes on unchanged along both paths, and along no other: in a tuple,
    autograd does not see the two tensors."""

    @staticmethod
    def forward(ctx: Any, how: _How, given: tuple[Tensor, Tensor], path_a: Tensor, path_b: Tensor) -> Tensor:
        return how.value(*given)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, gradient, gradient


class _Path(torch.autograd.Function):
    """The way from a contraction back to one of its two tensors; its value, of the contraction's shape, is not used.

    A node of its own, because autograd leaves out whole nodes alone: the gradient of a penalty is taken by the images,
    and one node for both would compute the weight gradient then as well. For the same reason the other tensor comes in
    a tuple, where autograd does not look: there is no way back to it here.
    """

    @staticmethod
    def forward(ctx: Any, how: _How, name: Operand, to: Tensor, other: tuple[Tensor]) -> Tensor:
        ctx.how, ctx.name = how, name
        ctx.save_for_backward(*other)
        ordered = (to, *other) if name == how.first else (*other, to)
        return to.new_zeros(()).expand(how.shape(*ordered))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        how, name = ctx.how, ctx.name
        if not ctx.needs_input_grad[2]:
            return None, None, None, None
        (other,) = ctx.saved_tensors
        rest = how.second if name == how.first else how.first
        return None, None, contraction(name, {how.wanted: gradient, rest: other}, how.choice), None


def _chosen(images: Tensor, kernel: Tensor, side: int) -> Choice | None:
    if images.device.type != "cpu":
        return None
    small, large = kernel.shape[:2]
    return choose(torch.backends.cpu.get_cpu_capability(), _dtype_of(images), large, small, side)


def _dtype_of(images: Tensor) -> torch.dtype:
    """Return the type that a layer computes in, given these images on a CPU."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype


def _cast(given: Mapping[Operand, Tensor]) -> Mapping[Operand, Tensor]:
    """Return tensors of a CPU in the type that autocast gives a convolution there."""
    if not torch.is_autocast_enabled("cpu"):
        return given
    return {name: value.to(torch.get_autocast_dtype("cpu")) for name, value in given.items()}


def _small_direct(large: Tensor, kernel: Tensor) -> Tensor:
    return conv2d(large, kernel, None, 2, 1)


def _large_direct(small: Tensor, kernel: Tensor) -> Tensor:
    return conv_transpose2d(small, kernel, None, 2, 1)


def _kernel_direct(large: Tensor, small: Tensor) -> Tensor:
    stand_in = small.new_empty(()).expand(small.shape[1], large.shape[1], 4, 4)
    backward = torch.ops.aten.convolution_backward
    gradient: Tensor = backward(
        small, large, stand_in, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False]
    )[1]
    return gradient


def _large_by_blocks(small: Tensor, kernel: Tensor) -> Tensor:
    """Compute the 2x2 pixels of a block as channels of a kernel-2 convolution, then put them where they belong.

    oneDNN's transposed convolution onto 3 channels stands at a fifth of the processor's rate.
    """
    channels_small, channels_large = kernel.shape[:2]
    blocks = kernel.view(channels_small, channels_large, 2, 2, 2, 2).flip(2, 4).permute(1, 3, 5, 0, 2, 4)
    blocks = blocks.reshape(4 * channels_large, channels_small, 2, 2).contiguous(memory_format=torch.channels_last)
    padded = pixel_shuffle(conv2d(small, blocks, None, 1, 1), 2)
    return padded[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)


def _kernel_by_product(large: Tensor, small: Tensor) -> Tensor:
    """Compute the weight gradient as one matrix product of all pixels of `small` with the patches under them."""
    channels_large, channels_small = large.shape[1], small.shape[1]
    patches = pad(large, (1, 1, 1, 1)).unfold(2, 4, 2).unfold(3, 4, 2)
    columns = patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, 16 * channels_large)
    rows = small.permute(0, 2, 3, 1).reshape(-1, channels_small)
    return (rows.T @ columns).view(channels_small, 4, 4, channels_large).permute(0, 3, 1, 2)


ALGORITHMS: Mapping[Operand, Mapping[str, Contraction]] = {
    "small": {"direct": _small_direct, "winograd": winograd.halve},
    "large": {"direct": _large_direct, "blocks": _large_by_blocks, "winograd": winograd.double},
    "kernel": {"direct": _kernel_direct, "product": _kernel_by_product, "winograd": winograd.kernel_gradient},
}
