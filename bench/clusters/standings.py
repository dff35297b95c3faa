"""Where a study's runs stand with clusters: the orders' folders and one question to each cluster, together."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bench.clusters.cluster import ClusterAwayError, Standing
from bench.clusters.opening import open_cluster
from bench.clusters.orders import Order, orders_of
from bench.config.clusters import ClusterSettings
from bench.errors import BenchError


@dataclass(frozen=True)
class Placed:
    """A run that an order holds: the order, its piece, and where that stands; None where its cluster has it no more."""

    order: Order
    piece: int
    standing: Standing | None


class Standings:
    """Where a study's runs stand. `look` asks; what cannot change any more is read once."""

    def __init__(self, runs_root: Path, study: str) -> None:
        self._root, self._study = runs_root, study
        self._through: dict[str, set[int]] = {}  # by order, the pieces that nothing is left to do of
        self._orders: dict[str, Order] = {}
        self._seen: dict[str, int] = {}  # when pieces that something is left to do of last ended
        self.away: dict[tuple[str, str], str] = {}  # in words, why clusters (kind, address) did not answer
        self._asked = float("-inf")
        self._placed: dict[str, Placed] = {}

    def look(self, least_age: float = 0.0) -> dict[str, Placed]:
        """Return every run that an order holds which is not through, by its folder below the study's.

        A look that is younger than `least_age` seconds is given again; where a cluster did not answer, six times as old
        ones, since that takes its time.
        """
        if time.monotonic() - self._asked >= least_age * (6 if self.away else 1):
            self._placed = self._look()
            self._asked = time.monotonic()
        return self._placed

    def _look(self) -> dict[str, Placed]:
        orders = self.open_orders()
        by_cluster: dict[ClusterSettings, list[Order]] = defaultdict(list)
        for order in orders:
            # One question for all orders to one cluster, whatever jobs they ask it for.
            by_cluster[ClusterSettings(kind=order.cluster.kind, address=order.cluster.address)].append(order)
        self.away, found = {}, {}
        for settings, those in by_cluster.items():
            try:
                found.update(open_cluster(settings).standings(those))
            except BenchError as error:
                what = error.message if isinstance(error, ClusterAwayError) else f"{settings.kind}: {error.message}"
                self.away[settings.kind, settings.address] = what.splitlines()[0]
        placed: dict[str, Placed] = {}
        for order in orders:
            for index, runs in enumerate(order.pieces):
                if index in self._through[order.id]:
                    continue
                standing = found.get((order.id, index))
                for run in runs:
                    if standing is not None or run not in placed or placed[run].standing is None:
                        placed[run] = Placed(order, index, standing)
        return placed

    def open_orders(self) -> list[Order]:
        """Return the orders of which something is left to do."""
        for order in orders_of(self._root, self._study) if self._is_new() else ():
            self._orders.setdefault(order.id, order)
        return [order for order in self._orders.values() if len(self._closed(order)) < len(order.pieces)]

    def _is_new(self) -> bool:
        """Tell whether there are orders that were not read yet."""
        folder = self._root / self._study / "orders"
        return folder.is_dir() and any(path.name not in self._orders for path in folder.iterdir())

    def _closed(self, order: Order) -> set[int]:
        through = self._through.setdefault(order.id, set())
        for entry in os.scandir(order.folder):  # of thousands: no Path of each is made
            kind, _, number = entry.name.removesuffix(".json").partition("-")
            if kind != "ended" or not number.isdigit() or int(number) in through:
                continue
            changed = entry.stat().st_mtime_ns
            if self._seen.get(entry.path) == changed:
                continue
            self._seen[entry.path] = changed
            ended = order.ended(int(number))
            if ended is not None and ended.through:
                through.add(int(number))
        return through
