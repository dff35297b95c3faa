"""A short game in the plane: a generator that can shift its samples, against the smallest discriminator of each head.

The data are a cloud of points, the generator moves another one. Both players take Adam steps on the objective's own
losses, penalties and hook, as in training. Whether the game converges is for `bench theory` to tell; here the generator
has to come nearer, which every working pair of losses makes it do at first, also those that circle later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bench.networks.heads import Autoencoded, Encoded, Head, sliced
from bench.validation.contract.report import NotApplicable, Problem
from bench.validation.contract.scene import FixedStep, Variant, total

DATA = (0.6, 0.3)  # where the real points lie, about which they spread
START = (-0.4, -0.3)  # where the generated ones do at first
SPREAD = 0.15
STEPS = 60
RATE = 0.03
NEARER = 0.75  # the share of the first distance that must be undercut
HEADS: tuple[Head, ...] = ("score", "sliced", "embedding", "autoencoder", "encoder")
_COUNT = 16


def samples_approach(variant: Variant) -> Iterator[Problem]:
    """Play the game and look at the least distance between the two clouds' centres."""
    if variant.objective.needs in ("labels", "codes") or variant.objective.head not in HEADS:
        raise NotApplicable(f"there is no small discriminator with the {variant.objective.head} head")
    distances = play(variant)
    if not min(distances) < NEARER * distances[0]:
        yield Problem(
            f"in a game of {STEPS} steps generated points start {distances[0]:.2f} away from the data, come no nearer "
            f"than {min(distances):.2f} and end {distances[-1]:.2f} away",
            "If the checks before this one pass, look at what acts between steps: the penalty, "
            "after_discriminator_step, the state.",
        )


def play(variant: Variant) -> list[float]:
    """Return the distance of the clouds' centres before the first and after every step."""
    objective = variant.objective
    G, D = PointGenerator(), PointJudge(objective.head)
    step = FixedStep(objective.initial_state(), count=_COUNT)
    generator = torch.Generator().manual_seed(17)
    data = torch.tensor(DATA, dtype=torch.float64)
    noise = torch.randn(_COUNT, 2, generator=generator, dtype=torch.float64)
    real = data + SPREAD * (noise - noise.mean(0))
    z = torch.randn(_COUNT * objective.fakes_per_real, 2, generator=generator, dtype=torch.float64)
    optimisers = [torch.optim.Adam(network.parameters(), RATE, (0.5, 0.999)) for network in (D, G)]
    distances = [G.distance(data)]
    for _ in range(STEPS):
        if objective.updates == "joint":
            _move(optimisers, objective.joint_loss(D, G, real, step))
        else:
            fake = G(z).detach()
            penalty = objective.discriminator_penalty(D, real, fake, step) if objective.has_penalty() else {}
            _move(optimisers[:1], objective.discriminator_loss(D, real, fake, step) | penalty)
            objective.after_discriminator_step(D, step)
            D.requires_grad_(False)
            _move(optimisers[1:], objective.generator_loss(D, G(z), real, step))
            D.requires_grad_(True)
        distances.append(G.distance(data))
    return distances


class PointGenerator(nn.Module):
    """Shifts latents N x 2, scaled, to where its parameter says."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.tensor(START, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.centre + SPREAD * z[:, :2]

    def distance(self, data: Tensor) -> float:
        """Return how far its centre is from the data's."""
        return float((self.centre.detach() - data).norm())


class PointJudge(nn.Module):
    """A linear discriminator of points N x 2 under any head; an autoencoder remembers one point."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(19)
        self.head = head
        self.weight = nn.Parameter(0.3 * torch.randn(2, 4, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(4, dtype=torch.float64))

    def forward(self, points: Tensor) -> Any:
        if self.head == "autoencoder":
            return Autoencoded(self.bias[:2].expand_as(points), points @ self.weight)
        if self.head == "sliced":
            return sliced(points, self.weight[:, 0])
        out = points @ self.weight + self.bias
        if self.head == "encoder":
            return Encoded(out[:, :2], out[:, 2:])
        return out if self.head == "embedding" else out[:, 0]


def _move(optimisers: list[torch.optim.Adam], terms: dict[str, Tensor]) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad()
    value = total(terms)
    if value.requires_grad:
        torch.autograd.backward(value)
    for optimiser in optimisers:
        optimiser.step()
