"""The non-saturating GAN, as DCGAN trains it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from bench.objectives.base import Card, Golden, Network, Published, Step, Terms
from bench.objectives.minimax import Minimax


class NonSaturating(Minimax):
    """Goodfellow et al. 2014, section 3: G maximises log D, which has a gradient where the minimax loss has none."""

    card: ClassVar[Card] = Card(
        title="Non-saturating GAN (DCGAN)",
        paper="Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        authors="Radford, Metz, Chintala",
        year=2015,
        arxiv="1511.06434",
        family="logistic",
        discriminator_loss=Minimax.card.discriminator_loss,
        generator_loss=r"\mathbb{E}_{\tilde{x}}\,\log(1+e^{-C(\tilde{x})})",
        published=Published(
            source="arXiv 1511.06434, section 4, as in the authors' code for faces",
            references=("arXiv 1511.06434, section 4", "Newmu/dcgan_code@e6e9cec:faces/train_uncond_dcgan.py#L36-L49"),
        ),
        golden=(
            Golden(discriminator=1.378363, generator=0.806941),
            Golden(discriminator=1.428363, generator=0.806941, settings={"real_label": 0.9}),
        ),
        notes=("With D optimal, G follows the gradient of KL(q || p) - 2 JS(p, q).",),
        code_differences=(
            "The authors' Theano code adds weight decay 1e-5 to both networks; the paper, which is followed, does not. "
            "The code's is the setting `weight_decay` of an entry.",
            "A well-known TensorFlow port takes two generator steps per discriminator step; the paper takes one.",
        ),
    )

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return {"fake": softplus(-D(fake)).mean()}
