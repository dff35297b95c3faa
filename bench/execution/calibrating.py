"""Timing a few steps of every kind that a plan holds, as many at a time as runs will go, and keeping what was found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.files import read_json, write_json
from bench.processes import Team
from bench.runs.cost import CALIBRATION_FILE, kind_of_step
from bench.runs.plan import RunSpec, TrainingSpec
from bench.training.environment import describe_machine, kind_of_machine, prepare_process
from bench.training.timing import seconds_per_step

Told = Callable[[str, float], None]


def machine_of(slots: Sequence[str]) -> str:
    """Return what a calibration holds for: this kind of machine, with so many runs at a time, of so many ranks each."""
    device, *others = slots[0].split(",")
    ranks = f", {1 + len(others)} ranks each" if others else ""
    return f"{kind_of_machine(describe_machine(torch.device(device)))}, {len(slots)} at a time{ranks}"


def calibrate(runs: Sequence[RunSpec], runs_root: Path, slots: Sequence[str], tell: Told) -> dict[str, float]:
    """Time each kind of step among `runs` and add it to the calibration file; returns seconds per generator step.

    Slots are timed side by side, since runs will be too and share the machine's memory. `tell` hears of each as it is
    done: the first run's name and the seconds.
    """
    kinds = {kind_of_step(run.training): run for run in reversed(runs)}
    names = sorted(kinds, key=lambda kind: kinds[kind].name)
    # With fewer kinds than slots some are timed twice, for the company.
    tasks = deque(names[index % len(names)] for index in range(max(len(names), len(slots)))) if names else deque()
    timed: dict[str, list[float]] = {}
    free = deque(slots)
    with Team(_time, min(len(slots), len(tasks))) as team:
        while tasks or team.busy:
            while tasks and free:
                team.give((kinds[tasks[0]].training.model_dump_json(), tasks.popleft(), free.popleft()))
            for call in team.wait():
                _, kind, slot = call.payload
                free.append(slot)
                timed.setdefault(kind, []).append(call.get())
                tell(kinds[kind].name, timed[kind][-1])
    seconds = {kind: sum(values) / len(values) for kind, values in timed.items()}
    path, machine = runs_root / CALIBRATION_FILE, machine_of(slots)
    known = read_json(path) if path.is_file() else {}
    write_json(path, known | {machine: known.get(machine, {}) | seconds})
    return seconds


def _time(task: tuple[str, str, str]) -> float:
    training, _, slot = task
    spec = TrainingSpec.model_validate_json(training)
    prepare_process(spec.training.threads)
    return seconds_per_step(spec, torch.device(slot))
