"""Which of a study's files an archive may hold. What is not listed stays at home: checkpoints, tracebacks, locks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from bench.runs.extras import BACKBONES, EXTERNAL, FORGIVES, GRIDS
from bench.runs.folder import PLAN_FILE

RUNS, REPORTS = "runs", "reports"
RECORDS = (
    "spec.json",
    "card.json",
    "environment.json",
    "architecture.json",
    "status.json",
    "fingerprint.json",
    "accepted.json",
    "log.jsonl",
    "metrics.jsonl",
)
_PICTURE = re.compile(r"samples/(step-\d+|interpolations|traversals|nearest)\.png")
_GRIDS, _NEAREST = "samples/step-", "samples/nearest.png"
_EXTERNAL = re.compile(rf"{EXTERNAL}/[A-Za-z0-9][A-Za-z0-9._@+-]{{0,63}}\.json")
_WEIGHTS = re.compile(r"snapshots/step-(\d+)\.safetensors")


def may_leave(name: str, staying: tuple[str, ...]) -> bool:
    """Tell whether a run's file, by its name in the run's folder, may be in an archive; `staying` as below."""
    known = name in RECORDS or _PICTURE.fullmatch(name) is not None or _WEIGHTS.fullmatch(name) is not None
    return known and not name.startswith(staying)


def is_weights(name: str) -> bool:
    """Tell whether a run's file, or an archive's member, holds a snapshot's weights."""
    return name.endswith(".safetensors")


def staying(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how the names of pictures begin that stay at home: they show images that may be photographs of people.

    nearest.png shows training images, sample grids of pairs show held-out ones. Drawn faces show nobody.
    """
    if plan["data"]["source"] == "faces":
        return ()
    return (_NEAREST, _GRIDS) if plan["data"].get("input") else (_NEAREST,)


def is_beside_the_plan(name: str) -> bool:
    """Tell whether a file, by its name in the study's folder, is a record of the study as a whole."""
    return name in (FORGIVES, BACKBONES, GRIDS) or _EXTERNAL.fullmatch(name) is not None


def plan_member(study: str) -> str:
    return f"{RUNS}/{study}/{PLAN_FILE}"


def run_member(study: str, run: str, name: str) -> str:
    return f"{RUNS}/{study}/{run}/{name}"


def run_of(member: str) -> str:
    """Return the path of the run that a member belongs to, relative to its study."""
    return "/".join(PurePosixPath(member).parts[2:4])


def unexpected(names: list[str], study: str, plan: Mapping[str, Any]) -> list[str]:
    """Return the members that no archive of this study holds: not its plan, not a planned run's, not its report's."""
    runs = {run["path"] for run in plan["runs"]}
    home = staying(plan)
    found = []
    for name in names:
        parts = PurePosixPath(name).parts
        mine = parts[1:2] == (study,)
        of_run = parts[:1] == (RUNS,) and run_of(name) in runs and may_leave("/".join(parts[4:]), home)
        of_study = parts[:1] == (RUNS,) and is_beside_the_plan("/".join(parts[2:]))
        of_report = parts[:1] == (REPORTS,) and len(parts) > 2
        if not (mine and (name == plan_member(study) or of_study or of_run or of_report)):
            found.append(name)
    return found
