"""InfoGAN, over any base loss: G is given codes, and D recognises them on its images."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.networks.codes import Codes, DrawnCodes
from bench.networks.conditioning import Labels
from bench.networks.heads import Head
from bench.objectives._over import OverBase
from bench.objectives._recognising import cross_entropy, scores_of
from bench.objectives.base import ALL_NORMS, CachedOutputs, Card, Golden, Network, Published, Step, Terms

_LOG_VARIANCES = 10.0  # bounds of a learned log-variance
_READ = ((1.0, 0.0, -1.0, 0.5, -0.2), (0.2, 0.5, 0.1, 0.0, 0.1), (-0.3, 0.4, 1.2, -1.0, 0.3))
_SPREAD = ((0.1, -0.3), (0.0, 0.2), (-0.5, 0.4))
_SCORES = (0.3, -1.2, 0.7)
_GIVEN: dict[str, Any] = {
    "fake": tuple((score, *read) for score, read in zip(_SCORES, _READ, strict=True)),
    "labels": (0, 1, 2),
    "continuous": ((0.2, -0.4), (0.1, 0.1), (-0.9, 0.8)),
}
_LEARNED: dict[str, Any] = _GIVEN | {
    "fake": tuple((*row, *spread) for row, spread in zip(_GIVEN["fake"], _SPREAD, strict=True))
}


class InfoGAN(OverBase):
    """Chen et al. 2016, section 5: both players are paid for codes that D reads off generated images.

    D's head has, beside the score, the logits of each categorical code and the mean of each continuous one; with
    variance "learned" the log-variance too. It learns in D's step alone; in G's step it stands still.
    """

    base: str = Field("nsgan", description="the objective with a score head that it is put over")
    categorical_weight: float = Field(1.0, ge=0, description="lambda of the categorical codes, in both losses")
    continuous_weight: float = Field(0.1, ge=0, description="lambda of the continuous codes; the authors' code: 1")
    variance: Literal["fixed", "learned"] = Field(
        "fixed", description="of what D reads of a continuous code: 1, or an output of its own as in the paper"
    )

    head: ClassVar[Head] = "classified"
    norms: ClassVar[tuple[Norm, ...]] = ALL_NORMS
    needs: ClassVar[Literal["codes"] | None] = "codes"
    card: ClassVar[Card] = Card(
        title="InfoGAN",
        paper="InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets",
        authors="Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel",
        year=2016,
        arxiv="1606.03657",
        family="codes",
        discriminator_loss=r"L_{base} - \lambda\,\mathbb{E}_{z,c}\,\log Q(c \mid G(z, c))",
        generator_loss=r"L_{base} - \lambda\,\mathbb{E}_{z,c}\,\log Q(c \mid G(z, c))",
        published=Published(
            source="the authors' code for MNIST: Adam, D 2e-4 and G 1e-3, beta1 0.5, one D step, batch norm, lambda 1 "
            "for both kinds of codes",
            learning_rate_generator=1e-3,
            settings={"continuous_weight": 1.0},
            references=(
                "openai/InfoGAN@6e41232:launchers/run_mnist_exp.py",
                "openai/InfoGAN@6e41232:infogan/algos/infogan_trainer.py",
            ),
        ),
        golden=(
            Golden(discriminator=1.985697, generator=1.414275, **_GIVEN),
            Golden(discriminator=2.045697, generator=1.474275, settings={"continuous_weight": 1.0}, **_GIVEN),
            Golden(discriminator=1.982855, generator=1.411433, settings={"variance": "learned"}, **_LEARNED),
            Golden(discriminator=2.440667, generator=0.674000, settings={"base": "hinge"}, **_GIVEN),
        ),
        notes=(
            "The term bounds the mutual information of code and image from below, up to the codes' entropy: a "
            "categorical code of K values has log K nats. `code_bound` in the log is this bound of the categorical "
            "codes.",
            "Under variance 1 the bound of a continuous code is negative even where D reads it exactly; its gradient, "
            "that of half the squared error, is what counts. Constants are left out of the loss.",
            f"A learned log-variance is held within {_LOG_VARIANCES:g} of 0: the gradient grows as a variance falls.",
            "Codes belong to a study: rows without the term are given the same codes, which shows what the term does.",
        ),
        controlled_notes=("The continuous codes' weight is 0.1, the authors' 1.",),
        code_differences=(
            "The paper has the deviation as an output; the authors' code fixes it at 1 in every experiment, as the "
            "default here.",
            "The authors add a hidden layer of 128 between the shared trunk and what reads codes; here it is one "
            "convolution, as every head of this backbone.",
            "Their MNIST code draws latents and codes anew between D's step and G's; here G is trained on D's last "
            "images.",
        ),
    )

    def allowed_norms(self) -> tuple[Norm, ...]:
        return self.inner.allowed_norms()

    def answers(self, codes: Codes) -> int:
        return codes.width + (codes.continuous if self.variance == "learned" else 0)

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        cached = CachedOutputs(D)
        terms = self.inner.discriminator_loss(scores_of(cached), real, fake, step)
        return terms | self.unread(cached(fake).classes, codes_of(step))

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self.inner.discriminator_penalty(scores_of(D), real, fake, step)

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        cached, drawn = CachedOutputs(D), codes_of(step)
        terms = self.inner.generator_loss(scores_of(cached), fake, real, step)
        answers = cached(fake).classes
        if sizes := drawn.codes.categorical:
            most = sum(math.log(size) for size in sizes)
            step.observe("code_bound", most - categorical_error(answers, drawn))
        return terms | self.unread(answers, drawn)

    def unread(self, answers: Tensor, drawn: DrawnCodes) -> Terms:
        """Return what D fails to read of the codes, weighed, of N x `answers` numbers."""
        terms = {}
        if drawn.codes.categorical:
            terms["categorical"] = self.categorical_weight * categorical_error(answers, drawn)
        if drawn.codes.continuous:
            terms["continuous"] = self.continuous_weight * self.continuous_error(answers, drawn)
        return terms

    def continuous_error(self, answers: Tensor, drawn: DrawnCodes) -> Tensor:
        """Return the negative log-likelihood of the continuous codes but for its constant, summed over codes."""
        width = drawn.codes.width
        squares = (drawn.codes.split(drawn.numbers)[1] - drawn.codes.split(answers[:, :width])[1]).square()
        if self.variance == "fixed":
            return squares.sum(1).mean() / 2
        log_variance = answers[:, width:].clamp(-_LOG_VARIANCES, _LOG_VARIANCES)
        return (squares * (-log_variance).exp() + log_variance).sum(1).mean() / 2


def codes_of(step: Step) -> DrawnCodes:
    """Return the codes of the generated images, which the plan has made sure are there."""
    assert step.codes is not None, "this objective needs codes"
    return step.codes


def categorical_error(answers: Tensor, drawn: DrawnCodes) -> Tensor:
    """Return the cross-entropy of the categorical codes, summed over codes, mean over samples."""
    logits, hot = (
        torch.cat(drawn.codes.split(numbers[:, : drawn.codes.width])[0], 1) for numbers in (answers, drawn.numbers)
    )
    return cross_entropy(logits, Labels(hot, drawn.codes.categorical))
