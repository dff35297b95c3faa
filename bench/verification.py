"""`bench verify`: does a report say what its tables say, and do these say what the runs say?

Levels, each needing more: *files* (the report's own checksums), *statistics* (every table recomputed from results.csv),
*runs* (the runs' checksums, results.csv and the whole report made again from them), *metrics* (snapshots measured
again); *training* is `bench replay`'s. What a level needs and lacks is named: nothing is called checked that was not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench import __version__
from bench.errors import BenchError
from bench.files import read_json, read_jsonl, sha256_file
from bench.portable import portable_digest
from bench.report import render
from bench.report.manifest import MANIFEST, options_of
from bench.results import collect, read_results
from bench.runs import PLAN_FILE
from bench.statistics import study_statistics

Measure = Callable[[Path], list[dict[str, Any]]]
"""Measures a run's folder anew and returns the lines of its metrics.jsonl."""

Outcome = Literal["holds", "FAILS", "not checked"]
TOLERANCE = 1e-6
ROW_KEYS = ("protocol", "label", "first", "second", "seed", "metric", "generator_steps", "generator")
_SHOWN = 10  # differences named per table


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: at which level, what came out, and in which words."""

    level: str
    outcome: Outcome
    what: str


def verify(report: Path, runs_root: Path) -> list[Finding]:
    """Check a report's folder at the levels files, statistics and, where its runs lie in `runs_root`, runs.

    Raises BenchError when `report` is no folder of a report, or was written by another version of the format.
    """
    written = read_manifest(report)
    findings = [*_files(report, written), *_statistics(report)]
    return [*findings, *_runs(report, written, runs_root)]


def read_manifest(report: Path) -> dict[str, Any]:
    """Return a report's manifest.json. Raises BenchError when there is none that can be read."""
    if not (report / MANIFEST).is_file():
        raise BenchError(f"{report} holds no {MANIFEST}", hint="Name the folder that `bench report` wrote.")
    written = read_json(report / MANIFEST)
    if not isinstance(written, dict) or written.get("schema") != 1:
        raise BenchError(f"{report / MANIFEST} was written by another version of bench")
    return written


def differences(held: pd.DataFrame, computed: pd.DataFrame) -> Iterator[str]:
    """Name every cell in which a table differs from what was computed anew, by its row's keys and its column.

    Both are compared as CSV text, which is what a report ships.
    """
    one, other = (frame.astype("string").fillna("") for frame in (held, computed))
    if list(one.columns) != list(other.columns):
        yield f"its columns are {', '.join(one.columns)}"
        return
    if len(one) != len(other):
        yield f"it has {len(one):,} rows, recomputed {len(other):,}"
        return
    for column in one.columns:
        for index in one.index[one[column].to_numpy() != other[column].to_numpy()]:
            row = " ".join(str(other.at[index, key]) for key in ROW_KEYS if key in other.columns)
            held_text, anew = (str(frame.at[index, column]) or "empty" for frame in (one, other))
            yield f"{' '.join(row.split())}, {column}: {held_text}, recomputed {anew}"


def _files(report: Path, written: dict[str, Any]) -> Iterator[Finding]:
    changed = [name for name, digest in written["files"].items() if _digest(report / name) not in (digest, None)]
    missing = [name for name in written["files"] if not (report / name).is_file()]
    for name in changed:
        yield Finding("files", "FAILS", f"{name} was changed after the report was written")
    for name in missing:
        yield Finding("files", "FAILS", f"{name} is missing")
    if not changed and not missing:
        yield Finding("files", "holds", f"{len(written['files'])} files are as they were written")


def _digest(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _statistics(report: Path) -> Iterator[Finding]:
    """Recompute every table of statistics from the results and the plan that ship with the report."""
    needed = [name for name in ("results.csv", PLAN_FILE) if not (report / name).is_file()]
    if needed:
        yield Finding("statistics", "not checked", f"{' and '.join(needed)} missing")
        return
    try:
        frames = study_statistics(read_results(report / "results.csv"), read_json(report / PLAN_FILE)).frames()
    except (BenchError, KeyError, TypeError, ValueError) as error:
        yield Finding("statistics", "FAILS", f"results.csv and {PLAN_FILE} give no statistics: {error}")
        return
    for name, frame in frames.items():
        yield from _table("statistics", report / f"{name}.csv", frame)


def _table(level: str, path: Path, computed: pd.DataFrame) -> Iterator[Finding]:
    if not path.is_file():
        yield Finding(level, "FAILS", f"{path.name} is missing")
        return
    with tempfile.TemporaryDirectory() as folder:
        anew = Path(folder) / path.name
        computed.to_csv(anew, index=False, lineterminator="\n")
        held, again = _as_text(path), _as_text(anew)
    if held is None or again is None:
        yield Finding(level, "FAILS", f"{path.name} is no table")
        return
    found = list(differences(held, again))
    for text in found[:_SHOWN]:
        yield Finding(level, "FAILS", f"{path.name}: {text}")
    if len(found) > _SHOWN:
        yield Finding(level, "FAILS", f"{path.name}: {len(found) - _SHOWN} more differences")
    if not found:
        yield Finding(level, "holds", f"{path.name}: {len(again):,} rows recomputed, all cells equal")


def _as_text(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(path, dtype="string", keep_default_na=False)
    except (ValueError, OSError):
        return None


def _runs(report: Path, written: dict[str, Any], runs_root: Path) -> Iterator[Finding]:
    """Check the runs' files against the manifest, results.csv against the runs, and make the report again."""
    study = runs_root / written["study"]
    there = [run for run in written["runs"] if (study / run["path"]).is_dir()]
    if not there:
        yield Finding("runs", "not checked", f"its {len(written['runs'])} runs do not lie in {study}")
        return
    trouble = list(_changed_runs(study, written["runs"]))
    for text in trouble:
        yield Finding("runs", "FAILS", text)
    if not trouble:
        yield Finding("runs", "holds", f"{len(written['runs'])} runs are those that the report was made from")
    try:
        yield from _table("runs", report / "results.csv", collect(runs_root, written["study"]))
        yield from _made_again(report, written, runs_root)
    except BenchError as error:
        yield Finding("runs", "FAILS", error.message)


def _changed_runs(study: Path, runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        folder = study / run["path"]
        if not folder.is_dir():
            if run["files"]:  # a run that had not begun has nothing to miss
                yield f"{run['path']} is missing"
            continue
        for name, digest in run["files"].items():
            found = portable_digest(folder / name) if (folder / name).is_file() else None
            if found != digest:
                yield f"{run['path']}/{name} {'is missing' if found is None else 'is not the one reported'}"


def _made_again(report: Path, written: dict[str, Any], runs_root: Path) -> Iterator[Finding]:
    """Render the report anew and compare every file, byte for byte: the same runs give the same report."""
    with tempfile.TemporaryDirectory() as folder:
        render(runs_root, written["study"], Path(folder), options_of(written))
        again = read_manifest(Path(folder))
    for name in ("data_sha256", "environments"):
        if name in written and written[name] != again[name]:
            yield Finding("runs", "FAILS", f"{MANIFEST}: its {name} are not what these runs say")
    anew = again["files"]
    other = sorted(name for name in anew.keys() | written["files"].keys() if anew.get(name) != _digest(report / name))
    if other and written["bench_version"] != __version__:
        what = f"{len(other)} files are made otherwise by bench {__version__} than by {written['bench_version']}"
        yield Finding("runs", "not checked", f"{what}, which wrote them")
        return
    for name in other[:_SHOWN]:
        yield Finding("runs", "FAILS", f"{name} is not what these runs give")
    if len(other) > _SHOWN:
        yield Finding("runs", "FAILS", f"{len(other) - _SHOWN} more files are not what these runs give")
    if not other:
        yield Finding("runs", "holds", f"the report made again from the runs is the same, {len(anew)} files")


def verify_metrics(report: Path, runs_root: Path, measure: Measure) -> Iterator[Finding]:
    """Measure every run's snapshots again and compare the values, which must agree to TOLERANCE (relative above 1)."""
    written = read_manifest(report)
    for run in written["runs"]:
        folder = runs_root / written["study"] / run["path"]
        held = _values(read_jsonl(folder / "metrics.jsonl"))
        try:
            again = _values(measure(folder)) if held else {}
        except BenchError as error:
            yield Finding("metrics", "not checked", f"{run['path']}: {error.message}")
            continue
        shared = sorted(held.keys() & again.keys())
        wrong = [key for key in shared if abs(held[key] - again[key]) > TOLERANCE * max(1.0, abs(again[key]))]
        for key in wrong[:_SHOWN]:
            what = f"{run['path']}: {key[4]} ({key[2]}, step {key[1]:,}, sample seed {key[3]})"
            yield Finding("metrics", "FAILS", f"{what} is {held[key]:.6g}, measured again {again[key]:.6g}")
        if not shared:
            yield Finding("metrics", "not checked", f"{run['path']}: there is nothing to measure again")
        elif not wrong:
            yield Finding("metrics", "holds", f"{run['path']}: {len(shared)} of {len(held)} values measured again")


def _values(lines: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], float]:
    keys = ("evaluation_id", "generator_steps", "generator", "sample_seed", "metric")
    return {tuple(line[key] for key in keys): line["value"] for line in lines}
