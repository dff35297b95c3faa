"""Records of a study as a whole, beside its plan: its metric, samples from elsewhere, other backbones, sample grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import read_json

FORGIVES = "forgives.json"
BACKBONES = "backbones.json"  # how the study's rows fare on other backbones
UNTRAINED = "untrained.json"  # what the first generator scores
GRIDS = "grids.json"  # what the sample grids of its runs show
EXTERNAL = "external"  # a folder, with a record for each label


def read_forgives(study_folder: Path, evaluation_id: str) -> dict[str, Any] | None:
    """Return what the study's metric forgives; None where it was not measured under these settings.

    Raises BenchError where the record is damaged.
    """
    return _of_settings(study_folder / FORGIVES, evaluation_id)


def read_backbones(study_folder: Path, evaluation_id: str) -> dict[str, Any] | None:
    """Return how the study's rows fare on other backbones; None where no runs of these settings were gathered.

    Raises BenchError where the record is damaged.
    """
    return _of_settings(study_folder / BACKBONES, evaluation_id)


def read_grids(study_folder: Path) -> dict[str, Any] | None:
    """Return what the sample grids of the study's runs show; None before that was measured.

    Raises BenchError where the record is damaged.
    """
    file = study_folder / GRIDS
    return read_json(file) if file.is_file() else None


def external_file(study_folder: Path, label: str) -> Path:
    """Return where the record of samples from elsewhere lies that a study shows under `label`."""
    return study_folder / EXTERNAL / f"{label}.json"


def read_external(study_folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the records of samples from elsewhere, by label, under whatever settings they were measured.

    Raises BenchError where one is damaged, or lies under another label than its own.
    """
    records = []
    for file in sorted((study_folder / EXTERNAL).glob("*.json")):
        record: dict[str, Any] = read_json(file)
        if record.get("schema") != 1 or record.get("label") != file.stem:
            raise BenchError(f"{file} is not the record of samples called {file.stem}", hint="Move it away.")
        records.append(record)
    return tuple(records)


def _of_settings(file: Path, evaluation_id: str) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    record: dict[str, Any] = read_json(file)
    return record if record.get("evaluation_id") == evaluation_id else None
