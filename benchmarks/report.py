"""What a report takes: seconds of one core, memory and the page's weight, on the study that the tests make up.

    python benchmarks/report.py [--objectives 25] [--seeds 10 20 40] [--snapshots 10] [--resolution 64] [--out FILE]

Both protocols, a row for each count of seeds; start with the smallest, since memory is the peak of the process so far.
The aim: at most 60 s for 25 objectives x 2 protocols x 10 seeds x 10 snapshots, at most 10 s of these for the
statistics (results read, every test and interval), a page below 8 MB, and no more than linear growth.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import Row, add_common_options, prepared, publish

from bench.files import read_json
from bench.report import render
from bench.runs.folder import PLAN_FILE
from bench.statistics import study_statistics
from bench.statistics.results import collect

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from helpers.study_fixture import OBJECTIVES, StudyFixture  # the tests lie beside the benchmarks


@dataclass(frozen=True)
class MadeUp(StudyFixture):
    """The tests' study, with so many snapshots a run."""

    snapshot_count: int = 10

    @property
    def snapshots(self) -> tuple[int, ...]:
        return tuple(self.final_step * number // self.snapshot_count for number in range(1, self.snapshot_count + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds, memory and weight of reports.")
    parser.add_argument("--objectives", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--snapshots", type=int, default=10)
    parser.add_argument("--resolution", type=int, default=64, help="of the sample grids, 32, 64 or 128 [64]")
    add_common_options(parser)
    options = parser.parse_args()
    prepared(options)
    rows = list(measure(options.objectives, options.seeds, options.snapshots, options.resolution))
    publish("Reports", rows, options, torch.device("cpu"))


def measure(objectives: int, seed_counts: list[int], snapshots: int, resolution: int) -> Iterator[Row]:
    """Yield a row for each count of seeds, measured on a study that lies in a temporary folder meanwhile."""
    labels = [f"{name}-{again}" for again in range(1 + objectives // len(OBJECTIVES)) for name in OBJECTIVES]
    for seeds in seed_counts:
        study = MadeUp(
            objectives=tuple(labels[:objectives]),
            protocols=("controlled", "published"),
            seeds=tuple(range(seeds)),
            resolution=resolution,
            snapshot_count=snapshots,
        )
        with tempfile.TemporaryDirectory() as folder:
            yield measured(study, Path(folder))


def measured(study: MadeUp, root: Path) -> Row:
    """Write the study below `root`, report it, and return what that took."""
    plan = read_json(study.write(root) / PLAN_FILE)
    statistics = cpu_seconds(lambda: study_statistics(collect(root, study.name), plan))
    whole = cpu_seconds(lambda: render(root, study.name, root / "report"))
    runs = len(plan["runs"])
    return {
        "runs": runs,
        "report, s": whole,
        "ms a run": 1000 * whole / runs,
        "statistics, s": statistics,
        "page, MB": (root / "report" / "report.html").stat().st_size / 1e6,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the seconds of a core that `work` took."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
