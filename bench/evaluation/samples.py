"""Samples of a generator as bytes, each a function of its latent, and of its condition where it is told, alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.data import PreparedData
from bench.evaluation.features import NotFiniteError, Progress
from bench.evaluation.reference import fixed_order
from bench.networks.codes import Codes
from bench.networks.sampling import (
    BLOCK,
    CALIBRATION_LATENTS,
    LatentLaw,
    cyclic,
    draw_codes,
    drawn,
    latent_blocks,
    recalibrated,
    to_uint8,
)


class Conditions(NamedTuple):
    """What a generator is told, N x K each: while its batch norms are recomputed, and for its samples.

    Of input images both are N x 3 x R x R uint8. Sample i has the condition of reference image i, so both
    have the same law; they begin anew after the last. Codes stand in their place where a study has some.
    """

    calibration: Tensor
    samples: Tensor


def conditions_of(data: PreparedData, count: int | None = None) -> Conditions | None:
    """Return what generators of a study on `data` are told; None where it has neither labels nor input images.

    With `count`, of the first so many samples, in whole blocks.
    """
    training, heldout = (
        split.conditions() if (inputs := split.inputs()) is None else inputs for split in (data.train, data.heldout)
    )
    if training is None or heldout is None:
        return None
    order = fixed_order(len(heldout))[: None if count is None else _whole_blocks(count)]
    # Copies: pictures are mapped from a file that is only readable.
    return Conditions(torch.from_numpy(training[:CALIBRATION_LATENTS].copy()), torch.from_numpy(heldout[order]))


def drawn_conditions(codes: Codes, count: int, sample_seed: int) -> Conditions:
    """Return the codes of the first `count` samples of a sample seed, each a function of its own index."""
    return Conditions(
        draw_codes(codes, CALIBRATION_LATENTS, "calibration"), draw_codes(codes, count, "evaluation", sample_seed)
    )


def conditions_for(data: PreparedData, codes: Codes | None, count: int, sample_seed: int) -> Conditions | None:
    """Return what a run's generator is told or given for its first `count` samples; None: nothing."""
    return conditions_of(data, count) if codes is None else drawn_conditions(codes, count, sample_seed)


@torch.inference_mode()
def generate(
    G: nn.Module,
    count: int,
    sample_seed: int,
    *,
    latent: int,
    law: LatentLaw,
    device: torch.device,
    conditions: Conditions | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Return the first `count` samples of a sample seed, uint8 N x 3 x R x R on the CPU.

    `G` (latents N x `latent`, and `conditions` where it is told, -> images in [-1, 1]) is copied and its batch norms
    recomputed over fixed latents. Images are made in whole blocks of 100, so that image i has the same bits however
    many are asked for, and only one block exists as floats. Raises NotFiniteError when an image holds NaN or infinity.
    """
    calibration, told = conditions or (None, None)
    network = recalibrated(G, law, latent, device, calibration)
    return images_of(network, count, sample_seed, latent=latent, law=law, device=device, told=told, progress=progress)


@torch.inference_mode()
def images_of(
    network: nn.Module,
    count: int,
    sample_seed: int,
    *,
    latent: int,
    law: LatentLaw,
    device: torch.device,
    told: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Return the same of a generator whose batch norms were recomputed; `told`: the conditions of its samples."""
    images: Tensor | None = None
    for index, latents in enumerate(latent_blocks(law, _whole_blocks(count), latent, "evaluation", sample_seed)):
        made = drawn(network, latents, cyclic(told, index * BLOCK, BLOCK), device)
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


def _whole_blocks(count: int) -> int:
    return -(-count // BLOCK) * BLOCK
