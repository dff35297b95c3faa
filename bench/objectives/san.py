"""Slicing adversarial network, over any base loss."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from bench.networks.heads import Head
from bench.objectives._over import OverBase
from bench.objectives.base import CachedOutputs, Card, Golden, Network, Published, Step, Terms


class SlicingAdversarial(OverBase):
    """Takida et al. 2023, section 5: D's last layer is a direction, which maximises the Wasserstein loss.

    The base loss trains the features and the layer's length with the direction held constant; the direction is trained
    with everything else held constant.
    """

    head: ClassVar[Head] = "sliced"
    stop_gradients: ClassVar[str] = "omega in the base loss, everything but omega in the direction's (section 5)"
    card: ClassVar[Card] = Card(
        title="Slicing adversarial network",
        paper="SAN: Inducing Metrizability of GAN with Discriminative Normalized Linear Layer",
        authors="Takida et al.",
        year=2023,
        arxiv="2301.12811",
        family="slicing",
        discriminator_loss=(
            r"L_{base}(\langle h, \mathrm{sg}[\omega]\rangle) + \mathbb{E}\,\langle "
            r"\mathrm{sg}[h(\tilde{x})],\omega\rangle"
            r" - \mathbb{E}\,\langle \mathrm{sg}[h(x)],\omega\rangle, \quad \omega = w/\|w\|_2"
        ),
        generator_loss=r"L_{base}(\langle h(\tilde{x}), \omega\rangle)",
        published=Published(
            source="the authors' example with hinge on MNIST: Adam 1e-3, (0, 0.99), one D step, spectral norm in D's "
            "convolutions but the first",
            learning_rate_discriminator=1e-3,
            learning_rate_generator=1e-3,
            betas=(0.0, 0.99),
            norm="spectral",
            references=(
                "sony/san@40f96d2:simple-san/hparams/params.json#L4-L6",
                "sony/san@b50c34d:simple-san/models/discriminator.py#L11-L20",
                "sony/san@40f96d2:simple-san/train.py#update_discriminator",
            ),
            not_found="the paper's settings for its DCGAN experiments on CIFAR-10 and CelebA",
        ),
        golden=(
            Golden(discriminator=1.266667, generator=0.066667),
            Golden(discriminator=0.811697, generator=0.806941, settings={"base": "nsgan"}),
        ),
        notes=("For G it is the base loss: both scores are the same number.",),
        code_differences=(
            "The authors' code multiplies the features by |w| before the stop-gradient, so that the base loss trains "
            "the layer's length; in the paper the last layer has no length. The code is followed under the norms layer "
            "and none. Under spectral norm, which is also on the last layer here and not in the authors' code, the "
            "length is 1 and nothing trains it: that is the paper's form.",
            "The authors' first version (40f96d2) stopped the two gradients the wrong way round; b50c34d mends it.",
        ),
        controlled_notes=("Over the base's losses alone, with one discriminator step.",),
    )

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        cached = CachedOutputs(D)
        terms = self.inner.discriminator_loss(lambda images: cached(images).function, real, fake, step)
        return terms | {"direction": cached(fake).direction.mean() - cached(real).direction.mean()}

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self.inner.discriminator_penalty(lambda images: D(images).function, real, fake, step)

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return self.inner.generator_loss(lambda images: D(images).function, fake, real, step)
