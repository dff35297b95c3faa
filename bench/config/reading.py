"""Reads bench.toml: named studies that share common settings.

`[common]` is where every study starts; a study may also extend another. Tables are merged key by key, lists replaced.
All mistakes in the file are reported at once, each with its key, its value and what is allowed.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.config.arms import claim_problems
from bench.config.claims import Claim
from bench.config.clusters import ClusterSettings
from bench.config.models import LABEL, Config, Study, defined_name, expanded_entries
from bench.config.own import own_file, spell_out, with_own_files
from bench.config.parsing import parse_seeds, read_text
from bench.config.predictions import mistakes_in
from bench.config.problems import Problem, describe, problems_of
from bench.config.recipe import RecipeOverrides
from bench.errors import BenchError, suggest
from bench.objectives import is_file, label_of_file, names


def find_config(path: Path | None) -> Path:
    """Return the file to read: the one given, else ./bench.toml, else the packaged copy."""
    if path is not None:
        if not path.is_file():
            raise BenchError(f"There is no file {path}", hint="`bench init` writes a bench.toml to start from.")
        return path
    here = Path("bench.toml")
    return here if here.is_file() else packaged_config()


def packaged_config(name: str = "bench.toml") -> Path:
    """Return the bench.toml that comes with the package (in a source checkout, the one beside it), or claims.toml."""
    installed = Path(__file__).parents[1] / name
    return installed if installed.is_file() else Path(__file__).parents[2] / name


def load_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None, study: str | None = None
) -> Config:
    """Read and validate every study of a file: the one given, else ./bench.toml, else the packaged one.

    `overrides`, nested like a study's table, go on top of one study: `study`, else the file's default. Raises
    BenchError listing every mistake in the file, each with its line.

        config = bench.load_config("bench.toml")
        list(config.studies)                        # ["quick", "landscape", ...]
    """
    path = find_config(None if path is None else Path(path))
    text = read_text(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path} is not valid TOML: {error}", hint="Mend that line; see https://toml.io.") from error
    except RecursionError as error:
        raise BenchError(f"{path} nests arrays or tables deeper than any study does") from error

    problems: list[Problem] = []
    allowed = ["default_study", "common", "study", "cluster", "claim"]
    for key in sorted(set(content) - set(allowed)):
        problems.append(Problem((key,), None, f"unknown key{suggest(key, allowed)}; allowed: {', '.join(allowed)}"))
    tables, common, clusters = (_table_at(key, content, problems) for key in ("study", "common", "cluster"))
    default = content.get("default_study", next(iter(tables), ""))
    if not isinstance(default, str) or default not in tables:
        problems.append(Problem(("default_study",), default, f"names no study{suggest(str(default), tables)}"))
    studies = {}
    for name in tables:
        extra = overrides if overrides and name == defined_name(study or default, tables) else {}
        study_read = _read_study(name, tables, common, extra, path.parent, problems)
        if study_read is not None:
            studies[name] = study_read
    known = {name: one for name in clusters if (one := _read_cluster(name, clusters[name], problems)) is not None}
    claims = _read_claims(content.get("claim", []), problems)
    read = Config(path, default, studies, known, claims)
    if not problems:
        problems.extend(claim_problems(read))  # which need studies without mistakes
    if problems:
        raise BenchError(describe(path, text, problems), hint="Nothing was run. Fix these and run the command again.")
    return read


def load_claims(path: Path | None = None) -> Config:
    """Read a file with claims: the one given, else ./claims.toml, else the packaged one.

    Raises BenchError listing every mistake in the file, and where it has no claim.
    """
    here = Path("claims.toml")
    config = load_config(path or (here if here.is_file() else packaged_config("claims.toml")))
    if not config.claims:
        raise BenchError(f"{config.path} has no [[claim]]", hint="docs/claims.md says how to write one.")
    return config


def load_study(
    name: str | None = None, *, config: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Study:
    """Read one study, by default the file's default study; see `load_config` for `config` and `overrides`.

    Raises BenchError for a mistake in the file and, with near misses, for an unknown name.

        study = bench.load_study("quick", overrides={"seeds": [0, 1], "budget": {"generator_steps": 200}})
    """
    return load_config(config, overrides, name).study(name)


def _table_at(key: str, content: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    table = content.get(key, {})
    if isinstance(table, dict):
        return table
    problems.append(Problem((key,), table, "must be a table"))
    return {}


def _read_cluster(name: str, values: Any, problems: list[Problem]) -> ClusterSettings | None:
    where = ("cluster", name)
    if not LABEL.fullmatch(name):
        problems.append(Problem(where, name, "a cluster's name is made of letters, digits and . _ @ + -"))
    if not isinstance(values, dict):
        problems.append(Problem(where, values, "must be a table"))
        return None
    problems.extend(_not_finite(values, where))
    try:
        return ClusterSettings.model_validate(_tuples(values))
    except ValidationError as error:
        problems.extend(problems_of(error, where, ClusterSettings))
        return None


def _read_claims(written: Any, problems: list[Problem]) -> tuple[Claim, ...]:
    if not isinstance(written, list):
        problems.append(Problem(("claim",), None, "must be tables [[claim]]"))
        return ()
    claims = []
    for index, values in enumerate(written):
        where = ("claim", index)
        problems.extend(_not_finite(values, where))
        try:
            claims.append(Claim.model_validate(_tuples(values)))
        except ValidationError as error:
            problems.extend(problems_of(error, where, Claim))
    return tuple(claims)


def _read_study(
    name: str,
    tables: Mapping[str, Any],
    common: Mapping[str, Any],
    overrides: Mapping[str, Any],
    folder: Path,
    problems: list[Problem],
) -> Study | None:
    where = ("study", name)
    own: list[Problem] = []  # apart from other studies': these alone decide whether this one can be used
    if not LABEL.fullmatch(name):
        own.append(Problem(where, name, "a study's name is made of letters, digits and . _ @ + -"))
    values = _merged(name, tables, common, own)
    values = _merge(values, overrides)
    values["name"] = name
    own.extend(_read_seeds(values, where))
    if isinstance(values.get("objectives"), list):
        values["objectives"] = [
            entry
            for index, item in enumerate(values["objectives"])
            if (entry := _read_entry(item, (*where, "objectives", index), folder, own)) is not None
        ]
    if isinstance(values.get("backbones"), list) and isinstance(values.get("backbone", {}), dict):
        values["backbones"] = [_other_backbone(values.get("backbone", {}), item) for item in values["backbones"]]
    own.extend(_not_finite(values, where))
    if isinstance(values.get("evaluation"), dict):
        values["evaluation"] = with_own_files(values["evaluation"], (*where, "evaluation"), folder, own)
        spell_out(values)
    own.extend(_cross_checks(values, where))
    study = None
    try:
        study = Study.model_validate(_tuples(values))
    except ValidationError as error:
        own.extend(problems_of(error, where, Study))
    if study is not None:
        own.extend(_batch_problems(study, where))
        names_given = [backbone.name for backbone in study.backbones]
        for twice in sorted({one for one in names_given if names_given.count(one) > 1}):
            own.append(Problem((*where, "backbones"), twice, "is the name of two backbones"))
        own.extend(_prediction_problems(study, where))
        if study.twin_seeds and study.twin_label in {entry.label for entry in expanded_entries(study)}:
            what = "is an entry's label, and what the baseline on `twin_seeds` is called; give the entry another"
            own.append(Problem((*where, "objectives"), study.twin_label, what))
    for problem in own:
        located = replace(problem, where=_written_in(problem.where, name, tables, common))
        if located not in problems:  # a mistake in what studies share is one mistake
            problems.append(located)
    return None if own else study


def _other_backbone(shared: Mapping[str, Any], item: Any) -> Any:
    """Return another backbone's keys above the study's own, without those that only the other network has."""
    if not isinstance(item, dict):
        return item
    elsewhere = {"dcgan": {"depth"}, "mlp": {"widths", "generator_widths"}}.get(str(item.get("network")), set())
    return {key: value for key, value in shared.items() if key not in elsewhere} | item


def _read_seeds(values: dict[str, Any], where: tuple[str | int, ...]) -> list[Problem]:
    """Read `seeds` and `twin_seeds` in place (an empty list of twins: none), and return what is wrong with them."""
    written = {key: values[key] for key in ("seeds", "twin_seeds") if key in values}
    problems = []
    for key, value in written.items():
        try:
            values[key] = [] if key == "twin_seeds" and value == [] else list(parse_seeds(value))
        except ValueError as error:
            problems.append(Problem((*where, key), value, str(error)))
            values[key] = [0] if key == "seeds" else []
    shared = sorted(set(values.get("seeds", ())) & set(values.get("twin_seeds", ())))
    if shared and not problems:
        what = f"an A/A arm needs seeds of its own, and `seeds` has {', '.join(map(str, shared[:5]))} too"
        problems.append(Problem((*where, "twin_seeds"), written["twin_seeds"], what))
    return problems


def _not_finite(value: Any, where: tuple[str | int, ...]) -> Iterator[Problem]:
    """Name every `nan` and `inf`, which TOML has and no setting of a study means."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(where, value, "must be a number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _not_finite(item, (*where, key))


def _batch_problems(study: Study, where: tuple[str | int, ...]) -> list[Problem]:
    batch, mistakes = study.budget.batch, []
    if batch > (study.data.train_count or batch):
        mistakes.append(f"is more than train_count {study.data.train_count}")
    for packing in {recipe.packing or 1 for recipe in (study.recipe, *(e.recipe for e in study.objectives)) if recipe}:
        if batch % packing or (packing > 1 and batch // packing < 2):
            mistakes.append(f"cannot be packed by {packing}: it must be a multiple, and hold two packs or more")
    return [Problem((*where, "budget", "batch"), batch, what) for what in mistakes]


def _prediction_problems(study: Study, where: tuple[str | int, ...]) -> Iterator[Problem]:
    labels = [entry.label for entry in expanded_entries(study)]
    metrics = [study.primary_metric, *study.secondary_metrics]
    for index, prediction in enumerate(study.predictions):
        for key, what in mistakes_in(prediction, labels, metrics):
            yield Problem((*where, "predictions", index, key), getattr(prediction, key), what)


def _written_in(
    where: tuple[str | int, ...], name: str, tables: Mapping[str, Any], common: Mapping[str, Any]
) -> tuple[str | int, ...]:
    """Return where a study's value is written down: in its own table, one that it extends, or [common]."""
    inside = where[2:]
    seen: list[str] = []
    current: Any = name
    while isinstance(current, str) and isinstance(tables.get(current), dict) and current not in seen:
        if not inside or _holds(tables[current], inside):
            return ("study", current, *inside)
        seen.append(current)
        current = tables[current].get("extends")
    return ("common", *inside) if _holds(common, inside) else where


def _holds(table: Any, keys: tuple[str | int, ...]) -> bool:
    for key in keys:
        if isinstance(key, int) or not isinstance(table, dict):
            return True  # inside an array, or deeper than the value that is wrong
        if key not in table:
            return False
        table = table[key]
    return True


def _merged(name: str, tables: Mapping[str, Any], common: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Return `common`, the studies that this one extends, and its own table, merged in that order."""
    chain: list[Mapping[str, Any]] = []
    seen: list[str] = []
    current: str | None = name
    while current is not None:
        table = tables[current]
        if not isinstance(table, dict):
            problems.append(Problem(("study", current), table, "must be a table"))
            break
        seen.append(current)
        chain.append({key: value for key, value in table.items() if key != "extends"})
        parent = table.get("extends")
        if parent is not None and (not isinstance(parent, str) or parent not in tables or parent in seen):
            what = "extends itself" if parent in seen else f"is no study{suggest(str(parent), tables)}"
            problems.append(Problem(("study", current, "extends"), parent, what))
            parent = None
        current = parent
    merged: dict[str, Any] = dict(common)
    for table in reversed(chain):
        merged = _merge(merged, table)
    return merged


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _read_entry(item: Any, where: tuple[str | int, ...], folder: Path, problems: list[Problem]) -> Any:
    """Sort an entry's keys into objective, label, recipe and the objective's settings."""
    table = {"objective": item} if isinstance(item, str) else item
    if not isinstance(table, dict) or not isinstance(table.get("objective"), str):
        problems.append(Problem(where, item, 'must be an objective\'s name, or a table such as {objective = "nsgan"}'))
        return None
    objective = table["objective"]
    if is_file(objective):
        file = own_file(folder, objective)
        if file is None:
            problems.append(Problem(where, objective, f"there is no such file in {folder.resolve()}"))
            return None
        objective = str(file)
    elif objective not in names():
        problems.append(
            Problem(
                where, objective, f"no such objective{suggest(objective, names())}; there are: {', '.join(names())}"
            )
        )
        return None
    recipe = {key: value for key, value in table.items() if key in RecipeOverrides.model_fields}
    settings = {key: value for key, value in table.items() if key not in recipe and key not in ("objective", "label")}
    label = table.get("label", label_of_file(objective) if is_file(objective) else objective)
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        problems.append(Problem((*where, "label"), label, "a label is made of letters, digits and . _ @ + -"))
        return None
    return {"objective": objective, "label": label, "settings": settings, "recipe": recipe or None}


def _cross_checks(values: Mapping[str, Any], where: tuple[str | int, ...]) -> list[Problem]:
    """Return the mistakes that show only when several values are seen together; unfit values were named before."""
    from bench.metrics.catalogue import METRICS, find_metric

    problems = []
    entries = values.get("objectives", [])
    own = [entry["label"] for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    rates = values.get("learning_rates", [])
    rates = [rate for rate in rates if isinstance(rate, float)] if isinstance(rates, list) else []
    labels = [f"{label}@{rate:g}" for label in own for rate in rates] or own
    for label in sorted({label for label in own if own.count(label) > 1}):
        problems.append(Problem((*where, "objectives"), label, "is the label of two entries; give one a `label`"))
    baseline = values.get("baseline", Study.model_fields["baseline"].default)
    if isinstance(baseline, str) and labels and baseline not in labels:
        problems.append(Problem((*where, "baseline"), baseline, f"is no entry's label{suggest(baseline, labels)}"))
    primary = values.get("primary_metric", Study.model_fields["primary_metric"].default)
    secondary = values.get("secondary_metrics", [])
    named = [("primary_metric", primary)]
    named += [("secondary_metrics", metric) for metric in secondary] if isinstance(secondary, list) else []
    for key, metric in named:
        info = find_metric(metric) if isinstance(metric, str) else None
        if isinstance(metric, str) and ("@" in metric or "+" in metric or info is None):
            problems.append(Problem((*where, key), metric, f"is no metric{suggest(metric, METRICS)}"))
        elif info is not None and info.labels and _lacks(values, "data", "labels"):
            problems.append(
                Problem((*where, key), metric, "is measured of images with labels; name some in data.labels")
            )
        elif info is not None and info.codes and _lacks(values, "backbone", "codes"):
            problems.append(
                Problem((*where, key), metric, "is measured of images with codes; give some in backbone.codes")
            )
        elif info is not None and (lacking := _lacking_pairs(values, info.pairs)):
            problems.append(Problem((*where, key), metric, lacking))
    if isinstance(primary, str) and (known := find_metric(primary)) is not None and not known.ranks:
        problems.append(Problem((*where, "primary_metric"), primary, "is a diagnostic and never ranks"))
    return problems


def _lacking_pairs(values: Mapping[str, Any], pairs: str | None) -> str:
    """Return which pairs a study lacks that a metric is measured of; "" where it has them."""
    data = values.get("data")
    data = data if isinstance(data, dict) else {}
    if pairs == "parts" and data.get("input") != "parts":
        return 'is measured of maps of parts; give data.input = "parts"'
    if pairs == "faces" and data.get("source") != "faces":
        return "is measured of drawn faces; there is no judge of others"
    return "is measured of pairs; give data.input" if pairs and data.get("input") is None else ""


def _lacks(values: Mapping[str, Any], table: str, key: str) -> bool:
    """Tell whether a table of a study is without a key."""
    return isinstance(given := values.get(table, {}), dict) and not given.get(key)


def _tuples(value: Any) -> Any:
    """Turn TOML's arrays into tuples, which the strict models ask for."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value
