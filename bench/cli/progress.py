"""The table of `bench status`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.formatting import format_duration, format_estimate
from bench.watch.progress import Row

WIDE = 100  # columns from which on reasons have one of their own


def progress_table(
    rows: Sequence[Row], width: int = WIDE, most: int | None = None, seconds_left: float | None = None
) -> Group:
    """Return the rows as a table, and below it how many runs are in each state and the time left.

    A terminal narrower than `WIDE` has reasons on lines of their own. Of more runs than `most` those are shown that
    run or have failed, then as many of the others as there is room for.
    """
    shown = list(rows)
    if most is not None and len(rows) > most:
        urgent = sorted(range(len(rows)), key=lambda index: (_calm(rows[index]), index))
        shown = [rows[index] for index in sorted(urgent[:most])]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("run", overflow="fold", ratio=1 if width < WIDE else None)
    table.add_column("state", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    if width >= 80:
        table.add_column("trained", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    if width >= WIDE:
        table.add_column("why", overflow="fold")
    parts: list[RenderableType] = [table]
    for row in shown:
        total = row["total_generator_steps"]
        cells = [row["run"], row["phase"] or row["state"], f"{row['generator_steps']:,}/{total:,}" if total else ""]
        if width >= 80:
            cells.append(format_duration(row["device_seconds"]) if row["device_seconds"] else "")
        cells.append("" if row["seconds_left"] is None else format_estimate(row["seconds_left"]))
        why = ", ".join([*(["imported"] if row["imported"] else []), *([row["reason"]] if row["reason"] else [])])
        if width >= WIDE:
            cells.append(why)
        elif why:
            parts.append(Text(f"{row['run']}: {why}", style="dim"))
        table.add_row(*cells)
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    hidden = f"; {len(rows) - len(shown)} not shown" if len(shown) < len(rows) else ""
    left = f"; about {format_estimate(seconds_left)} left" if seconds_left is not None else ""
    return Group(*parts, counts + hidden + left)


def _calm(row: Row) -> int:
    """Return how little a run asks to be looked at: running 0, failed or broken off 1, through 2, waiting 3."""
    if row["phase"] is not None or row["state"] == "running":
        return 0
    return {"failed": 1, "interrupted": 1, "stale": 1, "done": 2, "diverged": 2}.get(row["state"], 3)
