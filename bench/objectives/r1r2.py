"""The non-saturating GAN with zero-centred gradient penalties on real and generated images (R1 + R2)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.objectives.base import Card, Golden, Network, Published, Side, Step, Terms
from bench.objectives.r1 import ZeroCentredReal, squared_gradient


class ZeroCentredBoth(ZeroCentredReal):
    """Mescheder et al. 2018, equations 9 and 10, together."""

    card: ClassVar[Card] = Card(
        title="Non-saturating GAN with R1 and R2",
        paper="Which Training Methods for GANs do actually Converge?",
        authors="Mescheder, Geiger, Nowozin",
        year=2018,
        arxiv="1801.04406",
        family="logistic",
        discriminator_loss=(ZeroCentredReal.card.discriminator_loss or "")
        + r" + \frac{\gamma}{2}\,\mathbb{E}_{\tilde{x}}\,\|\nabla C(\tilde{x})\|_2^2",
        generator_loss=ZeroCentredReal.card.generator_loss,
        published=Published(
            source="arXiv 1801.04406, as for R1; both penalties together as in arXiv 2501.05441's ablation",
            references=(*ZeroCentredReal.card.published.references, "arXiv 2501.05441"),
            not_found="a recipe of the first paper for both penalties together",
            optimizer="rmsprop",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            norm="none",
        ),
        golden=(
            Golden(discriminator=1.378363, generator=0.806941, penalty=250.0),
            Golden(penalty=2.5, linear=(0.3, 0.4)),
        ),
        notes=ZeroCentredReal.card.notes[:1],
        code_differences=ZeroCentredReal.card.code_differences,
    )

    def penalised_at(self) -> tuple[Side, ...]:
        return ("real", "fake")

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {
            "r1": 0.5 * self.gamma * squared_gradient(D, real),
            "r2": 0.5 * self.gamma * squared_gradient(D, fake),
        }
