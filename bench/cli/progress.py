"""How far every run of a study is, for `bench status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from bench.formatting import format_duration
from bench.runs.folder import RunFolder, read_plan
from bench.runs.portable import imported_from


def progress_of(runs_root: Path, study: str) -> list[dict[str, Any]]:
    """Return a row for each run of the study's plan. Raises BenchError where there is no plan."""
    rows = []
    for planned in read_plan(runs_root, study)["runs"]:
        folder = RunFolder(runs_root / study / planned["path"])
        status = folder.status()
        left = None
        state = folder.effective_state()
        if state == "running" and status.steps_per_second > 0:
            left = (status.total_generator_steps - status.generator_steps) / status.steps_per_second
        rows.append(
            {
                "run": f"{planned['label']}-{planned['protocol']}/seed-{planned['seed']}",
                "state": state,
                "phase": status.phase if state in ("running", "done", "diverged") else None,
                "generator_steps": status.generator_steps,
                "total_generator_steps": status.total_generator_steps,
                "device_seconds": round(status.device_seconds, 1),
                "seconds_left": None if left is None else round(left),
                "device": status.device,
                "reason": status.reason,
                "imported": imported_from(folder.path) is not None,
                "path": folder.path,
            }
        )
    return rows


def has_ended(row: dict[str, Any]) -> bool:
    """Tell whether nothing more happens to a run by itself: it is trained, evaluated, or has failed."""
    return row["state"] in ("done", "diverged", "failed") and row["phase"] is None


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
