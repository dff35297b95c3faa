"""Latents in fixed blocks, batch norm recomputed for sampling, and images as bytes.

Every latent is addressed by (seed, purpose, block) and drawn on the CPU, so that samples depend neither on the device's
random generator nor on the batch that computes them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from bench.networks.backbone import address

LatentLaw = Literal["normal", "uniform"]
BLOCK = 100
CALIBRATION_LATENTS = 2_000
Network = TypeVar("Network", bound=nn.Module)


def draw_latents(law: LatentLaw, count: int, size: int, *where: object) -> Tensor:
    """Draw latents, float32 count x size, from N(0, I) or U(-1, 1), addressed by `where`."""
    generator = torch.Generator().manual_seed(address(*where))
    if law == "normal":
        return torch.randn(count, size, generator=generator)
    return torch.rand(count, size, generator=generator) * 2 - 1


def latent_blocks(law: LatentLaw, count: int, size: int, *where: object) -> Iterator[Tensor]:
    """Yield `count` latents in blocks of 100; block i is always the same, however many are asked for."""
    for block in range(-(-count // BLOCK)):
        yield draw_latents(law, BLOCK, size, *where, block)[: count - block * BLOCK]


@torch.no_grad()
def recalibrated(G: Network, law: LatentLaw, latent: int, device: torch.device) -> Network:
    """Return a copy of `G` in eval mode whose batch norms hold statistics over 2,000 fixed prior latents.

    With them a sample depends on its latent alone, not on the batch it is drawn in.
    """
    twin = copy.deepcopy(G).to(device).train()
    norms = [module for module in twin.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the blocks
    for block in latent_blocks(law, CALIBRATION_LATENTS, latent, "calibration"):
        twin(block.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return twin.eval()


def to_uint8(images: Tensor) -> Tensor:
    """Turn images in [-1, 1] into bytes, rounding to the nearest of 0..255."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
