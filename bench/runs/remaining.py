"""When a study's runs will be through, by what has been seen of them so far. Never imports torch.

A run starts (Python, images, its fingerprint), trains, and is evaluated. Each part is estimated by itself, since what
was thought of them beforehand is wrong by different factors; then the waiting runs are handed out to the slots as they
will be, so that the last long run counts as what it is.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

Doing = Literal["waiting", "starting", "training", "evaluating", "ended"]
START_SECONDS = 6.0
LEAST_SHARE = 0.1  # of what an evaluation was thought to take: as much is left of one that takes longer


@dataclass(frozen=True)
class RunPace:
    """How far a run is, what it was thought to take, and what has been seen of it. All times in seconds.

    row          runs of one row take equally long
    share        how much of the training is done, 0 to 1
    since        for how long it has been doing what it does
    thought      what all its training steps were thought to take
    thought_evaluation   the same for measuring it
    start, training, evaluation   what its start took, what all its steps take at the pace seen, and what measuring it
                 took; None where it was not seen
    """

    row: str
    doing: Doing
    share: float = 0.0
    since: float = 0.0
    thought: float = 0.0
    thought_evaluation: float = 0.0
    start: float | None = None
    training: float | None = None
    evaluation: float | None = None


def seconds_left(runs: Sequence[RunPace], slots: int, evaluators: int = 0) -> float | None:
    """Return the time until all runs are through; None as long as a run has to be trained and none was seen training.

    `runs` are in the order in which they start; `slots` go at a time. Where `evaluators` is not 0, a trained run
    leaves its slot to the next one and is measured beside it, as many at a time.
    """
    learnt = _Learnt(runs)
    if any(run.doing not in ("evaluating", "ended") and learnt.training(run) is None for run in runs):
        return None
    busy: list[float] = []  # when each slot is free again
    measuring: list[float] = []
    measured_later: list[tuple[float, float]] = []  # when a run is trained, and what measuring it takes
    for run in runs:
        evaluation = learnt.evaluation(run)
        if run.doing == "evaluating":
            left = max(evaluation - run.since, LEAST_SHARE * evaluation)
            (measuring if evaluators else busy).append(left)
        elif run.doing in ("starting", "training"):
            left = learnt.until_trained(run)
            busy.append(left if evaluators else left + evaluation)
            measured_later.append((left, evaluation))
    busy += [0.0] * (slots - len(busy))
    heapq.heapify(busy)
    for run in runs:
        if run.doing == "waiting":
            trained = heapq.heappop(busy) + learnt.until_trained(run)
            evaluation = learnt.evaluation(run)
            heapq.heappush(busy, trained if evaluators else trained + evaluation)
            measured_later.append((trained, evaluation))
    if not evaluators:
        return max(busy, default=0.0)
    measuring += [0.0] * (evaluators - len(measuring))
    heapq.heapify(measuring)
    for trained, evaluation in sorted(measured_later):
        heapq.heappush(measuring, max(heapq.heappop(measuring), trained) + evaluation)
    return max([*busy, *measuring])


class _Learnt:
    """What the runs have shown of starts, training and evaluations."""

    def __init__(self, runs: Sequence[RunPace]) -> None:
        rows: defaultdict[str, list[float]] = defaultdict(list)
        thought: dict[str, float] = {}
        for run in runs:
            if run.training is not None:
                rows[run.row].append(run.training)
                thought[run.row] = run.thought
        self._rows = {row: fmean(seen) for row, seen in rows.items()}
        thought_of_seen = sum(thought.values())
        # How wrong the thoughts were of the rows that have been seen: those of the others are wrong alike.
        self._factor = sum(self._rows.values()) / thought_of_seen if thought_of_seen > 0 else None
        starts = [run.start for run in runs if run.start is not None]
        self._start = fmean(starts) if starts else START_SECONDS
        evaluations = [run.evaluation for run in runs if run.evaluation is not None]
        # The median: the first ones compute what the others find in the cache.
        self._evaluation = median(evaluations) if evaluations else None

    def evaluation(self, run: RunPace) -> float:
        """Return what measuring a run takes, whole."""
        return run.thought_evaluation if self._evaluation is None else self._evaluation

    def training(self, run: RunPace) -> float | None:
        """Return what all training steps of a run take; None where nothing like them has been seen."""
        if run.training is not None or run.share >= 1:
            return run.training or 0.0
        if run.row in self._rows:
            return self._rows[run.row]
        return None if self._factor is None else run.thought * self._factor

    def until_trained(self, run: RunPace) -> float:
        """Return what a run that is not trained yet needs for that, its start included."""
        start = 0.0
        if run.doing == "waiting":
            start = self._start
        elif run.doing == "starting":
            start = max(self._start - run.since, 0.0)
        return start + (1 - run.share) * (self.training(run) or 0.0)
