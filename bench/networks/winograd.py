"""The backbone's convolution with 9 multiplications instead of 16: F(2x2, 2x2) of Winograd's minimal filtering.

A kernel-4, stride-2, padding-1 convolution is, on 2x2 blocks of pixels with their 4C values as channels, one with
kernel 2 and stride 1. For that, y0 = d0 g0 + d1 g1 and y1 = d1 g0 + d2 g1 follow from three products instead of four
(Lavin and Gray, arXiv 1509.09308, section 4):

    m0 = (d0 - d1) g0,  m1 = d1 (g0 + g1),  m2 = (d2 - d1) g1;   y0 = m0 + m1,  y1 = m1 + m2

Along rows and columns that makes nine matrix products, one per pair of positions. All three transforms add and subtract
alone, so rounding errors stay those of the direct sum (measured: 0.5 to 1.3 times them in fp32). The convolution's two
gradients are the same sum with another of its three tensors left out, hence the transposed transforms.

`large` is N x C x 2L x 2L, `small` N x K x L x L, `kernel` K x C x 4 x 4; L is even. Results are channels-last.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def halve(large: Tensor, kernel: Tensor) -> Tensor:
    """Return conv2d(large, kernel) with stride 2 and padding 1."""
    products = torch.bmm(_tiles(large), _kernel_sums(kernel).mT)
    count, channels, half = len(large), len(kernel), large.shape[2] // 4
    m = products.view(3, 3, count, half, half, channels)
    # No view of another tensor: an activation in place may follow.
    small = torch.empty(
        (count, channels, 2 * half, 2 * half), dtype=large.dtype, device=large.device, memory_format=torch.channels_last
    )
    _two_sums(m, small.permute(0, 2, 3, 1).view(count, half, 2, half, 2, channels).movedim((2, 4), (0, 1)))
    return small


def double(small: Tensor, kernel: Tensor) -> Tensor:
    """Return conv_transpose2d(small, kernel) with stride 2 and padding 1."""
    products = torch.bmm(_pixel_sums(small), _kernel_sums(kernel))
    count, channels, half = len(small), kernel.shape[1], small.shape[2] // 2
    tiles = products.view(3, 3, count, half, half, 2, 2, channels).transpose(4, 5)
    rows = []
    for row in tiles:
        blocks = row.new_empty(count, half, 2, 2 * half + 1, 2, channels)
        _put_back(row, blocks, 3)
        rows.append(blocks)
    padded = tiles.new_empty(count, 2 * half + 1, 2, 2 * half + 1, 2, channels)
    _put_back(rows, padded, 1)
    padded = padded.view(count, 4 * half + 2, 4 * half + 2, channels)[:, 1:-1, 1:-1]
    return padded.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def kernel_gradient(large: Tensor, small: Tensor) -> Tensor:
    """Return the sum over images and places of small x the 4x4 patch of large under it."""
    products = torch.bmm(_pixel_sums(small).mT, _tiles(large))
    channels_small, channels_large = small.shape[1], large.shape[1]
    m = products.view(3, 3, channels_small, 2, 2, channels_large)
    kernel = m.new_empty(channels_small, 2, 2, 2, 2, channels_large)
    _two_sums(m, kernel.movedim((1, 3), (0, 1)))
    return kernel.view(channels_small, 4, 4, channels_large).permute(0, 3, 1, 2)


def _tiles(large: Tensor) -> Tensor:
    """Return d0 - d1, d1, d2 - d1 of every tile of 3x3 blocks, along rows and columns: 9 x N (L/2)^2 x 4C."""
    count, channels, side = large.shape[0], large.shape[1], large.shape[2]
    half = side // 4
    blocks = pad(large.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).view(count, 2 * half + 1, 2, 2 * half + 1, 2, channels)
    tiles = large.new_empty(3, 3, count, half, half, 2, 2, channels)
    middle = blocks[:, 1::2]
    for place, row in enumerate((blocks[:, :-1:2] - middle, middle, blocks[:, 2::2] - middle)):
        to, within = tiles[place].transpose(3, 4), row[:, :, :, 1::2]
        torch.sub(row[:, :, :, :-1:2], within, out=to[0])
        to[1].copy_(within)
        torch.sub(row[:, :, :, 2::2], within, out=to[2])
    return tiles.view(9, count * half * half, 4 * channels)


def _put_back(tiles: Tensor | list[Tensor], blocks: Tensor, axis: int) -> None:
    """Write into `blocks` what `_tiles` transposed makes of three tensors along one of its axes, tile by tile."""
    first, middle, last = tiles
    length = first.shape[axis]
    torch.sub(middle, first, out=(within := _every_other(blocks, axis, 1))).sub_(last)
    assert within.shape[axis] == length
    blocks.select(axis, 0).copy_(first.select(axis, 0))
    blocks.select(axis, 2 * length).copy_(last.select(axis, length - 1))
    if length > 1:
        between = _every_other(blocks.narrow(axis, 2, 2 * length - 2), axis, 0)
        torch.add(first.narrow(axis, 1, length - 1), last.narrow(axis, 0, length - 1), out=between)


def _every_other(values: Tensor, axis: int, start: int) -> Tensor:
    index = [slice(None)] * axis + [slice(start, None, 2)]
    return values[tuple(index)]


def _pixel_sums(small: Tensor) -> Tensor:
    """Return y0, y0 + y1, y1 of every 2x2 pixels, along rows and columns: 9 x N (L/2)^2 x K."""
    count, channels, half = small.shape[0], small.shape[1], small.shape[2] // 2
    pixels = small.permute(0, 2, 3, 1).reshape(count, half, 2, half, 2, channels)
    sums = small.new_empty(3, 3, count, half, half, channels)
    _three_sums(pixels.movedim((2, 4), (0, 1)), sums)
    return sums.view(9, count * half * half, channels)


def _kernel_sums(kernel: Tensor) -> Tensor:
    """Return g0, g0 + g1, g1 of the kernel's 2x2 blocks, along rows and columns: 9 x K x 4C."""
    channels_small, channels_large = kernel.shape[:2]
    blocks = kernel.permute(0, 2, 3, 1).reshape(channels_small, 2, 2, 2, 2, channels_large)
    sums = kernel.new_empty(3, 3, channels_small, 2, 2, channels_large)
    _three_sums(blocks.movedim((1, 3), (0, 1)), sums)
    return sums.view(9, channels_small, 4 * channels_large)


def _three_sums(pairs: Tensor, sums: Tensor) -> None:
    """Write first, both and second of 2 x 2 x ... into 3 x 3 x ..., along both axes."""
    for place, (first, second) in enumerate((pairs[0], pairs[0] + pairs[1], pairs[1])):
        sums[place, 0].copy_(first)
        torch.add(first, second, out=sums[place, 1])
        sums[place, 2].copy_(second)


def _two_sums(products: Tensor, out: Tensor) -> None:
    """Write m0 + m1, m1 + m2 of 3 x 3 x ... into 2 x 2 x ..., along both axes."""
    for row in range(2):
        sums = products[row] + products[row + 1]
        for column in range(2):
            torch.add(sums[column], sums[column + 1], out=out[row, column])
