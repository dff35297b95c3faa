"""Hinge GAN: geometric GAN, and the loss of spectrally normalised GANs."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class Hinge(Objective):
    """Lim and Ye 2017, equations 15 and 16; Miyato et al. 2018, equations 16 and 17. G's loss has no hinge."""

    card: ClassVar[Card] = Card(
        title="Hinge GAN (SN-GAN)",
        paper="Spectral Normalization for Generative Adversarial Networks",
        authors="Miyato et al.; loss by Lim, Ye",
        year=2018,
        arxiv="1802.05957",
        family="hinge",
        discriminator_loss=r"\mathbb{E}_x\,[1-C(x)]_+ + \mathbb{E}_{\tilde{x}}\,[1+C(\tilde{x})]_+",
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,C(\tilde{x})",
        published=Published(
            source="arXiv 1802.05957, section 4 and the authors' code: Adam 2e-4, (0, 0.9), spectral norm, 5 D steps",
            references=(
                "arXiv 1802.05957, section 4",
                "pfnet-research/sngan_projection@e84b1a5:configs/sn_cifar10_unconditional.yml#L35-L47",
            ),
            betas=(0.0, 0.9),
            discriminator_steps=5,
            norm="spectral",
        ),
        golden=(Golden(discriminator=1.833333, generator=0.066667),),
        notes=(
            "At the optimal discriminator the value is 2 (1 - TV(p, q)); D has no gradient from samples beyond its "
            "margin.",
        ),
        code_differences=(
            "The authors' code moves G before D in an iteration and gives it twice as many images; here D goes first "
            "and both see the same number.",
            "The authors' learning rate falls linearly to 0; here the study's schedule halves it.",
        ),
        controlled_notes=("Without spectral norm: the loss alone, not SN-GAN.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {"real": relu(1 - D(real)).mean(), "fake": relu(1 + D(fake)).mean()}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": -D(fake).mean()}
