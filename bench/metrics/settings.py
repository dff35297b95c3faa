"""What a study measures, on how many samples: the part of bench.toml that evaluation reads. Never imports torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from bench.errors import suggest
from bench.metrics.own import OwnExtractor, OwnMetric, problem_of_names

EVALUATION_VERSION = 2
"""Part of every evaluation id; to be raised when the same samples would be given other values, or more of them."""

ExtractorName = Literal["inception", "lite0", "lite0-96-stage7", "judge"]
EXTRACTORS: tuple[str, ...] = get_args(ExtractorName)
"""The package's own extractors; a study may declare others."""

_OWN = ("extractor", "metric")
GeneratorName = Literal["raw", "ema"]
NEIGHBOURS_PRECISION_RECALL = 3
NEIGHBOURS_DENSITY_COVERAGE = 5
VENDI_IMAGES = 5_000
"""How many images a Vendi score is taken of at most: it grows with their number."""


def floor_split(samples: int, heldout: int) -> Literal["heldout", "train"]:
    """Return which real images stand in for `samples` generated ones in a floor: held-out ones where there are 2 N."""
    return "heldout" if heldout >= 2 * samples else "train"


class EvaluationSettings(BaseModel):
    """How generators are measured: frozen, strict, closed to unknown keys.

    extractors           networks that turn images into features; the first one is the headline's and decides collapse.
                         `judge` is left out where the data are neither drawn faces nor Fashion-MNIST
    extractor            extractors of one's own, by the name that `extractors` calls them
    metric               metrics of one's own, by name
    samples              images generated (and images of the reference) at the final step
    snapshot_samples     the same for the Frechet distance of intermediate snapshots
    sample_seeds         how often the final step is measured, each time on other latents
    generators           which generators are measured at the final step; snapshots before it are `raw` only
    inception_splits     parts over which the Inception-type score is averaged
    kid_subsets, kid_subset_size   KID is the mean over so many random subsets of (at most) so many images
    collapse_coverage    a run has collapsed when its coverage is below this share of the real images' coverage ...
    collapse_unique      ... or its effective unique share is below this
    inception_weights    path of the TF-2015 Inception weights (not given: cache, torch hub's folder, or download)
    inception_weights_sha256   accept weights of this digest instead; their distance is then not called FID
    precision            arithmetic of the extractors
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    extractor: dict[str, OwnExtractor] = Field(default_factory=dict)  # before `extractors`, which is held against it
    metric: dict[str, OwnMetric] = Field(default_factory=dict)
    extractors: tuple[str, ...] = Field(("lite0", "judge"), min_length=1)
    samples: int = Field(10_000, ge=50, le=1_000_000)
    snapshot_samples: int = Field(1_000, ge=50, le=1_000_000)
    sample_seeds: int = Field(1, ge=1, le=100)
    generators: tuple[GeneratorName, ...] = Field(("raw", "ema"), min_length=1)
    inception_splits: int = Field(10, ge=1)
    kid_subsets: int = Field(100, ge=1, le=10_000)
    kid_subset_size: int = Field(1_000, ge=2)
    collapse_coverage: float = Field(0.10, ge=0, le=1)
    collapse_unique: float = Field(0.10, ge=0, le=1)
    inception_weights: str | None = None
    inception_weights_sha256: str | None = None
    precision: Literal["fp32"] = "fp32"

    @field_validator("extractors", "generators")
    @classmethod
    def _no_name_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("names one twice")
        return names

    @field_validator("extractors")
    @classmethod
    def _are_known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "extractor" not in info.data:  # what is wrong with it is told
            return names
        known = (*EXTRACTORS, *info.data["extractor"])
        for name in names:
            if name not in known:
                raise ValueError(f'"{name}" is no extractor{suggest(name, known)}; there are: {", ".join(known)}')
        return names

    @field_validator("inception_weights_sha256")
    @classmethod
    def _is_a_digest(cls, digest: str | None) -> str | None:
        if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise ValueError("must be 64 hexadecimal digits (lower case)")
        return digest

    @model_validator(mode="after")
    def _numbers_fit(self) -> EvaluationSettings:
        if self.snapshot_samples > self.samples:
            raise ValueError(f"snapshot_samples {self.snapshot_samples} is more than samples {self.samples}")
        if self.inception_splits > self.samples:
            raise ValueError(f"inception_splits {self.inception_splits} is more than samples {self.samples}")
        if problem := problem_of_names(self.extractor, self.metric, EXTRACTORS):
            raise ValueError(problem)
        return self

    @model_serializer(mode="wrap")
    def _without_own_where_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what only some studies have: records of those without stay what they were."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if value or name not in _OWN}

    @property
    def own_extractors(self) -> Mapping[str, OwnExtractor]:
        """Return the study's own extractors that it uses, by name."""
        return {name: self.extractor[name] for name in self.extractors if name in self.extractor}

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what metrics of each extractor are named after; other Inception weights' digest is not among it."""
        own = self.own_extractors
        return tuple(own[name].label(name) if name in own else name for name in self.extractors)

    def used(self) -> EvaluationSettings:
        """Return the same without the own extractors that are declared and not used: [common] may hold many."""
        return self.model_copy(update={"extractor": dict(self.own_extractors)})

    def portable(self) -> EvaluationSettings:
        """Return the same as another machine may know it: own extractors that are used, and files by name alone."""
        extractor = {name: own.portable() for name, own in self.own_extractors.items()}
        metric = {name: own.portable() for name, own in self.metric.items()}
        return self.model_copy(update={"extractor": extractor, "metric": metric})

    def id(self) -> str:
        """Return twelve hexadecimal digits that change with whatever can change a metric's value.

        Where the weights lie and when a run counts as collapsed are no part of it: neither changes a measured value.
        """
        values = self.model_dump(
            mode="json", exclude={"inception_weights", "collapse_coverage", "collapse_unique", *_OWN}, exclude_none=True
        )
        own = {f"extractor {name}": extractor.digest() for name, extractor in self.own_extractors.items()}
        own |= {f"metric {name}": metric.digest() for name, metric in self.metric.items()}
        values |= {"own": own} if own else {}
        text = json.dumps([EVALUATION_VERSION, values], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def snapshot_metric(self, metric: str) -> str:
        """Return the name under which snapshots hold `metric`: `fd_lite0`, or `fd_lite0@1000` beside 10,000 samples.

        A Frechet distance depends on the number of images, so two numbers never share a name. The final step has both.
        """
        return metric if self.snapshot_samples == self.samples else f"{metric}@{self.snapshot_samples}"
