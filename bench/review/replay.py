"""`bench replay`: train a cell of a report again, and say whether the same came out.

The same seed must give the same bits on the same kind of machine (torch version, device model, processor capability,
ranks) and by the same code; elsewhere it says what differs. A new seed must fall into the interval that the seeds so
far predict. Replays lie in runs/.replays and can be interrupted and taken up like any run.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from safetensors import safe_open
from scipy import stats

from bench.errors import BenchError
from bench.execution.display import Following, make_display
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions, run_pool
from bench.files import read_json, read_jsonl
from bench.metrics.catalogue import frechet_name
from bench.runs.folder import RunFolder, read_plan
from bench.runs.identity import code_hash
from bench.runs.plan import RunSpec
from bench.runs.snapshots import check_snapshot
from bench.statistics import CONFIDENCE, SEEDS_FOR_INTERVAL, summarise
from bench.statistics.results import collect

REPLAYS = ".replays"
_KIND = ("device", "capability", "threads", "ranks")


@dataclass(frozen=True)
class Sameness:
    """How a run and its replay compare, bit for bit.

    `snapshots` are those whose weights were compared; `snapshots_lacking` the replay has and the run has not, as after
    an import without weights. `machine` names what differs between the two machines, `code` whether the source changed
    since. `first_step` is the first snapshot at which weights differ (None: none does) and `weights` their largest
    relative difference there; `logged` is the first logged step whose terms differ. `metrics` holds (name, value,
    again) of those that differ.
    """

    snapshots: int
    snapshots_lacking: int
    machine: tuple[str, ...]
    code: bool
    first_step: int | None
    weights: float
    logged: int | None
    metrics: tuple[tuple[str, float, float], ...]
    metrics_compared: int

    @property
    def identical(self) -> bool:
        """Tell whether nothing that was compared differs; weights were where there are `snapshots`."""
        return self.first_step is None and self.logged is None and not self.metrics

    @property
    def excused(self) -> bool:
        """Tell whether a difference has a known cause: another kind of machine, or other code."""
        return bool(self.machine) or self.code


@dataclass(frozen=True)
class Prediction:
    """Where a new seed's score fell: `low` to `high` is the 95 % interval that `seeds` scores predict for one more."""

    metric: str
    score: float
    seeds: int
    mean: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        return self.low <= self.score <= self.high


def replay_folder(original: RunFolder, spec: RunSpec, runs_root: Path) -> RunFolder:
    """Return where a run is trained again; what other code left there is removed."""
    folder = RunFolder(runs_root / REPLAYS / spec.study / spec.folder)
    if folder.spec_file.exists() and RunSpec.read(folder.spec_file).code != spec.code:
        shutil.rmtree(folder.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    spec.write(folder.spec_file)
    shutil.copy(original.card_file, folder.card_file)
    return folder


def spec_of(original: RunFolder, seed: int | None, code: dict[str, str]) -> RunSpec:
    """Return what is to be trained: the run as it was asked for, or with another seed, by the present code."""
    spec = RunSpec.read(original.spec_file)
    training = spec.training if seed is None else spec.training.model_copy(update={"seed": seed})
    return spec.model_copy(update={"training": training, "id": training.id(), "code": code})


def present_code(spec: RunSpec) -> dict[str, str]:
    """Return the hashes of the source that would train the run now."""
    from bench.objectives import load, source_file
    from bench.runs.identity import objective_hash

    objective = spec.training.objective
    name = objective.file or objective.name
    built_on = load(name).model_validate(objective.settings).parts()
    return {
        "objective": objective_hash(source_file(name), *(source_file(part) for part in built_on)),
        "training": code_hash("training"),
    }


def train_again(
    folder: RunFolder,
    spec: RunSpec,
    *,
    slots: Sequence[str],
    data_root: Path,
    console: Console,
    stop: Callable[[], bool],
) -> bool:
    """Train and evaluate the replay, or go on with it; False when it was stopped. Raises BenchError if it fails."""
    if folder.effective_state() in ("done", "diverged") and folder.metrics_file.exists():
        return True
    job = Job(spec, folder)
    options = PoolOptions(data_root, spec.training.training.threads)
    following = Following(frechet_name(spec.evaluation.extractors[0]), spec.evaluation.generators[0])
    with make_display(console, 1, Pacer(1), following) as display:
        complete = run_pool([job], slots[:1], options, display, stop)
    if complete and job.outcome == "failed":
        raise BenchError(f"The replay of {spec.name} failed: {job.reason}", hint=f"See {folder.path}/failure.txt.")
    return complete


def compare(original: RunFolder, again: RunFolder) -> Sameness:
    """Compare two trainings of one spec: machines, code, weights of every snapshot, logged terms, metrics."""
    steps = original.snapshot_steps()
    first_step, weights = None, 0.0
    for step in steps:
        weights = _largest_difference(original.snapshot_file(step), again.snapshot_file(step))
        if weights > 0:
            first_step = step
            break
    values, values_again = _values(original), _values(again)
    shared = sorted(values.keys() & values_again.keys())
    return Sameness(
        snapshots=len(steps),
        snapshots_lacking=len(set(again.snapshot_steps()) - set(steps)),
        machine=tuple(_machine_differences(read_json(original.environment_file), read_json(again.environment_file))),
        code=RunSpec.read(original.spec_file).code != RunSpec.read(again.spec_file).code,
        first_step=first_step,
        weights=weights,
        logged=_first_other_line(original, again),
        metrics=tuple((key, values[key], values_again[key]) for key in shared if values[key] != values_again[key]),
        metrics_compared=len(shared),
    )


def predict(runs_root: Path, study: str, again: RunFolder, *, label: str, protocol: str, seed: int) -> Prediction:
    """Hold a new seed's score of the primary metric against the 95 % prediction interval of the row's other seeds.

    Raises BenchError when they are fewer than three, or the replay has no score.
    """
    plan = read_plan(runs_root, study)
    metric = plan["primary_metric"]
    rows = summarise(collect(runs_root, study), plan)
    row = next((s for s in rows if (s.protocol, s.label, s.metric) == (protocol, label, metric)), None)
    scores = [value for other, value in row.values if other != seed] if row is not None else []
    if len(scores) < SEEDS_FOR_INTERVAL:
        raise BenchError(
            f"{label}-{protocol} has {len(scores)} scored seeds; a prediction needs {SEEDS_FOR_INTERVAL}",
            hint="Train more seeds of the study first.",
        )
    found = [
        line["value"]
        for line in read_jsonl(again.metrics_file)
        if (line["metric"], line["generator"]) == (metric, plan["generator"])
        and line["generator_steps"] == plan["final_step"]
        and line["evaluation_id"] == plan["evaluation_id"]
    ]
    if not found:
        raise BenchError(f"The replay has no {metric} at the study's final step", hint=f"See {again.path}.")
    mean, deviation = float(np.mean(scores)), float(np.std(scores, ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(scores) - 1)) * deviation * math.sqrt(1 + 1 / len(scores))
    return Prediction(metric, float(np.mean(found)), len(scores), mean, mean - reach, mean + reach)


def sameness_in_words(found: Sameness) -> list[str]:
    """Return what a comparison says, line by line."""
    lines = [f"machine  {difference}" for difference in found.machine] or ["machine  the same kind"]
    lines.append("code     changed since" if found.code else "code     the same")
    lines.append(f"weights  {_weights_in_words(found)}")
    lines.append(
        "log      the same terms" if found.logged is None else f"log      differs from step {found.logged:,} on"
    )
    equal = found.metrics_compared - len(found.metrics)
    lines.append(f"metrics  {equal} of {found.metrics_compared} equal")
    lines += [f"         {name}: {value:.6g}, now {again:.6g}" for name, value, again in found.metrics[:10]]
    return lines


def verdict_in_words(found: Sameness) -> str:
    """Return what a comparison comes to, in a sentence."""
    if found.identical and found.snapshots:
        return "the same, bit for bit."
    if found.identical:
        return "log and metrics are the same; weights were not compared, because no snapshot of the run is here."
    if found.excused:
        return "differs, as another kind of machine or other code may."
    return "DIFFERS, on the same kind of machine and by the same code."


def _weights_in_words(found: Sameness) -> str:
    if not found.snapshots:
        return "not compared: no snapshot of the run is here"
    if found.first_step is not None:
        return f"differ from the snapshot at step {found.first_step:,} on (relative {found.weights:.1e})"
    lacking = f"; {found.snapshots_lacking} more not compared: they are not here" if found.snapshots_lacking else ""
    return f"bit-identical at {found.snapshots} {'snapshot' if found.snapshots == 1 else 'snapshots'}{lacking}"


def _machine_differences(first: dict[str, Any], again: dict[str, Any]) -> list[str]:
    pairs = {"torch": (first["packages"]["torch"], again["packages"]["torch"])}
    pairs |= {name: (first.get(name, 1), again.get(name, 1)) for name in _KIND}
    return [f"{name} was {one}, is {other}" for name, (one, other) in pairs.items() if one != other]


def _largest_difference(first: Path, again: Path) -> float:
    """Return the largest difference of a tensor's elements, relative to its largest; infinite where one is missing."""
    if not again.exists():
        return math.inf
    largest = 0.0
    for path in (first, again):
        check_snapshot(path)
    with safe_open(first, framework="np") as one, safe_open(again, framework="np") as other:
        if set(one.keys()) != set(other.keys()):
            return math.inf
        for name in one.keys():  # noqa: SIM118 - no mapping
            a, b = one.get_tensor(name), other.get_tensor(name)
            if a.tobytes() != b.tobytes():
                scale = float(np.abs(a).max()) or 1.0
                gap = float(np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
                largest = max(largest, gap / scale, float(np.finfo(np.float32).tiny))
    return largest


def _first_other_line(original: RunFolder, again: RunFolder) -> int | None:
    """Return the first logged step that only one of them has, or whose terms are not the same.

    Of observed values those count that both log: another version may observe more.
    """
    lines = [{line["generator_steps"]: line for line in read_jsonl(folder.log_file)} for folder in (original, again)]
    named = [{name for line in log.values() for name in line["observed"]} for log in lines]
    shared = set.intersection(*named)
    one, other = (
        {
            step: [line["discriminator"], line["generator"], {name: line["observed"].get(name) for name in shared}]
            for step, line in log.items()
        }
        for log in lines
    )
    return next((step for step in sorted(one.keys() | other.keys()) if one.get(step) != other.get(step)), None)


def _values(folder: RunFolder) -> dict[str, float]:
    names = ("metric", "generator", "generator_steps", "sample_seed", "evaluation_id")
    return {" ".join(str(line[name]) for name in names): line["value"] for line in read_jsonl(folder.metrics_file)}
