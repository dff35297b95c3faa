"""ReACGAN: the data-to-data cross-entropy, over any base loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.conditioning import Labels
from bench.networks.heads import Contrastive
from bench.objectives.base import Card, Golden, Published
from bench.objectives.contragan import GIVEN, Contrastively, same


class Rebooted(Contrastively):
    """Kang et al. 2021, the D2D-CE loss: a margin for easy positives and for easy negatives, of other classes alone."""

    weight: float = Field(0.5, ge=0, description="lambda: the weight of the class terms in D's loss")
    generator_weight: float = Field(0.5, ge=0, description="their weight in G's loss")
    temperature: float = Field(0.5, gt=0, description="tau: what similarities are divided by")
    positive_margin: float = Field(
        0.98, ge=-1, le=1, description="m_p: similarity to the proxy beyond which all is well"
    )
    negative_margin: float = Field(0.02, ge=-1, le=1, description="m_n: similarity of other classes below which it is")

    card: ClassVar[Card] = Card(
        title="ReACGAN",
        paper="Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training",
        authors="Kang et al.",
        year=2021,
        arxiv="2111.01118",
        family="class-conditional",
        discriminator_loss=r"L_{base} + \lambda\,\ell_{D2D}(x, y)",
        generator_loss=r"L_{base} + \lambda_G\,\ell_{D2D}(\tilde{x}, y)",
        published=Published(
            source="the authors' settings for CIFAR-10: hinge, Adam 2.83e-4, (0.5, 0.999), five D steps, spectral "
            "norm, weight 0.5, temperature 0.5, margins 0.98 and 0.02",
            learning_rate_discriminator=0.00028284271,
            learning_rate_generator=0.00028284271,
            discriminator_steps=5,
            norm="spectral",
            references=(
                "POSTECH-CVLab/PyTorch-StudioGAN@b65bf23:src/configs/CIFAR10/ReACGAN.yaml",
                "POSTECH-CVLab/PyTorch-StudioGAN@947b35e:src/utils/losses.py",
            ),
        ),
        golden=(Golden(discriminator=3.095723, generator=1.329056, **GIVEN),),
        notes=(
            "With several factors the loss is summed over them, each with proxies of its own.",
            "Every pair of the whole batch counts, over several ranks too.",
        ),
        code_differences=(
            "The authors' code subtracts a row's largest similarity from the negatives alone, not from the positive in "
            "the same logarithm, which changes the loss (1.378944 for the golden embeddings, where the paper's is "
            "2.524779). The paper is followed.",
        ),
        controlled_notes=("Over hinge without spectral norm, with one discriminator step.",),
    )

    def contrast(self, said: Contrastive, labels: Labels) -> Tensor:
        pairs = (said.embedding @ said.embedding.T - self.negative_margin).relu() / self.temperature
        losses = []
        for proximity, hot in labels.by_factor(said.classes):
            own = ((proximity * hot).sum(1, keepdim=True) - self.positive_margin).clamp(max=0) / self.temperature
            every = torch.cat([own, pairs.masked_fill(same(hot), -torch.inf)], dim=1)
            losses.append((every.logsumexp(1) - own.squeeze(1)).mean())
        return torch.stack(losses).sum()
