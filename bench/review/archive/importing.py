"""`bench import`: an archive's runs beside one's own, never over them.

All is checked before the first byte is written, unpacked into a folder beside, and renamed into place: a study that is
new here appears whole, and one that is here already gains whole runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.config.models import LABEL
from bench.errors import BenchError
from bench.files import disk_error, leftovers, read_json, write_record
from bench.report.render.manifest import MANIFEST, RUN_FILES
from bench.review.archive.container import UNSOUND, Archive, Progress, is_plain, open_archive
from bench.review.archive.members import REPORTS, RUNS, is_beside_the_plan, plan_member, run_member, run_of, unexpected
from bench.review.archive.records import check_records
from bench.runs.folder import PLAN_FILE, check_schema
from bench.runs.identity import code_hash
from bench.runs.portable import IMPORTED_FILE, portable_digest, training_id

_SHOWN = 5


@dataclass(frozen=True)
class Imported:
    """What an import did: under which name, which runs it added, and which were here already.

    `other_code` counts the added runs that were trained by other code than the present.
    """

    study: str
    added: tuple[str, ...]
    there: tuple[str, ...]
    other_code: int


def import_study(
    path: Path,
    runs_root: Path,
    name: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Imported:
    """Put the runs of an archive into runs_root/<its study, or `name`>.

    A run that is here with the same records is left as it is. Raises BenchError, with nothing written, when the file is
    no sound archive, when a run is here with other records, or when a study of that name plans something else.
    """
    with open_archive(path) as archive:
        problems = [f"{name} {what}" for name, what in archive.check(progress).items()]
        if problems:
            raise BenchError(
                f"{path} is not as it was written, so nothing was imported:{_some(problems)}",
                hint="Fetch it again. `bench verify` says what of it still holds. What Finder adds when it packs a "
                f"folder goes with: zip -d {path} '__MACOSX/*' '*.DS_Store'",
            )
        unsound = [f"{name}: {what}" for name, what in check_records(archive, progress).items()]
        if unsound:
            raise BenchError(
                f"{path} holds records that no run of bench writes, so nothing was imported:{_some(unsound)}",
                hint="Ask whoever sent it. Records of your own are held to the same rules.",
            )
        plan = _sound_plan(archive)
        study = name or archive.study
        if not LABEL.fullmatch(study):
            raise BenchError(f'"{study}" cannot be a study\'s name', hint="Use letters, digits and . _ @ + -")
        if study != archive.study:
            plan = plan | {"study": study}
        codes = _codes(archive, plan)
        target = runs_root / study
        there = _already_there(archive, codes, target, plan)
        added = tuple(run for run in codes if run not in there)
        if added or not (target / PLAN_FILE).exists():
            _put(archive, added, target, plan, progress)
    present = code_hash("training")
    return Imported(study, added, there, sum(codes[run] != present for run in added))


def _sound_plan(archive: Archive) -> dict[str, Any]:
    """Return the archive's plan.json. Raises BenchError when members and plan, or report and runs, do not fit."""
    member = plan_member(archive.study)
    plan = archive.read_json(member)
    check_schema(plan, archive.path / member)
    try:
        strange = unexpected(archive.names, archive.study, plan)
        strange += [f"a run at {run['path']!r}" for run in plan["runs"] if not is_plain(run["path"])]
        if plan["study"] != archive.study:
            strange.append(f"a plan of the study {plan['study']!r}")
        lost = list(_lost_runs(archive))
    except UNSOUND as error:
        raise BenchError(f"{archive.path} is damaged: its plan or report cannot be read ({error!r})") from error
    if strange:
        raise BenchError(f"{archive.path} holds what is no part of its study, nothing was imported:{_some(strange)}")
    if lost:
        raise BenchError(
            f"{archive.path} is not what its report was made from, so nothing was imported:{_some(lost)}",
            hint="Ask for the archive once more.",
        )
    assert isinstance(plan, dict)
    return plan


def _lost_runs(archive: Archive) -> Iterator[str]:
    """Name the runs' files that the report was made from and that the archive has not, or has otherwise."""
    member = f"{REPORTS}/{archive.study}/{MANIFEST}"
    report = archive.read_json(member)
    for run in report["runs"]:
        for name, digest in run["files"].items():
            found = archive.digest(run_member(archive.study, run["path"], name))
            if found != digest:
                yield f"{run['path']}/{name} {'is missing' if found is None else 'is not the one reported'}"


def _codes(archive: Archive, plan: dict[str, Any]) -> dict[str, str | None]:
    """Return the hash of the training code of every run that the archive holds, by its path.

    Raises BenchError when a run is not the one that its folder's name says, which ends in the hash of what was asked.
    """
    held = {run_of(name) for name in archive.names if name.startswith(f"{RUNS}/")}
    codes = {}
    for run in plan["runs"]:
        if run["path"] not in held:  # planned, and not begun
            continue
        member = run_member(archive.study, run["path"], "spec.json")
        spec = archive.read_json(member)
        try:
            identity = training_id(spec["training"])
            folder = f"{spec['label']}-{spec['protocol']}/seed-{spec['training']['seed']}-{identity}"
            codes[run["path"]] = spec["code"].get("training")
        except UNSOUND as error:
            raise BenchError(f"{member} in {archive.path} cannot be read: {error!r}") from error
        if folder != run["path"]:
            raise BenchError(f"{member} in {archive.path} asks for {folder}: it is not the run that its folder names")
    return codes


def _already_there(
    archive: Archive, runs: dict[str, str | None], target: Path, plan: dict[str, Any]
) -> tuple[str, ...]:
    """Return the runs that lie in `target` with the same records. Raises BenchError for others, and another plan."""
    hint = f"`bench import {archive.path.name} --as NAME` puts it under a name of its own."
    if (target / PLAN_FILE).exists():
        own = read_json(target / PLAN_FILE)
        other = [key for key in sorted(own.keys() | plan.keys()) if own.get(key) != plan.get(key)]
        other = [key for key in other if key != "bench_version"]
        if other:
            raise BenchError(
                f"{target} plans something else than {archive.path.name}: they differ in {', '.join(other)}", hint=hint
            )
    there, conflicts = [], []
    for run in runs:
        if not (target / run).exists():
            continue
        others = [
            name
            for name in RUN_FILES
            if archive.digest(run_member(archive.study, run, name)) != _own_digest(target / run / name)
        ]
        there.append(run)
        conflicts += [f"{run} (its {', '.join(others)})"] if others else []
    if conflicts:
        raise BenchError(
            f"Runs in {target} have another content than in {archive.path.name}:{_some(conflicts)}", hint=hint
        )
    return tuple(there)


def _own_digest(file: Path) -> str | None:
    return portable_digest(file) if file.is_file() else None


def _put(archive: Archive, runs: tuple[str, ...], target: Path, plan: dict[str, Any], progress: Progress) -> None:
    """Unpack runs and plan into a folder beside `target`, then rename them into place, the plan last."""
    prefixes = tuple(run_member(archive.study, run, "") for run in runs)
    beside = [name for name in archive.names if _is_beside(name)]
    names = [plan_member(archive.study), *beside, *(name for name in archive.names if name.startswith(prefixes))]
    runs_root = target.parent
    try:
        runs_root.mkdir(parents=True, exist_ok=True)
        for left in leftovers(runs_root):  # of an import that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".importing.{os.getpid()}.", dir=runs_root) as place:
            archive.extract(names, Path(place), progress)
            unpacked = Path(place) / RUNS / archive.study
            for run in runs:
                write_record(unpacked / run / IMPORTED_FILE, _provenance(archive))
            if plan["study"] != archive.study:
                write_record(unpacked / PLAN_FILE, plan)
            if not target.exists():
                unpacked.rename(target)
                return
            for run in runs:
                (target / run).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / run).rename(target / run)
            for name in ["/".join(PurePosixPath(member).parts[2:]) for member in beside]:
                if not (target / name).exists():  # one's own stay
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    (unpacked / name).rename(target / name)
            if not (target / PLAN_FILE).exists():
                (unpacked / PLAN_FILE).rename(target / PLAN_FILE)
    except OSError as error:
        raise disk_error(target, error) from error


def _is_beside(member: str) -> bool:
    """Tell whether a member is a record of the study as a whole."""
    parts = PurePosixPath(member).parts
    return parts[:1] == (RUNS,) and is_beside_the_plan("/".join(parts[2:]))


def _provenance(archive: Archive) -> dict[str, Any]:
    """Return what imported.json says: which archive a run came from, and how old that is, not when it was imported."""
    return {
        "schema": 1,
        "archive": archive.path.name,
        "archive_sha256": archive.sha256,
        **{key: archive.contents.get(key) for key in ("study", "bench_version", "newest", "weights")},
    }


def _some(found: list[str]) -> str:
    shown = "".join(f"\n  {text}" for text in found[:_SHOWN])
    return shown if len(found) <= _SHOWN else f"{shown}\n  and {len(found) - _SHOWN} more"
