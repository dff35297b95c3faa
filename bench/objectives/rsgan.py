"""Relativistic standard GAN, also called RpGAN."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from bench.networks.backbone import Norm
from bench.objectives.base import PER_SAMPLE_NORMS, Card, Golden, Network, Objective, Published, Step, Terms


class RelativisticStandard(Objective):
    """Jolicoeur-Martineau 2018, equations 9 and 10: D compares a real with a generated image, paired by place."""

    minimax: bool = Field(False, description="G minimises the negative of D's loss instead of its own, swapped one")

    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    card: ClassVar[Card] = Card(
        title="Relativistic standard GAN (RpGAN)",
        paper="The relativistic discriminator: a key element missing from standard GAN",
        authors="Jolicoeur-Martineau",
        year=2018,
        arxiv="1807.00734",
        family="relativistic",
        discriminator_loss=r"\mathbb{E}_{x,\tilde{x}}\,\log(1+e^{-(C(x)-C(\tilde{x}))})",
        generator_loss=r"\mathbb{E}_{x,\tilde{x}}\,\log(1+e^{-(C(\tilde{x})-C(x))})",
        published=Published(
            source="the author's commands for CIFAR-10: Adam 2e-4, (0.5, 0.999), one D step, spectral norm",
            references=("arXiv 1807.00734", "AlexiaJM/RelativisticGAN@fce2f89:code/stable.sh#L13"),
            norm="spectral",
        ),
        golden=(
            Golden(discriminator=0.521355, generator=1.088021),
            Golden(discriminator=0.521355, generator=-0.521355, settings={"minimax": True}),
        ),
        notes=(
            "C is determined up to a constant; at the optimal D the value is log 2 - JS(p x q, q x p).",
            "Its empirical loss has no sub-optimal local minima that drop modes; losses that judge each image alone "
            "have them (Sun et al., arXiv 2011.04926).",
        ),
        code_differences=("Codes that count real-fake and fake-real pairs state twice this loss; Adam hides it.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {"pairs": softplus(D(fake) - D(real)).mean()}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        behind = D(real) - D(fake)
        return {"pairs": -softplus(-behind).mean() if self.minimax else softplus(behind).mean()}
