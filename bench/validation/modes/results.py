"""What was measured: one line per run in results.jsonl, and what the seeds of a row say together. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.files import append_jsonl, read_jsonl
from bench.statistics import mean_interval
from bench.validation.modes.jobs import Job, points_file

Record = dict[str, Any]


class ModesFolder:
    """runs/modes: results.jsonl with a line per run, and the points that each run was counted by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results.jsonl"
        self.log = path / "worker.log"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep a second call from doing the same runs at the same time. Raises BenchError when one is at work."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BenchError(
                f"Another `bench modes` is at work in {self.path}", hint="Wait for it, or name another --runs folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def records(self) -> dict[str, Record]:
        """Return all records by id; of two with the same id the later one."""
        return {record["id"]: record for record in read_jsonl(self.results)}

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs that have no record yet."""
        known = self.records()
        return [job for job in jobs if job.id not in known]

    def add(self, record: Record) -> None:
        append_jsonl(self.results, [record])

    def points(self, id_: str) -> npt.NDArray[np.float32] | None:
        """Return a run's points N x 2; None when it diverged, or they are gone."""
        try:
            points: npt.NDArray[np.float32] = np.load(points_file(self.path, id_), allow_pickle=False).astype(
                np.float32
            )
        except (OSError, ValueError):
            return None
        return points


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with half the width of its 95 % t interval, None below three seeds; over `values` values."""

    value: float
    half_width: float | None
    values: int


@dataclass(frozen=True)
class RowResult:
    """What a row's seeds say on a task. Diverged runs count with 0 modes and no high-quality sample.

    `kl` and `shared` are over the runs that have one: where no sample was counted there is no distribution to compare.
    `as_told` and `shared` are of tasks with labels.
    """

    task: str
    row: str
    planned: int
    done: int
    diverged: int
    modes: Mean | None
    high_quality: Mean | None
    kl: Mean | None
    cpu_seconds: float | None
    records: tuple[Record, ...]
    as_told: Mean | None = None
    shared: Mean | None = None

    def median(self) -> Record | None:
        """Return the run in the middle by modes found, then by KL: the lower of two middle ones."""
        ordered = sorted(self.records, key=lambda r: (r["modes"], -r["kl"] if r["kl"] is not None else float("-inf")))
        return ordered[(len(ordered) - 1) // 2] if ordered else None


def summarise(jobs: Sequence[Job], records: Mapping[str, Record]) -> list[RowResult]:
    """Return one result per task and row, in the order of the jobs."""
    grouped: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        grouped.setdefault((job.task, job.row), []).append(job)
    return [_row_result(task, row, own, records) for (task, row), own in grouped.items()]


def mean_of(values: Sequence[float]) -> Mean | None:
    """Return the mean of some values with its interval; None of none."""
    if not values:
        return None
    interval = mean_interval(values)
    return Mean(float(np.mean(values)), None if interval is None else (interval[1] - interval[0]) / 2, len(values))


def _row_result(task: str, row: str, jobs: Sequence[Job], records: Mapping[str, Record]) -> RowResult:
    measured = [records[job.id] for job in jobs if job.id in records]
    return RowResult(
        task=task,
        row=row,
        planned=len(jobs),
        done=len(measured),
        diverged=sum(record["diverged"] for record in measured),
        modes=mean_of([record["modes"] for record in measured]),
        high_quality=mean_of([record["high_quality"] for record in measured]),
        kl=mean_of([record["kl"] for record in measured if record["kl"] is not None]),
        cpu_seconds=float(np.mean([record["cpu_seconds"] for record in measured])) if measured else None,
        records=tuple(measured),
        as_told=mean_of([record["as_told"] for record in measured if "as_told" in record]),
        shared=mean_of([record["shared"] for record in measured if record.get("shared") is not None]),
    )
