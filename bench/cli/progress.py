"""How far every run of a study is, for `bench status`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from bench.cli.text import OTHER_IMAGES
from bench.data import present_images
from bench.data.request import TORCHVISION_SOURCES
from bench.errors import BenchError
from bench.formatting import format_duration
from bench.runs.folder import RunFolder, Status, read_plan
from bench.runs.plan import RunSpec
from bench.runs.portable import imported_from


def progress_of(runs_root: Path, study: str, images: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return a row for each run of the study's plan (BenchError where there is none); `images` are `images_of` it."""
    rows = []
    for planned in read_plan(runs_root, study)["runs"]:
        folder = RunFolder(runs_root / study / planned["path"])
        status = folder.status()
        left = None
        state = folder.effective_state()
        other = state not in ("planned", "running") and folder.saw_others_than(images)
        if state == "running" and status.steps_per_second > 0 and not _is_silent(status):
            left = (status.total_generator_steps - status.generator_steps) / status.steps_per_second
        rows.append(
            {
                "run": f"{planned['label']}-{planned['protocol']}/seed-{planned['seed']}",
                "state": "stale" if other else state,
                "phase": status.phase if state in ("running", "done", "diverged") else None,
                "generator_steps": status.generator_steps,
                "total_generator_steps": status.total_generator_steps,
                "device_seconds": round(status.device_seconds, 1),
                "seconds_left": None if left is None else round(left),
                "device": status.device,
                "reason": OTHER_IMAGES if other else status.reason,
                "imported": imported_from(folder.path) is not None,
                "path": folder.path,
            }
        )
    return rows


def images_of(runs_root: Path, study: str, data_root: Path) -> dict[str, str] | None:
    """Return the digests of the study's images as they lie here now; None where they cannot be told without torch."""
    for planned in read_plan(runs_root, study)["runs"]:
        spec_file = RunFolder(runs_root / study / planned["path"]).spec_file
        if spec_file.exists():
            try:
                request = RunSpec.read(spec_file).training.data
            except BenchError:  # of another version, say: its states can be read all the same
                return None
            return None if request.source in TORCHVISION_SOURCES else present_images(request, data_root)
    return None


def _is_silent(status: Status) -> bool:
    """Tell whether a running run has not said for unusually long how far it is: it may hang."""
    if status.updated is None:
        return False
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(status.updated)
    return age.total_seconds() > max(60.0, 10 / status.steps_per_second)


def has_ended(row: dict[str, Any]) -> bool:
    """Tell whether nothing more happens to a run by itself: it is trained, evaluated, or has failed."""
    return row["state"] in ("done", "diverged", "failed", "stale") and row["phase"] is None


def progress_table(rows: list[dict[str, Any]]) -> Group:
    """Return the rows as a table, and how many runs are in each state below it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    for heading in ("steps", "trained", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows:
        total = row["total_generator_steps"]
        table.add_row(
            row["run"],
            row["phase"] or row["state"],
            f"{row['generator_steps']:,} / {total:,}" if total else "",
            format_duration(row["device_seconds"]) if row["device_seconds"] else "",
            "" if row["seconds_left"] is None else format_duration(row["seconds_left"]),
            ", ".join([*(["imported"] if row["imported"] else []), *([row["reason"]] if row["reason"] else [])]),
        )
    states = [row["state"] for row in rows]
    return Group(table, ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
