"""What a run is likely to cost, before it has run.

Measured where a like run has finished or `bench plan --calibrate` has timed its steps here; else the convolutions'
arithmetic, times what the objective's step costs relative to nsgan's, at a rate that is only a guess of the machine.
Never imports torch, so that it can be asked anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from bench.config.recipe import Recipe
from bench.errors import BenchError
from bench.files import read_json
from bench.networks.switches import HALVINGS, Layers
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import ObjectiveSpec, RunSpec, TrainingSpec
from bench.runs.remaining import START_SECONDS

# Multiply-adds a second that training reaches on one core and on a data-centre GPU, in fp32. Rough on purpose.
GUESSED_RATE = {"cpu": 2.0e10, "cuda": 5.0e12, "mps": 5.0e11}
# What a step of either network takes besides them: small networks are bound by memory and Python. On one core a step at
# width 16 is a third above the arithmetic (docs/cost.md); without this, costly objectives would look costlier there.
BESIDES_SECONDS = {"cpu": 0.01, "cuda": 0.0, "mps": 0.0}
# Multiply-adds that an extractor takes for one image.
EXTRACTOR_MULTIPLY_ADDS = {"inception": 5.7e9, "lite0": 4.0e8, "judge": 6.0e6}
EVALUATION_START_SECONDS = 10.0  # loading extractors, neighbours, pictures
COST_FILE = Path(__file__).parent / "objective_cost.json"
CALIBRATION_FILE = "calibration.json"

# What changes a run's numbers and not its time.
_TIMELESS = {
    "recipe": {"learning_rate_discriminator", "learning_rate_generator", "betas", "alpha", "epsilon", "weight_decay"},
    "training": {"ema_decay", "snapshots", "log_every"},
}


@dataclass(frozen=True)
class Cost:
    """An estimate of a run's training in seconds on one device. `known_from` is where its step's time comes from.

    `evaluation_seconds` is what measuring a like run took; None before one was measured.
    """

    seconds: float
    known_from: Literal["finished run", "calibration", "arithmetic"]
    evaluation_seconds: float | None = None

    @property
    def measured(self) -> bool:
        """Tell whether the step was timed on this machine."""
        return self.known_from != "arithmetic"


class Estimates:
    """What runs will take on a type of device: by finished runs of the same kind, by calibration, or by arithmetic.

    `calibration` maps `kind_of_step` to seconds a generator step, as `read_calibration` returns it. Each finished run
    is read at most once, and none before it is needed.
    """

    def __init__(self, runs_root: Path, device_type: str, calibration: Mapping[str, float] | None = None) -> None:
        self._runs_root = runs_root
        self._device_type = device_type
        self._calibration = calibration or {}
        self._known: dict[Path, dict[str, Status]] = {}
        self._unread: dict[Path, Iterator[Path]] = {}

    def __call__(self, run: RunSpec) -> Cost:
        """Return what training `run` will take."""
        steps, kind = run.training.budget.generator_steps, kind_of_step(run.training)
        like = self._finished(self._runs_root / run.study / run.folder.parent, kind)
        if like is not None:
            seconds_per_step = like.device_seconds / max(like.generator_steps, 1)
            return Cost(START_SECONDS + steps * seconds_per_step, "finished run", like.evaluation_seconds or None)
        timed = self._calibration.get(kind)
        if timed is not None:
            return Cost(START_SECONDS + steps * timed, "calibration")
        besides = BESIDES_SECONDS[self._device_type] * (1 + _steps_of_discriminator(run.training.recipe))
        step = multiply_adds(run.training) / GUESSED_RATE[self._device_type] + besides
        return Cost(START_SECONDS + steps * step, "arithmetic")

    def _finished(self, row: Path, kind: str) -> Status | None:
        """Return the status of the first run of a row that is done, on such a device, with steps of this kind."""
        known = self._known.setdefault(row, {})
        if row not in self._unread:
            self._unread[row] = iter(sorted(row.glob("seed-*")))
        while kind not in known and (path := next(self._unread[row], None)) is not None:
            folder = RunFolder(path)
            try:
                status = folder.status()
                if status.state == "done" and (status.device or "").startswith(self._device_type):
                    known.setdefault(kind_of_step(RunSpec.read(folder.spec_file).training), status)
            except BenchError:
                continue  # a damaged run tells nothing
        return known.get(kind)


def guessed_evaluation_seconds(run: RunSpec, device_type: str) -> float:
    """Return what measuring a trained run will take, by arithmetic: generated images times their extractors' cost."""
    settings = run.evaluation
    images = (run.training.training.snapshots - 1) * settings.snapshot_samples
    images += len(settings.generators) * settings.sample_seeds * settings.samples
    adds = sum(EXTRACTOR_MULTIPLY_ADDS.get(extractor, 0.0) for extractor in settings.extractors)
    return EVALUATION_START_SECONDS + images * adds / GUESSED_RATE[device_type]


def kind_of_step(training: TrainingSpec) -> str:
    """Return what runs have in common whose steps take equally long."""
    values = training.model_dump(mode="json", exclude=_TIMELESS)
    values["batch"], values["resolution"] = values.pop("budget")["batch"], values.pop("data")["resolution"]
    if training.data.input is not None:
        values["pictures"] = True
    del values["seed"]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read_calibration(runs_root: Path, machine: str) -> dict[str, float]:
    """Return the seconds per generator step that were timed on `machine`, by kind of step; {} before any were."""
    path = runs_root / CALIBRATION_FILE
    found: dict[str, float] = read_json(path).get(machine, {}) if path.is_file() else {}
    return found


def multiply_adds(training: TrainingSpec) -> float:
    """Return the multiply-adds of one iteration: every discriminator step and the generator step, on average.

    A backward pass counts twice a forward one, half of that where no weight gradient is needed. What an objective does
    beyond nsgan's step is taken from its measured ratio, and counted once per discriminator step.
    """
    resolution, backbone = training.data.resolution, training.backbone
    of_g, of_d = (player(backbone.width) for player in (backbone.switches.generator, backbone.switches.discriminator))
    generator = _decoder_multiply_adds(of_g, resolution, backbone.latent)
    discriminator = _trunk_multiply_adds(of_d, resolution)
    if training.data.input is not None:  # the encoder's halvings, and what the decoder takes from them
        generator += (2 if backbone.skips else 1) * _trunk_multiply_adds(of_g, resolution)
    discriminator_step, generator_step = 6 * discriminator, 3 * generator + 2 * discriminator
    extra = (_ratio(training.objective) - 1) * (discriminator_step + generator_step)
    steps = training.recipe.discriminator_steps
    # The last discriminator step shares its batch of fakes with the generator step.
    alone = steps * (discriminator_step + extra) + (steps - 1) * generator
    return training.budget.batch * (alone / training.recipe.generator_steps_per_iteration + generator_step)


def read_costs(path: Path = COST_FILE) -> dict[str, Any] | None:
    """Return what benchmarks/objective_cost.py measured; None before it has run."""
    return read_json(path) if path.is_file() else None


def cost_ratios(costs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return each objective's step time relative to nsgan's."""
    return {} if costs is None else {name: float(row["ratio"]) for name, row in costs["rows"].items()}


@lru_cache
def _known_ratios() -> Mapping[str, float]:
    return cost_ratios(read_costs())


def _ratio(objective: ObjectiveSpec) -> float:
    """Return a step's time relative to nsgan's; of one that was not timed, its base's."""
    known = _known_ratios()
    return known.get(objective.name, known.get(str(objective.settings.get("base")), 1.0))


def _steps_of_discriminator(recipe: Recipe) -> float:
    """Return how many discriminator steps a generator step comes with, on average."""
    return recipe.discriminator_steps / recipe.generator_steps_per_iteration


def _trunk_multiply_adds(layers: Layers, resolution: int) -> float:
    made = 2 if layers.activation == "gated" else 1  # channels that a gate takes for one
    if layers.network == "mlp":
        return made * layers.width * (3 * resolution**2 + (layers.depth - 1) * layers.width)
    total, channels, side, following = 0.0, 3, resolution, layers.width
    smallest = 4 if layers.patch == "whole" else resolution >> HALVINGS[layers.patch]
    while side > smallest:
        side //= 2
        total += side * side * 16 * channels * made * following
        channels, following = following, following * (1 if layers.widths == "constant" else 2)
    return total


def _decoder_multiply_adds(layers: Layers, resolution: int, latent: int) -> float:
    made = 2 if layers.activation == "gated" else 1
    if layers.network == "mlp":
        return _trunk_multiply_adds(layers, resolution) + made * latent * layers.width
    first = layers.width * (1 if layers.widths == "constant" else resolution // 8)
    return _trunk_multiply_adds(layers, resolution) + 16 * latent * made * first
