"""Codes: the part of a latent that is meant to be read off the image again (InfoGAN, Chen et al., arXiv 1606.03657)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

BINS = 20
"""Into so many equal parts of [-1, 1] a continuous code is cut where it is counted."""


class Codes(NamedTuple):
    """Which codes G is given beside its latent: one value of so many for each categorical one, and numbers in [-1, 1].

    A sample's codes are `width` numbers: the one-hots of the categorical ones side by side, then the continuous ones.
    All are uniform and independent.
    """

    categorical: tuple[int, ...] = ()
    continuous: int = 0

    @property
    def width(self) -> int:
        """How many numbers hold a sample's codes."""
        return sum(self.categorical) + self.continuous

    @property
    def names(self) -> tuple[str, ...]:
        """What the codes are called, in order: categorical1, ..., continuous1, ..."""
        return tuple(
            f"{kind}{number}"
            for kind, count in (("categorical", len(self.categorical)), ("continuous", self.continuous))
            for number in range(1, count + 1)
        )

    @property
    def values(self) -> tuple[int, ...]:
        """In how many values each code is counted: its own, or the parts that a continuous one is cut into."""
        return (*self.categorical, *(BINS,) * self.continuous)

    def of(self, uniform: Tensor) -> Tensor:
        """Return codes N x `width`, made of one number in [0, 1) each, N x the number of codes."""
        kinds = len(self.categorical)
        hot = [
            # In fp32, too, u k stays below k for u below 1.
            ((uniform[:, place, None] * size).floor() == torch.arange(size, device=uniform.device)).to(uniform.dtype)
            for place, size in enumerate(self.categorical)
        ]
        return torch.cat([*hot, 2 * uniform[:, kinds:] - 1], dim=1)

    def scales(self) -> Tensor:
        """Return what G multiplies each number with: a one-hot of K values weighs as much as a latent of variance 1."""
        hot = [torch.full((size,), math.sqrt(size)) for size in self.categorical]
        return torch.cat([*hot, torch.ones(self.continuous)])

    def split(self, numbers: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return of N x `width` numbers, such as D's answers, those of each categorical code, and of the continuous."""
        *hot, rest = torch.split(numbers, [*self.categorical, self.continuous], dim=1)
        return tuple(hot), rest

    def counted(self, numbers: Tensor) -> Tensor:
        """Return which of its `values` each code has, int64 N x the number of codes; of logits, the likeliest."""
        hot, rest = self.split(numbers)
        parts = ((rest + 1) * (BINS / 2)).floor().clamp(0, BINS - 1).long()
        return torch.cat([*(one.argmax(1, keepdim=True) for one in hot), parts], dim=1)


class DrawnCodes(NamedTuple):
    """The codes of a batch of generated images: `numbers` N x `codes.width`."""

    numbers: Tensor
    codes: Codes
