"""How iterations are carried out: eagerly, with compiled networks, or as replayed CUDA graphs.

All three take the same steps on the same draws and agree to rounding. A run keeps to one, which is part of what it is;
`auto` means graphs on a CUDA device and eager steps elsewhere. Where an engine cannot take an objective's iterations,
they are taken eagerly and `reason` says why.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch

from bench.training.graph import GraphedIterations
from bench.training.step import Batches, Players, try_out


class Engine(Protocol):
    """What takes a run's iterations. `reason` tells why it does so eagerly although another way was asked for."""

    @property
    def name(self) -> str: ...

    @property
    def reason(self) -> str | None: ...

    def iterate(self, generator_step: int, batches: Batches) -> None:
        """Take generator step number `generator_step` (the first is 0) and the discriminator steps before it."""


class EagerIterations:
    """Takes `players`' iterations operation by operation."""

    name = "eager"

    def __init__(self, players: Players, reason: str | None = None) -> None:
        self.iterate = players.iterate
        self.reason = reason


class CompiledIterations:
    """Takes `players`' iterations with networks from torch.compile, which fuses what lies between convolutions."""

    name = "compiled"

    def __init__(self, players: Players) -> None:
        self._players = players
        self._tried = False
        self.reason: str | None = None

    def iterate(self, generator_step: int, batches: Batches) -> None:
        if not self._tried:
            self._tried = True
            self._compile(generator_step, batches)
        self._players.iterate(generator_step, batches)

    def _compile(self, generator_step: int, batches: Batches) -> None:
        """Compile and try one iteration; go back to the networks as they are when it does not work.

        Every lazy penalty is taken in it, so that a run compiles or does not wherever it is taken up.
        """
        players = self._players
        players.call_networks(lambda network: torch.compile(network, dynamic=False))
        try:
            with warnings.catch_warnings():
                # The compiler looks at gradients that images have not.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
                try_out(players, lambda: players.carry_out(generator_step, batches, all_penalties=True), 1)
        except Exception as error:  # compilers fail with errors of many kinds; none may cost the run
            players.call_networks(lambda network: network)
            second = "double backward" in str(error)
            self.reason = (
                "the objective takes gradients of input gradients, which torch.compile cannot"
                if second
                else f"torch.compile failed: {str(error).splitlines()[0]}"
            )


def make_engine(asked: str, players: Players) -> Engine:
    """Return what takes the players' iterations: `asked` is "auto", "eager", "compiled" or "graph"."""
    if asked == "auto":
        asked = "graph" if players.device.type == "cuda" and not players.ranks.grouped else "eager"
    if asked == "eager":
        return EagerIterations(players)
    if players.ranks.grouped:
        return EagerIterations(players, "several ranks exchange values within an iteration")
    return GraphedIterations(players) if asked == "graph" else CompiledIterations(players)
