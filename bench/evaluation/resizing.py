"""Resizing as two matrix products, X -> W X W^T: exact, the same on every device, and fast for small images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def bicubic_matrix(size_in: int, size_out: int) -> Tensor:
    """Return W, float32 size_out x size_in, of PIL's bicubic filter (a = -0.5, antialiased when it shrinks)."""
    identity = torch.eye(size_in)[None, None]
    return interpolate(identity, size=(size_out, size_in), mode="bicubic", antialias=True)[0, 0]


def tensorflow1_matrix(size_in: int, size_out: int) -> Tensor:
    """Return W, float32 size_out x size_in, of TensorFlow 1's bilinear resize (no half-pixel centres, no antialias).

    This is the resize of the FID's Inception graph; positions are computed in float32, as there.
    """
    position = torch.arange(size_out, dtype=torch.float32) * torch.tensor(size_in / size_out, dtype=torch.float32)
    low = position.long()
    high = (low + 1).clamp(max=size_in - 1)
    fraction = position - low
    matrix = torch.zeros(size_out, size_in)
    rows = torch.arange(size_out)
    matrix[rows, low] = 1 - fraction
    matrix[rows, high] += fraction  # at the border both are the last pixel
    return matrix


def resize(images: Tensor, matrix: Tensor) -> Tensor:
    """Apply W to both sides of N x 3 x R x R images, float32; the result lies channels last."""
    count, channels, rows, _ = images.shape
    wide = (images @ matrix.T).permute(0, 2, 3, 1).reshape(count, rows, -1)
    return (matrix @ wide).view(count, len(matrix), len(matrix), channels).permute(0, 3, 1, 2)


def bilinear_matrix(size_in: int, size_out: int) -> Tensor:
    """Return W, float32 size_out x size_in, of PIL's bilinear filter, antialiased when it shrinks."""
    identity = torch.eye(size_in)[None, None]
    return interpolate(identity, size=(size_out, size_in), mode="bilinear", antialias=True)[0, 0]


def scaled(images: Tensor, size: int, law: str = "bicubic") -> Tensor:
    """Scale images N x 3 x R x R of 0..255 to `size` x `size` pixels, float32 in 0..255, as Pillow does.

    law  `bicubic` or `bilinear`, both antialiased
    """
    pixels = images.float()
    if pixels.shape[-1] == size:
        return pixels
    make = {"bicubic": bicubic_matrix, "bilinear": bilinear_matrix}[law]
    return resize(pixels, make(pixels.shape[-1], size).to(pixels.device)).clamp_(0, 255)
