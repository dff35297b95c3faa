"""What bench.toml holds, as frozen, strict models; `reading.py` makes them from the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bench.config.claims import Claim
from bench.config.clusters import ClusterSettings
from bench.config.predictions import Prediction
from bench.config.recipe import RecipeOverrides, Table
from bench.data import DataRequest
from bench.errors import BenchError, suggest
from bench.metrics.settings import EvaluationSettings
from bench.networks.switches import (
    Activation,
    GeneratorNorm,
    Initialisation,
    LatentLaw,
    Layers,
    Network,
    OutputLaw,
    Patch,
    Switches,
    Widths,
)

if TYPE_CHECKING:
    from bench.networks.codes import Codes

Protocol = Literal["controlled", "published", "custom"]
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
MOST_STEPS = 10**9  # a thousand times what GANs are trained for
WIDEST_DCGAN = 512
_OTHER_STEPS = re.compile(r"(.+)\.steps-([1-9][0-9]{0,8})")
_OTHER_BACKBONE = re.compile(r"(.+)\.on-([A-Za-z0-9][A-Za-z0-9_+-]{0,31})")


class CodesTable(Table):
    """What an image is generated from beside the latent: uniform, and meant to be read off it again (docs/codes.md).

    categorical   how many values each categorical code has, one after the other: [10], or [6, 5, 4]
    continuous    how many numbers on [-1, 1]
    """

    categorical: tuple[Annotated[int, Field(ge=2, le=1000)], ...] = ()
    continuous: int = Field(0, ge=0, le=100)

    @model_validator(mode="after")
    def _has_some(self) -> CodesTable:
        if not self.categorical and not self.continuous:
            raise ValueError("has no code: give categorical, such as [10], or continuous, such as 2")
        return self


class Backbone(Table):
    """The network that every row shares; a DCGAN's depth follows the data's resolution.

    width              channels of the maps at half the resolution, doubled at every further halving (DCGAN: 64); of an
                       mlp the units of a hidden layer
    latent             numbers that an image is generated from
    latent_law         what they are drawn from: `normal` N(0, 1), `uniform` on [-1, 1], or `unit`, uniform on [0, 1]
    codes              further numbers that it is generated from, see the table codes (not given: none)
    network            `dcgan`, or `mlp`: fully connected, with biases, He's initial weights and no norm in G
    generator_network  G's network, where it is another (not given: `network`)
    generator_width    G's width (not given: `width`)
    generator_widths   G's `widths` (not given: `widths`)
    depth              hidden layers of an mlp (not given: 4)
    generator_norm     normalisation in G (not given: batch in a dcgan, none in an mlp)
    widths             channels of a dcgan: doubled at every halving of the map, or constant
    activation         `relu`: ReLU in G, LeakyReLU 0.2 in D. In both alike: `plain-relu`, `tanh`, `softplus`
                       (softplus(2x + 2) / 2 - 1) or `gated` (tanh(a) sigmoid(b), of twice the channels)
    bias               biases in all layers (not given: in an mlp alone)
    initialisation     first weights: `normal` N(0, 0.02), or `xavier` and `kaiming` as torch.nn.init's normal laws,
                       which count a transposed convolution's outputs as its inputs (not given: normal in a dcgan,
                       kaiming in an mlp)
    output             G's last function: `tanh`, `sigmoid` (2 sigmoid - 1, on pixels in [-1, 1]), or `linear`, which
                       is clipped where images become pixels
    skips              in a study with input images: whether G's decoder also takes the maps of its encoder
    patch              D scores the whole image, or each patch of 46 or of 22 pixels a side (not given: `whole`)
    """

    width: int = Field(64, ge=4, le=4096)
    latent: int = Field(100, ge=1, le=4096)
    latent_law: LatentLaw = "normal"
    network: Network = "dcgan"
    generator_network: Network | None = None
    generator_width: int | None = Field(None, ge=4, le=4096)
    generator_widths: Widths | None = None
    depth: int | None = Field(None, ge=1, le=64)
    generator_norm: GeneratorNorm | None = None
    widths: Widths = "doubling"
    activation: Activation = "relu"
    bias: bool | None = None
    initialisation: Initialisation | None = None
    output: OutputLaw = "tanh"
    skips: bool = True
    patch: Patch = "whole"
    codes: CodesTable | None = None

    later: ClassVar[frozenset[str]] = frozenset((*(field.name for field in fields(Switches)), "codes"))

    @model_validator(mode="after")
    def _without_contradiction(self) -> Self:
        players = {"dcgan", "mlp"} & {self.network, self.generator_network or self.network}
        if "mlp" not in players and self.depth is not None:
            raise ValueError("depth counts the hidden layers of an mlp; a dcgan's follows the data's resolution")
        if "dcgan" not in players and (self.widths != "doubling" or self.generator_widths is not None):
            raise ValueError("widths are a dcgan's; all hidden layers of an mlp have `width` units")
        if self.network == "mlp" and self.patch != "whole":
            raise ValueError("patch is a dcgan's; an mlp sees whole images")
        for player, layers in (("width", self._layers[0]), ("generator_width", self._layers[1])):
            if layers.network == "dcgan" and layers.width > WIDEST_DCGAN:
                raise ValueError(f"{player} of a dcgan is at most {WIDEST_DCGAN}; it is {layers.width}")
        return self

    @property
    def switches(self) -> Switches:
        """Return what differs from DCGAN, as `bench.build_networks` takes it."""
        return Switches(**{field.name: getattr(self, field.name) for field in fields(Switches)})

    @property
    def drawn_codes(self) -> Codes | None:
        """The codes as networks take them."""
        if self.codes is None:
            return None
        from bench.networks.codes import Codes  # brings torch, which nothing that only reads plans needs

        return Codes(self.codes.categorical, self.codes.continuous)

    @property
    def _layers(self) -> tuple[Layers, Layers]:
        return self.switches.discriminator(self.width), self.switches.generator(self.width)


class OtherBackbone(Backbone):
    """A further backbone that a study is trained on: its keys stand above those of [study.NAME.backbone].

    name   what it is called; the study on it is NAME.on-<name>
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]{0,31}$")


class Budget(Table):
    """What every row may spend, and how its learning rates fall.

    generator_steps   steps of G in a run, the same for every row; steps of D follow from the recipe
    batch             real images in a discriminator step, and generated ones
    halve_every       both learning rates are halved after every so many generator steps
    """

    generator_steps: int = Field(ge=1, le=MOST_STEPS)
    batch: int = Field(64, ge=1, le=1 << 20)
    halve_every: int = Field(ge=1, le=MOST_STEPS)


class Training(Table):
    """How runs are carried out.

    ema_decay   how slowly the averaged generator (`ema`) follows the raw one, per generator step
    snapshots   how many generators are saved: at the end, half-way, at a quarter, ...
    log_every   generator steps from one line of a run's log to the next
    precision   arithmetic of training: fp32, or bf16 where the device's convolutions have it
    engine      how an iteration runs: `auto` replays CUDA graphs on a CUDA device and is eager elsewhere
    threads     threads of a run on a CPU; another number gives other bits
    """

    ema_decay: float = Field(0.999, ge=0, lt=1)
    snapshots: int = Field(5, ge=1, le=20)
    log_every: int = Field(50, ge=1, le=MOST_STEPS)
    precision: Literal["fp32", "bf16"] = "fp32"
    engine: Literal["auto", "eager", "compiled", "graph"] = "auto"
    threads: int = Field(1, ge=1, le=1024)


class Entry(Table):
    """One row of a study. A recipe of its own makes its protocol `custom`; how D is told labels alone does not.

    objective   an objective's name, or the path of a file of one's own
    label       what the row is called, unique in the study (not given: the objective's name)
    """

    objective: str
    label: str
    settings: dict[str, Any] = Field(default_factory=dict)
    recipe: RecipeOverrides | None = None

    @property
    def custom(self) -> bool:
        """Tell whether its recipe is its own: how D is told labels is a part of the row, as the objective is."""
        return self.recipe is not None and bool(self.recipe.model_dump(exclude_none=True, exclude={"conditioning"}))


class Study(Table):
    """One comparison: what `[study.<name>]` resolves to.

    objectives          the rows: names, or tables such as `{objective = "wgan-gp", penalty_weight = 1.0}`
    learning_rates      every row once at each of these rates, labelled such as `nsgan@0.0002`
    protocols           under which the rows are trained: `controlled`, `published` (the authors' recipes) or both
    seeds               seeds of the runs: a list, or text such as `"0-4"` or `"0-2,7"`
    baseline            the label of the row that others are compared with
    twin_seeds          the baseline once more, on these seeds, for an A/A comparison with itself
    primary_metric      the metric that ranks and carries verdicts
    secondary_metrics   metrics that the tables show beside it
    generator           which generator is ranked, the raw or the averaged one
    backbones           further backbones that the study is trained on, each a table of a `name` and the keys of
                        [study.NAME.backbone] that it changes: `bench run` trains NAME.on-<name> too, a study of its
                        own, and the report of NAME says which objectives survive which
    settings            objectives' settings, given to every row whose objective has them
    predictions         what is expected, written down before the runs: see [[study.NAME.predictions]]
    """

    name: str
    title: str = Field(description="what the report is headed with")
    notice: str | None = Field(None, description="a warning that stands over every page of the report")
    caption: str = Field("", description="a sentence under the report's tables")
    objectives: tuple[Entry, ...] = Field(min_length=1)
    learning_rates: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    protocols: tuple[Literal["controlled", "published"], ...] = ("controlled",)
    seeds: tuple[int, ...] = Field(min_length=1)
    baseline: str = "nsgan"
    twin_seeds: tuple[int, ...] = ()
    primary_metric: str = "fd_lite0"
    secondary_metrics: tuple[str, ...] = ()
    generator: Literal["raw", "ema"] = "raw"
    data: DataRequest
    backbone: Backbone = Backbone()
    backbones: tuple[OtherBackbone, ...] = ()
    recipe: RecipeOverrides = RecipeOverrides()
    settings: dict[str, Any] = Field(default_factory=dict)
    budget: Budget
    training: Training = Training()
    evaluation: EvaluationSettings = EvaluationSettings()
    predictions: tuple[Prediction, ...] = ()

    @property
    def twin_label(self) -> str:
        """Return what the baseline's runs on `twin_seeds` are called."""
        return f"{self.baseline}-twin"


@dataclass(frozen=True)
class Config:
    """A read bench.toml: its studies, clusters and claims, in the file's order."""

    path: Path
    default_study: str
    studies: Mapping[str, Study]
    clusters: Mapping[str, ClusterSettings] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def study(self, name: str | None) -> Study:
        """Return a study by name (None: the default). Raises BenchError, with near misses, for an unknown one.

        "NAME.steps-N" is the study NAME with N generator steps in place of its own: a study of its own, with its own
        folder of runs. So is "NAME.on-BACKBONE", the study NAME on one of its `backbones`.
        """
        wanted = name or self.default_study
        if wanted in self.studies:
            return self.studies[wanted]
        if (other := _OTHER_STEPS.fullmatch(wanted)) and defined_name(wanted, self.studies) in self.studies:
            return at_steps(self.study(other[1]), int(other[2]))
        if (other := _OTHER_BACKBONE.fullmatch(wanted)) and other[1] in self.studies:
            return on_backbone(self.studies[other[1]], other[2])
        raise BenchError(
            f'{self.path} has no study "{wanted}"{suggest(wanted, self.studies)}',
            hint=f"It has: {', '.join(self.studies)}.",
        )


def defined_name(name: str, defined: Collection[str]) -> str:
    """Return which study of a file a name stands for: NAME of "NAME.on-BACKBONE.steps-N", where none is called that."""
    for suffix in (_OTHER_STEPS, _OTHER_BACKBONE):
        other = suffix.fullmatch(name)
        name = other[1] if other is not None and name not in defined else name
    return name


def at_steps(study: Study, steps: int) -> Study:
    """Return the study with other generator steps: another study, "NAME.steps-N"; as it is where they are its own.

    What is predicted is predicted of the study's own steps: the other study has no predictions.
    """
    if steps == study.budget.generator_steps:
        return study
    budget = study.budget.model_copy(update={"generator_steps": steps})
    title = f"{study.title}, at {steps:,} generator steps"
    name = f"{study.name}.steps-{steps}"
    return study.model_copy(update={"name": name, "title": title, "budget": budget, "predictions": ()})


def on_backbone(study: Study, name: str) -> Study:
    """Return the study on another of its backbones: another study, "NAME.on-BACKBONE", in all else as it is.

    What is predicted is predicted of the study's own backbone: the other study has no predictions. Raises BenchError
    for a name that its `backbones` have not.
    """
    backbones = {other.name: other for other in study.backbones}
    if name not in backbones:
        raise BenchError(
            f'Study "{study.name}" has no backbone "{name}"{suggest(name, backbones)}',
            hint=f"Its `backbones` are: {', '.join(backbones) or 'none'}.",
        )
    backbone = Backbone.model_validate(backbones[name].model_dump(exclude={"name"}))
    steps = _OTHER_STEPS.fullmatch(study.name)
    changes = {
        "name": f"{steps[1]}.on-{name}.steps-{steps[2]}" if steps else f"{study.name}.on-{name}",
        "title": f"{study.title}, on {name}",
        "backbone": backbone,
        "backbones": (),
        "predictions": (),
    }
    return study.model_copy(update=changes)


def names_on_backbones(study: Study) -> dict[str, str]:
    """Return what the study is called on each of its other backbones, by their names."""
    return {one.name: on_backbone(study, one.name).name for one in study.backbones}


def expanded_entries(study: Study, entries: Sequence[Entry] | None = None) -> list[Entry]:
    """Return the study's entries, or these; with `learning_rates`, one of each per rate, labelled `nsgan@0.0002`."""
    entries = study.objectives if entries is None else entries
    if not study.learning_rates:
        return list(entries)
    return [
        entry.model_copy(
            update={
                "label": f"{entry.label}@{rate:g}",
                "recipe": (entry.recipe or RecipeOverrides()).model_copy(update={"learning_rate": rate}),
            }
        )
        for entry in entries
        for rate in study.learning_rates
    ]
