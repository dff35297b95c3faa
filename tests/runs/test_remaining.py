"""The time left: learnt from what runs have shown, against simulated studies whose end is known."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bench.runs.remaining import RunPace, seconds_left


@dataclass(frozen=True)
class Truth:
    """What a run really takes, in seconds."""

    row: str
    start: float
    training: float
    evaluation: float
    thought: float


def at(moment: float, truths: Sequence[Truth], slots: int) -> tuple[list[RunPace], float]:
    """Return what is seen of a study at a moment, and when it ends, where its runs take what `truths` says."""
    free = [0.0] * slots
    paces, end = [], 0.0
    for truth in truths:
        begun = heapq.heappop(free)
        trains, measures = begun + truth.start, begun + truth.start + truth.training
        ends = measures + truth.evaluation
        heapq.heappush(free, ends)
        end = max(end, ends)
        share = min(max((moment - trains) / truth.training, 0.0), 1.0)
        begins = {"waiting": 0.0, "starting": begun, "training": trains, "evaluating": measures, "ended": ends}
        doing = [name for name, since in begins.items() if moment >= since and (name == "waiting" or moment > since)][
            -1
        ]
        paces.append(
            RunPace(
                truth.row,
                doing,  # type: ignore[arg-type]
                share,
                moment - begins[doing],
                truth.thought,
                10.0,
                truth.start if moment > trains else None,
                truth.training if share * truth.training > 4 else None,
                truth.evaluation if moment > ends else None,
            )
        )
    return paces, end


def quick(factor: float = 1.0, evaluation: float = 15.0) -> list[Truth]:
    """Return the runs of a study like `quick`, which were thought to take other times than they do."""
    rows = [("ebgan", 36), ("began", 35), ("wgan-gp", 30), ("nsgan", 22), ("lsgan", 21), ("wgan", 21), ("vae", 16)]
    return [
        Truth(row, 8.0, factor * thought * (1.2 if row == "began" else 0.9), evaluation, thought)
        for row, thought in rows
        for _ in range(2)
    ]


@pytest.mark.parametrize("factor", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_from_the_first_minute_on_the_estimate_is_near_the_truth(factor: float, slots: int) -> None:
    truths = quick(factor)
    _, end = at(0, truths, slots)
    moments = [60 + index * (end - 60) / 40 for index in range(40)]
    errors = []
    for moment in moments:
        paces, _ = at(moment, truths, slots)
        left = seconds_left(paces, slots)
        assert left is not None
        errors.append(abs(left - (end - moment)) / end)
    assert max(errors) < 0.15


def test_nothing_is_said_before_a_run_was_seen_training() -> None:
    paces, _ = at(2, quick(), 2)
    assert seconds_left(paces, 2) is None
    measured = [RunPace("vae", "waiting", share=1.0, thought_evaluation=20.0)] * 4
    assert seconds_left(measured, 2) == pytest.approx(2 * (6.0 + 20.0))  # nothing is left to train


def test_the_last_long_run_counts_as_what_it_is() -> None:
    truths = [Truth("short", 1, 10, 0, 10)] * 3 + [Truth("long", 1, 300, 0, 300)]
    paces, end = at(20, truths, 4)
    assert seconds_left(paces, 4) == pytest.approx(end - 20)  # not a fourth of it


def test_beside_an_accelerator_runs_are_measured_while_the_next_one_trains() -> None:
    trained = RunPace(
        "a", "evaluating", 1.0, since=0.0, training=100.0, start=5.0, thought=100.0, thought_evaluation=30
    )
    now = RunPace("a", "training", 0.5, training=100.0, start=5.0, thought=100.0, thought_evaluation=30)
    waits = RunPace("a", "waiting", thought=100.0, thought_evaluation=30)
    assert seconds_left([trained, now, waits], 1, evaluators=1) == pytest.approx(50 + 105 + 30)
    assert seconds_left([now, waits], 1) == pytest.approx(50 + 30 + 105 + 30)
    slow = [
        RunPace(run.row, run.doing, run.share, 0, 100, 400, run.start, run.training) for run in (trained, now, waits)
    ]
    assert seconds_left(slow, 1, evaluators=1) == pytest.approx(3 * 400)  # measuring is what takes longest


def test_an_evaluation_that_takes_longer_than_thought_still_has_something_left() -> None:
    paces = [RunPace("a", "evaluating", 1.0, since=500.0, thought_evaluation=30)]
    assert seconds_left(paces, 1) == pytest.approx(3.0)
