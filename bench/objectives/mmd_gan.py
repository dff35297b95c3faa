"""MMD-GAN: the maximum mean discrepancy of learned features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.networks.backbone import Norm
from bench.networks.heads import Head
from bench.objectives.base import (
    PER_SAMPLE_NORMS,
    Card,
    Golden,
    Network,
    Objective,
    Published,
    Step,
    Terms,
    input_gradient,
    interpolated,
    widened,
)

Kernel = Callable[[Tensor], Tensor]
"""A function of squared distances."""


class MaximumMeanDiscrepancy(Objective):
    """Binkowski et al. 2018, section 3; with variant "li", Li et al. 2017 (arXiv 1705.08584) without autoencoder."""

    variant: Literal["binkowski", "li"] = Field(
        "binkowski",
        description="binkowski: rational quadratic kernel, unbiased estimate, gradient penalty; li: Gaussian kernels, "
        "root of the biased estimate, weights of D clipped",
    )
    penalty_weight: float = Field(
        1.0, ge=0, description="binkowski: lambda, the weight of the witness's gradient penalty"
    )
    activation_weight: float = Field(1.0, ge=0, description="binkowski: the weight of the embeddings' mean square")
    clip: float = Field(0.01, gt=0, description="li: the bound on every parameter of D")

    head: ClassVar[Head] = "embedding"
    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS
    duplication_invariant: ClassVar[bool] = False
    on_purpose: ClassVar[Mapping[str, str]] = {"penalty": "the witness is built of the embeddings of the batch"}
    card: ClassVar[Card] = Card(
        title="MMD-GAN",
        paper="Demystifying MMD GANs",
        authors="Binkowski, Sutherland, Arbel, Gretton",
        year=2018,
        arxiv="1801.01401",
        family="kernel",
        discriminator_loss=(
            r"-\mathrm{MMD}^2_u(h(x), h(\tilde{x})) + \lambda\,\mathbb{E}_{\hat{x}}\,(\|\nabla w(\hat{x})\|_2-1)^2"
            r" + \lambda_2\,\mathbb{E}\,h^2, \quad w(\hat{x}) = \mathbb{E}_x\,k(h(\hat{x}),h(x))"
            r" - \mathbb{E}_{\tilde{x}}\,k(h(\hat{x}),h(\tilde{x}))"
        ),
        generator_loss=r"\mathrm{MMD}^2_u(h(x), h(\tilde{x}))",
        published=Published(
            source="the authors' code: Adam 1e-4, (0.5, 0.9), 5 D steps, both penalties 1, no norm in D",
            references=(
                "mbinkowski/MMD-GAN@678bb5e",
                "playHing/Scaled-MMD-GAN@7040788:celeba.sh#L10-L21",
                "playHing/Scaled-MMD-GAN@0ea5a7c:gan/core/model.py#add_l2_penalty",
            ),
            not_found="the authors' repository a second time; the files named are of a copy that keeps its history",
            learning_rate_discriminator=1e-4,
            learning_rate_generator=1e-4,
            betas=(0.5, 0.9),
            discriminator_steps=5,
            norm="none",
        ),
        golden=(
            Golden(
                discriminator=0.611631,
                generator=-0.611631,
                settings={"penalty_weight": 0.0, "activation_weight": 0.0},
                real=((0.0, 0.0), (1.0, 0.0)),
                fake=((0.0, 1.0), (2.0, 0.0)),
            ),
            Golden(
                discriminator=-0.813521,
                generator=0.813521,
                settings={"variant": "li"},
                real=((0.0, 0.0), (1.0, 0.0)),
                fake=((0.0, 1.0), (2.0, 0.0)),
            ),
        ),
        notes=(
            "The unbiased estimate may be negative; its mean is 0 where the distributions are equal.",
            "h has 128 numbers here (the backbone's embedding), 16 in Binkowski's code and 100 in Li's.",
        ),
        code_differences=(
            "Binkowski's paper mixes alpha 0.2, 0.5, 1, 2, 5; the code 0.1, 1, 10 and a dot product, with which its "
            "unbiased estimate subtracts a diagonal that the dot product does not have. The paper's kernel is used.",
            "The code takes the penalty's norm over the channel axis alone; here over all pixels and channels.",
            "The code clips the gradient of each of the weights' tensors to length 1; not done here.",
            "The code's activation penalty sums the mean squares of all of D's layers, on generated and on real "
            "images; here it is half of that sum for the last layer alone. The same weight is weaker here.",
            "Li's D is an autoencoder with a reconstruction and a rank term; here its kernel, estimate and clipping "
            "act on the backbone's embedding. The root has an infinite slope at 0: 1e-12 is added below it. Li's "
            "recipe (RMSProp 5e-5, 5 D steps, batch norm in D; OctoberChang/MMD-GAN@b15c988) is not used.",
        ),
        controlled_notes=("Not its authors' algorithm: one discriminator step per generator step.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        h_real, h_fake = widened(D(real)), widened(D(fake))
        if self.variant == "li":
            return {"mmd": -rooted(biased_mmd(h_real, h_fake, gaussian_mixture))}

        def witness(images: Tensor) -> Tensor:
            h = widened(D(images))
            nearness_real = rational_quadratic(squared_distances(h, h_real)).mean(1)
            return nearness_real - rational_quadratic(squared_distances(h, h_fake)).mean(1)

        norm = torch.linalg.vector_norm(input_gradient(witness, interpolated(real, fake, step)), dim=1)
        activation = 0.5 * (h_real.square().mean() + h_fake.square().mean())
        return {
            "mmd": -unbiased_mmd(h_real, h_fake, rational_quadratic),
            "penalty": self.penalty_weight * (norm - 1).square().mean(),
            "activation": self.activation_weight * activation,
        }

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        h_real, h_fake = widened(D(real)), widened(D(fake))
        if self.variant == "li":
            return {"mmd": rooted(biased_mmd(h_real, h_fake, gaussian_mixture))}
        return {"mmd": unbiased_mmd(h_real, h_fake, rational_quadratic)}

    @torch.no_grad()
    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        if self.variant == "li":
            for parameter in D.parameters():
                parameter.clamp_(-self.clip, self.clip)


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared distances of all pairs, m x d and n x d to m x n, exactly 0 for equal vectors."""
    return (one[:, None] - other[None]).square().sum(2)


def rational_quadratic(squared: Tensor) -> Tensor:
    """Return the sum over alpha of (1 + distance^2 / (2 alpha))^-alpha."""
    return torch.stack([(1 + squared / (2 * alpha)) ** -alpha for alpha in (0.2, 0.5, 1.0, 2.0, 5.0)]).sum(0)


def gaussian_mixture(squared: Tensor) -> Tensor:
    """Return the sum over sigma of exp(-distance^2 / (2 sigma^2))."""
    return torch.stack([torch.exp(-squared / (2 * sigma**2)) for sigma in (1.0, 2.0, 4.0, 8.0, 16.0)]).sum(0)


def biased_mmd(one: Tensor, other: Tensor, kernel: Kernel) -> Tensor:
    """Return the biased estimate of MMD^2, whose sums hold every sample's pair with itself. Never negative."""
    within = kernel(squared_distances(one, one)).mean() + kernel(squared_distances(other, other)).mean()
    return within - 2 * kernel(squared_distances(one, other)).mean()


def unbiased_mmd(one: Tensor, other: Tensor, kernel: Kernel) -> Tensor:
    """Return the unbiased estimate of MMD^2 (Gretton et al. 2012, equation 3); both need two samples or more."""

    def within(samples: Tensor) -> Tensor:
        values, count = kernel(squared_distances(samples, samples)), len(samples)
        return (values.sum() - values.diagonal().sum()) / (count * (count - 1))

    return within(one) + within(other) - 2 * kernel(squared_distances(one, other)).mean()


def rooted(squared: Tensor) -> Tensor:
    """Return the root of a squared discrepancy, with a finite slope at 0."""
    return (squared.clamp(min=0) + 1e-12).sqrt()
