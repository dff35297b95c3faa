"""The minimax GAN: both players share one value function."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class Minimax(Objective):
    """Goodfellow et al. 2014, equation 1. G minimises log(1 - D), which saturates while D rejects its samples."""

    real_label: float = Field(
        1.0, gt=0.5, le=1, description="D's target on real images; below 1: one-sided label smoothing"
    )

    card: ClassVar[Card] = Card(
        title="Minimax GAN",
        paper="Generative Adversarial Nets",
        authors="Goodfellow et al.",
        year=2014,
        arxiv="1406.2661",
        family="logistic",
        discriminator_loss=r"\mathbb{E}_x\,\log(1+e^{-C(x)}) + \mathbb{E}_{\tilde{x}}\,\log(1+e^{C(\tilde{x})})",
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,\log(1+e^{C(\tilde{x})})",
        published=Published(
            source="DCGAN's recipe (arXiv 1511.06434)",
            references=("arXiv 1511.06434, section 4", "Newmu/dcgan_code@e6e9cec:faces/train_uncond_dcgan.py#L36-L49"),
            not_found="a recipe of the GAN paper's own for such networks",
        ),
        golden=(
            Golden(discriminator=1.378363, generator=-0.740275),
            Golden(discriminator=1.428363, generator=-0.740275, settings={"real_label": 0.9}),
        ),
        notes=(
            "At the optimal discriminator the value is 2 log 2 - 2 JS(p, q).",
            "One-sided label smoothing (Salimans et al., arXiv 1606.03498, section 3.4) is the setting `real_label`: "
            "with a label of alpha the optimal D is alpha p / (p + q).",
            "The generator's gradient vanishes while D rejects its samples: saturation is a result here, not an error.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        scores = D(real)
        missing = 1 - self.real_label  # a target below 1 is a mixture of both labels
        return {"real": (softplus(-scores) + missing * scores).mean(), "fake": softplus(D(fake)).mean()}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": -softplus(D(fake)).mean()}
