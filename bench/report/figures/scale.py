"""The axis of the primary metric: one law for the board of the page and for the dot plot of its other forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator

from bench.statistics import Summary

LOG_FROM = 12  # times the least score: a span from which the axis is logarithmic
FAR = 100  # times smaller than the least score: a floor that a logarithmic axis no longer reaches
MOST_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, logarithmic where values span much."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> Scale:
        """Return the axis that shows all scores, intervals and real floors of one metric; from 0 where it is even."""
        scores = [score for summary in summaries for score in summary.scores]
        floors = [summary.floor for summary in summaries if summary.floor is not None]
        bounds = [bound for s in summaries for bound in (s.low, s.high) if bound is not None]
        if not scores:
            return cls(0.0, 1.0, log=False)
        everything = [*scores, *floors]
        if min(everything) > 0 and max(scores) > LOG_FROM * min(scores):
            near = [floor for floor in floors if floor * FAR > min(scores)]
            return cls(min([*scores, *near]) / 1.15, max(*everything, *bounds) * 1.06, log=True)
        low, high = min(0.0, *everything, *bounds), max(*everything, *bounds, 0.0)
        margin = 0.03 * ((high - low) or 1.0)
        return cls(low - margin * (low < 0), high + margin, log=False)

    def named(self, value: float, words: str) -> str:
        """Return words for a value, with an arrow where it lies below the axis and they stand at its end."""
        return f"◂ {words}" if value < self.low else words

    def place(self, value: float) -> float:
        """Return where a value lies, in percent from the left; what lies beyond an end lies at it."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self) -> tuple[float, ...]:
        """Return a few round values within."""
        span = self.high / self.low if self.log else 0.0
        parts = (1.0, 2.0, 5.0) if span < 60 else (1.0, 3.0) if span < 2000 else (1.0,)
        locator = LogLocator(subs=parts) if self.log else MaxNLocator(MOST_TICKS - 1)
        values = [float(tick) for tick in locator.tick_values(self.low, self.high) if self.low <= tick <= self.high]
        return tuple(values[:: -(-len(values) // MOST_TICKS)])
