"""Samples of a generator as bytes, each a function of its latent alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.evaluation.features import NotFiniteError, Progress
from bench.networks.sampling import BLOCK, LatentLaw, latent_blocks, recalibrated, to_uint8


@torch.inference_mode()
def generate(
    G: nn.Module,
    count: int,
    sample_seed: int,
    *,
    latent: int,
    law: LatentLaw,
    device: torch.device,
    progress: Progress | None = None,
) -> Tensor:
    """Return the first `count` samples of a sample seed, uint8 N x 3 x R x R on the CPU.

    `G` (latents N x `latent` -> images in [-1, 1]) is copied and its batch norms recomputed over fixed latents. Images
    are made in whole blocks of 100, so that image i has the same bits however many are asked for, and only one block
    exists as floats. Raises NotFiniteError when an image holds NaN or infinity.
    """
    network = recalibrated(G, law, latent, device)
    whole_blocks = -(-count // BLOCK) * BLOCK
    images: Tensor | None = None
    for index, latents in enumerate(latent_blocks(law, whole_blocks, latent, "evaluation", sample_seed)):
        made = network(latents.to(device))
        if not bool(made.isfinite().all()):
            raise NotFiniteError("The generated images")
        if images is None:
            images = torch.empty((count, *made.shape[1:]), dtype=torch.uint8)
        start = index * BLOCK
        images[start : start + BLOCK] = to_uint8(made)[: count - start].cpu()
        if progress is not None:
            progress("samples", min(start + BLOCK, count), count)
    assert images is not None
    return images
