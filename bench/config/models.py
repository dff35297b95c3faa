"""bench.toml: named studies that share common settings, read into frozen, strict models.

`[common]` is where every study starts; a study may also extend another. Tables are merged key by key, lists replaced.
All mistakes in the file are reported at once, each with its key, its value and what is allowed.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from bench.config.parsing import parse_seeds, read_text
from bench.config.predictions import Prediction, mistakes_in
from bench.config.problems import Problem, describe, problems_of
from bench.config.recipe import RecipeOverrides, Table
from bench.data import DataRequest
from bench.errors import BenchError, suggest
from bench.metrics.settings import EvaluationSettings
from bench.objectives import is_file, names

Protocol = Literal["controlled", "published", "custom"]
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
MOST_STEPS = 10**9  # a thousand times what GANs are trained for
ADDED_OBJECTIVES = "objectives+"  # the key of overrides that adds entries instead of replacing them


class Backbone(Table):
    """The network that every row shares; its depth follows the data's resolution.

    width        channels of the maps at half the resolution, doubled at every further halving (DCGAN: 64)
    latent       numbers that an image is generated from
    latent_law   what they are drawn from: N(0, 1), or uniform on [-1, 1]
    """

    width: int = Field(64, ge=4, le=512)
    latent: int = Field(100, ge=1, le=4096)
    latent_law: Literal["normal", "uniform"] = "normal"


class Budget(Table):
    """What every row may spend, and how its learning rates fall.

    generator_steps   steps of G in a run, the same for every row; steps of D follow from the recipe
    batch             real images in a discriminator step, and generated ones
    halve_every       both learning rates are halved after every so many generator steps
    """

    generator_steps: int = Field(ge=1, le=MOST_STEPS)
    batch: int = Field(64, ge=2, le=1 << 20)
    halve_every: int = Field(ge=1, le=MOST_STEPS)


class Training(Table):
    """How runs are carried out.

    ema_decay   how slowly the averaged generator (`ema`) follows the raw one, per generator step
    snapshots   how many generators are saved: at the end, half-way, at a quarter, ...
    log_every   generator steps from one line of a run's log to the next
    precision   arithmetic of training: fp32, or bf16 where the device's convolutions have it
    engine      how an iteration runs: `auto` replays CUDA graphs on a CUDA device and is eager elsewhere
    threads     threads of a run on a CPU; another number gives other bits
    """

    ema_decay: float = Field(0.999, ge=0, lt=1)
    snapshots: int = Field(5, ge=1, le=20)
    log_every: int = Field(50, ge=1, le=MOST_STEPS)
    precision: Literal["fp32", "bf16"] = "fp32"
    engine: Literal["auto", "eager", "compiled", "graph"] = "auto"
    threads: int = Field(1, ge=1, le=1024)


class Entry(Table):
    """One row of a study. A recipe of its own makes its protocol `custom`.

    objective   an objective's name, or the path of a file of one's own
    label       what the row is called, unique in the study (not given: the objective's name)
    """

    objective: str
    label: str
    settings: dict[str, Any] = Field(default_factory=dict)
    recipe: RecipeOverrides | None = None


class Study(Table):
    """One comparison: what `[study.<name>]` resolves to.

    objectives          the rows: names, or tables such as `{objective = "wgan-gp", penalty_weight = 1.0}`
    learning_rates      every row once at each of these rates, labelled such as `nsgan@0.0002`
    protocols           under which the rows are trained: `controlled`, `published` (the authors' recipes) or both
    seeds               seeds of the runs: a list, or text such as `"0-4"` or `"0-2,7"`
    baseline            the label of the row that others are compared with
    twin_seeds          the baseline once more, on these seeds, for an A/A comparison with itself
    primary_metric      the metric that ranks and carries verdicts
    secondary_metrics   metrics that the tables show beside it
    generator           which generator is ranked, the raw or the averaged one
    settings            objectives' settings, given to every row whose objective has them
    predictions         what is expected, written down before the runs: see [[study.NAME.predictions]]
    """

    name: str
    title: str = Field(description="what the report is headed with")
    notice: str | None = Field(None, description="a warning that stands over every page of the report")
    caption: str = Field("", description="a sentence under the report's tables")
    objectives: tuple[Entry, ...] = Field(min_length=1)
    learning_rates: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    protocols: tuple[Literal["controlled", "published"], ...] = ("controlled",)
    seeds: tuple[int, ...] = Field(min_length=1)
    baseline: str = "nsgan"
    twin_seeds: tuple[int, ...] = ()
    primary_metric: str = "fd_lite0"
    secondary_metrics: tuple[str, ...] = ()
    generator: Literal["raw", "ema"] = "raw"
    data: DataRequest
    backbone: Backbone = Backbone()
    recipe: RecipeOverrides = RecipeOverrides()
    settings: dict[str, Any] = Field(default_factory=dict)
    budget: Budget
    training: Training = Training()
    evaluation: EvaluationSettings = EvaluationSettings()
    predictions: tuple[Prediction, ...] = ()

    @property
    def twin_label(self) -> str:
        """Return what the baseline's runs on `twin_seeds` are called."""
        return f"{self.baseline}-twin"


@dataclass(frozen=True)
class Config:
    """A read bench.toml: its studies, in the file's order."""

    path: Path
    default_study: str
    studies: Mapping[str, Study]

    def study(self, name: str | None) -> Study:
        """Return a study by name (None: the default). Raises BenchError, with near misses, for an unknown one."""
        wanted = name or self.default_study
        if wanted not in self.studies:
            raise BenchError(
                f'{self.path} has no study "{wanted}"{suggest(wanted, self.studies)}',
                hint=f"It has: {', '.join(self.studies)}.",
            )
        return self.studies[wanted]


def find_config(path: Path | None) -> Path:
    """Return the file to read: the one given, else ./bench.toml, else the packaged copy."""
    if path is not None:
        if not path.is_file():
            raise BenchError(f"There is no file {path}", hint="`bench init` writes a bench.toml to start from.")
        return path
    here = Path("bench.toml")
    return here if here.is_file() else packaged_config()


def packaged_config() -> Path:
    """Return the bench.toml that comes with the package (in a source checkout, the one beside it)."""
    installed = Path(__file__).parents[1] / "bench.toml"
    return installed if installed.is_file() else Path(__file__).parents[2] / "bench.toml"


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
    for key in sorted(set(content) - {"default_study", "common", "study"}):
        allowed = ["default_study", "common", "study"]
        problems.append(Problem((key,), None, f"unknown key{suggest(key, allowed)}; allowed: {', '.join(allowed)}"))
    tables, common = (_table_at(key, content, problems) for key in ("study", "common"))
    default = content.get("default_study", next(iter(tables), ""))
    if not isinstance(default, str) or default not in tables:
        problems.append(Problem(("default_study",), default, f"names no study{suggest(str(default), tables)}"))
    studies = {}
    for name in tables:
        extra = overrides if overrides and name == (study or default) else {}
        study_read = _read_study(name, tables, common, extra, path.parent, problems)
        if study_read is not None:
            studies[name] = study_read
    if problems:
        raise BenchError(describe(path, text, problems), hint="Nothing was run. Fix these and run the command again.")
    return Config(path, default, studies)


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
    values = _merge(values, {key: value for key, value in overrides.items() if key != ADDED_OBJECTIVES})
    values["name"] = name
    if overrides.get(ADDED_OBJECTIVES) and isinstance(values.get("objectives", []), list):
        values["objectives"] = [*values.get("objectives", []), *overrides[ADDED_OBJECTIVES]]
    own.extend(_read_seeds(values, where))
    if isinstance(values.get("objectives"), list):
        values["objectives"] = [
            entry
            for index, item in enumerate(values["objectives"])
            if (entry := _read_entry(item, (*where, "objectives", index), folder, own)) is not None
        ]
    own.extend(_not_finite(values, where))
    own.extend(_cross_checks(values, where))
    study = None
    try:
        study = Study.model_validate(_tuples(values))
    except ValidationError as error:
        own.extend(problems_of(error, where, Study))
    if study is not None:
        own.extend(_batch_problems(study, where))
        own.extend(_prediction_problems(study, where))
        if study.twin_seeds and study.twin_label in {entry.label for entry in expanded_entries(study)}:
            what = "is an entry's label, and what the baseline on `twin_seeds` is called; give the entry another"
            own.append(Problem((*where, "objectives"), study.twin_label, what))
    for problem in own:
        located = replace(problem, where=_written_in(problem.where, name, tables, common))
        if located not in problems:  # a mistake in what studies share is one mistake
            problems.append(located)
    return None if own else study


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
        if batch % packing or batch // packing < 2:
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
        file = _own_file(folder, objective)
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
    label = table.get("label", Path(objective).stem.replace("_", "-") if is_file(objective) else objective)
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        problems.append(Problem((*where, "label"), label, "a label is made of letters, digits and . _ @ + -"))
        return None
    return {"objective": objective, "label": label, "settings": settings, "recipe": recipe or None}


def _own_file(folder: Path, objective: str) -> Path | None:
    try:
        file = (folder / Path(objective).expanduser()).resolve()
        return file if file.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null character, the home of nobody
        return None


def _cross_checks(values: Mapping[str, Any], where: tuple[str | int, ...]) -> list[Problem]:
    """Return the mistakes that show only when several values are seen together; unfit values were named before."""
    from bench.metrics.catalogue import METRICS

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
        if isinstance(metric, str) and metric not in METRICS:
            problems.append(Problem((*where, key), metric, f"is no metric{suggest(metric, METRICS)}"))
    if isinstance(primary, str) and primary in METRICS and not METRICS[primary].ranks:
        problems.append(Problem((*where, "primary_metric"), primary, "is a diagnostic and never ranks"))
    return problems


def expanded_entries(study: Study) -> list[Entry]:
    """Return the study's entries; with `learning_rates`, one of each per rate, labelled `nsgan@0.0002`."""
    if not study.learning_rates:
        return list(study.objectives)
    return [
        entry.model_copy(
            update={
                "label": f"{entry.label}@{rate:g}",
                "recipe": (entry.recipe or RecipeOverrides()).model_copy(update={"learning_rate": rate}),
            }
        )
        for entry in study.objectives
        for rate in study.learning_rates
    ]


def _tuples(value: Any) -> Any:
    """Turn TOML's arrays into tuples, which the strict models ask for."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value
