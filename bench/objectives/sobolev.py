"""Sobolev GAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.objectives.base import PER_SAMPLE_NORMS, Card, Golden, Network, Published, Step, Terms, input_gradient
from bench.objectives.fisher import Fisher, constraint_terms


class Sobolev(Fisher):
    """Mroueh et al. 2017, algorithm 1: as Fisher GAN, with the gradient's second moment bounded."""

    rho: float = Field(2e-8, gt=0, description="rho: the quadratic penalty's weight and the multiplier's rate")

    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    on_purpose: ClassVar[Mapping[str, str]] = {
        "penalty": "Omega is a constraint, whose multiplier moves with each step"
    }
    card: ClassVar[Card] = Card(
        title="Sobolev GAN",
        paper="Sobolev GAN",
        authors="Mroueh, Li, Sercu, Raj, Cheng",
        year=2017,
        arxiv="1711.04894",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}\,C(\tilde{x}) - \mathbb{E}\,C(x) - \Lambda\,(1-\Omega) + \frac{\rho}{2}\,(1-\Omega)^2,"
            r" \quad \Omega = \frac{1}{2}\,\mathbb{E}\,\|\nabla C(x)\|_2^2 + \frac{1}{2}\,\mathbb{E}\,\|\nabla "
            r"C(\tilde{x})\|_2^2"
        ),
        generator_loss=Fisher.card.generator_loss,
        published=Published(
            source="the authors' semi-supervised code for CIFAR-10: Adam 2e-4, one D step, no norm in D, rho 2e-8",
            norm="none",
            references=(
                "tomsercu/SobolevGAN-SSL@a414cee:main.py#L33-L60",
                "tomsercu/SobolevGAN-SSL@a414cee:README.md",
            ),
            not_found="a recipe for images without labels",
        ),
        golden=(
            # C(x) = x has slope 1 everywhere: Omega is 1, and the constraint costs nothing.
            Golden(discriminator=-0.566667, generator=0.066667, settings={"rho": 0.1}, state={"multiplier": 0.3}),
        ),
        notes=("The bound is on the mean over real and generated images, not on points between them.",),
        code_differences=(
            "The authors' semi-supervised code draws one interpolation weight for a whole batch in another penalty; "
            "nothing is interpolated here.",
            "Their command for CIFAR-10 puts Fisher's constraint beside Sobolev's, on parts of a classifying D, and "
            "adds weight decay (1e-6, and 1e-3 on the last layer); here Sobolev's stands alone.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        energies = [input_gradient(D, images).square().sum(1).mean() for images in (real, fake)]
        omega = 0.5 * energies[0] + 0.5 * energies[1]
        return {"real": -D(real).mean(), "fake": D(fake).mean(), **constraint_terms(omega, self.rho, step)}
