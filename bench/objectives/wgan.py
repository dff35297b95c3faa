"""Wasserstein GAN with weight clipping."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms


class Wasserstein(Objective):
    """Arjovsky et al. 2017, algorithm 1: every parameter of D is clipped to [-clip, clip] after each D step."""

    clip: float = Field(0.01, gt=0, description="the bound on every parameter of D")

    card: ClassVar[Card] = Card(
        title="Wasserstein GAN (weight clipping)",
        paper="Wasserstein GAN",
        authors="Arjovsky, Chintala, Bottou",
        year=2017,
        arxiv="1701.07875",
        family="integral probability metric",
        discriminator_loss=(
            r"\mathbb{E}_{\tilde{x}}\,C(\tilde{x}) - \mathbb{E}_x\,C(x), \quad w \leftarrow \mathrm{clip}(w, -c, c)"
        ),
        generator_loss=r"-\mathbb{E}_{\tilde{x}}\,C(\tilde{x})",
        published=Published(
            source="arXiv 1701.07875, algorithm 1; batch norm in D as in the authors' code, and in Gulrajani et al.'s "
            "code for this loss",
            optimizer="rmsprop",
            learning_rate_discriminator=5e-5,
            learning_rate_generator=5e-5,
            discriminator_steps=5,
            references=(
                "arXiv 1701.07875, algorithm 1",
                "martinarjovsky/WassersteinGAN@2cf43ba:main.py#L30-L40",
                "martinarjovsky/WassersteinGAN@040d553:models/dcgan.py#L28-L36",
                "igul222/improved_wgan_training@10dc103:gan_64x64.py#L84-L90",
            ),
        ),
        golden=(Golden(discriminator=-0.566667, generator=0.066667),),
        notes=(
            "Clipping bounds only layers that no normalisation rescales: batch norm, which the authors keep in D, "
            "cancels the bound, so that D is not Lipschitz-bounded under their recipe either. Its gains are clipped "
            'too (from about 1 to 0.01). norm = "none" gives the bounded D of the theory.',
        ),
        code_differences=(
            "The authors' code clips before each D step, so that G meets a D whose last step has left the box. Here D "
            "is clipped after its step, as in the paper's algorithm; there is no setting for the code's order.",
            "The authors' code takes 100 D steps for the first 25 generator steps and every 500th; the paper does not. "
            "It is the setting `warm_up` of an entry.",
            "The authors' code has the opposite sign: D is low on real images.",
            "The authors' option --noBN takes batch norm from G alone; D has it always.",
        ),
        controlled_notes=(
            "Not Lipschitz-bounded: layer norm cancels the clipping's bound (the gradient norm is logged).",
            "Not its authors' algorithm: one discriminator step per generator step.",
        ),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return {"real": -D(real).mean(), "fake": D(fake).mean()}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": -D(fake).mean()}

    @torch.no_grad()
    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        for parameter in D.parameters():
            parameter.clamp_(-self.clip, self.clip)
