"""pix2pix, over any base loss: generated images are also held near their targets, pixel by pixel."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.objectives._over import OverBase
from bench.objectives.base import ALL_NORMS, Card, Golden, Network, Published, Step, Terms, widened


class Pix2Pix(OverBase):
    """Isola et al. 2017, equation 4: a base loss, and the mean absolute error to the target in G's.

    The paper's ablation is settings: L1 alone is `adversarial_weight` 0, where G hears nothing of D; a conditional GAN
    alone `l1_weight` 0, which is the base.
    """

    base: str = Field("nsgan", description="the objective with a score head that it is put over")
    l1_weight: float = Field(100.0, ge=0, description="lambda: the weight of the mean absolute error, on [-1, 1]")
    adversarial_weight: float = Field(1.0, ge=0, description="the weight of the base's terms in G's loss")

    norms: ClassVar[tuple[Norm, ...]] = ALL_NORMS
    needs: ClassVar[Literal["input"] | None] = "input"
    card: ClassVar[Card] = Card(
        title="pix2pix",
        paper="Image-to-Image Translation with Conditional Adversarial Networks",
        authors="Isola, Zhu, Zhou, Efros",
        year=2017,
        arxiv="1611.07004",
        family="paired images",
        discriminator_loss=r"L_{base}",
        generator_loss=r"L_{base} + \lambda\,\mathbb{E}_{a,b,z}\,\|b - G(a, z)\|_1",
        published=Published(
            source="arXiv 1611.07004, section 3.3: Adam 2e-4, (0.5, 0.999), one D step, batch norm, lambda 100",
            references=(
                "arXiv 1611.07004, section 3.3",
                "phillipi/pix2pix@0b30782:train.lua",
                "junyanz/pytorch-CycleGAN-and-pix2pix@032e884:models/pix2pix_model.py",
            ),
        ),
        # Each sample is an image of one pixel, and D's score of it: the mean absolute error is 0.7.
        golden=(
            Golden(discriminator=1.378363, generator=70.806941),
            Golden(discriminator=1.378363, generator=0.806941, settings={"l1_weight": 0.0}),
            Golden(discriminator=1.211667, generator=70.903333, settings={"base": "lsgan"}),
            Golden(discriminator=1.833333, generator=7.066667, settings={"base": "hinge", "l1_weight": 10.0}),
        ),
        notes=(
            "The error is averaged over pixels and channels and over the batch: lambda does not depend on the size.",
            "Under a Wasserstein base the balance with lambda is another; compare several lambdas there.",
            "With adversarial_weight 0 D is trained as ever and G does not hear of it: the log shows how well D tells "
            "its images from real ones.",
            "Where D scores patches (backbone.patch), every base averages over them.",
        ),
        code_differences=(
            "The paper halves D's loss, which Adam hides; it is not halved here.",
            "In G's step the authors' Lua code takes what D said before its own step, and sets the biases of all "
            "convolutions to zero in each; here D is asked anew, and its convolutions have no biases.",
            "The authors' noise is dropout in three layers of G, on at test time too; they find that it hardly changes "
            "the output. Here a latent stands beside the encoder's code.",
            "Their decoder puts a ReLU on the skipped maps too; here they enter as the encoder's LeakyReLU left them.",
            "Their 70x70 patches come of two stride-1 layers and padding; here a 4x4 head without padding stands on "
            "fewer halvings (patches of 46 or 22 pixels).",
            "Batch norm has its batch's statistics at test time there (instance norm, at their batch of 1); here those "
            "over fixed latents, as for every G. Images are neither jittered nor mirrored.",
        ),
    )

    def allowed_norms(self) -> tuple[Norm, ...]:
        return self.inner.allowed_norms()

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self.inner.discriminator_loss(D, real, fake, step)

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        error = (widened(real) - widened(fake)).abs().mean()
        step.observe("l1", error)
        terms: Terms = {}
        if self.adversarial_weight > 0:
            base = self.inner.generator_loss(D, fake, real, step)
            terms = {name: self.adversarial_weight * value for name, value in base.items()}
        if self.l1_weight > 0 or not terms:
            terms["l1"] = self.l1_weight * error
        return terms
