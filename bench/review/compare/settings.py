"""What two studies asked for otherwise: settings, recipes of entries, images, code, environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.review.compare.shipped import Cell, Shipped

NOTHING = "–"  # none, or nothing said of it
_TABLES = ("data", "backbone", "schedule", "recipe", "training", "evaluation")
_SINGLE = ("study", "final_step", "seeds", "protocols", "generator", "primary_metric", "secondary", "baseline")
_PLACES = ("data.path", "evaluation.inception_weights")  # where a file lay is no setting


@dataclass(frozen=True)
class Setting:
    """One thing that differs: in which part of the studies, what it is, and its value in both."""

    part: str
    what: str
    first: str
    second: str


def differing_settings(first: Shipped, second: Shipped, cells: Sequence[Cell]) -> list[Setting]:
    """Return everything that was asked or done otherwise, from the study down to the entries that both have."""
    parts = [
        ("study", {name: first.plan.get(name) for name in _SINGLE}, {name: second.plan.get(name) for name in _SINGLE}),
        *((name, first.plan.get(name, {}), second.plan.get(name, {})) for name in _TABLES),
        ("images", first.manifest.get("data_sha256") or {}, second.manifest.get("data_sha256") or {}),
        ("code", _code(first, cells), _code(second, cells)),
        ("environment", _environment(first), _environment(second)),
    ]
    found = [setting for part, one, other in parts for setting in _differing(part, one, other)]
    if first.evaluation_version != second.evaluation_version:
        found.append(Setting("evaluation", "version", first.evaluation_version, second.evaluation_version))
    for cell in cells:
        one, other = (
            {key: report.entries[cell].get(key) for key in ("objective", "settings", "recipe")}
            for report in (first, second)
        )
        found += _differing(f"{cell[1]}, {cell[0]}", one, other)
    return found


def data_differences(first: Shipped, second: Shipped) -> list[str]:
    """Return in what the images of two studies differ, which no metric outlives; a digest only where both say it."""
    asked = _differing("data", first.plan["data"], second.plan["data"])
    one, other = first.manifest.get("data_sha256"), second.manifest.get("data_sha256")
    held = _differing("images", one, other) if one and other else []
    return [f"{setting.what} {setting.first} and {setting.second}" for setting in asked or held]


def _differing(part: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Setting]:
    one, other = dict(_flat(first)), dict(_flat(second))
    return [
        Setting(part, name, one.get(name, NOTHING), other.get(name, NOTHING))
        for name in dict.fromkeys([*one, *other])
        if one.get(name, NOTHING) != other.get(name, NOTHING) and f"{part}.{name}" not in _PLACES
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _code(report: Shipped, cells: Sequence[Cell]) -> dict[str, str]:
    """Return the version of bench and the hashes of the code that runs were trained by; several where runs differ."""
    hashes: dict[str, set[str]] = {}
    for cell in cells:
        for run in report.runs.get(cell, []):
            for kind, digest in run.code.items():
                what = f"objective of {cell[1]}" if kind == "objective" else kind
                hashes.setdefault(what, set()).add(digest)
    told = {what: "; ".join(sorted(digests)) for what, digests in sorted(hashes.items())}
    return {"bench": str(report.manifest.get("made_by", {}).get("bench", NOTHING)), **told}


def _environment(report: Shipped) -> dict[str, str]:
    values: dict[str, set[str]] = {}
    for environment in report.manifest.get("environments", []):
        for name, text in _flat(environment):
            values.setdefault(name, set()).add(text)
    return {name: "; ".join(sorted(texts)) for name, texts in values.items()}
