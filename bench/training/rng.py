"""Random numbers as pure functions of (seed, purpose, player, generator step, substep).

No stream runs along with training: a run that starts again at step 500 draws what one that never stopped draws there.
Values are drawn on the CPU, so that every device sees the same ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.networks.backbone import address
from bench.objectives.base import Step


class DrawAddress(NamedTuple):
    """Which values: all of a draw's address but the seed and the generator step, with its law and shape."""

    player: str
    substep: int
    purpose: str
    law: str
    shape: tuple[int, ...]


class StepRNG(Step):
    """What a loss may ask for: `seek` says in which iteration, `begin` in which player's step of it."""

    def __init__(self, seed: int, device: torch.device, initial_state: dict[str, float]) -> None:
        self.seed = seed
        self.device = device
        self._generator = torch.Generator()
        self._generator_step = 0
        self._player, self._substep = "", 0
        self.state = {
            name: torch.tensor(value, dtype=torch.float32, device=device) for name, value in initial_state.items()
        }
        self.observed: dict[str, Tensor] = {}

    def seek(self, generator_step: int) -> None:
        """Go to an iteration: all following draws are addressed by its generator step."""
        self._generator_step = generator_step

    def begin(self, player: str, substep: int = 0) -> None:
        """Start the step of `player` that all following draws are addressed by."""
        self._player, self._substep = player, substep

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return self._draw(DrawAddress(self._player, self._substep, purpose, "normal", shape))

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return self._draw(DrawAddress(self._player, self._substep, purpose, "uniform", shape))

    def latents(self, law: str, count: int, size: int) -> Tensor:
        """Draw the player's latents, count x size, from N(0, I), U(-1, 1) or U(0, 1)."""
        if law == "normal":
            return self.normal("latent", (count, size))
        unit = self.uniform("latent", (count, size))
        return unit if law == "unit" else unit * 2 - 1

    def _draw(self, draw: DrawAddress) -> Tensor:
        return self._fresh(draw).to(self.device, non_blocking=True)

    def _fresh(self, draw: DrawAddress) -> Tensor:
        """Draw the values of this iteration on the CPU; in page-locked memory where a GPU will fetch them."""
        where = (draw.player, self._generator_step, draw.substep)
        generator = self._generator.manual_seed(address(self.seed, draw.purpose, *where))
        make = torch.randn if draw.law == "normal" else torch.rand
        return make(draw.shape, generator=generator, pin_memory=self.device.type == "cuda")


class StaticStepRNG(StepRNG):
    """Draws in static buffers, for an iteration that is captured once and replayed.

    What an iteration asks for is noted in `requested`; `refill` then puts another iteration's values in the
    same places.
    """

    def __init__(self, rng: StepRNG) -> None:
        super().__init__(rng.seed, rng.device, {})
        self.state = rng.state
        self._values: dict[DrawAddress, Tensor] = {}
        self.requested: set[DrawAddress] = set()

    def refill(self, draws: set[DrawAddress]) -> None:
        """Put the present iteration's values in their buffers."""
        for draw in sorted(draws):  # in one order, so that host work is the same from run to run
            self._values[draw].copy_(self._fresh(draw), non_blocking=True)

    def _draw(self, draw: DrawAddress) -> Tensor:
        if draw not in self._values:
            self._values[draw] = self._fresh(draw).to(self.device)
        self.requested.add(draw)
        return self._values[draw]
