"""Objectives whose D recognises labels beside its score: a base loss, and terms on what the further heads answer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.networks.backbone import Norm
from bench.networks.conditioning import Conditioning, Labels
from bench.networks.heads import Head
from bench.objectives._over import OverBase
from bench.objectives.base import ALL_NORMS, CachedOutputs, Network, Step, Terms


class Recognising(OverBase):
    """Adds terms to a base loss for what D recognises on real and generated images; D is not told the labels.

    A subclass says which terms: `recognised_by_discriminator` and `recognised_by_generator`.
    """

    base: str = Field("nsgan", description="the objective with a score head that it is put over")
    weight: float = Field(1.0, ge=0, description="lambda: the weight of the class terms in D's loss")
    generator_weight: float = Field(1.0, ge=0, description="their weight in G's loss")

    head: ClassVar[Head] = "classified"
    norms: ClassVar[tuple[Norm, ...]] = ALL_NORMS
    needs: ClassVar[Literal["labels"] | None] = "labels"
    conditioning: ClassVar[Conditioning] = "none"

    def allowed_norms(self) -> tuple[Norm, ...]:
        return self.inner.allowed_norms()

    def recognised_by_discriminator(self, real: Any, fake: Any, labels: Labels) -> Terms:
        """Return D's class terms, given what its heads answer on real and generated images of the same labels."""
        raise NotImplementedError

    def recognised_by_generator(self, fake: Any, labels: Labels) -> Terms:
        """Return G's class terms, given what D's heads answer on its images."""
        raise NotImplementedError

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        cached = CachedOutputs(D)
        terms = self.inner.discriminator_loss(scores_of(cached), real, fake, step)
        own = self.recognised_by_discriminator(cached(real), cached(fake), labels_of(step))
        return terms | {name: self.weight * value for name, value in own.items()}

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self.inner.discriminator_penalty(scores_of(D), real, fake, step)

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        cached, labels = CachedOutputs(D), labels_of(step)
        terms = self.inner.generator_loss(scores_of(cached), fake, real, step)
        # How often D's own heads take a fake for what it should be: an objective that fools them is seen by it.
        step.observe("own_label_accuracy", accuracy(cached(fake).classes, labels))
        own = self.recognised_by_generator(cached(fake), labels)
        return terms | {name: self.generator_weight * value for name, value in own.items()}


def scores_of(D: Network) -> Network:
    """Return D's score alone, as its base loss asks for it."""
    return lambda images: D(images).score


def labels_of(step: Step) -> Labels:
    """Return the batch's labels, which the plan has made sure are there."""
    assert step.labels is not None, "this objective needs labels"
    return step.labels


def cross_entropy(logits: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of class logits N x K: summed over factors, which are independent, mean over samples."""
    own = [values.logsumexp(1) - (values * hot).sum(1) for values, hot in labels.by_factor(logits)]
    return torch.stack(own).sum(0).mean()


@torch.no_grad()
def accuracy(logits: Tensor, labels: Labels) -> Tensor:
    """Return the share of samples whose highest logits, N x K, are at their labels in every factor."""
    right = [values.argmax(1) == hot.argmax(1) for values, hot in labels.by_factor(logits)]
    return torch.stack(right).all(0).to(logits.dtype).mean()
