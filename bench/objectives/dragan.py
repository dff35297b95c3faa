"""DRAGAN: a gradient penalty around the real images."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.objectives.base import PER_SAMPLE_NORMS, Card, Golden, Network, Published, Step, Terms, input_gradient
from bench.objectives.nsgan import NonSaturating


class Dragan(NonSaturating):
    """Kodali et al. 2017, section 2.4: D's gradient norm is drawn towards k at noisy real images."""

    penalty_weight: float = Field(10.0, ge=0, description="lambda: the weight of the gradient penalty")
    target: float = Field(1.0, ge=0, description="k: the gradient norm aimed at")
    spread: float = Field(0.5, ge=0, description="the noise's scale, in standard deviations of the batch's pixels")
    noise: Literal["gaussian", "one-sided"] = Field(
        "gaussian",
        description="gaussian (the final paper), or the authors' notebook: uniform on [0, 1], scaled per sample",
    )

    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    card: ClassVar[Card] = Card(
        title="DRAGAN",
        paper="On Convergence and Stability of GANs",
        authors="Kodali, Abernethy, Hays, Kira",
        year=2017,
        arxiv="1705.07215",
        family="logistic",
        discriminator_loss=(NonSaturating.card.discriminator_loss or "")
        + r" + \lambda\,\mathbb{E}_{x,\delta}\,(\|\nabla C(x+\delta)\|_2-k)^2, \quad \delta\sim\mathcal{N}(0,\,s^2 I)",
        generator_loss=NonSaturating.card.generator_loss,
        published=Published(
            source="the authors' notebook (fully connected networks on MNIST): Adam 1e-4, (0.5, 0.9), one D step, no "
            "norm in D",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.5, 0.9),
            norm="none",
            references=("kodalinaveen3/DRAGAN@29fb907:DRAGAN.ipynb#cell-2",),
            not_found="the authors' code for convolutional networks, and the noise's scale in the final paper",
        ),
        golden=(
            Golden(discriminator=1.378363, generator=0.806941, penalty=160.0),
            Golden(penalty=2.5, linear=(0.3, 0.4)),
        ),
        code_differences=(
            "The final paper adds Gaussian noise, on both sides of an image; the authors' notebook adds uniform noise "
            "from [0, 1] and so moves every image to one side, which they call a mistake, and takes a random share of "
            "it for each image. The paper is followed, with "
            "the notebook's scale (half a standard deviation of the batch), because the paper's own was not found; the "
            'notebook\'s noise is the setting noise = "one-sided".',
        ),
    )

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        norm = torch.linalg.vector_norm(input_gradient(D, self._perturbed(real, step)), dim=1)
        step.observe("perturbed_gradient_norm", norm.mean())
        return {"penalty": self.penalty_weight * (norm - self.target).square().mean()}

    def _perturbed(self, real: Tensor, step: Step) -> Tensor:
        scale = self.spread * real.std(correction=0)
        if self.noise == "gaussian":
            return real + scale * step.normal("perturbation", tuple(real.shape)).to(real.dtype)
        share = step.uniform("perturbation share", (len(real), *(1,) * (real.dim() - 1))).to(real.dtype)
        return real + share * scale * step.uniform("perturbation", tuple(real.shape)).to(real.dtype)
