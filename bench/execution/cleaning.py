"""`bench clean`: which run folders no plan names any more, why, and removing them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.runs.differences import changes
from bench.runs.folder import RunFolder
from bench.runs.plan import Plan, RunSpec
from bench.runs.portable import imported_from

_REMOVED = ".removed-"  # begins the name of a run folder that is being deleted: no reader of runs looks into it


@dataclass(frozen=True)
class Unplanned:
    """A run's folder that `bench clean` would remove: its state, and why the plan does not have it."""

    path: Path
    state: str
    why: str

    @property
    def finished(self) -> bool:
        return self.state in ("done", "diverged")


def unplanned(runs_root: Path, study: str, plan: Plan | None) -> list[Unplanned]:
    """Return the run folders that a plan does not name, or all of the study where none is given.

    Raises BenchError where the study has no folder.
    """
    root = runs_root / study
    if not root.is_dir():
        raise BenchError(
            f"There is no folder {root}", hint="`bench list studies` shows the studies; --runs names another folder."
        )
    planned = {run.folder: run for run in plan.runs} if plan else {}
    folders = sorted(path for path in root.glob("*/seed-*") if path.is_dir())
    found = [
        Unplanned(path, _state(path), _why(path, plan)) for path in folders if path.relative_to(root) not in planned
    ]
    half_removed = sorted(path for path in root.glob(f"*/{_REMOVED}*") if path.is_dir())
    return found + [Unplanned(path, "half removed", "an earlier `bench clean` was ended") for path in half_removed]


def remove(folders: Sequence[Path]) -> None:
    """Delete run folders. Raises BenchError, before deleting any, when one is being worked on.

    Each is renamed before it is deleted: a run that was deleted halfway would still say "done", without its snapshots.
    """
    for path in folders:
        if RunFolder(path).is_locked():
            raise BenchError(f"{path} is being worked on", hint="Stop that run first.")
    doomed = [path if path.name.startswith(_REMOVED) else path.rename(_free_name(path)) for path in folders]
    for path in doomed:
        shutil.rmtree(path)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _state(path: Path) -> str:
    try:
        return RunFolder(path).effective_state()
    except BenchError:
        return "unreadable"


def _why(path: Path, plan: Plan | None) -> str:
    """Return why a plan does not have the run in this folder."""
    imported = "imported; " if imported_from(path) is not None else ""
    if plan is None:
        return f"{imported}all of the study"
    if ".stale-" in path.name:
        return f"{imported}set aside: other code or other images than at present"
    try:
        spec = RunSpec.read(RunFolder(path).spec_file)
    except BenchError:
        return f"{imported}its spec.json cannot be read"
    row = [run for run in plan.runs if (run.label, run.protocol) == (spec.label, spec.protocol)]
    if not row:
        return f"{imported}the study has no row {spec.label}, {spec.protocol}"
    asked = next((run for run in row if run.training.seed == spec.training.seed), None)
    if asked is None:
        return f"{imported}the study has no seed {spec.training.seed} of {spec.label}"
    differing = changes(spec.training.model_dump(mode="json"), asked.training.model_dump(mode="json"))
    return imported + (", ".join(differing) or "its folder has another name than its settings give")


def _free_name(path: Path) -> Path:
    """Return a name for a folder that is being deleted, which an earlier call that was killed has not taken."""
    numbers = itertools.count(1)
    return next(name for number in numbers if not (name := path.with_name(f"{_REMOVED}{path.name}-{number}")).exists())
