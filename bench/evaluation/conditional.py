"""Metrics of images that were told their labels: does each show what it was told, and does every class look real?

A *class* is a combination of the values of all factors. Labels are (N, F) numbers into `factors`, each factor's values
by name, as in `PreparedSet`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data.judge import KNOWN
from bench.evaluation.features import Features
from bench.evaluation.neighbours import compare, draw_subsets, generated_geometry, real_geometry

Factors = Mapping[str, tuple[str, ...]]
FEWEST_OF_CLASS = 10
"""Of how many images of each set a class needs to be measured by itself: its coverage looks at five neighbours."""

MOST_CLASSES = 50
"""Of how many classes each gets values of its own."""

_SURE = 0.9  # the judge's gate, of all factors that were told together
_LONGEST_NAME = 24


def label_weight(features: Tensor, factors: int) -> float:
    """Return the α that makes labels weigh as much as N x d features do: their mean length over that of the one-hots.

    DeVries et al. 2019, arXiv 1907.08175. The one-hots of F factors are √F long.
    """
    return float(features.double().norm(dim=1).mean()) / math.sqrt(factors)


def with_labels(features: Tensor, labels: npt.NDArray[np.uint8], sizes: Sequence[int], weight: float) -> Tensor:
    """Return N x (d + K) features, after each its labels: the one-hots of all factors times `weight`."""
    hot = [one_hot(labels[:, place], size) for place, size in enumerate(sizes)]
    return torch.cat([features, *(weight * one.to(features) for one in hot)], dim=1)


def one_hot(labels: npt.NDArray[np.uint8], size: int) -> Tensor:
    """Return N x `size` one-hots of labels (N,)."""
    return torch.eye(size)[torch.from_numpy(labels.astype(np.int64))]


def classes_of(labels: npt.NDArray[np.uint8], factors: Factors) -> npt.NDArray[np.int64]:
    """Return the number of each image's class, (N,)."""
    sizes = [len(values) for values in factors.values()]
    return np.asarray(np.ravel_multi_index(tuple(labels.astype(np.int64).T), sizes), np.int64)


def class_name(number: int, factors: Factors) -> str:
    """Return what metrics of one class are named after: "3.glasses-none", its number and its values.

    Letters and digits stay, what else a value holds becomes a dot; the number alone tells two classes apart.
    """
    places = np.unravel_index(number, [len(values) for values in factors.values()])
    told = "-".join(
        re.sub("[^A-Za-z0-9]+", ".", values[int(place)]).strip(".")
        for values, place in zip(factors.values(), places, strict=True)
    )
    return f"{number}.{told}"[:_LONGEST_NAME].rstrip(".-")


def measured_classes(*sets: npt.NDArray[np.int64]) -> list[int]:
    """Return the classes of which each set (the classes of its images) has at least FEWEST_OF_CLASS."""
    counted = (np.unique(kinds, return_counts=True) for kinds in sets)
    frequent = [set(kinds[counts >= FEWEST_OF_CLASS].tolist()) for kinds, counts in counted]
    return sorted(set.intersection(*frequent))


@dataclass(frozen=True)
class WithinClass:
    """KID of a class's generated images against its real ones, and the share of its real images that they cover."""

    kid: float
    coverage: float


def within_classes(
    generated: Tensor,
    told: npt.NDArray[np.int64],
    real: Tensor,
    real_classes: npt.NDArray[np.int64],
    measured: Sequence[int],
) -> dict[int, WithinClass]:
    """Measure N x d generated against M x d real features, class by class; each of them needs two images or more.

    KID is of one subset, as large as the smaller of both, which is all of them where they are equally many; so it is
    unbiased (arXiv 1801.01401) at any number. Coverage as in `neighbours.compare` (arXiv 2002.09797).
    """
    found = {}
    for number in measured:
        own, others = (
            features[torch.from_numpy(np.flatnonzero(kinds == number)).to(features.device)]
            for features, kinds in ((generated, told), (real, real_classes))
        )
        subsets = draw_subsets(len(own), len(others), min(len(own), len(others)), 1).on(own.device)
        real_own = real_geometry(others, subsets.real)
        compared = compare(own, others, generated_geometry(own, subsets.generated, real_own), real_own, subsets)
        found[number] = WithinClass(compared["kid"], compared["coverage"])
    return found


@dataclass(frozen=True)
class Read:
    """What the judge read of N images: `right` N x F, whether each factor is as told; `sure` N, of all of them."""

    right: npt.NDArray[np.bool_]
    sure: npt.NDArray[np.bool_]

    @property
    def all_right(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.right.all(axis=1))


def read_labels(features: Features, labels: npt.NDArray[np.uint8], factors: Factors, source: str) -> Read:
    """Hold what the judge of `source` answers of images against what they were told."""
    assert features.answers is not None
    assert features.certainty is not None
    columns = [list(KNOWN[source].factors).index(name) for name in factors]
    sure = features.certainty[:, columns].double().prod(dim=1) >= _SURE
    return Read(features.answers[:, columns].cpu().numpy() == labels, sure.cpu().numpy())
