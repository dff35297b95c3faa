"""One iteration: every discriminator step, the generator step, the moving average. Nothing here reads a value back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.config.recipe import Recipe
from bench.networks.backbone import pack
from bench.objectives.base import Heard, Objective, Terms, widened
from bench.runs.plan import TrainingSpec
from bench.training.draws import Draws
from bench.training.ranks import Ranks, synchronise_norms

Batches = Callable[[int], Tensor]
"""Maps the number of discriminator steps taken so far to a batch of real images."""


@dataclass(frozen=True)
class Shape:
    """What an iteration is made of. Two of equal shape are the same operations on the device, with other numbers.

    `penalties` says of each discriminator step whether a lazy penalty follows it; a joint iteration has no such steps.
    """

    penalties: tuple[bool, ...]
    noisy: bool

    @property
    def batches(self) -> int:
        """Return how many batches of real images the iteration takes."""
        return max(1, len(self.penalties))


@dataclass(frozen=True)
class Moment:
    """The numbers of one iteration: Python's own, or 0-d tensors on the device, which a captured iteration reads."""

    generator_step: int | Tensor
    noise_level: float | Tensor
    average_weight: float | Tensor


@dataclass(frozen=True)
class StepSettings:
    """What an iteration depends on beside the objective and the networks."""

    recipe: Recipe
    latent: int
    latent_law: str
    generator_steps: int
    halve_every: int
    ema_decay: float
    precision: str
    seed: int

    @classmethod
    def of(cls, spec: TrainingSpec) -> StepSettings:
        return cls(
            recipe=spec.recipe,
            latent=spec.backbone.latent,
            latent_law=spec.backbone.latent_law,
            generator_steps=spec.budget.generator_steps,
            halve_every=spec.budget.halve_every,
            ema_decay=spec.training.ema_decay,
            precision=spec.training.precision,
            seed=spec.seed,
        )


class Players:
    """Both networks with their optimisers, the averaged generator, and the step that moves them.

    G maps latents N x d to images, D judges images (or packs of them); beside that, D has `power_iteration()`.
    """

    def __init__(
        self,
        settings: StepSettings,
        objective: Objective,
        G: nn.Module,
        D: nn.Module,
        device: torch.device,
        ranks: Ranks | None = None,
    ) -> None:
        recipe = settings.recipe
        self.settings = settings
        self.objective = objective
        self.ranks = ranks or Ranks()
        self.G = G.to(device)
        self.D = D.to(device)
        for network in (self.G, self.D):
            synchronise_norms(network, self.ranks)
        self._shared_G, self._shared_D = self.ranks.shared(self.G), self.ranks.shared(self.D)
        # A lazy penalty takes one optimiser step more every k: rate and moments are those of k/(k+1) of a step.
        self._penalty_every = lazy = recipe.lazy_penalty if objective.has_penalty() else 1
        self.discriminator_share = lazy / (lazy + 1) if lazy > 1 else 1.0
        self.optimizer_G = make_optimizer(self.G, recipe, recipe.learning_rate_generator)
        self.optimizer_D = make_optimizer(
            self.D, recipe, recipe.learning_rate_discriminator, share=self.discriminator_share
        )
        self.ema = [parameter.detach().clone() for parameter in self.G.parameters()]
        self.draws = Draws(settings.seed, device, objective.initial_state())
        self.device = device
        self.discriminator_steps = 0
        self.images_seen = 0
        self._batch = 0  # real images in a batch, as last seen
        # The first generator step with a non-finite loss, -1 before there is one; read at log time alone.
        self.first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self.sums: dict[str, Tensor] = {}
        self.summed_steps = 0

    def iterate(self, generator_step: int, batches: Batches) -> None:
        """Take generator step number `generator_step` (the first is 0) and the discriminator steps before it."""
        self.count(self.carry_out(generator_step, batches))

    def carry_out(self, generator_step: int, batches: Batches, *, all_penalties: bool = False) -> Shape:
        """Do what `iterate` does, but do not count the iteration: the same call does the same again.

        Returns what it was made of; with `all_penalties` every lazy penalty is taken, due or not.
        """
        shape, first = self.shape(generator_step), self.first_batch(generator_step)
        if all_penalties and self._penalty_every > 1:
            shape = replace(shape, penalties=(True,) * len(shape.penalties))
        for optimizer, rate in self.learning_rates(generator_step):
            for group in optimizer.param_groups:
                group["lr"] = rate
        self.draws.at(generator_step)
        self.move(shape, self.moment(generator_step), lambda index: batches(first + index))
        return shape

    def shape(self, generator_step: int) -> Shape:
        """Return what the iteration is made of."""
        recipe = self.settings.recipe
        noisy = noise_level(self.settings, generator_step) > 0
        if self.objective.updates == "joint":
            return Shape((), noisy)
        every = self._penalty_every
        first, steps = self.discriminator_steps, discriminator_steps_at(recipe, generator_step)
        return Shape(tuple(every > 1 and step % every == 0 for step in range(first, first + steps)), noisy)

    def moment(self, generator_step: int) -> Moment:
        """Return the iteration's numbers. The average's decay is ramped up, so that early weights fade in any run."""
        decay = min(self.settings.ema_decay, (1 + generator_step) / (10 + generator_step))
        return Moment(generator_step, noise_level(self.settings, generator_step), 1 - decay)

    def learning_rates(self, generator_step: int) -> tuple[tuple[torch.optim.Optimizer, float], ...]:
        """Return both optimisers with their learning rates in the iteration."""
        recipe, factor = self.settings.recipe, halvings(generator_step, self.settings.halve_every)
        return (
            (self.optimizer_G, recipe.learning_rate_generator * factor),
            (self.optimizer_D, recipe.learning_rate_discriminator * self.discriminator_share * factor),
        )

    def first_batch(self, generator_step: int) -> int:
        """Return the number of the iteration's first batch of real images."""
        return generator_step if self.objective.updates == "joint" else self.discriminator_steps

    def move(self, shape: Shape, moment: Moment, real_batch: Batches) -> None:
        """Do all that an iteration does on the device, and nothing else. `real_batch` counts from 0 in each."""
        if self.objective.updates == "joint":
            self._batch = len(real := real_batch(0))
            self._joint_step(moment, real)
        else:
            # G does not move between its last discriminator step and its own, so one batch of images serves both.
            last = len(shape.penalties) - 1
            for substep, penalised in enumerate(shape.penalties):
                self._batch = len(real := real_batch(substep))
                fake = self._generate(substep, len(real), with_graph=substep == last)
                real, fake = (
                    self.as_judged(images, shape, moment, kind) for images, kind in ((real, "real"), (fake, "fake"))
                )
                self._discriminator_step(real, fake.detach(), moment, penalised=penalised)
            self._generator_step(real, fake, moment)
        with torch.no_grad():
            self._average(moment.average_weight)

    def abandon(self) -> None:
        """Forget what an iteration left that broke off half-way."""
        self.D.requires_grad_(True)
        self.draws.observed.clear()

    def count(self, shape: Shape) -> None:
        """Count an iteration that was taken."""
        self.discriminator_steps += len(shape.penalties)
        self.images_seen += shape.batches * self._batch
        self.summed_steps += 1

    def as_judged(self, images: Tensor, shape: Shape, moment: Moment, purpose: str) -> Tensor:
        """Return images as D sees them: under instance noise, and packed. `purpose` addresses the noise."""
        if shape.noisy:
            images = images + moment.noise_level * self.draws.normal(f"instance noise {purpose}", tuple(images.shape))
        return pack(images, self.settings.recipe.packing)

    def take_sums(self) -> dict[str, float]:
        """Return the sums since the last call of every term and observation, and how often each was observed.

        Waits for the device.
        """
        values = [value.double() for value in self.sums.values()]
        found = dict(zip(self.sums, torch.stack(values).tolist() if values else (), strict=True))
        for value in self.sums.values():
            value.zero_()
        self.summed_steps = 0
        return found

    def call_networks(self, through: Callable[[nn.Module], Any]) -> None:
        """Let iterations call both networks as `through` makes them: compiled, say; the parameters stay theirs."""
        self._shared_G, self._shared_D = through(self.G), through(self.D)

    def changing(self) -> list[Tensor]:
        """Return every tensor that an iteration changes; optimisers have theirs after the first step alone."""
        networks = [t for network in (self.G, self.D) for t in (*network.parameters(), *network.buffers())]
        optimizers = [
            value
            for optimizer in (self.optimizer_G, self.optimizer_D)
            for state in optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        return [*networks, *optimizers, *self.ema, *self.draws.state.values(), self.first_bad_step, *self.sums.values()]

    def saved(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, for a checkpoint: live tensors, not copies."""
        return {
            "G": self.G.state_dict(),
            "D": self.D.state_dict(),
            "optimizer_G": self.optimizer_G.state_dict(),
            "optimizer_D": self.optimizer_D.state_dict(),
            "ema": self.ema,
            "state": self.draws.state,
            "discriminator_steps": self.discriminator_steps,
            "images_seen": self.images_seen,
            "first_bad_step": self.first_bad_step,
            "sums": self.sums,
            "summed_steps": self.summed_steps,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `saved` returned."""
        self.G.load_state_dict(saved["G"])
        self.D.load_state_dict(saved["D"])
        self.optimizer_G.load_state_dict(saved["optimizer_G"])
        self.optimizer_D.load_state_dict(saved["optimizer_D"])
        for optimizer in (self.optimizer_G, self.optimizer_D):
            for group in optimizer.param_groups:
                group["capturable"] = False  # a graph engine saved True, which no CPU takes; it sets it again
        for mine, value in zip(self.ema, saved["ema"], strict=True):
            mine.copy_(value)
        for name, value in saved["state"].items():
            self.draws.state[name].copy_(value)
        self.discriminator_steps = saved["discriminator_steps"]
        self.images_seen = saved["images_seen"]
        self.first_bad_step.copy_(saved["first_bad_step"])
        self.sums, self.summed_steps = dict(saved["sums"]), saved["summed_steps"]

    def _generate(self, substep: int, count: int, *, with_graph: bool) -> Tensor:
        self.draws.begin("discriminator", substep)
        settings = self.settings
        latents = self.draws.latents(settings.latent_law, count * self.objective.fakes_per_real, settings.latent)
        with torch.set_grad_enabled(with_graph), self._autocast():
            fake: Tensor = self._shared_G(latents)
        return widened(fake)

    def _discriminator_step(self, real: Tensor, fake: Tensor, moment: Moment, *, penalised: bool) -> None:
        self.D.power_iteration()  # type: ignore[operator]
        objective, every = self.objective, self._penalty_every
        with self._autocast():
            if every == 1:
                terms = self._loss_with_penalty(real, fake)
            else:
                terms = objective.discriminator_loss(self._outputs_in_fp32, real, fake, self.draws)
        self._update(terms, "discriminator", moment, self.optimizer_D)
        if penalised:
            with self._autocast():
                penalty = objective.discriminator_penalty(self._outputs_in_fp32, real, fake, self.draws)
            terms = {name: every * value for name, value in penalty.items()}
            self._update(terms, "discriminator", moment, self.optimizer_D)
        objective.after_discriminator_step(self.D, self.draws)
        self._sum_observed()

    def _loss_with_penalty(self, real: Tensor, fake: Tensor) -> Terms:
        """Return the discriminator's terms; where the penalty is at a batch itself, one pass of D serves both.

        Not under mixed precision, where the penalty has a pass of its own in fp32.
        """
        objective, D = self.objective, self._outputs_in_fp32
        if self.settings.precision == "fp32" and (shared := objective.penalised_at()):
            D = Heard(D)
            real = real.detach().requires_grad_("real" in shared)
            fake = fake.detach().requires_grad_("fake" in shared)
        terms = objective.discriminator_loss(D, real, fake, self.draws)
        return terms | objective.discriminator_penalty(D, real, fake, self.draws)

    def _generator_step(self, real: Tensor, fake: Tensor, moment: Moment) -> None:
        self.draws.begin("generator")
        self.D.requires_grad_(False)  # spares the cost of D's own gradients; D's graph stays
        with self._autocast():
            terms = self.objective.generator_loss(self._outputs_in_fp32, fake, real, self.draws)
        self._update(terms, "generator", moment, self.optimizer_G)
        self.D.requires_grad_(True)
        self._sum_observed()

    def _joint_step(self, moment: Moment, real: Tensor) -> None:
        self.draws.begin("joint")
        self.D.power_iteration()  # type: ignore[operator]
        with self._autocast():
            terms = self.objective.joint_loss(self._outputs_in_fp32, self._shared_G, real, self.draws)
        self._update(terms, "generator", moment, self.optimizer_G, self.optimizer_D)
        self._sum_observed()

    def _update(self, terms: Terms, player: str, moment: Moment, *optimizers: torch.optim.Optimizer) -> None:
        total = torch.stack(list(terms.values())).sum()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total, inputs=[p for optimizer in optimizers for p in parameters_of(optimizer)])
        for optimizer in optimizers:
            self.ranks.sum_gradients(parameters_of(optimizer))
            optimizer.step()
        with torch.no_grad():
            bad_now = ~torch.isfinite(total) & (self.first_bad_step < 0)
            self.first_bad_step.copy_(torch.where(bad_now, moment.generator_step, self.first_bad_step))
        for name, value in terms.items():
            self._sum(f"{player}/{name}", value.detach())

    def _average(self, weight: float | Tensor) -> None:
        """Move the averaged generator towards the present one."""
        parameters: list[Tensor] = list(self.G.parameters())
        if isinstance(weight, Tensor):
            torch._foreach_lerp_(self.ema, parameters, [weight] * len(parameters))
        else:
            torch._foreach_lerp_(self.ema, parameters, weight)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.precision == "bf16")

    def _outputs_in_fp32(self, images: Tensor) -> Any:
        """Call D and widen what it returns, so that losses are computed in fp32 under mixed precision."""
        out = self._shared_D(images)
        if isinstance(out, tuple):
            return type(out)(*(widened(part) for part in out))
        return widened(out)

    def _sum_observed(self) -> None:
        """Add up what the step observed, and how often: a lazy penalty observes only where it is taken."""
        for name, value in self.draws.observed.items():
            self._sum(f"observed/{name}", value)
            self._sum(f"times/{name}", torch.ones_like(value))
        self.draws.observed.clear()

    def _sum(self, name: str, value: Tensor) -> None:
        if name in self.sums:
            self.sums[name] += value
        else:
            self.sums[name] = value.clone()


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return what an optimiser moves."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def try_out(players: Players, work: Callable[[], object], times: int = 2) -> None:
    """Carry an iteration out and undo it, whatever comes of it: libraries choose algorithms, optimisers make state.

    Every tensor is put back at the place where it then lies.
    """
    before = {id(tensor): tensor.detach().clone() for tensor in players.changing()}
    try:
        for _ in range(times):
            work()
    finally:
        players.abandon()
        with torch.no_grad():
            for tensor in players.changing():
                # What an optimiser or a sum made anew begins at zero.
                tensor.copy_(before[id(tensor)]) if id(tensor) in before else tensor.zero_()


def make_optimizer(
    network: nn.Module, recipe: Recipe, learning_rate: float, *, share: float = 1.0
) -> torch.optim.Optimizer:
    """Return Adam (fused) or RMSProp over the network's parameters, for steps that count as `share` of one."""
    parameters, decay = network.parameters(), recipe.weight_decay
    if recipe.optimizer == "adam":
        first, second = recipe.betas
        return torch.optim.Adam(
            parameters,
            lr=learning_rate * share,
            betas=(first**share, second**share),
            eps=recipe.epsilon,
            weight_decay=decay,
            fused=True,
        )
    alpha = recipe.alpha**share
    return torch.optim.RMSprop(
        parameters, lr=learning_rate * share, alpha=alpha, eps=recipe.epsilon, weight_decay=decay
    )


def noise_level(settings: StepSettings, generator_step: int) -> float:
    """Return the standard deviation of the instance noise: from its start linearly to 0."""
    steps = settings.recipe.instance_noise_steps or settings.generator_steps
    return settings.recipe.instance_noise * max(0.0, 1 - generator_step / steps)


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
