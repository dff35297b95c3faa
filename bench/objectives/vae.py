"""The variational autoencoder: the baseline that is no GAN, with the same two networks."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from bench.networks.heads import Head
from bench.objectives.base import Card, Golden, Network, Objective, Published, Step, Terms, widened


class VariationalAutoencoder(Objective):
    """Kingma and Welling 2013, equation 10: D's trunk encodes, G decodes, one update moves both."""

    noise_scale: float = Field(1.0, gt=0, description="s: the standard deviation of the Gaussian likelihood on [-1, 1]")
    kl_weight: float = Field(1.0, ge=0, description="beta: the weight of the KL divergence")

    head: ClassVar[Head] = "encoder"
    updates: ClassVar[Literal["alternating", "joint"]] = "joint"
    latent_law: ClassVar[Literal["normal", "uniform"] | None] = "normal"
    card: ClassVar[Card] = Card(
        title="Variational autoencoder (baseline)",
        paper="Auto-Encoding Variational Bayes",
        authors="Kingma, Welling",
        year=2013,
        arxiv="1312.6114",
        family="likelihood",
        joint_loss=(
            r"\mathbb{E}_x\left[\frac{1}{2s^2}\|x-G(\mu+\sigma\odot\epsilon)\|_2^2"
            r" + \frac{\beta}{2}\sum_j\,(\sigma_j^2+\mu_j^2-1-\log\sigma_j^2)\right]"
        ),
        published=Published(
            source="Adam 1e-4, as the field's reimplementations use",
            not_found="a convolutional recipe of the authors (arXiv 1312.6114)",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.9, 0.999),
        ),
        golden=(Golden(joint=0.167995, encoded=((0.5, -0.2), (0.1, -0.3))),),
        notes=(
            "Squared errors are summed over pixels and channels and averaged over the batch; averaging over pixels "
            "would multiply beta by 12,288 at 64x64.",
            "A step moves encoder and generator together: it counts as a generator step and no discriminator step.",
            "Its latents are N(0, I), whatever law the study gives the other rows.",
        ),
    )

    def joint_loss(self, D: Network, G: Network, real: Tensor, step: Step) -> Terms:
        mean, log_variance = (widened(value) for value in D(real))
        noise = step.normal("reparametrisation", tuple(mean.shape)).to(mean.dtype)
        residual = widened(G(mean + (0.5 * log_variance).exp() * noise) - real)
        kl = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).flatten(1).sum(1).mean()
        return {
            "reconstruction": residual.square().flatten(1).sum(1).mean() / (2 * self.noise_scale**2),
            "kl": self.kl_weight * kl,
        }
