"""Relativistic average least squares GAN."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.objectives.base import Card, Golden, Published
from bench.objectives.rasgan import RelativisticAverage


class RelativisticAverageLeastSquares(RelativisticAverage):
    """Jolicoeur-Martineau 2018, appendix: relative scores aim at 1 and -1."""

    card: ClassVar[Card] = Card(
        title="Relativistic average least squares GAN",
        paper=RelativisticAverage.card.paper,
        authors="Jolicoeur-Martineau",
        year=2018,
        arxiv="1807.00734",
        family="relativistic",
        discriminator_loss=(
            r"\mathbb{E}_x\,(C(x)-\mathbb{E}C(\tilde{x})-1)^2 + "
            r"\mathbb{E}_{\tilde{x}}\,(C(\tilde{x})-\mathbb{E}C(x)+1)^2"
        ),
        generator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,(C(\tilde{x})-\mathbb{E}C(x)-1)^2 + "
            r"\mathbb{E}_x\,(C(x)-\mathbb{E}C(\tilde{x})+1)^2"
        ),
        published=Published(
            source=RelativisticAverage.card.published.source,
            norm="spectral",
            references=("arXiv 1807.00734", "AlexiaJM/RelativisticGAN@fce2f89:code/stable.sh#L17"),
        ),
        golden=(
            Golden(discriminator=2.544444, generator=7.077778),
            Golden(discriminator=1.272222, generator=3.538889, settings={"halved": True}),
        ),
        notes=RelativisticAverage.card.notes,
        code_differences=RelativisticAverage.card.code_differences,
    )

    def cost_preferred(self, relative: Tensor) -> Tensor:
        return (relative - 1).square()

    def cost_rejected(self, relative: Tensor) -> Tensor:
        return (relative + 1).square()
