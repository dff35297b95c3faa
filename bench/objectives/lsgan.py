"""Least squares GAN."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class LeastSquares(Objective):
    """Mao et al. 2017, equation 2, with a linear output: a sigmoid would make it another objective."""

    fake_label: float = Field(0.0, description="a: what D aims at on generated images")
    real_label: float = Field(1.0, description="b: what D aims at on real images")
    generator_label: float = Field(1.0, description="c: what G wants D to say of its images")

    card: ClassVar[Card] = Card(
        title="Least squares GAN",
        paper="Least Squares Generative Adversarial Networks",
        authors="Mao et al.",
        year=2016,
        arxiv="1611.04076",
        family="least squares",
        discriminator_loss=(
            r"\frac{1}{2}\,\mathbb{E}_x\,(C(x)-b)^2 + \frac{1}{2}\,\mathbb{E}_{\tilde{x}}\,(C(\tilde{x})-a)^2"
        ),
        generator_loss=r"\frac{1}{2}\,\mathbb{E}_{\tilde{x}}\,(C(\tilde{x})-c)^2",
        published=Published(
            source="the authors' code for LSUN: Adam 1e-3, beta1 0.5, batch norm in D",
            references=("xudonmao/LSGAN@97e0b8d:train_lsun.py#L16-L17", "xudonmao/LSGAN@97e0b8d:vgg.py#discriminator"),
            learning_rate_discriminator=1e-3,
            learning_rate_generator=1e-3,
        ),
        golden=(
            Golden(discriminator=1.211667, generator=0.903333),
            Golden(
                discriminator=1.645,
                generator=0.336667,
                settings={"fake_label": -1.0, "real_label": 1.0, "generator_label": 0.0},
            ),
        ),
        notes=(
            "Labels (0, 1, 1) are those the authors used; (-1, 1, 0) meet the paper's chi-square condition, whose "
            "divergence is the triangular discrimination.",
        ),
        code_differences=(
            "The authors' code sums the squares over the batch (64 times the loss), which Adam hides; here their mean.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {
            "real": 0.5 * (D(real) - self.real_label).square().mean(),
            "fake": 0.5 * (D(fake) - self.fake_label).square().mean(),
        }

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": 0.5 * (D(fake) - self.generator_label).square().mean()}
