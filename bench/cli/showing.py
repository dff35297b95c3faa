"""What `bench show` says about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import read_json, read_jsonl
from bench.runs.folder import RunFolder, read_plan
from bench.runs.portable import imported_from


def find_run(asked: Path, runs_root: Path, study: str) -> RunFolder:
    """Return the run that a folder, an id (or its beginning) or label/seed names. Raises BenchError when none does."""
    if (asked / "spec.json").is_file():
        return RunFolder(asked)
    plan = read_plan(runs_root, study)
    text = asked.as_posix()
    label, _, seed = text.rpartition("/")
    matching = [
        run for run in plan["runs"] if run["id"].startswith(text) or (label in _names(run) and seed == str(run["seed"]))
    ]
    if not matching:
        raise BenchError(f'Study "{study}" has no run "{text}"', hint="`bench status` shows its runs.")
    if len(matching) > 1:
        names = ", ".join(f"{run['label']}-{run['protocol']}/{run['seed']}" for run in matching)
        raise BenchError(f'"{text}" could be any of {names}', hint="Type one of these instead.")
    return RunFolder(runs_root / study / matching[0]["path"])


def _names(run: dict[str, Any]) -> tuple[str, ...]:
    """Return what a run's row is called, and its folder, which is the baseline's for an A/A arm."""
    return run["label"], f"{run['label']}-{run['protocol']}", run["path"].rpartition("/")[0]


def describe_run(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Return the run's spec, status, last log line and final metrics, flattened for printing."""
    if not folder.spec_file.exists():
        raise BenchError(f"{folder.path} has not begun", hint="`bench run --all` starts it.")
    spec = read_json(folder.spec_file)
    status = folder.status()
    log = read_jsonl(folder.log_file)
    metrics = read_jsonl(folder.metrics_file)
    last_step = max((line["generator_steps"] for line in metrics), default=0)
    return {
        "asked": _flat(spec["training"]) | {"id": spec["id"]},
        "status": {
            "state": folder.effective_state(),
            "generator_steps": f"{status.generator_steps:,} of {status.total_generator_steps:,}",
            "discriminator_steps": f"{status.discriminator_steps:,}",
            "images_seen": f"{status.images_seen:,}",
            "device_seconds": f"{status.device_seconds:.1f}",
            "device": status.device or "",
            **({"engine": status.engine} if status.engine else {}),
            "attempts": status.attempts,
            **{
                f"failed attempt {number}": f"{failure.device}, step {failure.generator_steps:,}: {failure.reason}"
                for number, failure in enumerate(status.failures, 1)
            },
            **({"reason": status.reason} if status.reason else {}),
        },
        "last logged": _flat(log[-1]) if log else {},
        f"metrics at step {last_step}": {
            f"{line['metric']} ({line['generator']})": _with_floor(line)
            for line in metrics
            if line["generator_steps"] == last_step
        },
        "imported from": _flat(imported_from(folder.path) or {}),
        "files": {"samples": ", ".join(path.name for path in sorted(folder.samples.glob("*.png")))},
    }


def _with_floor(line: dict[str, Any]) -> str:
    floor = line.get("floor")
    return f"{line['value']:.5g}" + (f"  (real against real {floor:.5g})" if floor is not None else "")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat
