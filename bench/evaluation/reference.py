"""The real images that generated ones are held against: which ones, their features, and what is computed of them once.

Held-out and training images are each put in one fixed order. With N samples asked for, the reference is the first N
held-out images (all of them where there are fewer), and the floor's "generated" images are the next N; where there are
not so many, the first N training images stand in and the lines say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch

from bench.data import PreparedData, PreparedSet
from bench.data.sampler import epoch_order
from bench.errors import BenchError
from bench.evaluation.cache import Arrays, Cache
from bench.evaluation.features import Extractor, Features, Progress, extract
from bench.evaluation.nearest import Thumbnails, mean_nearest_distance, thumbnails
from bench.evaluation.neighbours import Geometry, Subsets, draw_subsets, geometry
from bench.evaluation_settings import EVALUATION_VERSION, EvaluationSettings
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


class Reference:
    """Real images and what is known of them, computed on demand and shared with other processes through a cache."""

    def __init__(
        self,
        settings: EvaluationSettings,
        data: PreparedData,
        extractors: tuple[Extractor, ...],
        data_root: Path,
        progress: Progress | None = None,
    ) -> None:
        for split, images in (("held-out", data.heldout), ("training", data.train)):
            if images.count < FEWEST_IMAGES:
                raise BenchError(
                    f"{images.path} holds {images.count} {split} images; metrics need at least {FEWEST_IMAGES}",
                    hint="Raise data.heldout_count or data.train_count in the study.",
                )
        self.settings = settings
        self.extractors = extractors
        self.source = str(data.heldout.manifest["source"])
        self._sets: dict[Split, PreparedSet] = {"heldout": data.heldout, "train": data.train}
        self._cache = Cache(data_root / "cache" / "evaluation")
        self._progress = progress
        self._memory: dict[tuple[object, ...], Any] = {}

    @property
    def heldout_sha256(self) -> str:
        return self._sets["heldout"].sha256

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
        if self._sets["heldout"].count >= 2 * samples:
            return Part("heldout", samples, 2 * samples)
        return self.training_part(samples)

    def features(self, extractor: Extractor, part: Part) -> Features:
        """Return the features of real images."""
        return self._split_features(extractor, part.split).part(part.start, part.stop)

    def subsets(self, generated: int, real: int) -> Subsets:
        """Return KID's subsets for so many generated and real images."""
        settings = self.settings
        return self._remembered(
            ("subsets", generated, real),
            lambda: draw_subsets(generated, real, settings.kid_subset_size, settings.kid_subsets),
        )

    def geometry(self, extractor: Extractor, part: Part, generated: int) -> Geometry:
        """Return the reference's own distances; KID's subsets depend on how many images were generated."""
        return self._remembered(
            ("geometry", extractor.label, part, generated),
            lambda: geometry(self.features(extractor, part).pool, self.subsets(generated, len(part)).real),
        )

    def training_thumbnails(self) -> Thumbnails:
        """Return all training images in 16 x 16 pixels, in the set's own order."""
        images = self._sets["train"]
        key = {"data": images.sha256, "version": EVALUATION_VERSION}
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

    def nearest_baseline(self, part: Part) -> float:
        """Return the mean distance from the reference's images to their nearest training image, in pixel values."""
        key = {
            "heldout": self.heldout_sha256,
            "train": self._sets["train"].sha256,
            "count": len(part),
            "version": EVALUATION_VERSION,
        }

        def compute() -> dict[str, float]:
            return {"distance": mean_nearest_distance(self.thumbnails(part)[0], self.training_thumbnails())}

        return self._remembered(("nearest", part), lambda: self._cache.values("nearest", key, compute)["distance"])

    def floors(self, samples: int, final: bool, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return every metric of real images against real ones at this count, from the cache or by `compute`."""
        keys = [self._features_key(extractor, split) for extractor in self.extractors for split in self._sets]
        key = {"samples": samples, "final": final, "evaluation": self.settings.id(), "features": keys}
        return self._remembered(("floors", samples, final), lambda: self._cache.values("floors", key, compute))

    def _split_features(self, extractor: Extractor, split: Split) -> Features:
        def compute() -> Arrays:
            places = self._order(split)[: self._wanted(split)]
            stage = "held-out images" if split == "heldout" else "training images"
            return extract(extractor, self._sets[split].images(), places, self._progress, stage).arrays()

        return self._remembered(
            ("features", extractor.label, split),
            lambda: Features.from_arrays(self._cache.arrays("features", self._features_key(extractor, split), compute)),
        )

    def _features_key(self, extractor: Extractor, split: Split) -> dict[str, Any]:
        cpu = extractor.device.type == "cpu"
        return {
            "data": self._sets[split].sha256,
            "count": self._wanted(split),
            "order": _ORDER_SEED,
            "extractor": extractor.label,
            "weights": extractor.sha256,
            "recipe": extractor.recipe,
            "precision": self.settings.precision,
            "version": EVALUATION_VERSION,
            "torch": torch.__version__,
            "device": device_name(extractor.device),
            "capability": torch.backends.cpu.get_cpu_capability() if cpu else None,
            "threads": torch.get_num_threads() if cpu else None,
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
        return self._remembered(("order", split), lambda: epoch_order(self._sets[split].count, _ORDER_SEED, 0))

    def _remembered(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        """Return what `compute` gave when `key` was first asked for in this process."""
        if key not in self._memory:
            self._memory[key] = compute()
        return cast(T, self._memory[key])
