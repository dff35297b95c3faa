"""Run directories → one tidy table: a row per run, snapshot, generator, sample seed and metric. Never imports torch.

docs/results.md says what every column means; `COLUMNS` is the same in code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError
from bench.files import read_jsonl, write_atomic
from bench.metrics.catalogue import collapsed
from bench.metrics.settings import EvaluationSettings
from bench.runs.folder import (
    PLAN_FILE,
    EffectiveState,
    FailureKind,
    RunFolder,
    Status,
    evaluation_settings,
    read_plan,
    run_folder,
)


@dataclass(frozen=True)
class Column:
    """One column of results.csv: its name, pandas dtype and meaning."""

    name: str
    dtype: str
    description: str


COLUMNS = (
    Column("study", "string", "name of the study"),
    Column("label", "string", "the entry's label, unique in the study"),
    Column("objective", "string", "the entry's objective"),
    Column("protocol", "string", "controlled, published or custom"),
    Column("seed", "Int64", "training seed"),
    Column("run", "string", "the run's folder, relative to the study's"),
    Column("state", "string", "planned, running, interrupted (also by its machine), done, diverged or failed"),
    Column("reason", "string", "why a run diverged or failed, else empty"),
    Column("generator_steps", "Int64", "generator steps at the snapshot; in a row without metric, those the run took"),
    Column("discriminator_steps", "Int64", "discriminator steps taken by then"),
    Column("images_seen", "Int64", "real images shown to the discriminator by then, repeats counted"),
    Column("device_seconds", "Float64", "seconds of training by then, evaluation and start-up not counted"),
    Column("final", "boolean", "True where generator_steps is the study's final step"),
    Column("generator", "string", "raw, or ema (the averaged generator)"),
    Column("sample_seed", "Int64", "which block of evaluation latents"),
    Column("metric", "string", "the metric's name, which carries its extractor; empty where nothing was measured"),
    Column("value", "Float64", "the metric's value"),
    Column("floor", "Float64", "the same metric of real images against real images at the same N"),
    Column("floor_source", "string", "which real images stand in for generated ones in the floor: heldout or train"),
    Column("floor_samples", "Int64", "how many of those"),
    Column("samples", "Int64", "generated images measured (N)"),
    Column("reference", "string", "which real images they are held against: heldout or train"),
    Column("reference_samples", "Int64", "how many of those"),
    Column("collapsed", "boolean", "whether this run's generator had collapsed at its final step; empty: not known"),
)
KEY = ("generator_steps", "generator", "sample_seed", "metric")
ADDED_LATER = frozenset({"floor_source", "floor_samples"})  # tables that were written before lack these columns
_FROM_LINE = ("generator", "sample_seed", "metric", "value", "floor", "samples", "reference", "reference_samples")
# Kinds of failure that come from where a run was computed, not from what was asked of it.
MACHINE_FAILURES: frozenset[FailureKind] = frozenset({"memory", "device", "process"})
_COUNTS = ("discriminator_steps", "images_seen", "device_seconds")


def collect(runs_root: Path, study: str) -> pd.DataFrame:
    """Read every planned run of `study` under `runs_root` into one table with the columns of `COLUMNS`.

    Rows follow the plan's order of runs, then KEY. Only metric lines of the plan's evaluation settings are read; of
    lines with the same key the last one counts. A run without any has one row with an empty metric and value.
    Raises BenchError when the study was never planned, and when its runs did not all see the same images.
    """
    plan = read_plan(runs_root, study)
    _refuse_repeated(
        ((run["label"], run["protocol"], run["seed"]) for run in plan["runs"]), runs_root / study / PLAN_FILE
    )
    settings = evaluation_settings(plan)
    digests: dict[str, list[str]] = {}
    rows: list[dict[str, Any]] = []
    for planned in plan["runs"]:
        folder = run_folder(runs_root / study, planned["path"])
        status = folder.status()
        log, measured = whole_records(folder, status)
        lines = _metric_lines(measured, plan["evaluation_id"])
        for digest in _data_digests(status, lines):
            digests.setdefault(digest, []).append(planned["path"])
        rows.extend(_rows_of_run(plan, planned, folder, status, lines, log, settings))
    _refuse_mixed_data(study, digests)
    return _typed(rows)


def write_results(runs_root: Path, study: str, path: Path) -> pd.DataFrame:
    """Write `collect`'s table to `path` as CSV, atomically, and return it."""
    table = collect(runs_root, study)
    write_atomic(path, table.to_csv(index=False, lineterminator="\n"))
    return table


def read_results(path: Path) -> pd.DataFrame:
    """Read a results.csv back with the types it was written with. Raises BenchError when a column is missing."""
    try:
        table = pd.read_csv(
            path, dtype={column.name: column.dtype for column in COLUMNS}, keep_default_na=False, na_values=[""]
        )
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read as a table of results: {error}") from error
    table = table.assign(
        **{
            column.name: pd.array([None] * len(table), dtype=column.dtype)  # type: ignore[call-overload]
            for column in COLUMNS
            if column.name in ADDED_LATER and column.name not in table.columns
        }
    )
    missing = [column.name for column in COLUMNS if column.name not in table.columns]
    if missing:
        raise BenchError(f"{path} lacks the columns {', '.join(missing)}", hint="docs/results.md lists them all.")
    _refuse_repeated(table[["label", "protocol", "seed", *KEY]].itertuples(index=False, name=None), path)
    return table[[column.name for column in COLUMNS]]


def whole_records(folder: RunFolder, status: Status) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of a run's log.jsonl and metrics.jsonl.

    Raises BenchError, naming file and line, where one was changed or taken out, and where lines are gone from the end.
    """
    log, measured = read_jsonl(folder.log_file), read_jsonl(folder.metrics_file)
    last = log[-1]["generator_steps"] if log else 0
    if status.state == "done" and last != status.generator_steps:
        raise _cut_off(folder.log_file, f"ends at step {last:,}, and its run took {status.generator_steps:,}")
    if measured and len(measured) < (status.metric_lines or 0):
        raise _cut_off(folder.metrics_file, f"has {len(measured)} lines, and {status.metric_lines} were written")
    return log, measured


def _cut_off(path: Path, how: str) -> BenchError:
    return BenchError(
        f"{path} {how}: lines are missing",
        hint="Bring it back from a copy, or move the run's folder away and run again.",
    )


def _refuse_repeated(keys: Iterable[tuple[Any, ...]], path: Path) -> None:
    twice = [key for key, times in Counter(keys).items() if times > 1]
    if twice:
        named = " ".join(str(part) for part in twice[0] if part is not None)
        raise BenchError(
            f"{path} has {named} more than once, so nothing says which of them counts",
            hint="Give each row a label of its own in bench.toml, and plan the study again.",
        )


def evaluation_codes(runs: Iterable[RunFolder], evaluation_id: str) -> set[str]:
    """Return the hashes of the code that measured these runs under settings of this id.

    More than one: their scores were made by different code. Older lines do not say by which, and add none.
    """
    lines = (line for run in runs for line in _metric_lines(read_jsonl(run.metrics_file), evaluation_id))
    return {line["evaluation_code"] for line in lines if "evaluation_code" in line}


def reported_state(folder: RunFolder, status: Status) -> EffectiveState:
    """Return a run's state; one that its machine ended is interrupted, not failed, for it says nothing of its row.

    `bench run` takes it up again, and until then it is missing from the statistics instead of lost.
    """
    state = folder.effective_state()
    if state == "failed" and status.failures and status.failures[-1].kind in MACHINE_FAILURES:
        return "interrupted"
    return state


def matching(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows whose columns have these values; an empty cell matches nothing."""
    chosen = pd.Series(True, index=table.index)
    for name, value in values.items():
        chosen &= (table[name] == value).fillna(False).astype(bool)
    return table[chosen]


def labels_in(table: pd.DataFrame, labels: Iterable[str]) -> list[str]:
    """Return those of `labels` that a table has rows of, in their order."""
    there = set(table["label"].unique())
    return [label for label in labels if label in there]


def _metric_lines(measured: Iterable[dict[str, Any]], evaluation_id: str) -> list[dict[str, Any]]:
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in measured:
        if line.get("evaluation_id") == evaluation_id:
            lines[tuple(line[name] for name in KEY)] = line
    return [lines[key] for key in sorted(lines)]


def _rows_of_run(
    plan: Mapping[str, Any],
    planned: Mapping[str, Any],
    folder: RunFolder,
    status: Status,
    lines: list[dict[str, Any]],
    log: list[dict[str, Any]],
    settings: EvaluationSettings,
) -> list[dict[str, Any]]:
    run = {
        "study": plan["study"],
        **{name: planned[name] for name in ("label", "objective", "protocol", "seed")},
        "run": planned["path"],
        "state": reported_state(folder, status),
        "reason": status.reason,
    }
    final = plan["final_step"]
    if not lines:
        taken = {name: getattr(status, name) for name in ("generator_steps", *_COUNTS)}
        return [run | (taken if status.total_generator_steps else {}) | {"final": status.generator_steps == final}]
    logged = {line["generator_steps"]: line for line in log}
    verdicts = {
        generator: collapsed(
            [line for line in lines if line["generator_steps"] == final and line["generator"] == generator], settings
        )
        for generator in {line["generator"] for line in lines}
    }
    rows = []
    for line in lines:
        steps = line["generator_steps"]
        counts: dict[str, Any] | None = logged.get(steps)
        if counts is None and steps == status.generator_steps:
            counts = {name: getattr(status, name) for name in _COUNTS}
        rows.append(
            run
            | {name: line[name] for name in _FROM_LINE}
            | {name: line.get(name) for name in ADDED_LATER}
            | {name: None if counts is None else counts[name] for name in _COUNTS}
            | {"generator_steps": steps, "final": steps == final, "collapsed": verdicts[line["generator"]]}
        )
    return rows


def _data_digests(status: Status, lines: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return what identifies a run's images: training and held-out digests, as trained with and as measured with."""
    if status.data_sha256 is None:
        return set()
    train, heldout = status.data_sha256["train"], status.data_sha256["heldout"]
    measured = {line["data_sha256"] for line in lines} - {train, heldout}
    return {f"{train} {heldout}", *(f"{train} {digest}" for digest in measured)}


def _refuse_mixed_data(study: str, digests: Mapping[str, list[str]]) -> None:
    if len(digests) <= 1:
        return
    told = "".join(
        f"\n  train {digest.split()[0][:12]}, held out {digest.split()[1][:12]}: {_some(runs)}"
        for digest, runs in sorted(digests.items(), key=lambda item: -len(item[1]))
    )
    raise BenchError(
        f'The runs of study "{study}" saw different images, so they share no table:{told}',
        hint="Move the runs of one kind away (or `bench clean` them), then `bench run --all` makes the missing ones.",
    )


def _some(runs: list[str]) -> str:
    shown = ", ".join(runs[:4])
    return shown if len(runs) <= 4 else f"{shown} and {len(runs) - 4} more"


def _typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            column.name: pd.array([row.get(column.name) for row in rows], dtype=column.dtype)  # type: ignore[call-overload]
            for column in COLUMNS
        }
    )
