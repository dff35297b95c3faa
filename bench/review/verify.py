"""`bench verify`: does a report say what its tables say, and do these say what the runs say?

Levels, each needing more: *files* (the report's own checksums, which whoever changes a file can change too),
*statistics* (every table, those for LaTeX included, recomputed from results.csv and plan.json), *runs* (the runs'
checksums, results.csv and the whole report made again from them), *metrics* (snapshots measured again); *training* is
`bench replay`'s. What a level needs and lacks is named: nothing is called checked that was not.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bench.errors import BenchError
from bench.files import read_json, read_jsonl, sha256_file
from bench.metrics.tolerances import TOLERANCE, allowed, machine_of
from bench.report import render
from bench.report.model import FIGURES
from bench.report.render.latex import latex_tables
from bench.report.render.made_by import made_otherwise
from bench.report.render.manifest import MANIFEST, options_of
from bench.report.sections.published import published_frames
from bench.report.study import assembled
from bench.runs.folder import PLAN_FILE, RunFolder
from bench.runs.portable import portable_digest
from bench.statistics.results import ADDED_LATER, collect, read_results

Measure = Callable[[Path], list[dict[str, Any]]]
"""Measures a run's folder anew and returns the lines of its metrics.jsonl."""

Outcome = Literal["holds", "FAILS", "not checked"]
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
    findings = [*_files(report, written), *_statistics(report, written)]
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

    Both are compared as CSV text, which is what a report ships; numbers in it may differ by TOLERANCE, since other
    versions of numpy and scipy round otherwise.
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
            if _same(str(one.at[index, column]), str(other.at[index, column])):
                continue
            row = " ".join(str(other.at[index, key]) for key in ROW_KEYS if key in other.columns)
            held_text, anew = (str(frame.at[index, column]) or "empty" for frame in (one, other))
            yield f"{' '.join(row.split())}, {column}: {held_text}, recomputed {anew}"


def _same(held: str, anew: str) -> bool:
    """Tell whether two cells hold the same words and, but for roundings, the same numbers."""
    one, other = re.split(r"([\s:]+)", held), re.split(r"([\s:]+)", anew)
    return len(one) == len(other) and all(map(_alike, one, other))


def _alike(held: str, anew: str) -> bool:
    try:
        return held == anew or math.isclose(float(held), float(anew), rel_tol=TOLERANCE, abs_tol=1e-9)
    except ValueError:
        return False


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


def _statistics(report: Path, written: dict[str, Any]) -> Iterator[Finding]:
    """Recompute every table of statistics from the results and the plan that ship with the report."""
    needed = [name for name in ("results.csv", PLAN_FILE) if not (report / name).is_file()]
    if needed:
        yield Finding("statistics", "not checked", f"{' and '.join(needed)} missing")
        return
    try:
        study = assembled(read_json(report / PLAN_FILE), read_results(report / "results.csv"), {})
        frames = study.statistics.frames() | published_frames(study)
        latex = latex_tables(study)
    except (BenchError, KeyError, TypeError, ValueError, AttributeError) as error:
        yield Finding("statistics", "FAILS", f"results.csv and {PLAN_FILE} give no statistics: {error}")
        return
    otherwise = made_otherwise(written)
    for name, frame in frames.items():
        if otherwise and f"{name}.csv" not in written["files"]:
            yield Finding("statistics", "not checked", f"{name}.csv is not part of this report, made with {otherwise}")
            continue
        yield from _table("statistics", report / f"{name}.csv", frame, otherwise)
    other = [name for name, text in latex.items() if _bytes(report / "latex" / name) != text.encode()]
    if other and otherwise:
        yield Finding("statistics", "not checked", _come_out_otherwise([f"latex/{name}" for name in other], otherwise))
        return
    for name in other:
        yield Finding("statistics", "FAILS", f"latex/{name} is not what results.csv and {PLAN_FILE} give")
    if not other:
        yield Finding("statistics", "holds", f"{len(latex)} LaTeX tables made again, all the same")


def _come_out_otherwise(names: Sequence[str], otherwise: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{shown}: made again here, they come out otherwise, and so they may, for they were made with {otherwise}"


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _table(level: str, path: Path, computed: pd.DataFrame, otherwise: str = "") -> Iterator[Finding]:
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
    again = again[[name for name in again.columns if name in held.columns or name not in ADDED_LATER]]
    if otherwise and list(held.columns) != list(again.columns):
        yield Finding(level, "not checked", f"{path.name} has other columns here; it was made with {otherwise}")
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
        yield Finding("runs", "not checked", _checksums_alone(written))
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


def _checksums_alone(written: dict[str, Any]) -> str:
    """Return what a report without its runs leaves open: what nothing but the manifest vouches for."""
    recomputed = [name for name in written["files"] if name.startswith("latex/") or _is_statistics(name)]
    rest = [name for name in written["files"] if name not in recomputed]
    drawn = [name for name in rest if name.startswith(f"{FIGURES}/")]
    named = ", ".join([*(name for name in rest if name not in drawn), f"{len(drawn)} files of figures"])
    return f"{named}: they rest on {MANIFEST} alone, which whoever changes a file can change too; they need the runs"


def _is_statistics(name: str) -> bool:
    return "/" not in name and name.endswith(".csv") and name != "results.csv"


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
    otherwise = made_otherwise(written)
    if other and otherwise:
        yield Finding("runs", "not checked", _come_out_otherwise(other, otherwise))
        return
    for name in other[:_SHOWN]:
        yield Finding("runs", "FAILS", f"{name} is not what these runs give")
    if len(other) > _SHOWN:
        yield Finding("runs", "FAILS", f"{len(other) - _SHOWN} more files are not what these runs give")
    if not other:
        yield Finding("runs", "holds", f"the report made again from the runs is the same, {len(anew)} files")


def verify_metrics(report: Path, runs_root: Path, measure: Measure) -> Iterator[Finding]:
    """Measure every run's snapshots again and compare the values, which must agree to what `allowed` allows.

    What counts is of the report's evaluation settings. A value that measuring its step again does not give fails, and
    so does one that metrics.jsonl lacks although others of the same sample are there. One that differs, from a kind of
    machine that is not here, is not checked where no tolerance was measured.
    """
    written = read_manifest(report)
    for run in written["runs"]:
        folder = runs_root / written["study"] / run["path"]
        held = _lines(read_jsonl(folder / "metrics.jsonl"), written["evaluation_id"])
        try:
            again = _lines(measure(folder), written["evaluation_id"]) if held else {}
        except BenchError as error:
            yield Finding("metrics", "not checked", f"{run['path']}: {error.message}")
            continue
        shared = sorted(held.keys() & again.keys())
        if not shared:
            yield Finding("metrics", "not checked", f"{run['path']}: there is nothing to measure again")
            continue
        compared = [_compared(key, held[key], again[key], RunFolder(folder)) for key in shared]
        wrong = [*(value.text for value in compared if value.outcome == "FAILS"), *_only_in_one(held, again)]
        for text in wrong[:_SHOWN]:
            yield Finding("metrics", "FAILS", f"{run['path']}: {text}")
        if len(wrong) > _SHOWN:
            yield Finding("metrics", "FAILS", f"{run['path']}: {len(wrong) - _SHOWN} more differences")
        for text in [*_measured_elsewhere(compared), *_left_open(held, again)]:
            yield Finding("metrics", "not checked", f"{run['path']}: {text}")
        holding = [value for value in compared if value.outcome == "holds"]
        if holding and not wrong:
            near = sum(value.apart > TOLERANCE for value in holding)
            within = f", {near} of them to within what processors differ by" if near else ""
            text = f"{len(holding)} of {len(held)} values measured again{within}"
            yield Finding("metrics", "holds", f"{run['path']}: {text}")


Key = tuple[int, str, int, str]
"""What a value is of: generator steps, generator, sample seed, metric."""


@dataclass(frozen=True)
class _Compared:
    """A value that was measured again: what came of it, how far the two are apart, and what measured it before."""

    outcome: Outcome
    apart: float
    text: str
    measured_on: str


def _lines(lines: Sequence[dict[str, Any]], evaluation_id: str) -> dict[Key, dict[str, Any]]:
    return {
        (line["generator_steps"], line["generator"], line["sample_seed"], line["metric"]): line
        for line in lines
        if line["evaluation_id"] == evaluation_id
    }


def _compared(key: Key, held: Mapping[str, Any], again: Mapping[str, Any], run: RunFolder) -> _Compared:
    value, anew = held["value"], again["value"]
    apart = abs(value - anew) / max(1.0, abs(anew))
    was = machine_of(held, run)
    tolerance = allowed(key[3], was, again["measured_on"], again["samples"])
    outcome: Outcome = "not checked" if tolerance is None else "FAILS"
    if apart <= (tolerance or TOLERANCE):
        outcome = "holds"
    where = f"{was['device']} with torch {was['torch']}" if was else "an unknown machine"
    return _Compared(outcome, apart, f"{_named(key)} is {value:.6g}, measured again {anew:.6g}", where)


def _measured_elsewhere(compared: Sequence[_Compared]) -> Iterator[str]:
    """Name values that differ, with no measured tolerance between their machine and this one."""
    differing = [value for value in compared if value.outcome == "not checked"]
    for where in dict.fromkeys(value.measured_on for value in differing):
        values = [value for value in differing if value.measured_on == where]
        furthest = max(values, key=lambda value: value.apart)
        yield (
            f"{len(values)} values measured on {where} come out otherwise here, how far they may was never measured; "
            f"furthest off, {furthest.text}"
        )


def _only_in_one(held: Mapping[Key, object], again: Mapping[Key, object]) -> Iterator[str]:
    """Name values that cannot have been measured, and values that were taken out of their sample."""
    steps, samples = {key[0] for key in again}, {key[:3] for key in held}
    for key in sorted(held.keys() - again.keys()):
        if key[0] in steps:
            yield f"{_named(key)} is in metrics.jsonl, and measuring does not give it"
    for key in sorted(again.keys() - held.keys()):
        if key[:3] in samples:
            yield f"{_named(key)} is left out of metrics.jsonl"


def _left_open(held: Mapping[Key, object], again: Mapping[Key, object]) -> Iterator[str]:
    """Name values of steps without a snapshot, and whole samples that were not measured before."""
    steps, samples = {key[0] for key in again}, {key[:3] for key in held}
    unmeasured = [key for key in held.keys() - again.keys() if key[0] not in steps]
    unheld = [key for key in again.keys() - held.keys() if key[:3] not in samples]
    for keys, what in (
        (unmeasured, "were not measured again: no snapshot of it is here"),
        (unheld, "can be measured, and metrics.jsonl has none of their sample"),
    ):
        at = ", ".join(f"{step:,}" for step in sorted({key[0] for key in keys}))
        if keys:
            yield f"{len(keys)} values of step {at} {what}"


def _named(key: Key) -> str:
    return f"{key[3]} ({key[1]}, step {key[0]:,}, sample seed {key[2]})"
