"""Relativistic average hinge GAN."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from bench.objectives.base import Card, Golden, Published
from bench.objectives.rasgan import RelativisticAverage


class RelativisticAverageHinge(RelativisticAverage):
    """Jolicoeur-Martineau 2018, appendix: relative scores are hinged at 1 and -1, in both players' losses."""

    card: ClassVar[Card] = Card(
        title="Relativistic average hinge GAN",
        paper=RelativisticAverage.card.paper,
        authors="Jolicoeur-Martineau",
        year=2018,
        arxiv="1807.00734",
        family="relativistic",
        discriminator_loss=(
            r"\mathbb{E}_x\,[1-(C(x)-\mathbb{E}C(\tilde{x}))]_+ + "
            r"\mathbb{E}_{\tilde{x}}\,[1+(C(\tilde{x})-\mathbb{E}C(x))]_+"
        ),
        generator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,[1-(C(\tilde{x})-\mathbb{E}C(x))]_+ + "
            r"\mathbb{E}_x\,[1+(C(x)-\mathbb{E}C(\tilde{x}))]_+"
        ),
        published=Published(
            source=RelativisticAverage.card.published.source,
            norm="spectral",
            references=("arXiv 1807.00734", "AlexiaJM/RelativisticGAN@fce2f89:code/stable.sh#L19"),
        ),
        golden=(
            Golden(discriminator=1.455556, generator=3.133333),
            Golden(discriminator=0.727778, generator=1.5666665, settings={"halved": True}),
        ),
        notes=RelativisticAverage.card.notes,
        code_differences=RelativisticAverage.card.code_differences,
    )

    def cost_preferred(self, relative: Tensor) -> Tensor:
        return relu(1 - relative)

    def cost_rejected(self, relative: Tensor) -> Tensor:
        return relu(1 + relative)
