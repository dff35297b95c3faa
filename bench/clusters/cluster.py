"""What a cluster can do for bench. Two can: `slurm.py` and `ray.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.clusters.orders import Order
from bench.errors import EXIT_RUNS_FAILED, BenchError

Piece = tuple[str, int]
"""An order's id, and the number of one of its pieces."""


@dataclass(frozen=True)
class Standing:
    """Where a piece is with its cluster: `why` it waits, in the cluster's word, and `where` it runs."""

    state: Literal["queued", "running"]
    why: str = ""
    where: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `missing` stops a study, a `note` does not; `advice` says what to type."""

    level: Literal["ok", "note", "missing"]
    what: str
    advice: str = ""


class ClusterAwayError(BenchError):
    """A cluster does not answer, for now."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "What was submitted before goes on; try again in a while.", EXIT_RUNS_FAILED)


class Cluster(Protocol):
    """Raises BenchError with the cluster's own words when it refuses, ClusterAwayError when it does not answer."""

    def submit(self, order: Order) -> None:
        """Queue all pieces of an order whose folder is written."""

    def standings(self, orders: Sequence[Order]) -> dict[Piece, Standing]:
        """Return where the pieces of these orders are, in one question. What is missing is gone."""

    def cancel(self, order: Order, pieces: Collection[int]) -> None:
        """Have waiting pieces leave the queue, and running ones save and end."""

    def check(self) -> list[Finding]:
        """Look at what can be looked at without submitting anything."""
