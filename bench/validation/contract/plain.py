"""The plainest discriminators: what D says of real and of generated images are two numbers that one can move.

Real images are brighter than generated ones by a fixed amount, and D judges by brightness alone. So each number's
gradient says what a loss asks of D for one batch, without networks and without chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from bench.networks.heads import Autoencoded, Head, Sliced
from bench.objectives.base import Objective
from bench.validation.contract.scene import COUNT, RESOLUTION, FixedStep, total

SHAPE = (3, RESOLUTION, RESOLUTION)
LEVEL = 0.5  # the mean brightness of real images; of generated ones its negative
_ALONG = (1.0, -1.0, 1.0, -1.0)  # the direction of an embedding in which both kinds lie apart
_JITTER = 0.01
View = Literal["whole", "function", "direction"]


@dataclass(frozen=True)
class Said:
    """What D says of real and of generated images, before a loss asks for something else.

    Under a score head these are scores, under an embedding one coordinates along a line that lies `offset` away from
    the origin, under an autoencoding one errors as negative numbers, whose direction is `sign`.
    """

    real: float
    fake: float
    offset: float = 0.0
    sign: float = 1.0


@dataclass(frozen=True)
class Pull:
    """By how much a loss raises what D says of each kind per unit of descent. `apart` is real less generated."""

    real: float
    fake: float

    @property
    def apart(self) -> float:
        return self.real - self.fake


class PlainGame:
    """An objective's losses where D says two numbers, its state at its start unless `state` says otherwise."""

    def __init__(self, objective: Objective, said: Said, view: View = "whole") -> None:
        self.objective, self.said, self._view = objective, said, view
        values = torch.tensor([said.real, said.fake], dtype=torch.float64)
        self._real, self._fake = (value.clone().requires_grad_() for value in values)

    def pull(self, state: dict[str, float] | None = None) -> Pull:
        """Return what D's loss asks of D. Gradients of D with respect to images are constants, so no penalty acts."""
        step = FixedStep(self.objective.initial_state() if state is None else state)
        terms = self.objective.discriminator_loss(
            lambda images: self.judge(images, blind=True), self.real, self.fake, step
        )
        return Pull(*(-slope for slope in self._slopes(total(terms))))

    def penalty(self) -> tuple[float, float]:
        """Return the penalty, and by how much it grows with the distance of the two numbers."""
        step = FixedStep(self.objective.initial_state())
        value = total(self.objective.discriminator_penalty(self.judge, self.real, self.fake, step))
        real, fake = self._slopes(value)
        return value.item(), (real - fake) / 2

    def brightening(self) -> float:
        """Return by how much G's loss brightens generated images, towards the real ones, per unit of descent."""
        step = FixedStep(self.objective.initial_state())
        fake = self.fake.clone().requires_grad_()
        value = total(self.objective.generator_loss(self.judge, fake, self.real, step))
        return -_slope(value, fake).sum().item()

    @cached_property
    def real(self) -> Tensor:
        return self._images(COUNT, LEVEL)

    @cached_property
    def fake(self) -> Tensor:
        return self._images(COUNT * self.objective.fakes_per_real, -LEVEL)

    def _images(self, count: int, level: float) -> Tensor:
        generator = torch.Generator().manual_seed(count)
        noise = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64) - 0.5
        return level + 0.2 * (noise - noise.mean((1, 2, 3), keepdim=True))

    def _slopes(self, value: Tensor) -> tuple[float, float]:
        return _slope(value, self._real).item(), _slope(value, self._fake).item()

    def judge(self, images: Tensor, blind: bool = False) -> Any:
        """Return what D says; `blind`, its gradient with respect to the images is next to nothing and constant."""
        flat = images.flatten(1)
        seen = flat.detach() if blind else flat
        share = (seen.mean(1) / LEVEL + 1) / 2  # 1 for real images, 0 for generated ones
        said = self._fake + (self._real - self._fake) * share
        aside = _JITTER * (seen[:, : seen.shape[1] // 2].mean(1) - seen.mean(1))  # samples of a kind differ a little
        felt = 1e-15 * (flat - flat.detach()).sum(1)
        return self._under(self.objective.head, images, said + felt, aside, felt)

    def _under(self, head: Head, images: Tensor, said: Tensor, aside: Tensor, felt: Tensor) -> Any:
        if head == "embedding":
            along, across = said.new_tensor(_ALONG), said.new_tensor((1.0, 1.0, -1.0, -1.0))
            return self.said.offset + said[:, None] * along + aside[:, None] * across
        if head == "autoencoder":
            error = -self.said.sign * said
            code = images.flatten(1)[:, :8]
            return Autoencoded(images + error.reshape(-1, *(1,) * (images.dim() - 1)), code)
        scores = said + aside
        if head == "sliced":
            held = scores.detach() + felt
            return Sliced(
                held if self._view == "direction" else scores,
                held if self._view == "function" else scores,
            )
        return scores


def _slope(value: Tensor, of: Tensor) -> Tensor:
    """Return the gradient, 0 where `value` does not depend on `of`."""
    if not value.requires_grad:
        return torch.zeros_like(of)
    (gradient,) = torch.autograd.grad(value, of, allow_unused=True, retain_graph=True)
    return torch.zeros_like(of) if gradient is None else gradient
