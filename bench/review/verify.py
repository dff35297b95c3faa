"""`bench verify`: does a report say what its tables say, and do these say what the runs say?

Levels, each needing more: *files* (the report's own checksums, which whoever changes a file can change too), *plan*
(every run's id recomputed from its row, seed and settings), *statistics* (every table, those for LaTeX included,
recomputed from results.csv and plan.json), *runs* (the runs' records held against their ids, results.csv and the whole
report made again from them), *metrics* (snapshots measured again); *training* is `bench replay`'s. What a level needs
and lacks is named: nothing is called checked that was not.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.data import PreparedSet
from bench.errors import BenchError
from bench.files import read_json, sha256_file
from bench.metrics.tolerances import TOLERANCE
from bench.report import render
from bench.report.model import FIGURES
from bench.report.render.latex import latex_tables
from bench.report.render.made_by import made_otherwise
from bench.report.render.manifest import MANIFEST, options_of
from bench.report.sections.published import published_frames
from bench.report.study import assembled
from bench.review import identities
from bench.review.findings import SHOWN, Finding, failing, some
from bench.runs.folder import PLAN_FILE, read_plan
from bench.runs.portable import portable_digest
from bench.statistics.results import ADDED_LATER, collect, read_results

ROW_KEYS = ("protocol", "label", "first", "second", "seed", "metric", "generator_steps", "generator")
_LIST_OF_FIGURES = "figures/index.json"  # earlier versions wrote one
REPORT_FILES = ("report.html", "report.md", "results.csv", PLAN_FILE)
_BESIDE = {
    f"{name}.csv" for name in ("results", "forgives", "external", "backbones", "backbones-runs", "backbones-ranks")
}
_UNREADABLE = (BenchError, KeyError, TypeError, ValueError, AttributeError)


def verify(report: Path, runs_root: Path, data_root: Path | None = None) -> list[Finding]:
    """Check a report's folder at the levels files, plan, statistics and, where its runs lie in `runs_root`, runs.

    The images that it was trained on are read whole where they lie prepared below `data_root`. Raises BenchError when
    `report` is no folder of a report, or was written by another version of the format.
    """
    written = read_manifest(report)
    kinds = {"study": str, "evaluation_id": str, "files": dict, "runs": list}
    wrong = [name for name, kind in kinds.items() if not isinstance(written.get(name), kind)]
    if wrong:
        raise BenchError(f"{report / MANIFEST} is damaged: it says nothing of {', '.join(wrong)}")
    findings = [*_files(report, written), *_plan(report, written), *_statistics(report, written)]
    findings += _runs(report, written, runs_root)
    return findings if data_root is None else [*findings, *check_images(written, data_root)]


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
    unnamed = [name for name in REPORT_FILES if name not in written["files"]]
    for name in unnamed:
        yield Finding("files", "FAILS", f"{MANIFEST} names no {name}, which every report has")
    for name in changed:
        yield Finding("files", "FAILS", f"{name} was changed after the report was written")
    for name in missing:
        yield Finding("files", "FAILS", f"{name} is missing")
    if not changed and not missing and not unnamed:
        yield Finding("files", "holds", f"{len(written['files'])} files are as they were written")
    there = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    if strange := sorted(there - written["files"].keys() - {MANIFEST, _LIST_OF_FIGURES}):
        yield Finding("files", "not checked", f"{some(strange)}: in the folder, and no part of the report")


def _digest(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def _plan(report: Path, written: dict[str, Any]) -> Iterator[Finding]:
    """Hold the manifest and results.csv against the plan, and every run of the plan against its own id."""
    if not (report / PLAN_FILE).is_file() or not (report / "results.csv").is_file():
        return  # the next level names them
    try:
        plan = read_json(report / PLAN_FILE)
        problems = [*_manifest_problems(report, written, plan), *identities.plan_problems(plan)]
        problems += identities.result_problems(plan, read_results(report / "results.csv"))
        open_ids = sorted({row["label"] for row in plan["entries"] if not identities.is_computable(row)})
    except _UNREADABLE as error:
        yield Finding("plan", "FAILS", f"{PLAN_FILE} or results.csv cannot be read: {error}")
        return
    yield from failing("plan", problems)
    if not problems:
        yield Finding("plan", "holds", f"{len(plan['runs'])} runs are of the row, seed and settings they stand under")
    if open_ids:
        what = f"{some(open_ids)}: ids follow from an objective's file, whose hash the plan does not hold"
        yield Finding("plan", "not checked", what)


def _manifest_problems(report: Path, written: dict[str, Any], plan: dict[str, Any]) -> Iterator[str]:
    named = [(run["path"], run["id"]) for run in written["runs"]]
    planned = [(run["path"], run["id"]) for run in plan["runs"]]
    if sorted(named) != sorted(planned):
        yield f"{MANIFEST} names {len(named)} runs, and not the {len(planned)} of {PLAN_FILE}"
    for name in ("study", "evaluation_id"):
        if written[name] != plan[name]:
            yield f"{MANIFEST}: its {name} is {written[name]}, {PLAN_FILE} says {plan[name]}"
    if written.get("plan_sha256") != sha256_file(report / PLAN_FILE):
        yield f"{PLAN_FILE} is not the one that the report was made from"


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
    except _UNREADABLE as error:
        yield Finding("statistics", "FAILS", f"results.csv and {PLAN_FILE} give no statistics: {error}")
        return
    otherwise = made_otherwise(written)
    for name, frame in frames.items():
        if otherwise and f"{name}.csv" not in written["files"]:
            yield Finding("statistics", "not checked", f"{name}.csv is not part of this report, made with {otherwise}")
            continue
        yield from _table("statistics", report / f"{name}.csv", frame, otherwise)
    added = [f"latex/{name}" for name in latex if otherwise and f"latex/{name}" not in written["files"]]
    if added:
        yield Finding("statistics", "not checked", f"{some(added)}: not part of this report, made with {otherwise}")
    latex = {name: text for name, text in latex.items() if f"latex/{name}" not in added}
    other = [name for name, text in latex.items() if _bytes(report / "latex" / name) != text.encode()]
    if other and otherwise:
        yield Finding("statistics", "UNPROVEN", _come_out_otherwise([f"latex/{name}" for name in other], otherwise))
        return
    for name in other:
        yield Finding("statistics", "FAILS", f"latex/{name} is not what results.csv and {PLAN_FILE} give")
    if not other:
        yield Finding("statistics", "holds", f"{len(latex)} LaTeX tables made again, all the same")


def _come_out_otherwise(names: Sequence[str], otherwise: str) -> str:
    return (
        f"{some(names)}: nothing was checked of them, for made again here they come out otherwise, as they may if they "
        f"were made with {otherwise}; `bench report` makes them anew"
    )


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
        shared = [name for name in again.columns if name in held.columns]
        held, again = held[shared], again[shared]
    found = list(differences(held, again))
    for text in found[:SHOWN]:
        yield Finding(level, "FAILS", f"{path.name}: {text}")
    if len(found) > SHOWN:
        yield Finding(level, "FAILS", f"{path.name}: {len(found) - SHOWN} more differences")
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
    elsewhere = {path.parts[-3] for run in written["runs"] for path in runs_root.glob(f"*/{run['path']}")}
    if not there and elsewhere:
        yield Finding("runs", "FAILS", f"its runs lie in {some(sorted(elsewhere))}, not in {written['study']}")
    elif not there:
        yield Finding("runs", "not checked", f"its {len(written['runs'])} runs do not lie in {study}")
        yield Finding("runs", "not checked", _checksums_alone(written))
    if not there:
        return
    trouble = list(_changed_runs(study, written["runs"]))
    for text in trouble:
        yield Finding("runs", "FAILS", text)
    if not trouble:
        yield Finding("runs", "holds", f"{len(written['runs'])} runs are those that the report was made from")
    try:
        yield from _identities(report, study)
        yield from _table("runs", report / "results.csv", collect(runs_root, written["study"]))
        yield from _made_again(report, written, runs_root)
    except _UNREADABLE as error:
        yield Finding("runs", "FAILS", error.message if isinstance(error, BenchError) else f"unreadable: {error!r}")


def _identities(report: Path, study: Path) -> Iterator[Finding]:
    """Hold every run's records against its id, the plan and its row; the plan's own against itself comes before."""
    plan = read_plan(study.parent, study.name)
    if (report / PLAN_FILE).is_file() and plan != (told := read_json(report / PLAN_FILE)):
        yield Finding("runs", "FAILS", f"{PLAN_FILE} is not that of these runs{_since(told, plan)}")
    problems = list(identities.run_problems(study, plan))
    yield from failing("runs", problems)
    if not problems:
        yield Finding("runs", "holds", "every run's records are of its id, row, seed and settings")
    if old := identities.unsummed(study, plan):
        yield Finding(
            "runs", "not checked", f"not summed, as older versions wrote them: {len(old)} files, {old[0]} first"
        )


def _since(told: dict[str, Any], now: dict[str, Any]) -> str:
    """Say which rows or runs the study has lost or gained since the report was made, where that is how plans differ."""
    parts = []
    for what, name in (("entries", "{label}-{protocol}"), ("runs", "{path}")):
        before, after = ({name.format(**each) for each in plan[what]} for plan in (told, now))
        parts += [f"without {some(sorted(before - after))}"] if before - after else []
        parts += [f"with {some(sorted(after - before))}"] if after - before else []
        if parts:
            return f": the study is now {' and '.join(parts)}; `bench report` makes the report anew"
    return ""


def check_images(written: dict[str, Any], data_root: Path) -> Iterator[Finding]:
    """Read the prepared images whole that the runs saw, where they lie here."""
    for digest in sorted(set((written.get("data_sha256") or {}).values())):
        for manifest in sorted((data_root / "prepared").glob("*/*/manifest.json")):
            try:
                if read_json(manifest)["sha256"] != digest:
                    continue
                PreparedSet.open(manifest.parent).verify()
            except (BenchError, KeyError) as error:
                yield Finding("images", "FAILS", str(error))
                continue
            yield Finding("images", "holds", f"{manifest.parent.relative_to(data_root)}: every byte is as prepared")


def _checksums_alone(written: dict[str, Any]) -> str:
    """Return what a report without its runs leaves open: what nothing but the manifest vouches for."""
    recomputed = [name for name in written["files"] if name.startswith("latex/") or _is_statistics(name)]
    rest = [name for name in written["files"] if name not in recomputed]
    drawn = [name for name in rest if name.startswith(f"{FIGURES}/")]
    named = ", ".join([*(name for name in rest if name not in drawn), f"{len(drawn)} files of figures"])
    return f"{named}: they rest on {MANIFEST} alone, which whoever changes a file can change too; they need the runs"


def _is_statistics(name: str) -> bool:
    return "/" not in name and name.endswith(".csv") and name not in _BESIDE


def _changed_runs(study: Path, runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        folder = study / run["path"]
        if not folder.is_dir():
            if run["files"] or run["state"] != "planned":  # a run that had not begun has nothing to miss
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
    for name in sorted(again.keys() - {"made_by", "files", "options"}):
        if (name in written or not made_otherwise(written)) and written.get(name) != again[name]:
            yield Finding("runs", "FAILS", f"{MANIFEST}: its {name} are not what these runs say")
    anew = again["files"]
    other = sorted(name for name in anew.keys() | written["files"].keys() if anew.get(name) != _digest(report / name))
    otherwise = made_otherwise(written)
    if other and otherwise:
        yield Finding("runs", "UNPROVEN", _come_out_otherwise(other, otherwise))
        return
    for name in other[:SHOWN]:
        yield Finding("runs", "FAILS", f"{name} is not what these runs give")
    if len(other) > SHOWN:
        yield Finding("runs", "FAILS", f"{len(other) - SHOWN} more files are not what these runs give")
    if not other:
        yield Finding("runs", "holds", f"the report made again from the runs is the same, {len(anew)} files")
