"""`bench export`: a study's records, pictures and report, made fit to leave this machine, as one archive."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError
from bench.files import disk_error, read_json
from bench.report import render
from bench.review.archive.container import Progress, write_archive
from bench.review.archive.members import REPORTS, RUNS, is_beside_the_plan, is_weights, may_leave, staying
from bench.runs.extras import BACKBONES, EXTERNAL, FORGIVES, GRIDS
from bench.runs.folder import PLAN_FILE, RunFolder, read_plan, run_folder
from bench.runs.portable import portable_record
from bench.version import __version__

Weights = Literal["none", "final", "all"]
ABOUT = (
    "A study of bench: runs/ and reports/ as bench lays them out. `bench verify FILE` checks it, `bench import FILE` "
    "puts it beside your own runs. Below: every file with its size in bytes and its SHA-256."
)
_HOMES = re.compile(rb"(?:/root|/home/[\w.-]+|/Users/[\w.-]+)/|[A-Za-z]:\\+Users\\")
_EMBEDDED = re.compile(rb"base64,[A-Za-z0-9+/=]+")


@dataclass(frozen=True)
class Exported:
    """What was written: `bytes` of the archive, `runs` begun of `planned`, and what weights would add, by choice."""

    path: Path
    bytes: int
    runs: int
    planned: int
    weights_bytes: dict[Weights, int]


def export_study(
    runs_root: Path,
    study: str,
    path: Path,
    weights: Weights = "none",
    progress: Progress = lambda what, done, total: None,
) -> Exported:
    """Write the archive of runs_root/<study> to `path`. The same runs give the same bytes.

    The report in it is made here, from the very records in it. Raises BenchError when `path` is there already, the
    study was never planned or has no run, a run is being worked on, or a file would name a folder of this machine.
    """
    if path.exists():
        raise BenchError(f"{path} is there already", hint="Move it away, or name another file with -o.")
    plan = read_plan(runs_root, study)
    name = plan["study"]  # the folder's, unless somebody renamed it
    folders = _folders(runs_root, study, plan)
    choices: tuple[Weights, ...] = ("none", "final", "all")
    sizes = {choice: sum(file.stat().st_size for file in _weights(folders, choice).values()) for choice in choices}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".exporting-", dir=path.parent) as place:
            staged = Path(place)
            files = {PLAN_FILE: runs_root / study / PLAN_FILE, **_beside_the_plan(runs_root / study)}
            files |= _records(folders, plan) | _weights(folders, weights)
            _copy(files, staged / RUNS / name, progress)
            progress("making the report", 0, 1)
            render(staged / RUNS, name, staged / REPORTS / name)
            progress("making the report", 1, 1)
            _refuse_folders(staged, _own_folders(runs_root, folders))
            write_archive(path, staged, _about(plan, folders, weights), progress)
    except OSError as error:
        raise disk_error(path, error) from error
    return Exported(path, path.stat().st_size, len(folders), len(plan["runs"]), sizes)


def _folders(runs_root: Path, study: str, plan: dict[str, Any]) -> dict[str, RunFolder]:
    """Return the folders of the runs that have begun, by their path in the study."""
    found = {run["path"]: run_folder(runs_root / study, run["path"]) for run in plan["runs"]}
    found = {path: folder for path, folder in found.items() if folder.path.is_dir()}
    busy = [path for path, folder in found.items() if folder.is_locked()]
    if busy:
        raise BenchError(
            f"Runs are being worked on: {', '.join(busy[:4])}{' and more' if len(busy) > 4 else ''}",
            hint="Wait for them (`bench status --watch`), or stop them: what they have by then can be exported.",
        )
    if not found:
        raise BenchError(f'Study "{study}" has no run yet', hint=f"Type `bench run --all --study {study}`.")
    return found


def _beside_the_plan(study: Path) -> dict[str, Path]:
    """Return the records of the study as a whole: its metric, other backbones, sample grids, samples from elsewhere."""
    candidates = [study / FORGIVES, study / BACKBONES, study / GRIDS, *sorted((study / EXTERNAL).glob("*.json"))]
    named = {file.relative_to(study).as_posix(): file for file in candidates if file.is_file()}
    return {name: file for name, file in named.items() if is_beside_the_plan(name)}


def _records(folders: dict[str, RunFolder], plan: dict[str, Any]) -> dict[str, Path]:
    """Return all that goes into the archive but weights: the files by their name in the study."""
    home = staying(plan)
    return {
        f"{run}/{name}": file
        for run, folder in folders.items()
        for file in sorted(folder.path.rglob("*"))
        if file.is_file() and may_leave(name := file.relative_to(folder.path).as_posix(), home) and not is_weights(name)
    }


def _weights(folders: dict[str, RunFolder], choice: Weights) -> dict[str, Path]:
    """Return the snapshots of trained runs, by their name in the study; the last of each where `choice` is final."""
    found: dict[str, Path] = {}
    for run, folder in folders.items():
        if choice == "none" or folder.status().state not in ("done", "diverged"):
            continue
        steps = folder.snapshot_steps()
        for step in steps if choice == "all" else steps[-1:]:
            file = folder.snapshot_file(step)
            found[f"{run}/{file.relative_to(folder.path).as_posix()}"] = file
    return found


def _copy(files: dict[str, Path], folder: Path, progress: Progress) -> None:
    """Copy the files below `folder` under their names, without this machine's folders in them."""
    for done, (name, file) in enumerate(files.items(), start=1):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_weights(name):
            shutil.copyfile(file, target)
        else:
            target.write_bytes(portable_record(file))
        progress("copying", done, len(files))


def _refuse_folders(staged: Path, own: Sequence[bytes]) -> None:
    """Raise BenchError when a file still names a folder of this machine: in a title, say, or an objective's card."""
    for file in sorted(staged.rglob("*")):
        if not file.is_file() or is_weights(file.name):
            continue
        text = _EMBEDDED.sub(b"", file.read_bytes())
        found = _HOMES.search(text)
        named = found.group() if found else next((folder for folder in own if folder in text), None)
        if named is not None:
            raise BenchError(
                f"{file.relative_to(staged).as_posix()} names a folder of this machine: "
                f"{named.decode(errors='replace')!r}",
                hint="Change the text where it was written: in bench.toml, or in your objective's file.",
            )


def _own_folders(runs_root: Path, folders: dict[str, RunFolder]) -> list[bytes]:
    """Return what must not stand in an archive: where the runs, the images and the user's own objectives lie."""
    found = {str(runs_root.resolve())}
    for folder in folders.values():
        training = read_json(folder.spec_file).get("training", {}) if folder.spec_file.exists() else {}
        found |= {str(training.get("data", {}).get("path")), str(training.get("objective", {}).get("file"))}
    return [path.encode() for path in sorted(found) if Path(path).is_absolute() and len(Path(path).parts) > 2]


def _about(plan: dict[str, Any], folders: dict[str, RunFolder], weights: Weights) -> dict[str, Any]:
    statuses = [folder.status() for folder in folders.values()]
    states = [status.state for status in statuses]
    return {
        "about": ABOUT,
        "bench_version": __version__,
        "study": plan["study"],
        "evaluation_id": plan["evaluation_id"],
        "newest": max((status.updated for status in statuses if status.updated), default=None),
        "runs": {state: states.count(state) for state in sorted(set(states))},
        "weights": weights,
    }
