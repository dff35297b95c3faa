"""Loss curves of one run, however long its log: bounded in points, and read on from where they were."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from bench.runs.folder import RunFolder
from bench.runs.latest import PLAYERS, JsonLines

MOST_POINTS = 400


@dataclass
class Curve:
    """A loss term against generator steps. Beyond MOST_POINTS neighbours are averaged, and later ones likewise.

    A point of which one value was not finite is None, so that a gap stays a gap.
    """

    steps: list[float] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    _each: int = 1  # logged values a point
    _open: list[tuple[float, float | None]] = field(default_factory=list)  # of the point that is not full yet

    def add(self, step: float, value: float | None) -> None:
        self._open.append((step, value))
        if len(self._open) < self._each:
            return
        self._append(*_mean(self._open))
        self._open = []
        if len(self.steps) > MOST_POINTS:
            pairs = list(zip(self.steps, self.values, strict=True))
            self.steps, self.values, self._each = [], [], 2 * self._each
            for at in range(0, len(pairs) - 1, 2):
                self._append(*_mean(pairs[at : at + 2]))
            if len(pairs) % 2:
                self._open = [pairs[-1]]

    def as_json(self) -> dict[str, Any]:
        steps, values = self.steps, self.values
        if self._open:  # the newest, though its point is not full
            step, value = _mean(self._open)
            steps, values = [*steps, step], [*values, value]
        return {"steps": [round(step, 1) for step in steps], "values": [_rounded(value) for value in values]}

    def _append(self, step: float, value: float | None) -> None:
        self.steps.append(step)
        self.values.append(value)


def _mean(points: list[tuple[float, float | None]]) -> tuple[float, float | None]:
    values = [value for _, value in points if value is not None]
    step = sum(step for step, _ in points) / len(points)
    return step, sum(values) / len(values) if len(values) == len(points) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


class Curves:
    """The loss terms of one run by player, read on at every call of `as_json`."""

    def __init__(self, folder: RunFolder) -> None:
        self._log = JsonLines(folder.log_file)
        self._curves: dict[tuple[str, str], Curve] = {}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the curves: player, term, steps, values (None where a loss was not finite)."""
        replaced, lines = self._log.added()
        if replaced:
            self._curves.clear()
        for line in lines:
            step = line.get("generator_steps")
            for player in PLAYERS:
                terms = line.get(player)
                if isinstance(step, int) and isinstance(terms, dict):
                    for term, value in terms.items():
                        number = value if isinstance(value, int | float) else None
                        self._curves.setdefault((player, str(term)), Curve()).add(step, number)
        return [{"player": player, "term": term, **curve.as_json()} for (player, term), curve in self._curves.items()]
