"""What a run is asked for: spec.json. Its id is the hash of everything that decides its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bench.config.models import Backbone, Budget, Protocol, Training
from bench.config.problems import problems_of
from bench.config.recipe import Recipe, Table
from bench.data import DataRequest
from bench.errors import BenchError
from bench.files import read_json, write_record
from bench.metrics.settings import EvaluationSettings
from bench.runs.folder import SCHEMA, check_schema
from bench.runs.portable import training_id


class ObjectiveSpec(Table):
    """Which objective, with every setting spelled out. `source_sha256` is part of a user's own file's identity."""

    name: str
    file: str | None = None
    source_sha256: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class TrainingSpec(Table):
    """Everything that decides a run's weights. Where data lies (`data.path`) is no part of what it is."""

    objective: ObjectiveSpec
    data: DataRequest
    backbone: Backbone
    recipe: Recipe
    budget: Budget
    training: Training
    seed: int

    def id(self) -> str:
        """Return ten hexadecimal digits: the same specification gives the same id on every machine."""
        return training_id(self.model_dump(mode="json"))


class RunSpec(Table):
    """spec.json: one entry, one seed, trained once. `code` tells which source made it, and is not part of the id."""

    schema_: int = Field(SCHEMA, alias="schema")
    id: str
    study: str
    label: str
    protocol: Protocol
    training: TrainingSpec
    evaluation: EvaluationSettings
    code: dict[str, str]

    @property
    def folder(self) -> Path:
        """Return the run's folder below its study's."""
        return Path(f"{self.label}-{self.protocol}") / f"seed-{self.training.seed}-{self.id}"

    @property
    def name(self) -> str:
        """Return what messages call the run: label, protocol and seed."""
        return f"{self.label}-{self.protocol}/seed-{self.training.seed}"

    @property
    def code_files(self) -> tuple[str, ...]:
        """Return the files of code that training or measuring the run executes, but for the package's own."""
        data = self.training.data
        candidates = (
            self.training.objective.file,
            data.path if data.source == "own" else None,
            *(own.file for own in self.evaluation.own_extractors.values()),
            *(own.file for own in self.evaluation.metric.values()),
        )
        return tuple(file for file in candidates if file is not None)

    def write(self, path: Path) -> None:
        write_record(path, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Read a spec.json. Raises BenchError when it is damaged or from another version."""
        values = read_json(path)
        check_schema(values, path)
        try:
            return cls.model_validate_json(json.dumps(values))
        except ValidationError as error:
            problem = problems_of(error, (), cls)[0]
            raise BenchError(
                f"{path} cannot be read: {'.'.join(map(str, problem.where))} {problem.what}",
                hint="It was edited or written by another version: move the run's folder away and run again.",
            ) from error
