"""The real images that generated ones are held against: which ones, their features, and what is computed of them once.

Held-out and training images are each put in one fixed order. With N samples asked for, the reference is the first N
held-out images (all of them where there are fewer), and the floor's "generated" images are the next N; where there are
not so many, the first N training images stand in and the lines say so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data import PreparedData, PreparedSet
from bench.data.sampler import epoch_order
from bench.errors import BenchError
from bench.evaluation.cache import Arrays, Cache
from bench.evaluation.conditional import classes_of, label_weight, measured_classes, with_labels
from bench.evaluation.contracts import SampleMetric
from bench.evaluation.degrading import AS_THEY_ARE, Degraded
from bench.evaluation.diversity import vendi_score
from bench.evaluation.features import Extractor, Features, Progress, extract
from bench.evaluation.frechet import Gaussian, fit
from bench.evaluation.nearest import Distances, Thumbnails, nearest_in_features, nearest_in_pixels, thumbnails
from bench.evaluation.neighbours import Geometry, Subsets, draw_subsets, real_geometry
from bench.evaluation.probe import Probe, fit_probe
from bench.evaluation.similarity import mean_similarity, pairs_of
from bench.metrics.settings import NEIGHBOURS_DENSITY_COVERAGE, EvaluationSettings, floor_split
from bench.runs.identity import code_hash
from bench.training.environment import device_name

Split = Literal["heldout", "train"]
T = TypeVar("T")
FEWEST_IMAGES = 50
_ORDER_SEED = 2020


@dataclass(frozen=True)
class Part:
    """Real images `start` to `stop` of a split, in its fixed order."""

    split: Split
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def require_measurable(data: PreparedData) -> None:
    """Raise BenchError where images are too few to be held against others, or too much alike."""
    for key, split, images in (
        ("data.heldout_count", "held-out", data.heldout),
        ("data.train_count", "training", data.train),
    ):
        if images.count < FEWEST_IMAGES:
            raise BenchError(
                f"{images.path} holds {images.count} {split} images; metrics need at least {FEWEST_IMAGES}",
                hint=f"Give more images; a study takes as many as its {key} says.",
            )
        different: set[bytes] = set()
        for image in images.images():
            different.add(hashlib.sha256(image).digest())
            if len(different) > NEIGHBOURS_DENSITY_COVERAGE:
                break
        else:
            raise BenchError(
                f"The {images.count} {split} images in {images.path} are copies of only {len(different)}; metrics "
                f"look at the {NEIGHBOURS_DENSITY_COVERAGE} nearest others of each",
                hint="Give others; a study takes those that its data.source and data.path name.",
            )


class Reference:
    """Real images and what is known of them, computed on demand and shared with other processes through a cache."""

    def __init__(
        self,
        settings: EvaluationSettings,
        data: PreparedData,
        extractors: tuple[Extractor, ...],
        data_root: Path,
        progress: Progress | None = None,
        own_metrics: Mapping[str, SampleMetric] | None = None,
    ) -> None:
        require_measurable(data)
        self.own_metrics = own_metrics or {}
        self.settings = settings
        self.extractors = extractors
        # Distances are float64, which devices other than these have not.
        on = extractors[0].device
        self.device = on if on.type in ("cuda", "cpu") else torch.device("cpu")
        self._code, self._feature_code = code_hash("evaluation"), code_hash("features")
        self.source = str(data.heldout.manifest["source"])
        self._sets: dict[Split, PreparedSet] = {"heldout": data.heldout, "train": data.train}
        self._cache = Cache(data_root / "cache" / "evaluation")
        self._progress = progress
        self._memory: dict[tuple[object, ...], Any] = {}

    @property
    def evaluation_code(self) -> str:
        """Return the hash of the code that makes metrics of these images."""
        return self._code

    @property
    def heldout_sha256(self) -> str:
        return self._sets["heldout"].sha256

    @property
    def drawn_with(self) -> int:
        """The seed of drawn faces."""
        return int(self._sets["heldout"].manifest["source_details"]["seed"])

    @property
    def input_kind(self) -> str | None:
        """What the input images of pairs are; None where there are none."""
        return self._sets["heldout"].input_kind

    @property
    def training_count(self) -> int:
        return self._sets["train"].count

    def heldout_part(self, samples: int) -> Part:
        """Return the reference for so many samples."""
        return Part("heldout", 0, min(samples, self._sets["heldout"].count))

    def training_part(self, samples: int) -> Part:
        """Return the training images for the distance to them."""
        return Part("train", 0, min(samples, self._sets["train"].count))

    def floor_part(self, samples: int) -> Part:
        """Return the real images that stand in for generated ones: held-out where there are enough, else training."""
        if floor_split(samples, self._sets["heldout"].count) == "heldout":
            return Part("heldout", samples, 2 * samples)
        return self.training_part(samples)

    def features(self, extractor: Extractor, part: Part) -> Features:
        """Return the features of real images."""
        return self._split_features(extractor, part.split).part(part.start, part.stop)

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """What the labels say: each factor's values by name; {} in a study without labels."""
        return self._sets["heldout"].factors

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """Return how many values each factor has."""
        return tuple(len(values) for values in self.factors.values())

    def labels(self, part: Part) -> npt.NDArray[np.uint8]:
        """Return the labels of real images, (N, F) numbers into `factors`, which must not be empty.

        Those of `heldout_part(n)` are what the first n samples of a generator were told.
        """
        labels = self._sets[part.split].labels()
        assert labels is not None
        return labels[self._order(part.split)[part.start : part.stop]]

    def told(self, samples: int) -> npt.NDArray[np.uint8] | None:
        """Return the labels of a generator's first samples, those of held-out images in turn; None without labels."""
        if not self.factors:
            return None
        labels = self.labels(self.heldout_part(self._sets["heldout"].count))
        return labels[np.arange(samples) % len(labels)]

    def measured_classes(self, samples: int) -> list[int]:
        """Return the classes that are measured one by one: the same of generated images and in the floor."""
        parts = self.heldout_part(samples), self.floor_part(samples)
        return measured_classes(*(classes_of(self.labels(part), self.factors) for part in parts))

    def subsets(self, generated: int, real: int) -> Subsets:
        """Return KID's subsets for so many generated and real images."""
        settings = self.settings
        return self._remembered(
            ("subsets", generated, real),
            lambda: draw_subsets(generated, real, settings.kid_subset_size, settings.kid_subsets).on(self.device),
        )

    def geometry(self, extractor: Extractor, part: Part, generated: int) -> Geometry:
        """Return the reference's own distances; KID's subsets depend on how many images were generated."""

        def compute() -> Arrays:
            subsets = self.subsets(generated, len(part)).real
            found = real_geometry(self.features(extractor, part).pool, subsets)
            numbers = torch.tensor([found.scale, found.mean_distance], dtype=torch.float64)
            return _arrays(nearest=found.nearest, kernel_sums=found.kernel_sums, numbers=numbers)

        key = {"generated": generated, "subsets": [self.settings.kid_subsets, self.settings.kid_subset_size]}
        found = self._statistics("geometry", extractor, part, key, compute)
        scale, mean_distance = found["numbers"].tolist()
        return Geometry(scale, found["nearest"], mean_distance, found["kernel_sums"])

    def gaussian(self, extractor: Extractor, part: Part) -> Gaussian:
        """Return the Gaussian fitted to real images' features."""
        found = self._statistics("gaussian", extractor, part, {}, lambda: _fitted(self.features(extractor, part).pool))
        return Gaussian(len(part), found["mean"], found["root"], float(found["trace"]))

    def joint_gaussian(self, extractor: Extractor, part: Part) -> Gaussian:
        """Return the Gaussian fitted to real images' features beside their labels."""

        def compute() -> Arrays:
            return _fitted(self.beside_labels(self.features(extractor, part).pool, self.labels(part), extractor, part))

        found = self._statistics("joint-gaussian", extractor, part, self._told_key(), compute)
        return Gaussian(len(part), found["mean"], found["root"], float(found["trace"]))

    def beside_labels(
        self, features: Tensor, labels: npt.NDArray[np.uint8], extractor: Extractor, part: Part
    ) -> Tensor:
        """Return N x (d + K) features with their labels, which weigh as much as the features of `part` do."""
        weight = self._remembered(
            ("label weight", extractor.label, part),
            lambda: label_weight(self.features(extractor, part).pool, len(self.factors)),
        )
        return with_labels(features, labels, self.factor_sizes, weight)

    def probe(self, extractor: Extractor, part: Part) -> Probe:
        """Return the classifier of labels that real images teach."""

        def compute() -> Arrays:
            found = fit_probe(self.features(extractor, part).pool, self.labels(part), self.factor_sizes)
            return _arrays(mean=found.mean, scale=found.scale, weights=found.weights, biases=found.biases)

        found = self._statistics("probe", extractor, part, self._told_key(), compute)
        return Probe(**found, sizes=self.factor_sizes)

    def vendi(self, extractor: Extractor, part: Part) -> float:
        """Return the Vendi score of real images."""

        def compute() -> Arrays:
            score = vendi_score(self.features(extractor, part).pool)
            return _arrays(score=torch.tensor([score], dtype=torch.float64))

        return float(self._statistics("vendi", extractor, part, {}, compute)["score"])

    def nearest_features(self, extractor: Extractor, part: Part, training: Part, scale: float) -> Distances:
        """Return the distance from real images to their nearest of those training images, in features."""

        def compute() -> Arrays:
            own, others = self.features(extractor, part).pool, self.features(extractor, training).pool
            return {"distances": nearest_in_features(own, others, scale)}

        key = {
            "training": self._features_key(extractor, training.split),
            "training_places": [training.start, training.stop],
            "scale": scale,
        }
        return self._statistics("nearest-features", extractor, part, key, compute)["distances"].cpu().numpy()

    def training_thumbnails(self) -> Thumbnails:
        """Return all training images in 16 x 16 pixels, in the set's own order."""
        images = self._sets["train"]
        key = {"data": images.sha256, "code": self._code}
        return self._remembered(
            ("thumbnails",),
            lambda: self._cache.arrays(
                "thumbnails", key, lambda: {"pixels": thumbnails(images.images(), self._progress)}
            )["pixels"],
        )

    def thumbnails(self, part: Part) -> tuple[Thumbnails, npt.NDArray[np.int64] | None]:
        """Return real images in 16 x 16 pixels and, for training images, their places among `training_thumbnails`."""
        places = self._order(part.split)[part.start : part.stop]
        if part.split == "train":
            return self.training_thumbnails()[places], places
        return thumbnails(np.asarray(self._sets["heldout"].images()[places])), None

    def similarity(self, part: Part) -> float:
        """Return the mean MS-SSIM of pairs of real images."""
        places, images = self._order(part.split)[part.start : part.stop], self._sets[part.split].images()
        first, second = (np.asarray(images[places[pair]]) for pair in pairs_of(len(part)))
        return mean_similarity(first, second, self.device)

    def nearest_pixels(self, part: Part) -> Distances:
        """Return the distance from held-out images to their nearest training image, in pixel values."""
        key = {
            "heldout": self.heldout_sha256,
            "train": self._sets["train"].sha256,
            "places": [part.start, part.stop],
            "code": self._code,
        }

        def compute() -> Arrays:
            own, training = self.thumbnails(part)[0], self.training_thumbnails()
            return {"distances": nearest_in_pixels(own, training, device=self.device)}

        return self._remembered(
            ("nearest-pixels", part), lambda: self._cache.arrays("nearest-pixels", key, compute)["distances"]
        )

    def floors(self, samples: int, final: bool, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return every metric of real images against real ones at this count, from the cache or by `compute`."""
        return self.values("floors", {"samples": samples, "final": final}, compute)

    def values(self, kind: str, of: dict[str, Any], compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return numbers about these real images under these settings, from the cache or by `compute`."""
        keys = [self._features_key(extractor, split) for extractor in self.extractors for split in self._sets]
        key = {**of, "evaluation": self.settings.id(), "features": keys, "code": self._code, **self._told_key()}
        return self._remembered((kind, json.dumps(of)), lambda: self._cache.values(kind, key, compute))

    def images(self, part: Part) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return a split's images, mapped, and the places of a part among them."""
        return self._sets[part.split].images(), self._order(part.split)[part.start : part.stop]

    def view(self, part: Part) -> Degraded:
        """Return real images as they are, read when a slice of them is asked for."""
        images, places = self.images(part)
        return Degraded(images, places, np.zeros(images.shape[1:]), AS_THEY_ARE)

    def _statistics(
        self, kind: str, extractor: Extractor, part: Part, key: dict[str, Any], compute: Callable[[], Arrays]
    ) -> dict[str, Tensor]:
        """Return what `compute` makes of real images' features, from the cache where it is there."""
        key = {
            **key,
            "features": self._features_key(extractor, part.split),
            "places": [part.start, part.stop],
            "code": self._code,
        }
        text = json.dumps(key, sort_keys=True)
        return self._remembered(
            (kind, extractor.label, text),
            lambda: {
                name: torch.from_numpy(array).to(self.device)
                for name, array in self._cache.arrays(kind, key, compute).items()
            },
        )

    def _split_features(self, extractor: Extractor, split: Split) -> Features:
        def compute() -> Arrays:
            places = self._order(split)[: self._wanted(split)]
            stage = "held-out images" if split == "heldout" else "training images"
            return extract(extractor, self._sets[split].images(), places, self._progress, stage).arrays()

        return self._remembered(
            ("features", extractor.label, split),
            lambda: Features.from_arrays(
                self._cache.arrays("features", self._features_key(extractor, split), compute)
            ).measured_on(self.device),
        )

    def _features_key(self, extractor: Extractor, split: Split) -> dict[str, Any]:
        return {
            "data": self._sets[split].sha256,
            "count": self._wanted(split),
            "order": _ORDER_SEED,
            "extractor": extractor.label,
            "weights": extractor.sha256,
            "recipe": extractor.recipe,
            "precision": self.settings.precision,
            "code": self._feature_code,
            "torch": torch.__version__,
            "device": device_name(extractor.device),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
        }

    def _told_key(self) -> dict[str, Any]:
        """Return what tells labels, or inputs, from others of the same images; {} without either."""
        manifests = {split: images.manifest for split, images in self._sets.items()}
        return {
            kind: {split: manifest[kind] for split, manifest in manifests.items()}
            for kind in ("labels", "input")
            if kind in manifests["heldout"]
        }

    def _wanted(self, split: Split) -> int:
        """Return how many images of a split are ever used."""
        samples, there = self.settings.samples, self._sets[split].count
        if split == "train":
            return min(samples, there)
        if there >= 2 * samples:
            return 2 * samples
        return min(there, max(samples, 2 * self.settings.snapshot_samples))

    def _order(self, split: Split) -> npt.NDArray[np.int64]:
        """Return the split's fixed order: a folder's first images may all be of one kind."""
        return self._remembered(("order", split), lambda: fixed_order(self._sets[split].count))

    def _remembered(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """Return what `compute` gave when `key` was first asked for in this process."""
        if key not in self._memory:
            self._memory[key] = compute()
        return cast(T, self._memory[key])


def fixed_order(count: int) -> npt.NDArray[np.int64]:
    """Return the order in which so many images of a split are taken as a reference: int64 (count,)."""
    return epoch_order(count, _ORDER_SEED, 0)


def _fitted(features: Tensor) -> Arrays:
    found = fit(features)
    return _arrays(mean=found.mean, root=found.root, trace=torch.tensor([found.trace], dtype=torch.float64))


def _arrays(**tensors: Tensor) -> Arrays:
    return {name: tensor.contiguous().cpu().numpy() for name, tensor in tensors.items()}
