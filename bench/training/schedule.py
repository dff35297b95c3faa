"""What an iteration consists of, as a function of its number: rates, discriminator steps, penalties, noise, averaging.

All of it is known on the host before the iteration begins and depends on no tensor's value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from bench.config.recipe import Recipe
from bench.networks.codes import Codes
from bench.objectives.base import Objective
from bench.runs.plan import TrainingSpec


@dataclass(frozen=True)
class Shape:
    """What an iteration is made of. Two of equal shape are the same operations on the device, with other numbers.

    `lazy_penalties` says of each discriminator step whether a lazy penalty follows it; a joint iteration has no
    discriminator steps, and nor has one that trains G alone, on the batch that D saw last.
    """

    lazy_penalties: tuple[bool, ...]
    noisy: bool
    same_batch: bool = False

    @property
    def discriminator_steps(self) -> int:
        return len(self.lazy_penalties)

    @property
    def batches(self) -> int:
        """Return how many batches of real images the iteration takes."""
        return max(1, self.discriminator_steps)

    @property
    def new_batches(self) -> int:
        """Return how many of them were not seen before."""
        return 0 if self.same_batch else self.batches


@dataclass(frozen=True)
class Scalars:
    """The numbers of one iteration: Python's own, or 0-d tensors on the device, which a captured iteration reads."""

    generator_step: int | Tensor
    noise_level: float | Tensor
    ema_weight: float | Tensor


class LearningRates(NamedTuple):
    """What the optimisers use in one iteration."""

    discriminator: float
    generator: float


@dataclass(frozen=True)
class IterationSettings:
    """What an iteration depends on beside the objective and the networks."""

    recipe: Recipe
    latent: int
    latent_law: str
    generator_steps: int
    halve_every: int
    ema_decay: float
    precision: str
    seed: int
    factor_sizes: tuple[int, ...] = ()
    codes: Codes | None = None

    @classmethod
    def of(cls, spec: TrainingSpec, factor_sizes: tuple[int, ...] = ()) -> IterationSettings:
        return cls(
            recipe=spec.recipe,
            latent=spec.backbone.latent,
            latent_law=spec.backbone.latent_law,
            generator_steps=spec.budget.generator_steps,
            halve_every=spec.budget.halve_every,
            ema_decay=spec.training.ema_decay,
            precision=spec.training.precision,
            seed=spec.seed,
            factor_sizes=factor_sizes,
            codes=spec.backbone.drawn_codes,
        )


class Schedule:
    """The schedule of one run. Generator steps count from 0.

    `penalty_every` is k where the objective's penalty is lazy: taken every k discriminator steps, in an optimiser step
    of its own. D then takes k + 1 optimiser steps where it would take k, so its rate and the decay of its moments are
    those of `discriminator_share` = k/(k+1) of a step (Karras et al. 2019, arXiv 1912.04958, appendix B).
    """

    def __init__(self, settings: IterationSettings, objective: Objective) -> None:
        self._settings = settings
        self._joint = objective.updates == "joint"
        self.penalty_every = settings.recipe.lazy_penalty if objective.has_penalty() else 1
        self.discriminator_share = self.penalty_every / (self.penalty_every + 1) if self.penalty_every > 1 else 1.0

    def shape(self, generator_step: int, discriminator_steps: int, *, all_penalties: bool = False) -> Shape:
        """Return what the iteration is made of, given how many discriminator steps came before it.

        With `all_penalties` every lazy penalty is taken, due or not.
        """
        if self._joint:
            return Shape((), noisy=False)  # no discriminator sees its images
        noisy = noise_level(self._settings, generator_step) > 0
        every = self.penalty_every
        steps = range(
            discriminator_steps, discriminator_steps + discriminator_steps_at(self._settings.recipe, generator_step)
        )
        lazy_penalties = tuple(every > 1 and (all_penalties or step % every == 0) for step in steps)
        return Shape(lazy_penalties, noisy, same_batch=not steps)

    def first_batch(self, generator_step: int, discriminator_steps: int) -> int:
        """Return the number of the iteration's first batch of real images."""
        if self._joint:
            return generator_step
        trains_d = discriminator_steps_at(self._settings.recipe, generator_step) > 0
        return discriminator_steps if trains_d else discriminator_steps - 1

    def learning_rates(self, generator_step: int) -> LearningRates:
        """Return the rates that both optimisers use in the iteration."""
        recipe, factor = self._settings.recipe, lr_factor(generator_step, self._settings.halve_every)
        return LearningRates(
            discriminator=recipe.learning_rate_discriminator * self.discriminator_share * factor,
            generator=recipe.learning_rate_generator * factor,
        )

    def scalars(self, generator_step: int) -> Scalars:
        """Return the iteration's numbers.

        The decay of the averaged generator is ramped up, so that the first weights fade in a run of any length (as in
        TensorFlow's ExponentialMovingAverage with `num_updates`).
        """
        decay = min(self._settings.ema_decay, (1 + generator_step) / (10 + generator_step))
        return Scalars(generator_step, noise_level(self._settings, generator_step), 1 - decay)


def lr_factor(generator_step: int, halve_every: int) -> float:
    """Return the step decay's factor, 0.5 ** floor(step / halve_every)."""
    return 0.5 ** (generator_step // halve_every)


def noise_level(settings: IterationSettings, generator_step: int) -> float:
    """Return the standard deviation of the instance noise: from its start linearly to 0."""
    steps = settings.recipe.instance_noise_steps or settings.generator_steps
    return settings.recipe.instance_noise * max(0.0, 1 - generator_step / steps)


def discriminator_steps_at(recipe: Recipe, generator_step: int) -> int:
    """Return how many discriminator steps come before a generator step: none where G takes several after D's."""
    if generator_step % recipe.generator_steps_per_iteration:
        return 0
    warm_up = recipe.warm_up
    if warm_up is not None:
        repeated = warm_up.repeat_every is not None and (generator_step + 1) % warm_up.repeat_every == 0
        if generator_step < warm_up.generator_steps or repeated:
            return warm_up.discriminator_steps
    return recipe.discriminator_steps
