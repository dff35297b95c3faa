"""The table of `bench status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from bench.cli.console import PIPE_WIDTH, plain_table
from bench.formatting import format_duration, format_estimate
from bench.watch.progress import Row

WIDE = 100  # columns from which on remarks have a column of their own
NAMED_RUNS = 3  # under a narrower table, of those with the same remark


def progress_table(
    rows: Sequence[Row],
    below: Sequence[str] = (),
    *,
    width: int = PIPE_WIDTH,
    height: int | None = None,
    seconds_left: float | None = None,
) -> Group:
    """Return the rows as a table, under it the count of each state, the time left, and `below`.

    A table narrower than `WIDE` has remarks on lines of their own. Where not all fits into `height` lines, those runs
    are shown that go or have failed, then as many of the others as there is room for.
    """
    remarks = [] if width >= WIDE else _remarks_by_run(rows)
    shown = list(rows)
    if height is not None:
        lines = sum(ceil(cell_len(line) / width) for line in (*remarks, *below))
        most = max(height - 3 - lines, height // 2, 1)
        urgent = sorted(range(len(rows)), key=lambda index: (_calm(rows[index]), index))
        shown = [rows[index] for index in sorted(urgent[:most])]
    trained, why = width >= 80, width >= WIDE
    headings = ("run", "state", "steps", *(["trained"] if trained else []), "left", *(["why"] if why else []))
    cells = [
        (
            row["run"],
            row["phase"] or row["state"],
            f"{row['generator_steps']:,}/{total:,}" if (total := row["total_generator_steps"]) else "",
            *([format_duration(row["device_seconds"]) if row["device_seconds"] else ""] if trained else []),
            "" if row["seconds_left"] is None else format_estimate(row["seconds_left"]),
            *([_remark(row)] if why else []),
        )
        for row in shown
    ]
    table = plain_table(headings, cells, right=("steps", "trained", "left"), width=width)
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    hidden = f"; {len(rows) - len(shown)} not shown" if len(shown) < len(rows) else ""
    left = f"; about {format_estimate(seconds_left)} left" if seconds_left is not None else ""
    return Group(table, *(Text(line, style="dim") for line in remarks), counts + hidden + left, *below)


def _remark(row: Mapping[str, object]) -> str:
    marks = [name for name in ("imported", "added", "unmeasured") if row.get(name)]
    return ", ".join([*marks, *([str(row["reason"])] if row["reason"] else [])])


def _remarks_by_run(rows: Sequence[Row]) -> list[str]:
    """Return a line for each remark, which names the runs that have it."""
    runs: dict[str, list[str]] = {}
    for row in rows:
        if remark := _remark(row):
            runs.setdefault(remark, []).append(row["run"])
    return [
        f"{', '.join(those[:NAMED_RUNS])}"
        + (f" and {len(those) - NAMED_RUNS} more" if len(those) > NAMED_RUNS else "")
        + f": {remark}"
        for remark, those in runs.items()
    ]


def _calm(row: Row) -> int:
    """Return how little a run asks to be looked at: running 0, failed or broken off 1, through 2, waiting 3."""
    if row["phase"] is not None or row["state"] == "running":
        return 0
    return {"failed": 1, "interrupted": 1, "stale": 1, "done": 2, "diverged": 2}.get(row["state"], 3)
