"""What is put over another objective's losses: everything that it does not say itself is its base's."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from bench.networks.backbone import Norm
from bench.objectives.base import PER_SAMPLE_NORMS, Network, Objective, Side, Step, Terms


class OverBase(Objective):
    """An objective that changes one with a score head, its `base`."""

    base: str = Field("hinge", description="the objective with a score head that it is put over")
    base_settings: dict[str, Any] = Field(default_factory=dict, description="that objective's settings")

    norms: ClassVar[tuple[Norm, ...]] = PER_SAMPLE_NORMS

    @model_validator(mode="after")
    def _base_fits(self) -> Self:
        from bench.objectives import load, names

        if self.base not in names():
            raise ValueError(f'base "{self.base}" is no objective')
        base = load(self.base)
        if base.head != "score" or base.needs or issubclass(base, OverBase):
            raise ValueError(f'base "{self.base}" has no score head of its own')
        try:
            _ = self.inner
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"base_settings {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return self

    @cached_property
    def inner(self) -> Objective:
        """The base with its settings."""
        from bench.objectives import load

        return load(self.base).model_validate(self.base_settings)

    def parts(self) -> tuple[str, ...]:
        return (self.base,)

    def initial_state(self) -> dict[str, float]:
        return self.inner.initial_state()

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        return self.inner.discriminator_penalty(D, real, fake, step)

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        return self.inner.generator_loss(D, fake, real, step)

    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        self.inner.after_discriminator_step(D, step)

    def has_penalty(self) -> bool:
        return self.inner.has_penalty()

    def penalised_at(self) -> tuple[Side, ...]:
        return self.inner.penalised_at()
