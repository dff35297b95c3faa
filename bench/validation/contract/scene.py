"""Where losses are tried: variants of an objective, small networks, a batch, and draws that can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError
from torch import Tensor

from bench.networks.backbone import Norm, address, build_networks
from bench.networks.codes import Codes, DrawnCodes
from bench.networks.conditioning import Labels, told
from bench.objectives.base import Network, Objective, Step, Terms, widened

COUNT = 6  # samples in a scene's batch
LATENT = 8
RESOLUTION = 16
WIDTH = 4
LABELS = (3, 2)  # values of each factor, where there are labels
CODES = Codes((3, 2), 2)  # where there are codes


class UndeclaredStateError(Exception):
    """A loss asked for state that `initial_state` does not name."""


class DeclaredState(dict[str, Tensor]):
    """The state that an objective declares; asking for anything else says so."""

    def __missing__(self, key: str) -> Tensor:
        declared = ", ".join(self) or "nothing"
        raise UndeclaredStateError(f'step.state has no "{key}": initial_state() declares {declared}')


class FixedStep(Step):
    """Draws that depend on purpose and shape alone, for a batch whose samples are `index` of `count` base samples.

    A batch that is permuted or repeated thus gets its draws permuted or repeated. `drawn` notes what was asked for.
    """

    def __init__(
        self,
        state: Mapping[str, float],
        dtype: torch.dtype = torch.float64,
        count: int = COUNT,
        index: Tensor | None = None,
        labels: Labels | None = None,
        codes: DrawnCodes | None = None,
    ) -> None:
        self.state = DeclaredState({name: torch.tensor(value, dtype=dtype) for name, value in state.items()})
        self.observed: dict[str, Tensor] = {}
        self.labels = labels
        self.codes = codes
        self.drawn: list[tuple[str, tuple[int, ...]]] = []
        self._dtype = dtype
        self._count = count
        self._index = torch.arange(count) if index is None else index

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return self._draw(torch.randn, purpose, shape)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        return self._draw(torch.rand, purpose, shape)

    def _draw(self, law: Callable[..., Tensor], purpose: str, shape: tuple[int, ...]) -> Tensor:
        self.drawn.append((purpose, tuple(shape)))
        generator = torch.Generator().manual_seed(address("contract", purpose))
        batches, left = divmod(shape[0], len(self._index)) if shape else (0, 1)
        if left or not batches:  # not one value per sample: the check of the draws tells it
            return law(shape, generator=generator, dtype=self._dtype)
        base = law((batches * self._count, *shape[1:]), generator=generator, dtype=self._dtype)
        return base[in_batches(self._index, batches, self._count)]


def in_batches(index: Tensor, batches: int, count: int) -> Tensor:
    """Return `index` for each of so many batches of `count` samples that lie one after the other."""
    return torch.cat([index + batch * count for batch in range(batches)])


def conditions(count: int, sizes: Sequence[int] = LABELS, start: int = 0) -> Tensor:
    """Return the one-hots of `count` samples' labels, N x K float64: no two factors change in step."""
    index = torch.arange(start, start + count)
    hot = [
        torch.eye(size, dtype=torch.float64)[(index + index // 2 * place) % size] for place, size in enumerate(sizes)
    ]
    return torch.cat(hot, dim=1)


def pictures(count: int, start: int = 0) -> Tensor:
    """Return the input images of `count` samples, N x 3 x R x R float64: no two are alike."""
    generator = torch.Generator().manual_seed(address("contract", "pictures"))
    shape = (start + count, 3, RESOLUTION, RESOLUTION)
    return torch.rand(shape, generator=generator, dtype=torch.float64)[start:] * 2 - 1


def drawn_codes(count: int, start: int = 0) -> Tensor:
    """Return the codes of `count` samples, N x `CODES.width` float64."""
    index = torch.arange(start, start + count, dtype=torch.float64)
    continuous = [torch.cos((2 + place) * index) for place in range(CODES.continuous)]
    return torch.cat([conditions(count, CODES.categorical, start), torch.stack(continuous, dim=1)], dim=1)


def answers_of(objective: Objective) -> int:
    """Return how many numbers D returns beside its score, for an objective that recognises labels or codes."""
    return objective.answers(CODES) if objective.needs == "codes" else sum(LABELS)


@dataclass(frozen=True)
class Variant:
    """An objective with settings to try it with, and a state to try it in, away from where its state starts."""

    objective: Objective
    settings: Mapping[str, Any]
    state: Mapping[str, float]

    @classmethod
    def of(cls, objective: type[Objective], settings: Mapping[str, Any], state: Mapping[str, float]) -> Variant:
        """Make an objective with settings; its state is `state`, or moved from its start where that says nothing."""
        made = objective.model_validate(dict(settings))
        moved = {name: value + 0.3 for name, value in made.initial_state().items()}
        return cls(made, dict(settings), moved | dict(state))

    def step(self, dtype: torch.dtype = torch.float64, count: int = COUNT, index: Tensor | None = None) -> FixedStep:
        """Return a step for a batch of `count` samples, or for the samples `index` of it.

        With labels or codes where the objective needs them.
        """
        labels = codes = None
        if self.objective.needs == "codes":
            numbers = drawn_codes(count).to(dtype)
            codes = DrawnCodes(numbers if index is None else numbers[index], CODES)
        if self.objective.needs == "labels":
            hot = conditions(count).to(dtype)
            labels = Labels(hot if index is None else hot[index], LABELS)
        return FixedStep(self.state, dtype, count, index, labels, codes)


def variants(cls: type[Objective]) -> list[Variant]:
    """Return the defaults, the authors' settings, the card's golden ones, and the other values of every switch."""
    candidates: list[tuple[Mapping[str, Any], Mapping[str, float]]] = [({}, {}), (cls.card.published.settings, {})]
    candidates += [(golden.settings, golden.state) for golden in cls.card.golden]
    for name, info in cls.model_fields.items():
        values = (True, False) if info.annotation is bool else ()
        if get_origin(info.annotation) is Literal:
            values = get_args(info.annotation)
        candidates += [({name: value}, {}) for value in values]
    tried: list[Variant] = []
    for settings, golden_state in candidates:
        try:
            variant = Variant.of(cls, settings, golden_state)
        except ValidationError:
            continue  # the check of the settings tells it
        if not any(variant.objective == other.objective and variant.state == other.state for other in tried):
            tried.append(variant)
    return tried


@dataclass(frozen=True)
class Loss:
    """One of an objective's losses, as a function of a step; `player` minimises it."""

    name: str
    player: Literal["D", "G", "both"]
    terms: Callable[[Step], Terms]


def losses_on(
    objective: Objective, D: Any, G: Any, real: Tensor, fake: Tensor, generate: Callable[[], Tensor]
) -> list[Loss]:
    """Return an objective's losses; `fake` carries no graph, `generate` makes the same images with G's."""
    if objective.updates == "joint":
        return [Loss("joint_loss", "both", lambda step: objective.joint_loss(D, G, real, step))]
    losses = [Loss("discriminator_loss", "D", lambda step: objective.discriminator_loss(D, real, fake, step))]
    if objective.has_penalty():
        losses.append(Loss("discriminator_penalty", "D", lambda s: objective.discriminator_penalty(D, real, fake, s)))
    return [*losses, Loss("generator_loss", "G", lambda step: objective.generator_loss(D, generate(), real, step))]


class Scene:
    """Small networks D and G under an objective's head, away from their tiny initial weights, and a batch of 6.

    `fake` are G's images of `z`, without a graph. As in the loop, losses get functions, not modules, and D's outputs
    are widened. Where the objective needs labels or input images, or `labelled` asks for labels, both networks are
    told the batch's `condition`; where it needs codes, G is given `codes`.
    """

    def __init__(
        self,
        variant: Variant,
        *,
        dtype: torch.dtype = torch.float64,
        norm: Norm | None = None,
        labelled: bool = False,
    ) -> None:
        objective = variant.objective
        pictured = objective.needs == "input"
        labelled = not pictured and (labelled or objective.needs == "labels")
        self.variant = variant
        self.dtype = dtype
        G, D = build_networks(
            resolution=RESOLUTION,
            width=WIDTH,
            latent=LATENT,
            head=objective.head,
            norm=norm or controlled_norm(objective),
            seed=3,
            factor_sizes=LABELS if labelled else (),
            conditioning=objective.conditioning if labelled or pictured else "none",
            codes=CODES if objective.needs == "codes" else None,
            answers=objective.answers(CODES),
            pictures=pictured,
        )
        self.condition: Tensor | None = None
        if labelled or pictured:
            self.condition = (pictures if pictured else conditions)(COUNT).to(dtype)
        self.codes = drawn_codes(COUNT).to(dtype) if objective.needs == "codes" else None
        self.G, self.D = G.to(dtype), D.to(dtype)
        generator = torch.Generator().manual_seed(7)
        self.real = torch.rand(COUNT, 3, RESOLUTION, RESOLUTION, generator=generator, dtype=dtype) * 2 - 1
        self.z = torch.randn(COUNT * objective.fakes_per_real, LATENT, generator=generator, dtype=dtype)
        with torch.no_grad():
            for parameter in [*self.G.parameters(), *self.D.parameters()]:
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.15, generator=generator)
            self.fake = self.generate(self.z)
        D.power_iteration(30)

    def judge(self, index: Tensor | None = None) -> Network:
        """Return D as losses call it on the batch, or on the samples `index` of it: in fp32 or wider."""

        def answer(*given: Tensor) -> Any:
            out = self.D(*given)
            return type(out)(*(widened(part) for part in out)) if isinstance(out, tuple) else widened(out)

        return told(answer, self._condition_of(index))

    def generate(self, z: Tensor) -> Tensor:
        """Return G's images of the batch."""
        images: Tensor = told(self.G, self.condition if self.codes is None else self.codes)(z)
        return images

    def _condition_of(self, index: Tensor | None) -> Tensor | None:
        return self.condition if self.condition is None or index is None else self.condition[index]

    def step(self, index: Tensor | None = None) -> FixedStep:
        """Return a step for the batch, or for the samples `index` of it."""
        step = self.variant.step(self.dtype, COUNT, index)
        condition = self._condition_of(index)
        if step.labels is not None and condition is not None:
            step.labels = Labels(condition, LABELS)
        return step

    def losses(self, index: Tensor | None = None) -> list[Loss]:
        """Return the objective's losses on the batch, or on the samples `index` of it."""
        objective = self.variant.objective
        if index is None:
            return losses_on(
                objective, self.judge(), self.generate, self.real, self.fake, lambda: self.generate(self.z)
            )
        fakes = in_batches(index, objective.fakes_per_real, COUNT)
        real, fake = self.real[index], self.fake[fakes]
        G = told(self.G, self._condition_of(index))
        return losses_on(objective, self.judge(index), G, real, fake, lambda: self.generate(self.z)[fakes])


def controlled_norm(objective: Objective) -> Norm:
    """Return the norm that the controlled protocol gives D, or the first that the objective allows."""
    allowed = objective.allowed_norms()
    return "layer" if "layer" in allowed else allowed[0]


def total(terms: Terms) -> Tensor:
    """Return the sum that a player minimises."""
    return torch.stack(list(terms.values())).sum()
