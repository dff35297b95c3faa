"""What the page of `bench watch` shows of a study, read from its run folders alone, and only what changed in them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clusters.standings import Standings
from bench.errors import BenchError
from bench.limits import MOST_PICTURE_BYTES
from bench.metrics.catalogue import metric_info
from bench.runs.folder import PLAN_FILE, RunFolder, read_plan, run_folder
from bench.runs.latest import Follower
from bench.watch.colours import colours_of
from bench.watch.curves import Curves
from bench.watch.progress import images_of, row_of, study_seconds_left, with_standings

REFRESH_SECONDS = 1.0
PNG = b"\x89PNG\r\n\x1a\n"
_DAMAGE = (BenchError, LookupError, TypeError, ValueError, OSError)
Stamp = tuple[tuple[int, int] | None, ...]


@dataclass
class _Run:
    """One planned run: what was last told of it, and the revision in which that became so."""

    planned: dict[str, Any]
    folder: RunFolder
    follower: Follower
    row: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    revision: int = 0
    stamp: Stamp = ()
    curves: Curves | None = None

    def look(self) -> Stamp:
        folder = self.folder
        return tuple(map(_stamp, (folder.status_file, folder.log_file, folder.metrics_file, folder.samples)))

    def may_change_unseen(self) -> bool:
        """Tell whether the run's state can change though its files do not: a worker starts on it, or is killed."""
        return self.row.get("state") not in ("done", "diverged") or self.row.get("phase") is not None


class WatchedStudy:
    """A study's runs for the page. Safe to ask from several threads; reads files at most once a second.

    data_root   where prepared images lie; runs that saw others than these are stale, as in `bench status`
    """

    def __init__(self, runs_root: Path, name: str, data_root: Path) -> None:
        self._root, self._data = runs_root, data_root
        self.name = name
        self._lock = threading.Lock()
        self._standings = Standings(runs_root, name)
        self._read = float("-inf")
        self._plan: dict[str, Any] = {}
        self._images: dict[str, str] | None = None
        self._plan_stamp: tuple[int, int] | None = None
        self._runs: list[_Run] = []
        self._revision = 0
        # Another server on the same port, whose page is still open, has told of other runs by other numbers.
        self._generation = time.time_ns() // 1_000_000

    def changes(self, since: int = 0, generation: int = -1) -> dict[str, Any]:
        """Return the study, and of its runs those that changed after revision `since` of the plan's `generation`."""
        with self._lock:
            self._refresh()
            if not self._plan:
                return {"study": self.name, "waiting": True, "generation": 0, "revision": 0, "runs": []}
            since = since if generation == self._generation else 0
            plan = self._plan
            left = study_seconds_left(plan, [run.row for run in self._runs])
            return {
                "study": self.name,
                "title": plan["title"],
                "notice": plan.get("notice"),
                "metric": self._metric(),
                "final_step": plan["final_step"],
                "seconds_left": None if left is None else round(left),
                "generation": self._generation,
                "revision": self._revision,
                "runs": [run.told for run in self._runs if run.revision > since],
            }

    def curves(self, key: int) -> list[dict[str, Any]] | None:
        """Return a run's loss curves; None where the plan has no such run."""
        with self._lock:
            self._refresh()
            if not 0 <= key < len(self._runs):
                return None
            run = self._runs[key]
            run.curves = run.curves or Curves(run.folder)
            return run.curves.as_json()

    def grid(self, key: int, generator_steps: int) -> bytes | None:
        """Return a run's sample grid as PNG; None where there is none, or it lies outside of the study's folder."""
        with self._lock:
            self._refresh()
            if not 0 <= key < len(self._runs):
                return None
            path = self._runs[key].folder.sample_file(generator_steps)
        inside = (self._root / self.name).resolve()
        try:
            if not path.resolve(strict=True).is_relative_to(inside) or path.stat().st_size > MOST_PICTURE_BYTES:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        return content if content.startswith(PNG) else None

    def _metric(self) -> dict[str, Any]:
        name = str(self._plan["primary_metric"])
        info = metric_info(name)
        return {"name": name, "title": info.title, "better": info.better}

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read < REFRESH_SECONDS:
            return
        self._read = now
        stamp = _stamp(self._root / self.name / PLAN_FILE)
        if stamp != self._plan_stamp:
            self._take_plan()
            self._plan_stamp = stamp
        for run in self._runs:
            seen = run.look()
            if seen != run.stamp or run.may_change_unseen():
                run.stamp = seen
                self._read_run(run)

    def _take_plan(self) -> None:
        """Read the plan anew. What was read of runs is kept where the same is asked of them."""
        study = self._root / self.name
        plan = read_plan(self._root, self.name) if (study / PLAN_FILE).is_file() else {}
        same = all(plan.get(key) == self._plan.get(key) for key in ("primary_metric", "generator", "evaluation_id"))
        known = {run.planned["path"]: run.follower for run in self._runs} if same else {}
        self._images = images_of(self._root, self.name, self._data) if plan else None
        runs = []
        # In the order in which the report's figures give them out.
        colours = colours_of(
            {part["label"]: part["objective"] for kind in ("entries", "runs") for part in plan.get(kind, [])}
        )
        for key, planned in enumerate(plan.get("runs", [])):
            folder = run_folder(study, planned["path"])
            follower = Follower(folder, plan["primary_metric"], plan["generator"], plan["evaluation_id"])
            run = _Run(planned, folder, known.get(planned["path"], follower))
            run.told = {
                "key": key,
                **{name: planned[name] for name in ("label", "protocol", "seed")},
                "colour": colours[planned["label"]],
            }
            runs.append(run)
        self._plan, self._runs = plan, runs
        self._generation += 1

    def _read_run(self, run: _Run) -> None:
        try:
            row, newest = row_of(run.folder, run.planned, self._images), run.follower.latest()
            with_standings([row], self._root / self.name, self._standings)
        except _DAMAGE as error:  # `bench report` refuses it, a page that watches says so
            reason = error.message if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
            row = {**_UNREADABLE, "reason": reason, "path": run.folder.path}
            newest = None
        run.row = row
        told = {name: run.told[name] for name in ("key", "label", "protocol", "seed", "colour")}
        told |= {name: row[name] for name in _SHOWN}
        if newest is not None:
            told |= {
                "logged_step": newest.logged_step,  # not shown, but with it the page asks for the curves anew
                "score": str(newest.score) if newest.score else None,
                "score_step": newest.score.generator_steps if newest.score else None,
                "curve": [[score.generator_steps, score.value] for score in newest.curve],
                "curve_of": newest.curve[-1].metric if newest.curve else None,
                "floor": newest.curve[-1].floor if newest.curve else None,
                "grid": newest.grid_step or None,
            }
        if told != run.told:
            self._revision += 1
            run.told, run.revision = told, self._revision


_SHOWN = ("state", "phase", "generator_steps", "total_generator_steps", "steps_per_second", "seconds_left", "device",
          "reason")  # fmt: skip
_UNREADABLE: dict[str, Any] = {
    "state": "unreadable", "phase": None, "generator_steps": 0, "total_generator_steps": 0, "steps_per_second": 0.0,
    "seconds_left": None, "device": None, "device_seconds": 0.0, "evaluation_seconds": 0.0, "updated": None,
}  # fmt: skip


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
