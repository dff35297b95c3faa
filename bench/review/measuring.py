"""`bench verify --metrics`: do the snapshots give the metrics that the runs' records hold?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import read_jsonl
from bench.metrics.tolerances import TOLERANCE, allowed, machine_of
from bench.review.findings import SHOWN, Finding, Outcome
from bench.review.verify import read_manifest
from bench.runs.folder import RunFolder

Measure = Callable[[Path], list[dict[str, Any]]]
"""Measures a run's folder anew and returns the lines of its metrics.jsonl."""


def verify_metrics(report: Path, runs_root: Path, measure: Measure) -> Iterator[Finding]:
    """Measure every run's snapshots again and compare the values, which must agree to what `allowed` allows.

    What counts is of the report's evaluation settings. A value that measuring its step again does not give fails, and
    so does one that metrics.jsonl lacks although others of the same sample are there. One that differs, from a kind of
    machine that is not here, is not checked where no tolerance was measured.
    """
    written = read_manifest(report)
    for run in written["runs"]:
        folder = runs_root / written["study"] / run["path"]
        try:
            held = _lines(read_jsonl(folder / "metrics.jsonl"), written["evaluation_id"])
        except BenchError as error:
            yield Finding("metrics", "FAILS", f"{run['path']}: {error.message}")
            continue
        try:
            again = _lines(measure(folder), written["evaluation_id"]) if held else {}
        except BenchError as error:
            yield Finding("metrics", "not checked", f"{run['path']}: {error.message}")
            continue
        shared = sorted(held.keys() & again.keys())
        if not shared:
            yield Finding("metrics", "not checked", f"{run['path']}: there is nothing to measure again")
            continue
        compared = [_compared(key, held[key], again[key], RunFolder(folder)) for key in shared]
        wrong = [*(value.text for value in compared if value.outcome == "FAILS"), *_only_in_one(held, again)]
        for text in wrong[:SHOWN]:
            yield Finding("metrics", "FAILS", f"{run['path']}: {text}")
        if len(wrong) > SHOWN:
            yield Finding("metrics", "FAILS", f"{run['path']}: {len(wrong) - SHOWN} more differences")
        for text in [*_measured_elsewhere(compared), *_left_open(held, again)]:
            yield Finding("metrics", "not checked", f"{run['path']}: {text}")
        holding = [value for value in compared if value.outcome == "holds"]
        if holding and not wrong:
            near = sum(value.apart > TOLERANCE for value in holding)
            within = f", {near} of them to within what processors differ by" if near else ""
            text = f"{len(holding)} of {len(held)} values measured again{within}"
            yield Finding("metrics", "holds", f"{run['path']}: {text}")


Key = tuple[int, str, int, str]
"""What a value is of: generator steps, generator, sample seed, metric."""


@dataclass(frozen=True)
class _Compared:
    """A value that was measured again: what came of it, how far the two are apart, and what measured it before."""

    outcome: Outcome
    apart: float
    text: str
    measured_on: str


def _lines(lines: Sequence[dict[str, Any]], evaluation_id: str) -> dict[Key, dict[str, Any]]:
    return {
        (line["generator_steps"], line["generator"], line["sample_seed"], line["metric"]): line
        for line in lines
        if line["evaluation_id"] == evaluation_id
    }


def _compared(key: Key, held: Mapping[str, Any], again: Mapping[str, Any], run: RunFolder) -> _Compared:
    value, anew = held["value"], again["value"]
    apart = abs(value - anew) / max(1.0, abs(anew))
    was = machine_of(held, run)
    tolerance = allowed(key[3], was, again["measured_on"], again["samples"])
    outcome: Outcome = "not checked" if tolerance is None else "FAILS"
    if apart <= (tolerance or TOLERANCE):
        outcome = "holds"
    where = f"{was['device']} with torch {was['torch']}" if was else "an unknown machine"
    return _Compared(outcome, apart, f"{_named(key)} is {value:.6g}, measured again {anew:.6g}", where)


def _measured_elsewhere(compared: Sequence[_Compared]) -> Iterator[str]:
    """Name values that differ, with no measured tolerance between their machine and this one."""
    differing = [value for value in compared if value.outcome == "not checked"]
    for where in dict.fromkeys(value.measured_on for value in differing):
        values = [value for value in differing if value.measured_on == where]
        furthest = max(values, key=lambda value: value.apart)
        yield (
            f"{len(values)} values measured on {where} come out otherwise here, how far they may was never measured; "
            f"furthest off, {furthest.text}"
        )


def _only_in_one(held: Mapping[Key, object], again: Mapping[Key, object]) -> Iterator[str]:
    """Name values that cannot have been measured, and values that were taken out of their sample."""
    steps, samples = {key[0] for key in again}, {key[:3] for key in held}
    for key in sorted(held.keys() - again.keys()):
        if key[0] in steps:
            yield f"{_named(key)} is in metrics.jsonl, and measuring does not give it"
    for key in sorted(again.keys() - held.keys()):
        if key[:3] in samples:
            yield f"{_named(key)} is left out of metrics.jsonl"


def _left_open(held: Mapping[Key, object], again: Mapping[Key, object]) -> Iterator[str]:
    """Name values of steps without a snapshot, and whole samples that were not measured before."""
    steps, samples = {key[0] for key in again}, {key[:3] for key in held}
    unmeasured = [key for key in held.keys() - again.keys() if key[0] not in steps]
    unheld = [key for key in again.keys() - held.keys() if key[:3] not in samples]
    for keys, what in (
        (unmeasured, "were not measured again: no snapshot of it is here"),
        (unheld, "can be measured, and metrics.jsonl has none of their sample"),
    ):
        at = ", ".join(f"{step:,}" for step in sorted({key[0] for key in keys}))
        if keys:
            yield f"{len(keys)} values of step {at} {what}"


def _named(key: Key) -> str:
    return f"{key[3]} ({key[1]}, step {key[0]:,}, sample seed {key[2]})"
