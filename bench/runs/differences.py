"""In which settings a run that exists differs from what is asked for now. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.config.models import Entry, Study, expanded_entries, names_on_backbones
from bench.errors import BenchError
from bench.formatting import format_setting
from bench.runs.folder import RunFolder
from bench.runs.registered import predictions_of
from bench.runs.rows import controlled_recipe
from bench.runs.spec import RunSpec

_NOT_ASKED = {"data.path", "objective.file"}  # where something lies on this machine
_RATES = ("learning_rate_discriminator", "learning_rate_generator")


def changes(was: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Name every value of `was` that is asked for otherwise: "learning_rate 0.0002 → 0.0001"; tables may be nested."""
    before, now = dict(_flat(was)), dict(_flat(asked))
    names = [name for name in {**now, **before} if name not in _NOT_ASKED and before.get(name) != now.get(name)]
    told = {name: f"{format_setting(before.get(name))} → {format_setting(now.get(name))}" for name in names}
    words: list[str] = []
    for name, change in told.items():
        leaf = name.rpartition(".")[2]
        if leaf == "source_sha256":
            words.append("the objective's file has changed")
        elif leaf in _RATES and len({told.get(f"recipe.{rate}") for rate in _RATES}) == 1:
            words.append(f"learning_rate {change}")
        else:
            words.append(f"{name if leaf == 'seed' else leaf} {change}")
    return list(dict.fromkeys(words))


def other_settings(run: RunSpec, runs_root: Path) -> str | None:
    """Return how a run of the same row and seed that exists differs from `run`, which does not; None without one."""
    row = (runs_root / run.study / run.folder).parent
    asked = run.training.model_dump(mode="json")
    found = []
    for path in sorted(row.glob(f"seed-{run.training.seed}-*")):
        if path.name == run.folder.name:
            continue
        try:
            spec, state = RunSpec.read(RunFolder(path).spec_file), RunFolder(path).effective_state()
        except BenchError:  # of another version, or damaged
            continue
        differing = changes(spec.training.model_dump(mode="json"), asked)
        if differing:
            found.append((state != "done", len(differing), f"{path.name} ({state}) has {', '.join(differing)}"))
    return min(found)[2] if found else None


def other_code(run: RunSpec, folder: RunFolder) -> str:
    """Return what of the code a stale run was trained by differs from the present: "objective", "training" or both."""
    recorded = RunSpec.read(folder.spec_file).code
    return " and ".join(name for name, digest in run.code.items() if recorded.get(name) != digest)


def study_changes(plan: Mapping[str, Any], study: Study) -> list[str]:
    """Name what the file of studies has otherwise than a plan.json that was made of it before.

    Metrics' settings are left out (they change no run), and so is what was added by hand.
    """
    entries = expanded_entries(study)
    protocols = {protocol for entry in entries for protocol in (("custom",) if entry.custom else study.protocols)}
    rows = [entry for entry in plan["entries"] if not (entry.get("same_as") or entry.get("added"))]
    twins = [(entry["label"], entry["protocol"]) for entry in plan["entries"] if entry.get("same_as")]
    twin = twins[0] if twins else None
    was = {
        **{name: plan.get(name) for name in ("baseline", "primary_metric", "secondary", "generator", "seeds")},
        "twin_seeds": [run["seed"] for run in plan["runs"] if (run["label"], run["protocol"]) == twin],
        "protocols": sorted({entry["protocol"] for entry in rows}),
        "rows": list(dict.fromkeys(entry["label"] for entry in rows)),
        **{name: plan.get(name, {}) for name in ("data", "backbone", "schedule", "recipe", "training")},
    }
    now = {
        "baseline": study.baseline,
        "primary_metric": study.primary_metric,
        "secondary": list(study.secondary_metrics),
        "generator": study.generator,
        "seeds": list(study.seeds),
        "twin_seeds": list(study.twin_seeds),
        "protocols": sorted(protocols),
        "rows": [entry.label for entry in entries],
        "data": study.data.model_dump(mode="json"),
        "backbone": study.backbone.model_dump(mode="json"),
        "schedule": study.budget.model_dump(mode="json"),
        "recipe": controlled_recipe(study).model_dump(mode="json"),
        "training": study.training.model_dump(mode="json"),
    }
    words = changes(_in_both(was, now), _in_both(now, was))
    planned = {row["label"]: row for row in reversed(rows)}
    for entry in entries:
        if entry.label in planned:
            words += [f"{entry.label}: {change}" for change in _row_changes(planned[entry.label], entry, study)]
    words += ["backbones"] if names_on_backbones(study) != plan.get("backbones", {}) else []
    predicted = [prediction.model_dump(mode="json") for prediction in study.predictions]
    return [*words, *(["predictions"] if predicted != predictions_of(plan) else [])]


def _row_changes(planned: Mapping[str, Any], entry: Entry, study: Study) -> list[str]:
    """Name what the file gives a row otherwise than it was planned with; what the file no longer gives is not seen."""
    settings = {name: value for name, value in study.settings.items() if name in planned["settings"]} | entry.settings
    recipe = {}
    if entry.recipe is not None:
        shared = controlled_recipe(study)
        own, others = entry.recipe.over(shared).model_dump(mode="json"), shared.model_dump(mode="json")
        recipe = {name: value for name, value in own.items() if value != others[name]}
    return [
        change
        for what, asked in (("settings", settings), ("recipe", recipe))
        for change in changes({name: planned[what].get(name) for name in asked}, asked)
    ]


def _in_both(values: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what only one of two tables says, as an older plan says less than this version's."""
    return {
        name: {key: item for key, item in value.items() if key in other[name]} if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
