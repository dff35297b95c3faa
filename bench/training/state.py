"""What training changes: networks, optimisers, the averaged generator, an objective's state, counters and the meter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.objectives.base import Objective
from bench.training.meter import Meter
from bench.training.optimizers import make_optimizer
from bench.training.ranks import Ranks, synchronise_norms
from bench.training.rng import StepRNG
from bench.training.schedule import IterationSettings, Schedule, Shape


class TrainingState:
    """The state of one run, at step 0 when it is made. `state_dict` returns all that the next iteration depends on.

    G maps latents N x d to images, D maps images (or packs of them) to what its head gives; D also has
    `power_iteration()`. Iterations call them as `call_G` and `call_D`: spread over ranks, or compiled.
    """

    def __init__(
        self,
        settings: IterationSettings,
        objective: Objective,
        G: nn.Module,
        D: nn.Module,
        device: torch.device,
        ranks: Ranks | None = None,
    ) -> None:
        recipe = settings.recipe
        self.settings = settings
        self.objective = objective
        self.schedule = Schedule(settings, objective)
        self.device = device
        self.ranks = ranks or Ranks()
        self.G = G.to(device)
        self.D = D.to(device)
        for network in (self.G, self.D):
            synchronise_norms(network, self.ranks)
        self.call_G, self.call_D = self.ranks.data_parallel(self.G), self.ranks.data_parallel(self.D)
        self.optimizer_G = make_optimizer(self.G, recipe, recipe.learning_rate_generator)
        self.optimizer_D = make_optimizer(
            self.D, recipe, recipe.learning_rate_discriminator, share=self.schedule.discriminator_share
        )
        self.ema = [parameter.detach().clone() for parameter in self.G.parameters()]
        self.rng = StepRNG(settings.seed, device, objective.initial_state())
        self.meter = Meter()
        self.discriminator_steps = 0
        self.images_seen = 0
        # The first generator step with a non-finite loss, -1 before there is one. It stays on the device until the log
        # reads it.
        self.first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)

    def count(self, shape: Shape, batch: int) -> None:
        """Count an iteration that was taken, on batches of so many real images."""
        self.discriminator_steps += shape.discriminator_steps
        self.images_seen += shape.new_batches * batch
        self.meter.count(shape.discriminator_steps)

    def wrap_networks(self, wrap: Callable[[nn.Module], Any]) -> None:
        """Let iterations call both networks through `wrap`, such as torch.compile; the parameters stay theirs."""
        self.call_G, self.call_D = wrap(self.G), wrap(self.D)

    def tensors(self) -> list[Tensor]:
        """Return every tensor that an iteration changes; optimisers have theirs after the first step alone."""
        networks = [t for network in (self.G, self.D) for t in (*network.parameters(), *network.buffers())]
        optimizers = [
            value
            for optimizer in (self.optimizer_G, self.optimizer_D)
            for state in optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        return [
            *networks,
            *optimizers,
            *self.ema,
            *self.rng.state.values(),
            self.first_bad_step,
            *self.meter.sums.values(),
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: live tensors, not copies."""
        return {
            "G": self.G.state_dict(),
            "D": self.D.state_dict(),
            "optimizer_G": self.optimizer_G.state_dict(),
            "optimizer_D": self.optimizer_D.state_dict(),
            "ema": self.ema,
            "objective": self.rng.state,
            "meter": self.meter.state_dict(),
            "discriminator_steps": self.discriminator_steps,
            "images_seen": self.images_seen,
            "first_bad_step": self.first_bad_step,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.G.load_state_dict(saved["G"])
        self.D.load_state_dict(saved["D"])
        self.optimizer_G.load_state_dict(saved["optimizer_G"])
        self.optimizer_D.load_state_dict(saved["optimizer_D"])
        for optimizer in (self.optimizer_G, self.optimizer_D):
            for group in optimizer.param_groups:
                group["capturable"] = False  # a graph engine saved True, which no CPU takes; it sets it again
        for mine, value in zip(self.ema, saved["ema"], strict=True):
            mine.copy_(value)
        for name, value in saved["objective"].items():
            self.rng.state[name].copy_(value)
        self.meter.load_state_dict(saved["meter"])
        self.discriminator_steps = saved["discriminator_steps"]
        self.images_seen = saved["images_seen"]
        self.first_bad_step.copy_(saved["first_bad_step"])
