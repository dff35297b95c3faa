"""What a run of a table is, and what tells it from every other: torch-free, so that a repeated call starts at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bench import objectives
from bench.config.recipe import Recipe, Table
from bench.runs.identity import code_hash, objective_hash
from bench.validation.modes.rows import Row
from bench.validation.modes.tasks import HALVINGS, PointTask, Task, describe


class Job(Table):
    """One training of one row on one task with one seed. `settings` are those above the objective's defaults."""

    id: str
    task: str
    row: str
    objective: str
    seed: int
    settings: dict[str, Any]
    recipe: Recipe
    generator_steps: int
    halve_every: int
    batch: int


def make_job(task: Task, row: Row, seed: int, steps: int | None = None) -> Job:
    """Return the job; its id is the hash of all that decides its numbers: settings, task and code."""
    generator_steps = row.generator_steps(task, steps)
    values: dict[str, Any] = {
        "settings": dict(row.declared.settings),
        "recipe": row.recipe(task),
        "generator_steps": generator_steps,
        "halve_every": max(1, generator_steps // HALVINGS),
        "batch": row.batch(task),
    }
    code = {
        "objective": objective_hash(objectives.source_file(row.objective)),
        "modes": code_hash("points" if isinstance(task, PointTask) else "stacked"),
    }
    asked = {**values, "recipe": values["recipe"].model_dump(mode="json"), "seed": seed}
    text = json.dumps({**asked, "task": describe(task), "code": code}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Job(id=digest, task=task.name, row=row.label, objective=row.objective, seed=seed, **values)


def points_file(folder: Path, id_: str) -> Path:
    """Return where the points lie that a run of this id was counted by."""
    return folder / "points" / f"{id_}.npy"


def reader_files(folder: Path) -> tuple[Path, Path]:
    """Return where the classifier of stacked digits lies, and what is said of it; other code has other files."""
    stem = folder / f"digit-reader-{code_hash('digit-reader')[:8]}"
    return stem.with_suffix(".safetensors"), stem.with_suffix(".json")
