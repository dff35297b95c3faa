"""Latents in fixed blocks, batch norm recomputed for sampling, and images as bytes.

Every latent is addressed by (seed, purpose, block) and drawn on the CPU, so that samples depend neither on the device's
random generator nor on the batch that computes them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench.networks.backbone import address
from bench.networks.codes import Codes
from bench.networks.conditioning import in_unit_range
from bench.networks.switches import LatentLaw as LatentLaw  # from here for the evaluation, whose code is hashed

BLOCK = 100
GRID = 8  # images in a row of a sample grid
MOST_ROWS = 20
OUTPUTS = 3  # so many rows of a grid are made of the same input images
CALIBRATION_LATENTS = 2_000
Network = TypeVar("Network", bound=nn.Module)


def draw_latents(law: LatentLaw, count: int, size: int, *where: object) -> Tensor:
    """Draw latents, float32 count x size, from N(0, I), U(-1, 1) or U(0, 1), addressed by `where`."""
    generator = torch.Generator().manual_seed(address(*where))
    if law == "normal":
        return torch.randn(count, size, generator=generator)
    unit = torch.rand(count, size, generator=generator)
    return unit if law == "unit" else unit * 2 - 1


def latent_blocks(law: LatentLaw, count: int, size: int, *where: object) -> Iterator[Tensor]:
    """Yield `count` latents in blocks of 100; block i is always the same, however many are asked for."""
    for block in range(-(-count // BLOCK)):
        yield draw_latents(law, BLOCK, size, *where, block)[: count - block * BLOCK]


def draw_codes(codes: Codes, count: int, *where: object) -> Tensor:
    """Draw codes, float32 count x `codes.width`, in blocks of 100 as latents are; sample i's do not depend on `count`.

    They have draws of their own: beside codes, latents are those that they are without.
    """
    size = len(codes.values)
    blocks = [
        torch.rand(BLOCK, size, generator=torch.Generator().manual_seed(address(*where, "codes", block)))
        for block in range(-(-count // BLOCK))
    ]
    return codes.of(torch.cat(blocks)[:count])


def cyclic(conditions: Tensor | None, start: int, count: int) -> Tensor | None:
    """Return the conditions of samples `start` to `start + count - 1`; they begin anew after the last."""
    return None if conditions is None else conditions[torch.arange(start, start + count) % len(conditions)]


def grid_samples(
    law: LatentLaw,
    latent: int,
    factor_sizes: Sequence[int] = (),
    codes: Codes | None = None,
    inputs: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return the latents and conditions of a sample grid, row by row: the same in every grid of every run.

    With labels it has one row for each value of the first factor (for 20 of them at most) and the same latent down a
    column, which shows the other factors' values in turn; without, 8 rows of latents, each with codes of its own. With
    8 `inputs`, pictures of which images are made, it has 3 rows, each of one latent: a column has one input.
    """
    latents = draw_latents(law, GRID * GRID, latent, "sample grid")
    if inputs is not None:
        return latents[:OUTPUTS].repeat_interleave(GRID, dim=0), inputs.repeat(OUTPUTS, 1, 1, 1)
    if not factor_sizes:
        return latents, None if codes is None else draw_codes(codes, GRID * GRID, "sample grid")
    columns, rows = torch.arange(GRID), min(factor_sizes[0], MOST_ROWS)
    shown = [torch.eye(factor_sizes[0])[:rows].repeat_interleave(GRID, dim=0)]
    shown += [torch.eye(size)[columns % size].repeat(rows, 1) for size in factor_sizes[1:]]
    return latents[:GRID].repeat(rows, 1), torch.cat(shown, dim=1)


@torch.no_grad()
def recalibrated(
    G: Network, law: LatentLaw, latent: int, device: torch.device, conditions: Tensor | None = None
) -> Network:
    """Return a copy of `G` in eval mode whose batch norms hold statistics over 2,000 fixed prior latents.

    With them a sample depends on its latent alone, not on the batch it is drawn in. A G that is told is given
    `conditions` in turn: those of the training images, or drawn codes.
    """
    twin = copy.deepcopy(G).to(device).train()
    norms = [module for module in twin.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the blocks
    for index, block in enumerate(latent_blocks(law, CALIBRATION_LATENTS, latent, "calibration")):
        drawn(twin, block, cyclic(conditions, index * BLOCK, len(block)), device)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return twin.eval()


def drawn(G: nn.Module, latents: Tensor, conditions: Tensor | None, device: torch.device) -> Tensor:
    """Return a generator's images of latents, and of conditions where it is told; input images are bytes here."""
    told = () if conditions is None else (conditions.to(device),)
    images: Tensor = G(latents.to(device), *(in_unit_range(one) if one.dtype == torch.uint8 else one for one in told))
    return images


def to_uint8(images: Tensor) -> Tensor:
    """Turn images in [-1, 1] into bytes, rounding to the nearest of 0..255."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
