"""Input images of a paired study: which kinds there are, and those that are functions of the stored image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from bench.data.crops import Pixels

InputKind = Literal["parts", "edges", "grey", "quarter", "left", "right", "folders"]
PAIRED_FILES: tuple[InputKind, ...] = ("left", "right", "folders")
"""The kinds whose input is an image file's other half, or a file of its own."""

_BLOCK = 4  # pixels whose mean is one of `quarter`'s
_LUMA = (299, 587, 114)  # thousandths, ITU-R BT.601
_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def grey(images: Pixels) -> Pixels:
    """Return the luma of images (N, 3, R, R) in all three channels, by ITU-R BT.601, rounded."""
    return _in_three_channels(_luma(images))


def edges(images: Pixels) -> Pixels:
    """Return the length of the luma's Sobel gradient, bright on black: a step of n levels is a line of n."""
    from scipy.ndimage import correlate  # only where it is asked for: it takes a while to import

    luma = _luma(images).astype(np.int32)
    across, down = (correlate(luma, kernel[None], mode="nearest").astype(np.float64) for kernel in (_SOBEL, _SOBEL.T))
    return _in_three_channels(np.minimum(np.sqrt(across * across + down * down) / 4 + 0.5, 255).astype(np.uint8))


def quarter(images: Pixels) -> Pixels:
    """Return images at a quarter of their resolution, means over 4 x 4 pixels, enlarged again by repeating them."""
    count, channels, side, _ = images.shape
    blocks = images.reshape(count, channels, side // _BLOCK, _BLOCK, side // _BLOCK, _BLOCK)
    means = (blocks.sum(axis=(3, 5), dtype=np.int32) * 2 + _BLOCK**2) // (2 * _BLOCK**2)
    enlarged: Pixels = means.astype(np.uint8).repeat(_BLOCK, axis=2).repeat(_BLOCK, axis=3)
    return enlarged


DERIVED: Mapping[InputKind, Callable[[Pixels], Pixels]] = {"edges": edges, "grey": grey, "quarter": quarter}
"""The kinds that any source has: input images (N, 3, R, R) as functions of the stored ones."""


def _luma(images: Pixels) -> Pixels:
    weighed = sum(weight * images[:, channel].astype(np.int32) for channel, weight in enumerate(_LUMA))
    return ((np.asarray(weighed) + 500) // 1000).astype(np.uint8)


def _in_three_channels(plane: Pixels) -> Pixels:
    return np.repeat(plane[:, None], 3, axis=1)
