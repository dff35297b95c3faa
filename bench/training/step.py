"""One iteration: every discriminator step, the generator step, the moving average. Nothing here reads a value back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.config import Recipe
from bench.networks import Autoencoded, Discriminator, Encoded, Generator
from bench.objectives.base import Objective, Terms
from bench.plan import TrainingSpec
from bench.training.draws import Draws

Batches = Callable[[int], Tensor]
"""Maps the number of discriminator steps taken so far to a batch of real images."""


class Players:
    """Both networks with their optimisers, the averaged generator, and the step that moves them."""

    def __init__(
        self, spec: TrainingSpec, objective: Objective, G: Generator, D: Discriminator, device: torch.device
    ) -> None:
        recipe = spec.recipe
        self.spec = spec
        self.objective = objective
        self.G = G.to(device)
        self.D = D.to(device)
        self.optimizer_G = make_optimizer(self.G, recipe, recipe.learning_rate_generator)
        self.optimizer_D = make_optimizer(self.D, recipe, recipe.learning_rate_discriminator)
        self.ema = [parameter.detach().clone() for parameter in self.G.parameters()]
        self.draws = Draws(spec.seed, device, objective.initial_state())
        self.device = device
        self.discriminator_steps = 0
        self.images_seen = 0
        # The first generator step with a non-finite loss, -1 before there is one; read at log time alone.
        self.first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self.sums: dict[str, Tensor] = {}
        self.summed_steps = 0

    def iterate(self, generator_step: int, batches: Batches) -> None:
        """Take generator step number `generator_step` (the first is 0) and the discriminator steps before it."""
        self._set_learning_rates(generator_step)
        if self.objective.updates == "joint":
            self._joint_step(generator_step, batches(generator_step))
        else:
            # G does not move between its last discriminator step and its own, so one batch of images serves both.
            last = discriminator_steps_at(self.spec.recipe, generator_step) - 1
            for substep in range(last + 1):
                real = batches(self.discriminator_steps)
                fake = self._generate(generator_step, substep, len(real), with_graph=substep == last)
                self._discriminator_step(real, fake.detach(), generator_step)
            self._generator_step(real, fake, generator_step)
        self._average(generator_step)
        self.summed_steps += 1

    def _generate(self, generator_step: int, substep: int, count: int, *, with_graph: bool) -> Tensor:
        self.draws.begin("discriminator", generator_step, substep)
        backbone = self.spec.backbone
        with torch.set_grad_enabled(with_graph), self._autocast():
            fake: Tensor = self.G(self.draws.latents(backbone.latent_law, count, backbone.latent))
        return fake.float()

    def _discriminator_step(self, real: Tensor, fake: Tensor, generator_step: int) -> None:
        self.D.power_iteration()
        with self._autocast():
            terms = self.objective.discriminator_loss(self._outputs_in_fp32, real, fake, self.draws)
        self._update(terms, "discriminator", generator_step, self.optimizer_D)
        self.objective.after_discriminator_step(self.D, self.draws)
        self.discriminator_steps += 1
        self.images_seen += len(real)
        for name, value in self.draws.observed.items():
            self._sum(f"observed/{name}", value)

    def _generator_step(self, real: Tensor, fake: Tensor, generator_step: int) -> None:
        self.draws.begin("generator", generator_step)
        self.D.requires_grad_(False)  # spares the cost of D's own gradients; D's graph stays
        with self._autocast():
            terms = self.objective.generator_loss(self._outputs_in_fp32, fake, real, self.draws)
        self._update(terms, "generator", generator_step, self.optimizer_G)
        self.D.requires_grad_(True)

    def _joint_step(self, generator_step: int, real: Tensor) -> None:
        self.draws.begin("joint", generator_step)
        self.D.power_iteration()
        with self._autocast():
            terms = self.objective.joint_loss(self._outputs_in_fp32, self.G, real, self.draws)
        self._update(terms, "generator", generator_step, self.optimizer_G, self.optimizer_D)
        self.images_seen += len(real)

    def _update(self, terms: Terms, player: str, generator_step: int, *optimizers: torch.optim.Optimizer) -> None:
        total = torch.stack(list(terms.values())).sum()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            bad_now = ~torch.isfinite(total) & (self.first_bad_step < 0)
            self.first_bad_step.copy_(torch.where(bad_now, generator_step, self.first_bad_step))
        for name, value in terms.items():
            self._sum(f"{player}/{name}", value.detach())

    @torch.no_grad()
    def _average(self, generator_step: int) -> None:
        """Move the averaged generator: decay, ramped up so that early weights fade in short runs as in long ones."""
        decay = min(self.spec.training.ema_decay, (1 + generator_step) / (10 + generator_step))
        torch._foreach_lerp_(self.ema, list(self.G.parameters()), 1 - decay)

    def _set_learning_rates(self, generator_step: int) -> None:
        recipe, factor = self.spec.recipe, halvings(generator_step, self.spec.budget.halve_every)
        for optimizer, rate in (
            (self.optimizer_G, recipe.learning_rate_generator),
            (self.optimizer_D, recipe.learning_rate_discriminator),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.spec.training.precision == "bf16")

    def _outputs_in_fp32(self, images: Tensor) -> Any:
        """Call D and widen what it returns, so that losses are computed in fp32 under mixed precision."""
        out = self.D(images)
        if isinstance(out, Autoencoded):
            return Autoencoded(out.images.float(), out.code.float())
        if isinstance(out, Encoded):
            return Encoded(out.mean.float(), out.log_variance.float())
        return out.float()

    def _sum(self, name: str, value: Tensor) -> None:
        if name in self.sums:
            self.sums[name] += value
        else:
            self.sums[name] = value.clone()


def make_optimizer(network: nn.Module, recipe: Recipe, learning_rate: float) -> torch.optim.Optimizer:
    """Return Adam (fused) or RMSProp over the network's parameters."""
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=learning_rate, betas=recipe.betas, eps=recipe.epsilon, fused=True
        )
    return torch.optim.RMSprop(network.parameters(), lr=learning_rate, alpha=recipe.alpha, eps=recipe.epsilon)


def discriminator_steps_at(recipe: Recipe, generator_step: int) -> int:
    """Return how many discriminator steps come before generator step number `generator_step` (from 0)."""
    warm_up = recipe.warm_up
    if warm_up is not None:
        repeated = warm_up.repeat_every is not None and (generator_step + 1) % warm_up.repeat_every == 0
        if generator_step < warm_up.generator_steps or repeated:
            return warm_up.discriminator_steps
    return recipe.discriminator_steps


def halvings(generator_step: int, halve_every: int) -> float:
    """Return the schedule's factor, 0.5 ** floor(step / halve_every)."""
    return 0.5 ** (generator_step // halve_every)
