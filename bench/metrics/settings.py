"""What a study measures, on how many samples: the part of bench.toml that evaluation reads. Never imports torch."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EVALUATION_VERSION = 2
"""Part of every evaluation id; to be raised when the same samples would be given other values, or more of them."""

ExtractorName = Literal["inception", "lite0", "judge"]
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
                         `judge` is left out where the data are not drawn faces
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

    extractors: tuple[ExtractorName, ...] = Field(("lite0", "judge"), min_length=1)
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
        return self

    def id(self) -> str:
        """Return twelve hexadecimal digits that change with whatever can change a metric's value.

        Where the weights lie and when a run counts as collapsed are no part of it: neither changes a measured value.
        """
        values = self.model_dump(
            mode="json", exclude={"inception_weights", "collapse_coverage", "collapse_unique"}, exclude_none=True
        )
        text = json.dumps([EVALUATION_VERSION, values], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def snapshot_metric(self, metric: str) -> str:
        """Return the name under which snapshots hold `metric`: `fd_lite0`, or `fd_lite0@1000` beside 10,000 samples.

        A Frechet distance depends on the number of images, so two numbers never share a name. The final step has both.
        """
        return metric if self.snapshot_samples == self.samples else f"{metric}@{self.snapshot_samples}"
