"""Random draws as pure functions of (seed, purpose, player, generator step, substep).

No stream runs along with training: a run that starts again at step 500 draws what one that never stopped draws there.
Values are drawn on the CPU, so that every device sees the same ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.networks import address
from bench.objectives.base import Step


class Draws(Step):
    """What a loss may ask for during one player's step; `begin` says which step it is."""

    def __init__(self, seed: int, device: torch.device, initial_state: dict[str, float]) -> None:
        self._seed = seed
        self._device = device
        self._generator = torch.Generator()
        self._where: tuple[str, int, int] = ("", 0, 0)
        self.state = {
            name: torch.tensor(value, dtype=torch.float32, device=device) for name, value in initial_state.items()
        }
        self.observed: dict[str, Tensor] = {}

    def begin(self, player: str, generator_step: int, substep: int = 0) -> None:
        """Start the step of `player` that all following draws are addressed by."""
        self._where = (player, generator_step, substep)

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._addressed(purpose)).to(self._device, non_blocking=True)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self._addressed(purpose)).to(self._device, non_blocking=True)

    def latents(self, law: str, count: int, size: int) -> Tensor:
        """Draw the player's latents, count x size, from N(0, I) or U(-1, 1)."""
        if law == "normal":
            return self.normal("latent", (count, size))
        return self.uniform("latent", (count, size)) * 2 - 1

    def _addressed(self, purpose: str) -> torch.Generator:
        return self._generator.manual_seed(address(self._seed, purpose, *self._where))
