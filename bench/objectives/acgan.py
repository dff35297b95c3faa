"""Auxiliary classifier GAN, over any base loss."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from bench.networks.conditioning import Labels
from bench.networks.heads import Classified
from bench.objectives._recognising import Recognising, cross_entropy
from bench.objectives.base import Card, Golden, Published, Terms

_REAL = ((2.0, 1.0, 0.0, -1.0), (-1.0, 0.2, 0.5, 0.1), (0.5, -0.3, 0.4, 1.2))
_FAKE = ((0.3, 0.5, -0.5, 0.0), (-1.2, 0.0, 1.0, -1.0), (0.7, 0.3, 0.3, 0.3))
_GIVEN: dict[str, Any] = {"real": _REAL, "fake": _FAKE, "labels": (0, 1, 2)}


class AuxiliaryClassifier(Recognising):
    """Odena et al. 2016, section 3: D also classifies, and G is paid for images whose class D recognises."""

    sides: Literal["real", "both"] = Field("real", description="what D's classifier learns from; the paper's: both")

    card: ClassVar[Card] = Card(
        title="AC-GAN",
        paper="Conditional Image Synthesis with Auxiliary Classifier GANs",
        authors="Odena, Olah, Shlens",
        year=2016,
        arxiv="1610.09585",
        family="class-conditional",
        discriminator_loss=r"L_{base} + \lambda\,\mathbb{E}_{x,y}\,\mathrm{CE}(h(x), y)",
        generator_loss=r"L_{base} + \lambda_G\,\mathbb{E}_{\tilde{x},y}\,\mathrm{CE}(h(\tilde{x}), y)",
        published=Published(
            source="arXiv 1610.09585, appendix A: Adam 2e-4, (0.5, 0.999), one D step, batch norm, both sides",
            settings={"sides": "both"},
            references=("arXiv 1610.09585, appendix A",),
            not_found="beta2, printed there as 10^-3; 0.999 is taken",
        ),
        golden=(
            Golden(discriminator=1.979030, generator=1.535771, **_GIVEN),
            Golden(discriminator=2.707859, generator=1.535771, settings={"sides": "both"}, **_GIVEN),
            Golden(discriminator=2.434000, generator=0.795496, settings={"base": "hinge"}, **_GIVEN),
            Golden(
                discriminator=0.034000,
                generator=0.139550,
                settings={"base": "wgan-gp", "generator_weight": 0.1},
                **_GIVEN,
            ),
        ),
        notes=(
            "At the optimal classifier G's term is KL(q(x,y) || p(x,y)) - KL(q(x) || p(x)) plus the entropy of y given "
            "x under q: G is paid for separable classes even where those of the data overlap.",
            "CE is summed over the factors of a label.",
            'Over base "wgan-gp" with generator_weight 0.1 it is the conditional WGAN-GP of Gulrajani et al.\'s code '
            "for CIFAR-10 (igul222/improved_wgan_training@fa66c57).",
            "Without a Lipschitz bound on D its classifier is easily fooled: `own_label_accuracy` in the log is high "
            "long before an independent classifier sees the classes.",
        ),
        code_differences=(
            "The paper's classifier learns from generated images too, so that D may help G; nearly all later code, and "
            'the default here, leaves that out. The paper\'s is sides = "both".',
            "The paper's dropout and activation noise in D are left out.",
        ),
    )

    def recognised_by_discriminator(self, real: Classified, fake: Classified, labels: Labels) -> Terms:
        terms = {"classes_real": cross_entropy(real.classes, labels)}
        if self.sides == "both":
            terms["classes_fake"] = cross_entropy(fake.classes, labels)
        return terms

    def recognised_by_generator(self, fake: Classified, labels: Labels) -> Terms:
        return {"classes": cross_entropy(fake.classes, labels)}
