"""What is learnt: Gaussian mixtures in the plane, some with labels, and stacked digits. Never imports torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.config.recipe import Recipe
from bench.errors import BenchError, suggest

Points = npt.NDArray[np.float64]

HIGH_QUALITY_DEVIATIONS = 3.0
"""A point is of high quality within so many standard deviations of its nearest centre (PacGAN, section 4.1)."""


# The networks in the plane: perceptrons, LeakyReLU in D, ReLU in G, no norm.
LATENT = 2
WIDTH = 64
GENERATOR_LAYERS = 3  # hidden ones
DISCRIMINATOR_LAYERS = 4
DISCRIMINATOR_SLOPE = 0.05
EMBEDDING = 16  # as in Binkowski et al. 2018; with the backbone's 128, mmd-gan's kernels would be most of its time

# The backbone on stacked digits.
RESOLUTION = 16
DIGITS_WIDTH = 16
DIGITS_LATENT = 100


@dataclass(frozen=True)
class Task:
    """A distribution with countable modes, and what every row may spend on it.

    `generator_steps` and `batch` are the shared protocol; `samples` generated samples are counted after the last step.
    """

    name: str
    title: str
    modes: int
    samples: int
    training_samples: int
    generator_steps: int
    batch: int
    recipe: Recipe
    seeds: str
    protocol: str


@dataclass(frozen=True)
class PointTask(Task):
    """A mixture of round Gaussians in the plane. The networks see points divided by `scale`.

    Without `classes` the Gaussians are equally likely. With them each point has one of so many equally likely labels,
    which both networks are told, and `classes` holds each label's shares of the Gaussians.
    """

    centres: tuple[tuple[float, float], ...]
    deviation: float
    scale: float
    classes: tuple[tuple[float, ...], ...] = ()

    @property
    def law(self) -> Points:
        """Return the share of each Gaussian, over all labels."""
        if not self.classes:
            return np.full(len(self.centres), 1 / len(self.centres))
        return np.asarray(np.asarray(self.classes).mean(axis=0), np.float64)

    @property
    def shared(self) -> npt.NDArray[np.bool_]:
        """Return which Gaussians more than one label has."""
        return np.asarray((np.asarray(self.classes) > 0).sum(axis=0) > 1, np.bool_)


SHARED_POINTS = Recipe(
    learning_rate_discriminator=6e-3, learning_rate_generator=6e-3, betas=(0.5, 0.9), discriminator_steps=1, norm="none"
)
# Enlarged digits have no detail of their own, so that D tells generated ones by their grain alone: without noise on
# what it sees, plain GANs learn nothing in so few steps.
SHARED_DIGITS = Recipe(
    learning_rate_discriminator=1e-3,
    learning_rate_generator=1e-3,
    betas=(0.5, 0.999),
    norm="layer",
    instance_noise=0.5,
)
HALVINGS = 4  # the learning rates halve after each quarter of a run

_POINT_PROTOCOL = (
    "100,000 training points, 2,500 generated ones counted. A point is of high quality within 3 standard deviations of "
    "its nearest centre; a mode is found with one such point; KL(generated || uniform) is over the high-quality "
    "points, each counted for its nearest centre."
)

RING = PointTask(
    name="ring",
    title="Ring: 8 Gaussians on the unit circle, standard deviation 0.01",
    modes=8,
    samples=2_500,
    training_samples=100_000,
    generator_steps=1_000,
    batch=240,
    recipe=SHARED_POINTS,
    seeds="0-9",
    protocol=_POINT_PROTOCOL,
    centres=tuple((math.cos(math.tau * k / 8), math.sin(math.tau * k / 8)) for k in range(8)),
    deviation=0.01,
    scale=1.0,
)
GRID = PointTask(
    name="grid",
    title="Grid: 25 Gaussians at {-4, -2, 0, 2, 4} x {-4, -2, 0, 2, 4}, standard deviation 0.05",
    modes=25,
    samples=2_500,
    training_samples=100_000,
    generator_steps=2_000,
    batch=240,
    recipe=SHARED_POINTS,
    seeds="0-9",
    protocol=_POINT_PROTOCOL,
    centres=tuple((float(x), float(y)) for x, y in product(range(-4, 5, 2), repeat=2)),
    deviation=0.05,
    scale=4.0,
)
_LABEL_PROTOCOL = (
    "As told: the share of points within 3 standard deviations of a centre that their label has. Labels go to G beside "
    "the latents, to D as a row says."
)
RING_LABELS = replace(
    RING,
    name="ring-labels",
    title="Ring, told: each of its 8 Gaussians is a label",
    seeds="0-2",
    protocol=f"{_POINT_PROTOCOL} {_LABEL_PROTOCOL}",
    classes=tuple(tuple(float(k == label) for k in range(8)) for label in range(8)),
)
OVERLAP = PointTask(
    name="overlap",
    title="Overlap: 3 Gaussians, standard deviation 0.2; both labels share the middle one",
    modes=3,
    samples=2_500,
    training_samples=100_000,
    generator_steps=2_000,
    batch=240,
    recipe=SHARED_POINTS.model_copy(
        update={"discriminator_steps": 3, "learning_rate_discriminator": 2e-3, "learning_rate_generator": 1e-3}
    ),
    seeds="0-2",
    protocol=(
        "The labels' shares of the Gaussians are .6, .4, 0 and 0, .4, .6. 100,000 training points, 2,500 generated "
        "ones counted, each for its nearest centre if it is within 3 standard deviations (high quality); KL(generated "
        f"|| data) is over these. In the middle: the share of these at the middle Gaussian. {_LABEL_PROTOCOL}"
    ),
    centres=((-1.0, 0.0), (0.0, 1.0), (1.0, 0.0)),
    deviation=0.2,
    scale=1.0,
    classes=((0.6, 0.4, 0.0), (0.0, 0.4, 0.6)),
)
STACKED = Task(
    name="stacked",
    title="Stacked digits: three digits in three colour channels, 1,000 triples",
    modes=1_000,
    samples=26_000,
    training_samples=128_000,
    generator_steps=2_000,
    batch=64,
    recipe=SHARED_DIGITS,
    seeds="0-4",
    protocol=(
        "1,797 digits of 8x8 pixels (scikit-learn), enlarged to 16x16; 128,000 training images, each channel a digit "
        "drawn independently; 26,000 generated images counted. A classifier reads each channel; a mode is a triple of "
        "digits and is found with one image; KL(generated || uniform) is over all images. High quality: each channel "
        "is as near to some real digit as 99 % of real digits are to another."
    ),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (RING, GRID, STACKED, RING_LABELS, OVERLAP)})


def find_task(name: str) -> Task:
    """Return a task by name. Raises BenchError for an unknown one."""
    if name not in TASKS:
        raise BenchError(f'There is no task "{name}"{suggest(name, TASKS)}', hint=f"There are: {', '.join(TASKS)}.")
    return TASKS[name]


def generator_of(*where: object) -> np.random.Generator:
    """Return NumPy's generator for an address, such as ("grid", "training", seed)."""
    digest = hashlib.sha256("/".join(map(str, where)).encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], np.uint64)))


def draw_points(task: PointTask, count: int, *where: object) -> Points:
    """Draw points of the mixture, count x 2, as a pure function of the address `where`; with labels, as `told` says."""
    random = generator_of(task.name, *where)
    if not task.classes:
        places = random.integers(len(task.centres), size=count)
    else:
        ends = np.asarray(task.classes).cumsum(axis=1)[told(task, count)]
        places = (random.random((count, 1)) >= ends[:, :-1]).sum(axis=1)
    return np.asarray(task.centres)[places] + task.deviation * random.standard_normal((count, 2))


def told(task: PointTask, count: int) -> npt.NDArray[np.int64]:
    """Return the labels of so many points, (count,): each in turn."""
    return np.arange(count) % max(1, len(task.classes))


def describe(task: Task) -> dict[str, Any]:
    """Return all of a task that decides a run's numbers, as JSON values."""
    values: dict[str, Any] = {
        "task": task.name,
        "modes": task.modes,
        "samples": task.samples,
        "training_samples": task.training_samples,
    }
    if isinstance(task, PointTask):
        values |= {"centres": [list(centre) for centre in task.centres], "deviation": task.deviation}
        values["scale"] = task.scale
        values |= {"classes": [list(law) for law in task.classes]} if task.classes else {}
    return values
