"""The matching-aware discriminator: it is also shown real images under a wrong label."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bench.networks.conditioning import Labels
from bench.objectives._recognising import labels_of
from bench.objectives.base import Card, Golden, Network, Published, Step, Terms
from bench.objectives.nsgan import NonSaturating


class MatchingAware(NonSaturating):
    """Reed et al. 2016, algorithm 1 (GAN-CLS): D learns that a real image with a wrong condition is wrong too."""

    needs: ClassVar[Literal["labels"] | None] = "labels"
    card: ClassVar[Card] = Card(
        title="Matching-aware GAN (GAN-CLS)",
        paper="Generative Adversarial Text to Image Synthesis",
        authors="Reed et al.",
        year=2016,
        arxiv="1605.05396",
        family="class-conditional",
        discriminator_loss=(
            r"\mathbb{E}_x\,\log(1+e^{-C(x|y)}) + \frac{1}{2}\,\mathbb{E}_{\tilde{x}}\,\log(1+e^{C(\tilde{x}|y)})"
            r" + \frac{1}{2}\,\mathbb{E}_x\,\log(1+e^{C(x|y')})"
        ),
        generator_loss=r"\mathbb{E}_{\tilde{x}}\,\log(1+e^{-C(\tilde{x}|y)})",
        published=Published(
            source="arXiv 1605.05396, section 5: Adam 2e-4, beta1 0.5, DCGAN's networks with batch norm",
            references=("arXiv 1605.05396, section 5",),
        ),
        golden=(
            Golden(
                discriminator=1.458285,
                generator=0.806941,
                labels=(0, 1, 2),
                mismatched=(-0.5, 0.4, 1.0),
            ),
        ),
        notes=(
            "y' is y with another value in one factor, both drawn anew for each sample. The authors take another "
            "sample's text, which with few labels is often the right one.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        terms = super().discriminator_loss(D, real, fake, step)
        wrong = mislabelled(labels_of(step), step)
        return terms | {"fake": 0.5 * terms["fake"], "mismatched": 0.5 * softplus(D(real, wrong)).mean()}


def mislabelled(labels: Labels, step: Step) -> Tensor:
    """Return the one-hots with a wrong value in one factor of each sample; which factor and value, is drawn."""
    count = len(labels.hot)
    chosen = (step.uniform("mislabelled factor", (count, 1)) * len(labels.sizes)).long()
    drawn = step.uniform("wrong value", (count, 1))
    parts = []
    for place, (hot, _) in enumerate(labels.by_factor(labels.hot)):
        size = hot.shape[1]
        shift = 1 + (drawn * (size - 1)).long()
        values = torch.arange(size, device=hot.device)
        parts.append(torch.where(chosen == place, hot.gather(1, (values - shift) % size), hot))
    return torch.cat(parts, dim=1)
