"""R3GAN's loss: the relativistic pairing GAN with both zero-centred gradient penalties."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from bench.objectives.base import Card, Golden, Network, Published, Side, Step, Terms
from bench.objectives.r1 import squared_gradient
from bench.objectives.rsgan import RelativisticStandard


class RegularisedRelativistic(RelativisticStandard):
    """Huang et al. 2025, equations 2 to 4."""

    gamma: float = Field(1.0, ge=0, description="gamma: each penalty's weight is gamma / 2")

    card: ClassVar[Card] = Card(
        title="R3GAN (RpGAN + R1 + R2)",
        paper="The GAN is dead; long live the GAN! A Modern GAN Baseline",
        authors="Huang, Gokaslan, Kuleshov, Tompkin",
        year=2025,
        arxiv="2501.05441",
        family="relativistic",
        discriminator_loss=(RelativisticStandard.card.discriminator_loss or "")
        + r" + \frac{\gamma}{2}\,\mathbb{E}_x\,\|\nabla C(x)\|_2^2"
        + r" + \frac{\gamma}{2}\,\mathbb{E}_{\tilde{x}}\,\|\nabla C(\tilde{x})\|_2^2",
        generator_loss=RelativisticStandard.card.generator_loss,
        published=Published(
            source="the authors' FFHQ-64 preset at its start: Adam 2e-4, (0, 0.9), gamma 2, no norm in D; its cosine "
            "schedules of rate, beta2 and gamma are left out",
            betas=(0.0, 0.9),
            norm="none",
            conditioning="product",
            settings={"gamma": 2.0},
            references=("arXiv 2501.05441", "brownvc/R3GAN@19a7ddf:train.py#main"),
        ),
        golden=(
            Golden(discriminator=0.521355, generator=1.088021, penalty=25.0),
            Golden(penalty=2.5, linear=(0.3, 0.4), settings={"gamma": 10.0}),
        ),
        notes=(
            "The loss alone, on this backbone: the paper's network, augmentation and schedules are not part of it.",
        ),
        code_differences=(
            "The paper writes one function for both players (minimax); the authors' code gives G the swapped, "
            "non-saturating loss. The code, which made the results, is followed; the paper's is the setting `minimax`.",
            "Told labels, the authors' D has no unconditional part: its score is an inner product with a learned "
            "embedding of the label, over the root of its size. Here the head has one output per value instead.",
            "gamma 1 lies in the range 0.1 to 2 of the authors' presets for 64x64; none is published for DCGAN.",
        ),
        controlled_notes=("The authors hold beta1 = 0 and no normalisation in D to be essential.",),
    )

    def penalised_at(self) -> tuple[Side, ...]:
        return ("real", "fake")

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {
            "r1": 0.5 * self.gamma * squared_gradient(D, real),
            "r2": 0.5 * self.gamma * squared_gradient(D, fake),
        }
