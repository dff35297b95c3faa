"""ContraGAN: the conditional contrastive loss, over any base loss."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.conditioning import Labels
from bench.networks.heads import Contrastive, Head
from bench.objectives._recognising import Recognising
from bench.objectives.base import Card, Golden, Published, Terms

# Unit embeddings (3, 4)/5, (1, 0) and (0, 1), and their products with the proxies (1, 0), (0, 1) and (1, 1)/sqrt 2.
_BESIDE = (
    (0.6, 0.8, 0.6, 0.8, 1.4 / math.sqrt(2)),
    (1.0, 0.0, 1.0, 0.0, 1 / math.sqrt(2)),
    (0.0, 1.0, 0.0, 1.0, 1 / math.sqrt(2)),
)
GIVEN: dict[str, Any] = {
    "real": tuple((score, *row) for score, row in zip((2.0, -1.0, 0.5), _BESIDE, strict=True)),
    "fake": tuple((score, *row) for score, row in zip((0.3, -1.2, 0.7), _BESIDE, strict=True)),
    "labels": (0, 1, 0),
}


class Contrastively(Recognising):
    """Kang and Park 2020, the 2C loss: images lie near their class's proxy and near each other, far from the rest."""

    base: str = Field("hinge", description="the objective with a score head that it is put over")
    temperature: float = Field(1.0, gt=0, description="t: what similarities are divided by")

    head: ClassVar[Head] = "contrastive"
    duplication_invariant: ClassVar[bool] = False  # more pairs
    card: ClassVar[Card] = Card(
        title="ContraGAN",
        paper="ContraGAN: Contrastive Learning for Conditional Image Generation",
        authors="Kang, Park",
        year=2020,
        arxiv="2006.12681",
        family="class-conditional",
        discriminator_loss=r"L_{base} + \lambda\,\ell_{2C}(x, y)",
        generator_loss=r"L_{base} + \lambda_G\,\ell_{2C}(\tilde{x}, y)",
        published=Published(
            source="the authors' code for CIFAR-10: hinge, Adam 2e-4, (0.5, 0.999), five D steps, spectral norm, "
            "weight 1, temperature 1",
            discriminator_steps=5,
            norm="spectral",
            references=(
                "POSTECH-CVLab/PyTorch-StudioGAN@36b849d:src/configs/CIFAR10/ContraGAN.yaml",
                "POSTECH-CVLab/PyTorch-StudioGAN@947b35e:src/utils/losses.py",
            ),
        ),
        golden=(Golden(discriminator=2.494176, generator=0.727510, **GIVEN),),
        notes=(
            "It keeps classes apart, not right: in the authors' own later table its FID is 6.0 and its intra-class FID "
            "119.6, worse than DCGAN's 117. Judge it by measures that see labels.",
            "With several factors the loss is summed over them, each with proxies of its own.",
            "Every pair of the whole batch counts, over several ranks too.",
        ),
        controlled_notes=("Over hinge without spectral norm, with one discriminator step.",),
    )

    def recognised_by_discriminator(self, real: Contrastive, fake: Contrastive, labels: Labels) -> Terms:
        return {"contrast": self.contrast(real, labels)}

    def recognised_by_generator(self, fake: Contrastive, labels: Labels) -> Terms:
        return {"contrast": self.contrast(fake, labels)}

    def contrast(self, said: Contrastive, labels: Labels) -> Tensor:
        """Return the loss of embeddings: summed over factors, mean over samples."""
        pairs = said.embedding @ said.embedding.T / self.temperature
        itself = torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)
        losses = []
        for proximity, hot in labels.by_factor(said.classes / self.temperature):
            own = (proximity * hot).sum(1, keepdim=True)
            alike = torch.cat([own, pairs.masked_fill(itself | ~same(hot), -torch.inf)], dim=1)
            every = torch.cat([own, pairs.masked_fill(itself, -torch.inf)], dim=1)
            losses.append((every.logsumexp(1) - alike.logsumexp(1)).mean())
        return torch.stack(losses).sum()


def same(hot: Tensor) -> Tensor:
    """Return which samples have the same value of a factor with one-hots N x K: bool N x N, made on the device."""
    return hot @ hot.T > 0.5
