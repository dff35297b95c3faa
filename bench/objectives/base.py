"""What an objective is: a card, two losses, and what they need.

Conventions (reference: Goodfellow et al., arXiv 1406.2661, and each card): D is high on real images, its output has no
activation, every loss is minimised, and a batch is averaged. An objective is a frozen model whose fields are its
settings. Losses are pure functions of what they are given: they draw through `step`, never from torch's own streams,
and read no tensor's value, so that an iteration can be captured as a CUDA graph.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from bench.networks.backbone import Norm
from bench.networks.codes import Codes, DrawnCodes
from bench.networks.conditioning import Conditioning, Labels
from bench.networks.heads import Head

Terms = dict[str, Tensor]
"""Named scalar terms; a player minimises their sum, and each becomes a curve."""

Network = Callable[..., Any]
Side = Literal["real", "fake"]
ALL_NORMS: tuple[Norm, ...] = ("batch", "layer", "spectral", "none", "batch+spectral")
PER_SAMPLE_NORMS: tuple[Norm, ...] = ("layer", "spectral", "none")


@dataclass(frozen=True)
class Published:
    """The training recipe that the authors state; what they leave open is the field's default.

    `source` says in words where it is stated. `references` are the places that were read: "arXiv 1701.07875, algorithm
    1", or "owner/repository@commit:path#L30-L41" (without a path where only the commit is known). `not_found` says what
    was looked for and found nowhere, and so stands here by a choice of this project.
    """

    source: str
    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate_discriminator: float = 2e-4
    learning_rate_generator: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    discriminator_steps: int = 1
    norm: Norm = "batch"
    conditioning: Conditioning | None = None  # None: as the objective's own
    settings: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    not_found: str = ""


@dataclass(frozen=True)
class LeastBudget:
    """The generator steps below which a row says nothing about its objective, and why, in a sentence."""

    generator_steps: int
    reason: str


@dataclass(frozen=True)
class Golden:
    """Losses that the code must return, to six digits in float64, for given discriminator outputs.

    `real` and `fake` are one value per sample: logits under a score head, energies under an autoencoding one, vectors
    under an embedding one, and under a head that recognises labels a row of the score and all that is beside it; their
    `labels` are then one factor of `label_values` values, or one categorical code beside `continuous` ones.
    `mismatched` are the logits of the real samples under wrong labels. `penalty` is that of the discriminator
    C(x) = w x with w = `linear`. A joint objective gives `encoded` (mean and log-variance of one sample, reconstructed
    without error) and `joint`.
    """

    discriminator: float | None = None
    generator: float | None = None
    joint: float | None = None
    penalty: float | None = None
    linear: tuple[float, ...] = (3.0, 4.0)
    settings: Mapping[str, Any] = field(default_factory=dict)
    real: tuple[Any, ...] = (2.0, -1.0, 0.5)
    fake: tuple[Any, ...] = (0.3, -1.2, 0.7)
    encoded: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    state: Mapping[str, float] = field(default_factory=dict)
    state_after: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[int, ...] | None = None
    label_values: int = 3
    continuous: tuple[tuple[float, ...], ...] | None = None
    mismatched: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Card:
    """What the authors state about an objective. Equations are LaTeX without dollar signs."""

    title: str
    paper: str
    authors: str
    year: int
    arxiv: str
    family: str
    published: Published
    golden: tuple[Golden, ...]
    discriminator_loss: str | None = None
    generator_loss: str | None = None
    joint_loss: str | None = None
    notes: tuple[str, ...] = ()
    code_differences: tuple[str, ...] = ()
    controlled_notes: tuple[str, ...] = ()


class Step(ABC):
    """What a loss may ask for beside the networks and the batch: draws, its state, and a place to observe values.

    `labels` are those of the batch, of real and generated samples alike; None in a study without labels. D is told them
    outside the objective: only one whose losses compare D's answer with them (`needs` "labels") looks at them. `codes`
    are those of the generated images, None in a study without.
    """

    state: dict[str, Tensor]
    observed: dict[str, Tensor]
    labels: Labels | None = None
    codes: DrawnCodes | None = None

    @abstractmethod
    def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        """Draw N(0, 1) values addressed by (seed, purpose, step). The first axis of `shape` is the global batch."""

    @abstractmethod
    def uniform(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
        """Draw U(0, 1) values addressed by (seed, purpose, step). The first axis of `shape` is the global batch."""

    def observe(self, name: str, value: Tensor) -> None:
        """Note a scalar that nobody minimises, for the log and for `after_discriminator_step`."""
        self.observed[name] = value.detach()


class Objective(BaseModel, ABC):
    """A pair of losses and what they need. Subclass it in a file of its own; its fields are the settings.

    An alternating objective implements `discriminator_loss` and `generator_loss`; a joint one (`updates = "joint"`: one
    update of both networks counts as a generator step) implements `joint_loss`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    card: ClassVar[Card]
    head: ClassVar[Head] = "score"
    norms: ClassVar[tuple[Norm, ...]] = ALL_NORMS
    updates: ClassVar[Literal["alternating", "joint"]] = "alternating"
    latent_law: ClassVar[Literal["normal", "uniform"] | None] = None  # None: the study's
    fakes_per_real: ClassVar[int] = 1  # `fake` holds so many times the real batch
    needs: ClassVar[Literal["labels", "codes", "input"] | None] = None  # what a study must have
    conditioning: ClassVar[Conditioning] = "concat"  # how D is told labels where a recipe does not say
    stop_gradients: ClassVar[str] = ""  # what the losses hold constant on purpose, and where the paper says so
    duplication_invariant: ClassVar[bool] = True  # a batch given twice has the same losses; unbiased estimates differ
    on_purpose: ClassVar[Mapping[str, str]] = {}  # checks that the method means not to meet: "reach", ..., and why

    @classmethod
    def name(cls) -> str:
        """Return the objective's name: its file's, with hyphens."""
        file = sys.modules[cls.__module__].__file__
        assert file is not None
        return Path(file).stem.replace("_", "-")

    def discriminator_loss(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        """Return the discriminator's terms. `real` and `fake` are N x 3 x R x R in [-1, 1]; `fake` carries no graph.

        Sample i of both has the same condition, where a study has some. D's scores are N, or N x P in a study whose D
        judges P patches: average over all.
        """
        raise NotImplementedError

    def discriminator_penalty(self, D: Network, real: Tensor, fake: Tensor, step: Step) -> Terms:
        """Return terms that are added to the discriminator's, apart so that a study can take them lazily."""
        return {}

    def generator_loss(self, D: Network, fake: Tensor, real: Tensor, step: Step) -> Terms:
        """Return the generator's terms. `fake` carries G's graph; `real` is the last discriminator step's batch."""
        raise NotImplementedError

    def joint_loss(self, D: Network, G: Network, real: Tensor, step: Step) -> Terms:
        """Return the terms that both networks minimise together, for objectives whose `updates` is "joint"."""
        raise NotImplementedError

    def initial_state(self) -> dict[str, float]:
        """Return the start values of the scalars kept between steps; they are saved with the checkpoint."""
        return {}

    def after_discriminator_step(self, D: nn.Module, step: Step) -> None:
        """Act after the discriminator's optimiser step: clip weights, move `step.state` (in place)."""

    def least_budget(self, discriminator_steps: int) -> LeastBudget | None:
        """Return from which budget a row means something, at so many discriminator steps per generator step.

        None where any budget compares the objective's losses. `bench plan` warns below it.
        """
        return None

    def compressed_settings(self) -> dict[str, Any]:
        """Return settings that count steps, made so small that a run of a few steps shows what they do."""
        return {}

    def allowed_norms(self) -> tuple[Norm, ...]:
        """Return the norms that D may have under these settings."""
        return self.norms

    def answers(self, codes: Codes) -> int:
        """Return how many numbers D returns beside its score, where the objective `needs` codes."""
        return 0

    def takes_packs(self) -> bool:
        """Tell whether D can judge several images as one sample."""
        return self.head not in ("autoencoder", "encoder") and self.needs != "codes"

    def parts(self) -> tuple[str, ...]:
        """Return the names of the package's objectives that this one is set to build on."""
        return ()

    def has_penalty(self) -> bool:
        """Tell whether there is a penalty that can be taken lazily."""
        return type(self).discriminator_penalty is not Objective.discriminator_penalty

    def penalised_at(self) -> tuple[Side, ...]:
        """Return at which batches themselves the penalty takes D's gradient: one pass of D then serves it and the loss.

        It takes it by `input_gradient(D, real)`, or `fake`, of the very tensor that it is given.
        """
        return ()

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """Return the card with name, head, norms and settings as plain JSON values, for card.json."""
        values = asdict(cls.card)
        del values["golden"]
        if cls.card.published.conditioning is None:
            del values["published"]["conditioning"]
        settings = {
            name: {"default": info.get_default(call_default_factory=True), "description": info.description or ""}
            for name, info in cls.model_fields.items()
        }
        return {
            "name": cls.name(),
            **values,
            "head": cls.head,
            "norms": list(cls.norms),
            "updates": cls.updates,
            "fakes_per_real": cls.fakes_per_real,
            **({"needs": cls.needs} if cls.needs else {}),
            "settings": settings,
        }


def input_gradient(D: Network, images: Tensor) -> Tensor:
    """Return the gradient of D's scores with respect to each image, flattened: N x (3 R R), in fp32 or wider.

    Its graph is kept, so that a penalty on it can be minimised. D must treat samples independently. Images that are
    leaves and require a gradient are taken as they are, so that what a `CachedOutputs` said of them serves. Of scores
    of patches, N x P, it is the gradient of each image's mean score: it does not grow with their number.
    """
    with torch.autocast(images.device.type, enabled=False):
        ready = images.is_leaf and images.requires_grad
        points = images if ready else widened(images.detach()).requires_grad_()
        scores = D(points)
        if scores.dim() > 1:
            scores = scores.mean(1)
        (gradient,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
    return gradient.flatten(1)


def interpolated(real: Tensor, fake: Tensor, step: Step) -> Tensor:
    """Return points between real and generated images, one weight from U(0, 1) per sample."""
    weight = step.uniform("interpolation", (len(real), *(1,) * (real.dim() - 1))).to(real.dtype)
    return weight * real + (1 - weight) * fake


class CachedOutputs:
    """A discriminator that remembers what it said of which images, so that one pass serves several terms."""

    def __init__(self, D: Network) -> None:
        self._D = D
        self._said: list[tuple[Tensor, Any]] = []

    def __call__(self, images: Tensor, *other: Tensor) -> Any:
        if other:  # under another condition than the batch's
            return self._D(images, *other)
        for seen, out in self._said:
            if seen is images:
                return out
        out = self._D(images)
        self._said.append((images, out))
        return out


def widened(values: Tensor) -> Tensor:
    """Return values in fp32, or as they are in fp64: what sums over pixels and penalties are computed in."""
    return values if values.dtype == torch.float64 else values.float()
