"""A small study with all that real run folders hold, for the tests of archives."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from helpers.study_fixture import Fate, StudyFixture, realistic, write_json

from bench.runs.portable import training_id

NEAREST = "samples/nearest.png"
CODE = {"objective": "0b", "training": "7r41n"}


def small() -> StudyFixture:
    """Return a study of four runs, one of which failed and one of which has not begun."""
    fates = {("vae", "controlled", 1): Fate("failed", 100), ("nsgan", "controlled", 1): None}
    return realistic(objectives=("nsgan", "vae"), fates=fates)


def write_study(runs_root: Path, source: str = "faces") -> Path:
    """Write a study whose specs give their ids, with weights, checkpoints, tracebacks and this machine's paths."""
    study = small().write(runs_root)
    plan = json.loads((study / "plan.json").read_text())
    plan["data"]["source"] = source
    for run in plan["runs"]:
        old = study / run["path"]
        training = {
            "objective": {"name": run["objective"], "file": str(runs_root / "mine.py"), "settings": {}},
            "data": plan["data"] | {"path": str(runs_root / "photos")},
            "seed": run["seed"],
        }
        run["id"] = training_id(training)
        run["path"] = f"{run['label']}-{run['protocol']}/seed-{run['seed']}-{run['id']}"
        if not old.exists():
            continue
        folder = old.rename(study / run["path"])
        names = {key: run[key] for key in ("id", "label", "protocol")}
        spec = {"schema": 1, **names, "study": study.name, "training": training, "code": CODE}
        write_json(folder / "spec.json", spec)
        _write_the_rest(folder, runs_root)
    write_json(study / "plan.json", plan)
    return study


def _write_the_rest(folder: Path, runs_root: Path) -> None:
    (folder / "snapshots").mkdir()
    for step in (450, 900):
        (folder / "snapshots" / f"step-{step:08d}.safetensors").write_bytes(bytes(1000 + step))
    grid = next((folder / "samples").glob("*.png"), None)
    for name in (NEAREST, "samples/interpolations.png", "samples/photos.png"):
        if grid is not None:
            (folder / name).write_bytes(grid.read_bytes())
    for name in ("failure.txt", "checkpoint-00000100.ckpt", ".lock"):
        (folder / name).write_text(f"{runs_root} is where it failed")
    status = json.loads((folder / "status.json").read_text())
    if status["state"] == "failed":
        status["reason"] = f"FileNotFoundError: {runs_root}/photos/one.png is gone"
        write_json(folder / "status.json", status)


def members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def repack(archive: Path, target: Path, change: Callable[[dict[str, bytes]], None], *, sign: bool = False) -> Path:
    """Write an archive again with `change` done to its members; `sign` makes archive.json fit, as a forger would."""
    files = members(archive)
    change(files)
    contents = json.loads(files.pop("archive.json"))
    if sign:
        contents["files"] = {
            name: {"sha256": sha256(data).hexdigest(), "bytes": len(data)} for name, data in sorted(files.items())
        }
        contents["bytes"] = sum(map(len, files.values()))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive.json", json.dumps(contents))
        for name, data in files.items():
            file.writestr(name, data)
    return target
