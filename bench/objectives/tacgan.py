"""Twin auxiliary classifiers GAN, over any base loss."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.networks.conditioning import Labels
from bench.networks.heads import Head, Twins
from bench.objectives._recognising import Recognising, cross_entropy
from bench.objectives.base import Card, Golden, Published, Terms

_REAL = (
    (2.0, 1.0, 0.0, -1.0, -0.4, 0.1, 0.2),
    (-1.0, 0.2, 0.5, 0.1, 0.3, -0.6, 0.0),
    (0.5, -0.3, 0.4, 1.2, 0.2, 0.2, -0.8),
)
_FAKE = (
    (0.3, 0.5, -0.5, 0.0, 0.1, 0.2, 0.3),
    (-1.2, 0.0, 1.0, -1.0, 0.4, -0.2, 0.0),
    (0.7, 0.3, 0.3, 0.3, 0.0, 0.0, 0.9),
)
GIVEN: dict[str, Any] = {"real": _REAL, "fake": _FAKE, "labels": (0, 1, 2)}


class TwinAuxiliaryClassifiers(Recognising):
    """Gong et al. 2019: a second classifier, of generated images alone, takes AC-GAN's bias away."""

    head: ClassVar[Head] = "twins"
    card: ClassVar[Card] = Card(
        title="TAC-GAN",
        paper="Twin Auxiliary Classifiers GAN",
        authors="Gong et al.",
        year=2019,
        arxiv="1907.02690",
        family="class-conditional",
        discriminator_loss=(
            r"L_{base} + \lambda\left(\mathbb{E}\,\mathrm{CE}(h(x), y)"
            r" + \mathbb{E}\,\mathrm{CE}(t(\tilde{x}), y)\right)"
        ),
        generator_loss=(
            r"L_{base} + \lambda_G\left(\mathbb{E}\,\mathrm{CE}(h(\tilde{x}), y)"
            r" - \mathbb{E}\,\mathrm{CE}(t(\tilde{x}), y)\right)"
        ),
        published=Published(
            source="the authors' script for CIFAR-100: hinge, Adam 2e-4, (0, 0.999), two D steps, spectral norm, "
            "weight 1",
            betas=(0.0, 0.999),
            discriminator_steps=2,
            norm="spectral",
            settings={"base": "hinge"},
            references=(
                "batmanlab/twin-auxiliary-classifiers-gan@11d13c1:TAC-BigGAN/scripts/twin_ac_launch_cifar100_ema.sh",
            ),
            not_found="the betas, which the script leaves to BigGAN's code, (0, 0.999)",
        ),
        golden=(
            Golden(discriminator=3.043736, generator=0.471064, **GIVEN),
            Golden(discriminator=3.498706, generator=-0.269210, settings={"base": "hinge"}, **GIVEN),
        ),
        notes=(
            "At the optimal classifiers G's term is KL(q(x,y) || p(x,y)) - KL(q(x) || p(x)): AC-GAN's without the "
            "entropy that rewards separable classes.",
            "CE is summed over the factors of a label.",
        ),
        controlled_notes=("Over the non-saturating loss, with one discriminator step.",),
    )

    def recognised_by_discriminator(self, real: Twins, fake: Twins, labels: Labels) -> Terms:
        return {"classes_real": cross_entropy(real.classes, labels), "twin_fake": cross_entropy(fake.twin, labels)}

    def recognised_by_generator(self, fake: Twins, labels: Labels) -> Terms:
        return {"classes": cross_entropy(fake.classes, labels), "twin": -cross_entropy(fake.twin, labels)}
