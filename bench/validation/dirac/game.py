"""The smallest GAN there is: one real point at 0, one generated point at theta, the discriminator C(x) = psi x.

Mescheder et al. 2018, section 2. Nothing here knows a formula: both players' velocities are gradients of the
objective's own losses. D is high on reals, as everywhere in this project; the paper's D is high on fakes, so that its
psi has the other sign. Everything is in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from bench.networks.heads import Autoencoded, Encoded, Head, Sliced, sliced
from bench.objectives.base import Objective, Step, Terms

Order = Literal["alternating", "simultaneous"]
_PROBE = 1e-3  # how far D is moved to see whether the objective's hook lets it


class StillStep(Step):
    """Draws without chance: normal ones are 0, uniform ones 1/2."""

    def __init__(self, state: Mapping[str, float]) -> None:
        self.state = {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}
        self.observed: dict[str, Tensor] = {}

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.full(shape, 0.5, dtype=torch.float64)

    def values(self) -> dict[str, float]:
        """Return the state as plain numbers."""
        return {name: value.item() for name, value in self.state.items()}


class PointDiscriminator(nn.Module):
    """A discriminator of points N x 1 with one parameter, psi, under any head.

    A score, an embedding and an encoder's mean are psi x (log-variance 0). An autoencoder reconstructs psi whatever it
    is shown: it remembers one point.
    """

    def __init__(self, psi: float, head: Head) -> None:
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([psi], dtype=torch.float64))
        self.head = head

    def forward(self, points: Tensor) -> Tensor | Sliced | Autoencoded | Encoded:
        if self.head == "sliced":
            return sliced(points, self.psi)
        if self.head == "autoencoder":
            return Autoencoded(self.psi.expand_as(points), points)
        scaled = points * self.psi
        if self.head == "encoder":
            return Encoded(scaled, torch.zeros_like(scaled))
        return scaled if self.head == "embedding" else scaled.squeeze(1)


@dataclass(frozen=True)
class Place:
    """Where the game stands: the generated point, D's slope, and the objective's own state (BEGAN's k, ...)."""

    theta: float
    psi: float
    state: Mapping[str, float]


@dataclass(frozen=True)
class DiracGan:
    """An objective's game. Each pair of `offsets` is added to a real and a generated point: a batch, or its noise."""

    objective: Objective
    offsets: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.0, 0.0))

    def start(self, theta: float, psi: float) -> Place:
        """Return the game at (theta, psi) with the state at its start, inside what the objective's hook allows."""
        place = Place(theta, psi, self.objective.initial_state())
        D, step, _ = self._judged(place)
        return replace(place, psi=self._hooked(D, step, psi))

    def velocity(self, place: Place) -> tuple[float, float]:
        """Return (d theta/dt, d psi/dt) under gradient flow, the state held where it is.

        Where the hook after a discriminator step holds psi back (weight clipping), so is the flow.
        """
        D, step, terms = self._judged(place)
        psi_rate = -_slope(terms, D.psi)
        inside = self._hooked(D, step, place.psi)
        if inside != place.psi:
            return self.velocity(replace(place, psi=inside))
        reached = place.psi + _PROBE * psi_rate
        held = self._hooked(D, step, reached)
        if held != reached:
            psi_rate = (held - place.psi) / _PROBE
        return self._generator_rate(place), psi_rate

    def step(self, place: Place, rate: float, order: Order = "alternating", discriminator_steps: int = 1) -> Place:
        """Take plain gradient steps of size `rate`: D's, each with the objective's hook, then G's.

        Alternating, as in training, G answers to the D that has moved; simultaneous, to the one before. A joint
        objective moves both at once.
        """
        before = place
        for _ in range(discriminator_steps):
            D, step, terms = self._judged(place)
            psi = self._hooked(D, step, place.psi - rate * _slope(terms, D.psi))
            place = Place(place.theta, psi, step.values())
        met = place if order == "alternating" and self.objective.updates == "alternating" else before
        return replace(place, theta=place.theta + rate * self._generator_rate(met))

    def _hooked(self, D: PointDiscriminator, step: StillStep, psi: float) -> float:
        """Return what the objective's hook after a discriminator step makes of `psi`; it may move the step's state."""
        hook = type(self.objective).after_discriminator_step
        if hook is Objective.after_discriminator_step or self.objective.updates == "joint":
            return psi
        with torch.no_grad():
            D.psi.fill_(psi)
        self.objective.after_discriminator_step(D, step)
        return D.psi.item()

    def _judged(self, place: Place) -> tuple[PointDiscriminator, StillStep, Terms]:
        D, step = PointDiscriminator(place.psi, self.objective.head), StillStep(place.state)
        real, fake = self._points(torch.tensor(place.theta, dtype=torch.float64))
        if self.objective.updates == "joint":
            return D, step, self.objective.joint_loss(D, lambda z: fake[: len(z)], real, step)
        terms = self.objective.discriminator_loss(D, real, fake, step)
        return D, step, terms | self.objective.discriminator_penalty(D, real, fake, step)

    def _generator_rate(self, place: Place) -> float:
        D, step = PointDiscriminator(place.psi, self.objective.head), StillStep(place.state)
        theta = torch.tensor(place.theta, dtype=torch.float64, requires_grad=True)
        real, fake = self._points(theta)
        if self.objective.updates == "joint":
            return -_slope(self.objective.joint_loss(D, lambda z: fake[: len(z)], real, step), theta)
        return -_slope(self.objective.generator_loss(D, fake, real, step), theta)

    def _points(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        real, around = self._batch
        return real, theta + around

    @cached_property
    def _batch(self) -> tuple[Tensor, Tensor]:
        real, around = torch.tensor(self.offsets, dtype=torch.float64).T[..., None]
        return real, around.repeat(self.objective.fakes_per_real, 1)


def vector_field(objective: Objective, theta: float, psi: float) -> tuple[float, float]:
    """Return (d theta/dt, d psi/dt) of an objective's Dirac-GAN at (theta, psi), its state at its start."""
    game = DiracGan(objective)
    return game.velocity(Place(theta, psi, objective.initial_state()))


def _slope(terms: Terms, variable: Tensor) -> float:
    total = torch.stack(list(terms.values())).sum()
    if not total.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(total, variable, allow_unused=True)
    return 0.0 if gradient is None else gradient.item()
