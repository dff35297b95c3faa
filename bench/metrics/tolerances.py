"""Whether a metric that is measured again must come out the same: on which kind of machine it was measured before.

The same kind gives the same value to TOLERANCE. Processors with other instructions, threads or versions of torch add up
in another order, and tolerances.json has how far each metric was seen to move between them
(`benchmarks/processors.py`). Between a graphics card and a processor nothing was measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.files import read_json
from bench.runs.folder import RunFolder

Machine = dict[str, Any]
"""What `bench.evaluation.machine` describes."""

TOLERANCE = 1e-6
MARGIN = 4.0  # how much further than any difference that was seen: processors were imitated, not collected
IMAGES = 4  # how many may cross the edge of a ball where a share of images is measured: none of 8,000 was seen to
_SHARES = (
    *("precision_", "recall_", "density_", "coverage_", "unique_", "judge_confident"),
    *("label_accuracy_", "gan_test_", "gan_train_"),
)
_NAMES = ("torch", "device", "device_type", "capability", "threads")
_MEASURED = Path(__file__).parent / "tolerances.json"


def machine_of(line: Mapping[str, Any], run: RunFolder) -> Machine | None:
    """Return what a line of metrics.jsonl was measured on; None where nothing says so.

    Older lines do not say. They were measured where the run was trained, unless it moved.
    """
    if "measured_on" in line:
        machine = line["measured_on"]
    elif run.status().continued_on or not run.environment_file.is_file():
        return None
    else:
        environment = read_json(run.environment_file)
        told = environment | {"torch": environment.get("packages", {}).get("torch")}
        machine = {name: told[name] for name in _NAMES if name in told}
    return machine if isinstance(machine, dict) and all(name in machine for name in _NAMES) else None


def same_kind(was: Machine, here: Machine) -> bool:
    """Tell whether two machines must give the same value; older lines, which do not name the processor, never must."""
    if was["device_type"] == here["device_type"] == "cuda":
        return all(was[name] == here[name] for name in ("torch", "device", "capability"))
    return was == here


def allowed(metric: str, was: Machine | None, here: Machine, samples: int) -> float | None:
    """Return by how much a value of so many samples may differ, relative where it is above 1.

    None where no difference between such machines was ever measured.
    """
    if was is None:
        return None
    if same_kind(was, here):
        return TOLERANCE
    table = _table()
    largest: float | None = table["largest"].get(metric.partition("@")[0])
    if largest is None or not all(_is_among(table, machine) for machine in (was, here)):
        return None
    if metric.startswith(_SHARES):
        return max(MARGIN * largest, IMAGES / samples)
    return max(TOLERANCE, MARGIN * largest) if largest else None


def _is_among(table: Mapping[str, Any], machine: Machine) -> bool:
    """Tell whether a machine is of those between which differences were measured."""
    first, *_, last = [_release(version) for version in (*table["torch"], table["torch"][-1])]
    return (
        machine["device_type"] == "cpu"
        and machine["capability"] in table["capabilities"]
        and first <= _release(machine["torch"]) <= last
    )


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = read_json(_MEASURED)
    return table


def _release(version: str) -> tuple[int, ...]:
    """Return a version's first two numbers: "2.14.1+cpu" is (2, 14)."""
    return tuple(int(part) for part in re.findall(r"\d+", str(version))[:2])
