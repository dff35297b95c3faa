"""Auxiliary discriminative classifier GAN, over any base loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.networks.conditioning import Labels
from bench.networks.heads import Head, Twins
from bench.objectives._recognising import Recognising
from bench.objectives.base import Card, Golden, Published, Terms
from bench.objectives.tacgan import GIVEN


class DiscriminativeClassifier(Recognising):
    """Hou et al. 2021: one classifier tells real and generated images of each class apart."""

    head: ClassVar[Head] = "twins"
    card: ClassVar[Card] = Card(
        title="ADC-GAN",
        paper="Conditional GANs with Auxiliary Discriminative Classifier",
        authors="Hou et al.",
        year=2021,
        arxiv="2107.10060",
        family="class-conditional",
        discriminator_loss=(
            r"L_{base} + \lambda\left(\mathbb{E}\,\mathrm{CE}(c(x), (y, \text{real}))"
            r" + \mathbb{E}\,\mathrm{CE}(c(\tilde{x}), (y, \text{fake}))\right)"
        ),
        generator_loss=(
            r"L_{base} + \lambda_G\,\mathbb{E}\left[c_{y,\text{fake}}(\tilde{x}) - c_{y,\text{real}}(\tilde{x})\right]"
        ),
        published=Published(
            source="the authors' script for CIFAR-10: hinge, Adam 2e-4, (0, 0.999), four D steps, spectral norm, "
            "weights 1",
            betas=(0.0, 0.999),
            discriminator_steps=4,
            norm="spectral",
            settings={"base": "hinge"},
            references=("houliangict/adcgan@947e9ee:BigGAN-PyTorch/scripts/launch_cifar10_ema_adcgan_dual.sh",),
            not_found="the betas, which the script leaves to BigGAN's code, (0, 0.999)",
        ),
        golden=(
            Golden(discriminator=4.244128, generator=0.473608, **GIVEN),
            Golden(discriminator=4.699098, generator=-0.266667, settings={"base": "hinge"}, **GIVEN),
        ),
        notes=(
            "At the optimal classifier G's term is KL(q(x,y) || p(x,y)): it matches images and labels together.",
            "The two classes of a value share one softmax, whose normaliser cancels in G's term.",
        ),
        controlled_notes=("Over the non-saturating loss, with one discriminator step.",),
    )

    def recognised_by_discriminator(self, real: Twins, fake: Twins, labels: Labels) -> Terms:
        return {
            "classes_real": _cross_entropy(real.classes, real.twin, labels),
            "classes_fake": _cross_entropy(fake.twin, fake.classes, labels),
        }

    def recognised_by_generator(self, fake: Twins, labels: Labels) -> Terms:
        return {"classes": ((fake.twin - fake.classes) * labels.hot).sum(1).mean()}


def _cross_entropy(right: Tensor, wrong: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of one softmax over both kinds of every value, where `right` holds the true kind's."""
    own = [
        torch.cat([mine, others], dim=1).logsumexp(1) - (mine * hot).sum(1)
        for (mine, hot), (others, _) in zip(labels.by_factor(right), labels.by_factor(wrong), strict=True)
    ]
    return torch.stack(own).sum(0).mean()
