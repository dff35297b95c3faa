"""Cramér GAN: the energy distance of learned features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.networks.heads import Head
from bench.objectives.base import (
    PER_SAMPLE_NORMS,
    Card,
    Golden,
    Network,
    Objective,
    Published,
    Step,
    Terms,
    input_gradient,
    interpolated,
    widened,
)


class Cramer(Objective):
    """Bellemare et al. 2017, algorithm 1: two independent generated batches, D embeds images as h."""

    penalty_weight: float = Field(10.0, ge=0, description="lambda: the weight of the gradient penalty")

    head: ClassVar[Head] = "embedding"
    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    fakes_per_real: ClassVar[int] = 2
    on_purpose: ClassVar[Mapping[str, str]] = {"penalty": "f, which it bounds, is built of the embeddings of the batch"}
    card: ClassVar[Card] = Card(
        title="Cramér GAN",
        paper="The Cramer Distance as a Solution to Biased Wasserstein Gradients",
        authors="Bellemare et al.",
        year=2017,
        arxiv="1705.10743",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}\,[f(\tilde{x}) - f(x)] + \lambda\,\mathbb{E}_{\hat{x}}\,(\|\nabla f(\hat{x})\|_2-1)^2,"
            r" \quad f(x) = \|h(x)-h(\tilde{x}')\|_2 - \|h(x)\|_2"
        ),
        generator_loss=(
            r"\mathbb{E}\,[\|h(x)-h(\tilde{x})\|_2 + \|h(x)-h(\tilde{x}')\|_2 - \|h(\tilde{x})-h(\tilde{x}')\|_2]"
        ),
        published=Published(
            source="arXiv 1705.10743, algorithm 1 (lambda 10, 5 D steps); optimiser as in the MMD-GAN authors' "
            "reimplementation, Adam 1e-4, (0.5, 0.9)",
            references=(
                "arXiv 1705.10743, algorithm 1",
                "mbinkowski/MMD-GAN@678bb5e",
                "playHing/Scaled-MMD-GAN@7040788:celeba.sh#L36-L47",
            ),
            not_found="the paper's optimiser and D norm, and code by the authors",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.5, 0.9),
            discriminator_steps=5,
            norm="none",
        ),
        golden=(
            Golden(
                discriminator=-0.910927,
                generator=0.910927,
                settings={"penalty_weight": 0.0},
                real=((0.0, 0.0), (1.0, 0.0)),
                fake=((0.0, 1.0), (2.0, 0.0), (1.0, 1.0), (0.0, 2.0)),
            ),
        ),
        notes=(
            "h has 128 numbers here (the backbone's embedding), 256 in the paper.",
            "D and G do not optimise the same functional: f is a surrogate, a known criticism (Binkowski et al., "
            "1801.01401).",
            "Every step generates two batches, so it costs more of the generator than other rows.",
        ),
        controlled_notes=("Not its authors' algorithm: one discriminator step per generator step.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        first, second = fake.chunk(2)
        anchor = widened(D(second))
        gradient = input_gradient(lambda images: surrogate(D(images), anchor), interpolated(real, first, step))
        norm = torch.linalg.vector_norm(gradient, dim=1)
        return {
            "real": -surrogate(D(real), anchor).mean(),
            "fake": surrogate(D(first), anchor).mean(),
            "penalty": self.penalty_weight * (norm - 1).square().mean(),
        }

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        h, (first, second) = D(real), D(fake).chunk(2)
        return {
            "attraction": (distance(h, first) + distance(h, second)).mean(),
            "repulsion": -distance(first, second).mean(),
        }


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the Euclidean distance of each pair of embeddings, N x d to (N,)."""
    squared = (widened(one) - widened(other)).square().sum(1)
    one_point = squared == 0  # there the distance and all its derivatives are 0
    return torch.where(one_point, 1.0, squared).sqrt() * ~one_point


def surrogate(h: Tensor, anchor: Tensor) -> Tensor:
    """Return f: each embedding's distance to its anchor less its distance to the origin, N x d to (N,)."""
    return distance(h, anchor) - distance(h, torch.zeros_like(h))
