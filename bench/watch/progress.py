"""How far every run of a study is, and when all will be through, read from its folder alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.clusters.standings import Standings
from bench.data import present_images
from bench.data.request import TORCHVISION_SOURCES
from bench.errors import BenchError
from bench.execution.unmeasured import Seen, Unmeasured, unmeasured
from bench.metrics.settings import EvaluationSettings
from bench.runs.cost import cost_ratios, read_costs
from bench.runs.folder import OTHER_IMAGES, RunFolder, Status, read_plan, run_folder
from bench.runs.plan import RunSpec
from bench.runs.portable import imported_from
from bench.runs.remaining import Doing, RunPace, seconds_left

ASK_CLUSTER_SECONDS = 10.0  # between two questions to a cluster
SUPPOSED_EVALUATION_SECONDS = 30.0  # before any run was measured
Row = dict[str, Any]


def progress_of(plan: Mapping[str, Any], study_folder: Path, images: Mapping[str, str] | None = None) -> list[Row]:
    """Return a row for each run of a plan, whose runs lie in `study_folder`; `images` are `images_of` the study."""
    by_hand = {(entry["label"], entry["protocol"]) for entry in plan["entries"] if entry.get("added")}
    rows = []
    for planned in plan["runs"]:
        row = row_of(run_folder(study_folder, planned["path"]), planned, images)
        row["added"] = planned.get("added", False) or (planned["label"], planned["protocol"]) in by_hand
        rows.append(row)
    return rows


def row_of(folder: RunFolder, planned: Mapping[str, Any], images: Mapping[str, str] | None = None) -> Row:
    """Return how far one run of a plan is."""
    status = folder.status()
    left = None
    state = folder.effective_state()
    other = state not in ("planned", "running") and folder.saw_others_than(images)
    if state == "running" and status.steps_per_second > 0 and not _is_silent(status):
        left = (status.total_generator_steps - status.generator_steps) / status.steps_per_second
    phase = status.phase if state in ("running", "done", "diverged") else None
    if state == "planned" and folder.is_locked():
        phase = "starting"
    return {
        "run": f"{planned['label']}-{planned['protocol']}/seed-{planned['seed']}",
        "state": "stale" if other else state,
        "phase": phase,
        "generator_steps": status.generator_steps,
        "total_generator_steps": status.total_generator_steps,
        "device_seconds": round(status.device_seconds, 1),
        "evaluation_seconds": round(status.evaluation_seconds, 1),
        "steps_per_second": status.steps_per_second,
        "seconds_left": None if left is None else round(left),
        "device": status.device,
        "reason": OTHER_IMAGES if other else status.reason,
        "imported": imported_from(folder.path) is not None,
        "updated": status.updated,
        "path": folder.path,
    }


def with_standings(rows: Iterable[Row], study_folder: Path, standings: Standings) -> None:
    """Add to rows where their runs stand with clusters: on, order, piece, turns, queued_because; None elsewhere.

    A run that waits there is "queued", and one whose job has begun without a word from it yet "starting".
    """
    placed = standings.look(ASK_CLUSTER_SECONDS)
    for row in rows:
        at = placed.get(row["path"].relative_to(study_folder).as_posix())
        standing = None if at is None else at.standing
        row |= dict.fromkeys(("on", "order", "piece", "turns", "queued_because"))
        if at is None or standing is None or (row["state"] in ("done", "diverged") and row["phase"] is None):
            continue
        began = at.order.began(at.piece)
        turns = began.turn if began else 0
        row |= {"on": at.order.on, "order": at.order.id, "piece": at.piece, "turns": turns}
        if standing.state == "queued":
            again = f", turn {turns + 1}" if turns else ""
            row |= {"state": "queued", "phase": None, "seconds_left": None, "queued_because": standing.why}
            row["reason"] = f"{at.order.on}: {standing.why or 'waits'}{again}"
        elif row["phase"] is None:
            node = standing.where or (began.node if began else "")
            row |= {"phase": "starting", "reason": f"{at.order.on}: {node}" if node else at.order.on}


def images_of(runs_root: Path, study: str, data_root: Path) -> dict[str, str] | None:
    """Return the digests of the study's images as they lie here now; None where they cannot be told without torch."""
    for planned in read_plan(runs_root, study)["runs"]:
        spec_file = RunFolder(runs_root / study / planned["path"]).spec_file
        if spec_file.exists():
            try:
                request = RunSpec.read(spec_file).training.data
            except BenchError:  # of another version, say: its states can be read all the same
                return None
            return None if request.source in TORCHVISION_SOURCES else present_images(request, data_root)
    return None


def _is_silent(status: Status) -> bool:
    """Tell whether a running run has not said for unusually long how far it is: it may hang."""
    return _age(status.updated) > max(60.0, 10 / status.steps_per_second)


def _age(updated: str | None) -> float:
    """Return how long ago a status was written, in seconds; 0 where it does not say."""
    if updated is None:
        return 0.0
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(updated)
    return max(age.total_seconds(), 0.0)


def lacking_metrics(rows: Iterable[Row], settings: EvaluationSettings, seen: Seen) -> Unmeasured:
    """Return what the trained ones of these runs lack under `settings`; see `unmeasured` for `seen`.

    Imported runs are left out: they are never measured here.
    """
    trained = [row for row in rows if row["state"] in ("done", "diverged") and row["phase"] is None]
    return unmeasured([RunFolder(row["path"]) for row in trained if not row["imported"]], settings, seen)


def has_ended(row: Row) -> bool:
    """Tell whether nothing more happens to a run by itself: it is trained, evaluated, or has failed."""
    return row["state"] in ("done", "diverged", "failed", "stale") and row["phase"] is None


def study_seconds_left(plan: Mapping[str, Any], rows: Sequence[Row]) -> float | None:
    """Return the time until all planned runs are through at the present pace; None where none runs, or none says.

    `rows` are `progress_of` the plan. What nobody works on is taken to wait for the processes that run now.
    """
    doings = [_doing(row) for row in rows]
    running = sum(doing not in ("waiting", "ended") for doing in doings)
    if not running or any(
        row["state"] == "running" and row["seconds_left"] is None for row in rows if row["phase"] == "training"
    ):
        return None
    costs, steps = cost_ratios(read_costs()), _steps_per_iteration(plan)
    paces = []
    for planned, row, doing in zip(plan["runs"], rows, doings, strict=True):
        total, rate = row["total_generator_steps"], row["steps_per_second"]
        paces.append(
            RunPace(
                row=f"{planned['label']}-{planned['protocol']}",
                doing=doing,
                share=row["generator_steps"] / total if total else 0.0,
                since=_age(row["updated"]) if doing == "evaluating" else 0.0,
                thought=costs.get(planned["objective"], 1.0) * steps.get((planned["label"], planned["protocol"]), 2),
                thought_evaluation=SUPPOSED_EVALUATION_SECONDS,
                training=total / rate if rate and total and row["state"] in ("done", "running") else None,
                evaluation=row["evaluation_seconds"] if doing == "ended" and row["evaluation_seconds"] else None,
            )
        )
    on_cpu = all((row["device"] or "cpu").startswith("cpu") for row in rows)
    measuring = doings.count("evaluating")
    if on_cpu:
        return seconds_left(paces, running)
    return seconds_left(paces, max(running - measuring, 1), max(measuring, 1))


def _doing(row: Row) -> Doing:
    if row["phase"] == "evaluating":
        return "evaluating"
    if row["phase"] == "starting":
        return "starting"
    if row["state"] == "running":
        return "training"
    return "ended" if has_ended(row) or row["state"] == "unreadable" else "waiting"


def _steps_per_iteration(plan: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return how many steps of either network an iteration of each row has."""
    return {
        (entry["label"], entry["protocol"]): 1 + entry.get("recipe", {}).get("discriminator_steps", 1)
        for entry in plan["entries"]
    }
