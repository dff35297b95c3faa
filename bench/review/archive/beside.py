"""What an archive's records of the study as a whole may say: its metric, samples, other backbones, grids."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.config.models import Protocol
from bench.review.archive.values import Count, Digest, Identity, Label, Metric, Record, Seed


class ForgivenRow(Record):
    name: Label
    words: str
    values: dict[Metric, float]


class ForgivesRecord(Record):
    """forgives.json."""

    schema_: Literal[1] = Field(alias="schema")
    evaluation_id: Identity
    extractor: Label
    samples: Count
    floor_source: Literal["heldout", "train"]
    floor: dict[Metric, float]
    rows: list[ForgivenRow]


class RunOnBackbone(Record):
    label: Label
    protocol: Protocol
    seed: Seed
    state: str
    collapsed: bool | None
    value: float | None


class BackboneRecord(Record):
    name: Label
    study: Label
    title: str
    untrained: float | None
    runs: list[RunOnBackbone]


class BackbonesRecord(Record):
    """backbones.json."""

    schema_: Literal[1] = Field(alias="schema")
    evaluation_id: Identity
    metric: Metric
    backbones: Annotated[list[BackboneRecord], Field(min_length=2)]


class BorderRecord(Record):
    border_mean: float
    border_between: float
    border_amplitude: float


class GridRecord(Record):
    grid: Digest
    steps: list[Count]
    border_mean: list[float]
    border_between: list[float]
    border_amplitude: list[float]
    same_mode: list[float | None] | None


class GridsRecord(Record):
    """grids.json."""

    schema_: Literal[1] = Field(alias="schema")
    data_sha256: Digest
    real: BorderRecord
    runs: dict[str, GridRecord]


class ExternalLine(Record):
    metric: Metric
    value: float
    floor: float | None
    samples: Count
    reference: Literal["heldout", "train"]
    reference_samples: Count
    floor_source: Literal["heldout", "train"] | None
    floor_samples: Count


class ExternalSet(Record):
    images_sha256: Digest
    lines: list[ExternalLine]


class ExternalRecord(Record):
    """A record of samples that were made elsewhere."""

    schema_: Literal[1] = Field(alias="schema")
    label: Label
    source: str
    seeds: bool
    evaluation_id: Identity
    samples: Count
    sets: Annotated[list[ExternalSet], Field(min_length=1)]
