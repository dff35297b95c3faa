"""Files of a user's own that a study's evaluation names: found beside bench.toml, and known by their content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.config.problems import Problem
from bench.files import sha256_file
from bench.metrics.own import OwnExtractor, spelled_out


def own_file(folder: Path, named: str) -> Path | None:
    """Return the file that bench.toml in `folder` names, absolute; None where there is none."""
    try:
        file = (folder / Path(named).expanduser()).resolve()
        return file if file.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null character, the home of nobody
        return None


def with_own_files(
    evaluation: Mapping[str, Any], where: tuple[str | int, ...], folder: Path, problems: list[Problem]
) -> dict[str, Any]:
    """Return a table of evaluation settings with its own extractors' and metrics' files by their whole path.

    Python files get the digest of their content: what they compute may change with it. Weights need not be here before
    something is measured.
    """
    values = dict(evaluation)
    for kind in ("extractor", "metric"):
        if isinstance(values.get(kind), dict):
            values[kind] = {
                name: _with_files(table, (*where, kind, name), folder, problems) if isinstance(table, dict) else table
                for name, table in values[kind].items()
            }
    return values


def _with_files(
    table: Mapping[str, Any], where: tuple[str | int, ...], folder: Path, problems: list[Problem]
) -> dict[str, Any]:
    values = dict(table)
    for key in ("file", "weights"):
        named = values.get(key)
        if not isinstance(named, str):
            continue
        found = own_file(folder, named)
        if found is None and named.endswith(".py"):
            problems.append(Problem((*where, key), named, f"there is no such file in {folder.resolve()}"))
        elif named.endswith(".py"):
            values["source_sha256"] = sha256_file(Path(str(found)))
        values[key] = str(found or folder.resolve() / named)
    return values


def spell_out(values: dict[str, Any]) -> None:
    """Give metrics that a study names by its own extractors' short names their full ones, in place."""
    extractors = values["evaluation"].get("extractor")
    labels = {}
    for name, table in extractors.items() if isinstance(extractors, dict) else ():
        try:
            labels[name] = OwnExtractor.model_validate(
                {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
            ).label(name)
        except (ValidationError, AttributeError):  # named when the whole study is validated
            continue
    if isinstance(values.get("primary_metric"), str):
        values["primary_metric"] = spelled_out(values["primary_metric"], labels)
    if isinstance(values.get("secondary_metrics"), list):
        values["secondary_metrics"] = [
            spelled_out(metric, labels) if isinstance(metric, str) else metric for metric in values["secondary_metrics"]
        ]
