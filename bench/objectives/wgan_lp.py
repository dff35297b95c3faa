"""Wasserstein GAN with a one-sided (Lipschitz) penalty."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from bench.objectives.base import Card, Golden, Published
from bench.objectives.wgan_gp import WassersteinGradientPenalty


class WassersteinLipschitzPenalty(WassersteinGradientPenalty):
    """Petzka et al. 2017, equation 8: only gradient norms above 1 are penalised."""

    card: ClassVar[Card] = Card(
        title="Wasserstein GAN with Lipschitz penalty",
        paper="On the regularization of Wasserstein GANs",
        authors="Petzka, Fischer, Lukovnikov",
        year=2017,
        arxiv="1709.08894",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,C(\tilde{x}) - \mathbb{E}_x\,C(x)"
            r" + \lambda\,\mathbb{E}_{\hat{x}}\,[\|\nabla C(\hat{x})\|_2-1]_+^2"
        ),
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,C(\tilde{x})",
        published=Published(
            source="WGAN-GP's recipe (arXiv 1704.00028), lambda 10 as there",
            references=("arXiv 1704.00028, algorithm 1",),
            not_found="the paper's own lambda, and the authors' code",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.0, 0.9),
            discriminator_steps=5,
            norm="layer",
        ),
        golden=(
            Golden(discriminator=-0.566667, generator=0.066667, penalty=160.0),
            Golden(penalty=0.0, linear=(0.3, 0.4)),
        ),
        notes=("A discriminator whose slope is below 1 pays nothing, where WGAN-GP draws it up to 1.",),
        controlled_notes=WassersteinGradientPenalty.card.controlled_notes,
    )

    def excess(self, norm: Tensor) -> Tensor:
        return relu(norm - 1)
