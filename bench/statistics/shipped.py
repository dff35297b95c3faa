"""A study's plan and results from where they are: its runs, or a report that somebody sent, as a folder or a zip."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from bench.errors import BenchError
from bench.files import read_json
from bench.limits import MOST_LINES_BYTES, MOST_MEMBERS, MOST_PLAN_BYTES
from bench.runs.folder import PLAN_FILE, check_schema, read_plan
from bench.statistics.results import collect, read_results
from bench.statistics.study import StudyStatistics, study_statistics

RESULTS_FILE = "results.csv"
_LIMITS = {PLAN_FILE: MOST_PLAN_BYTES, RESULTS_FILE: MOST_LINES_BYTES}


@dataclass(frozen=True)
class StudyTables:
    """What every statistic of a study is made from."""

    plan: dict[str, Any]
    results: pd.DataFrame

    @cached_property
    def statistics(self) -> StudyStatistics:
        return study_statistics(self.results, self.plan)


def read_runs(runs_root: Path, study: str) -> StudyTables:
    """Read a study from its runs. Raises BenchError when it was never planned or its runs share no table."""
    return StudyTables(read_plan(runs_root, study), collect(runs_root, study))


def read_report(path: Path) -> StudyTables:
    """Read a study from a report: a folder, or a zip of one, with plan.json and results.csv; its runs are not needed.

    Nothing of a zip is unpacked but these two. Raises BenchError where they are not there, or give no statistics.
    """
    if path.is_dir():
        return _read_folder(path, path)
    if not path.is_file():
        raise BenchError(
            f"There is no report {path}", hint="Name a folder that `bench report` wrote, or a zip of such a folder."
        )
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, Path(folder))
        return _read_folder(Path(folder), path)


def _read_folder(folder: Path, shown: Path) -> StudyTables:
    for name in _LIMITS:
        if not (folder / name).is_file():
            raise BenchError(
                f"{shown} holds no {name}, and so is no report",
                hint="`bench report` writes plan.json and results.csv into one folder.",
            )
    try:
        plan = read_json(folder / PLAN_FILE)
        check_schema(plan, shown / PLAN_FILE)
        tables = StudyTables(plan, read_results(folder / RESULTS_FILE))
        _ = tables.statistics
    except BenchError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"{shown}: {PLAN_FILE} and {RESULTS_FILE} give no statistics: {error!r}",
            hint=f"`bench verify {shown}` names what was changed.",
        ) from error
    return tables


def _unpack(path: Path, folder: Path) -> None:
    """Write the two files of the one report that a zip holds into `folder`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()[:MOST_MEMBERS]}
            places = {PurePosixPath(name).parent for name in members}
            found = [place for place in places if all(str(place / name) in members for name in _LIMITS)]
            if len(found) != 1:
                raise BenchError(
                    f"{path} holds {len(found)} reports: folders with {PLAN_FILE} and {RESULTS_FILE}",
                    hint="Name a zip of one folder that `bench report` wrote.",
                )
            for name, limit in _LIMITS.items():
                with archive.open(members[str(found[0] / name)]) as file:
                    content = file.read(limit + 1)
                if len(content) > limit:
                    raise BenchError(f"{path}: {name} is larger than any that bench writes ({limit:,} bytes)")
                (folder / name).write_bytes(content)
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError) as error:
        raise BenchError(f"{path} cannot be read as a zip: {error}") from error
