"""Ending what stands with clusters."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bench.clusters.opening import open_cluster
from bench.clusters.orders import Order
from bench.clusters.standings import Placed, Standings
from bench.errors import BenchError, suggest
from bench.runs.folder import read_plan

ASK_SECONDS = 1.0


@dataclass(frozen=True)
class Stopped:
    """How many jobs left the queue, how many were running, and how many of those had not ended yet.

    `away` names the clusters that did not answer.
    """

    queued: int
    running: int
    left: int
    away: tuple[str, ...]


def stop_orders(runs_root: Path, study: str, names: Sequence[str], wait_seconds: float) -> Stopped:
    """End the jobs that hold runs of these labels (or globs), or all; wait until those that ran have saved and ended.

    Raises BenchError for a label that the plan has not.
    """
    labels = {run["path"]: run["label"] for run in read_plan(runs_root, study)["runs"]}
    for pattern in names:
        if not any(fnmatchcase(label, pattern) for label in labels.values()):
            known = sorted(set(labels.values()))
            raise BenchError(
                f'{study} has no entry "{pattern}"{suggest(pattern, known)}', f"It has: {', '.join(known)}."
            )
    standings = Standings(runs_root, study)
    placed = standings.look()
    away = tuple(standings.away.values())
    chosen: dict[str, dict[int, Placed]] = defaultdict(dict)
    orders: dict[str, Order] = {}
    for path, where in placed.items():
        label = labels.get(path, Path(path).parent.name)
        if where.standing is not None and (not names or any(fnmatchcase(label, name) for name in names)):
            chosen[where.order.id][where.piece] = where
            orders[where.order.id] = where.order
    for name, pieces in chosen.items():
        for piece in pieces:
            orders[name].note_stopped(piece)  # first: whoever watches it, and the piece itself, know that it was meant
        open_cluster(orders[name].cluster).cancel(orders[name], sorted(pieces))
    states = [where.standing.state for pieces in chosen.values() for where in pieces.values() if where.standing]
    left, deadline = len(states), time.monotonic() + wait_seconds
    while left and time.monotonic() < deadline:
        time.sleep(ASK_SECONDS)
        now = {(at.order.id, at.piece) for at in standings.look().values() if at.standing is not None}
        left = sum((name, piece) in now for name, pieces in chosen.items() for piece in pieces)
    return Stopped(states.count("queued"), states.count("running"), left, away)
