"""Wasserstein GAN with gradient penalty."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.networks import Norm
from bench.objectives.base import (
    PER_SAMPLE_NORMS,
    Card,
    Golden,
    Objective,
    Players,
    Published,
    Step,
    Terms,
    input_gradient,
)


class WassersteinGradientPenalty(Objective):
    """Gulrajani et al. 2017, algorithm 1: the gradient's norm over all pixels and channels is drawn towards 1."""

    penalty_weight: float = Field(10.0, ge=0, description="lambda: the weight of the gradient penalty")

    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    card: ClassVar[Card] = Card(
        title="Wasserstein GAN with gradient penalty",
        paper="Improved Training of Wasserstein GANs",
        authors="Gulrajani et al.",
        year=2017,
        arxiv="1704.00028",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,C(\tilde{x}) - \mathbb{E}_x\,C(x)"
            r" + \lambda\,\mathbb{E}_{\hat{x}}\,(\|\nabla C(\hat{x})\|_2-1)^2"
        ),
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,C(\tilde{x})",
        published=Published(
            source="arXiv 1704.00028, algorithm 1, and the authors' 64x64 code (layer norm in D)",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.0, 0.9),
            discriminator_steps=5,
            norm="layer",
        ),
        golden=(Golden(discriminator=-0.566667, generator=0.066667, settings={"penalty_weight": 0.0}),),
        notes=(
            "One interpolation weight per sample; the norm is taken over all pixels and channels (several public codes "
            "take it over channels alone).",
            "The optimal discriminator overshoots slope 1 by W / (2 lambda).",
        ),
        code_differences=("The authors' toy code uses lambda 0.1 and beta1 0.5.",),
        controlled_notes=("Not its authors' algorithm: one discriminator step per generator step, and beta1 0.5.",),
    )

    def discriminator_loss(self, D: Players, real: Tensor, fake: Tensor, step: Step) -> Terms:
        weight = step.uniform("interpolation", (len(real), *(1,) * (real.dim() - 1))).to(real.dtype)
        between = weight * real + (1 - weight) * fake
        norm = torch.linalg.vector_norm(input_gradient(D, between), dim=1)
        step.observe("interpolate_gradient_norm", norm.mean())
        return {
            "real": -D(real).mean(),
            "fake": D(fake).mean(),
            "penalty": self.penalty_weight * (norm - 1).square().mean(),
        }

    def generator_loss(self, D: Players, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": -D(fake).mean()}
