"""Relativistic average standard GAN."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class RelativisticAverage(Objective):
    """Jolicoeur-Martineau 2018, section 4.2: each image is compared with the mean score of the other kind.

    A subclass says what comparisons cost, given N scores less the mean of the other kind's.
    """

    halved: bool = Field(False, description="divide both losses by 2, as the author's code does; the paper sums")

    card: ClassVar[Card] = Card(
        title="Relativistic average standard GAN",
        paper="The relativistic discriminator: a key element missing from standard GAN",
        authors="Jolicoeur-Martineau",
        year=2018,
        arxiv="1807.00734",
        family="relativistic",
        discriminator_loss=(
            r"\mathbb{E}_x\,\log(1+e^{-(C(x)-\mathbb{E}C(\tilde{x}))})"
            r" + \mathbb{E}_{\tilde{x}}\,\log(1+e^{C(\tilde{x})-\mathbb{E}C(x)})"
        ),
        generator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,\log(1+e^{-(C(\tilde{x})-\mathbb{E}C(x))})"
            r" + \mathbb{E}_x\,\log(1+e^{C(x)-\mathbb{E}C(\tilde{x})})"
        ),
        published=Published(
            source="the author's commands for CIFAR-10: Adam 2e-4, (0.5, 0.999), one D step, spectral norm",
            references=("arXiv 1807.00734", "AlexiaJM/RelativisticGAN@fce2f89:code/stable.sh#L15"),
            norm="spectral",
        ),
        golden=(
            Golden(discriminator=1.132556, generator=2.265889),
            Golden(discriminator=0.566278, generator=1.1329445, settings={"halved": True}),
        ),
        notes=("Both means carry their gradients.",),
        code_differences=(
            "The paper sums two expectations; the author's code halves the sum, which Adam hides. The paper is "
            "followed; the code's scale is the setting `halved`.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self._terms("real", D(real), "fake", D(fake))

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return self._terms("fake", D(fake), "real", D(real))

    def _terms(self, high: str, preferred: Tensor, low: str, rejected: Tensor) -> Terms:
        scale = 0.5 if self.halved else 1.0
        return {  # where D scores patches, each place has its own mean
            high: scale * self.cost_preferred(preferred - rejected.mean(0)).mean(),
            low: scale * self.cost_rejected(rejected - preferred.mean(0)).mean(),
        }

    def cost_preferred(self, relative: Tensor) -> Tensor:
        """Return what each image costs that should score above the other kind's mean."""
        return softplus(-relative)

    def cost_rejected(self, relative: Tensor) -> Tensor:
        """Return what each image costs that should score below the other kind's mean."""
        return softplus(relative)
