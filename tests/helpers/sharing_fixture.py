"""A small study with all that real run folders hold, for the tests of archives."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from helpers.study_fixture import Fate, StudyFixture, realistic, write_json
from safetensors.numpy import save

from bench.files import read_json
from bench.runs.snapshots import sealed

NEAREST = "samples/nearest.png"
CODE = {"objective": "0b", "training": "7r41n"}


def small(source: str = "faces", input: str = "") -> StudyFixture:
    """Return a study of four runs, one of which failed and one of which has not begun."""
    fates = {("vae", "controlled", 1): Fate("failed", 100), ("nsgan", "controlled", 1): None}
    return realistic(objectives=("nsgan", "vae"), fates=fates, source=source, input=input)


def write_study(runs_root: Path, source: str = "faces", input: str = "") -> Path:
    """Write a study whose specs give their ids, with weights, checkpoints, tracebacks and this machine's paths."""
    study = small(source, input).write(runs_root)
    for file in study.glob("*/seed-*/spec.json"):
        spec = read_json(file)
        spec["training"]["objective"]["file"] = str(runs_root / "mine.py")
        spec["training"]["data"]["path"] = str(runs_root / "photos")
        write_json(file, spec | {"code": CODE})
        _write_the_rest(file.parent, runs_root)
    return study


def _write_the_rest(folder: Path, runs_root: Path) -> None:
    (folder / "snapshots").mkdir()
    for step in (450, 900):
        (folder / "snapshots" / f"step-{step:08d}.safetensors").write_bytes(snapshot(step))
    grid = next((folder / "samples").glob("*.png"), None)
    for name in (NEAREST, "samples/interpolations.png", "samples/photos.png"):
        if grid is not None:
            (folder / name).write_bytes(grid.read_bytes())
    for name in ("failure.txt", "checkpoint-00000100.ckpt", ".lock"):
        (folder / name).write_text(f"{runs_root} is where it failed")
    status = read_json(folder / "status.json")
    if status["state"] == "failed":
        status["reason"] = f"FileNotFoundError: {runs_root}/photos/one.png is gone"
        write_json(folder / "status.json", status)


def snapshot(step: int) -> bytes:
    """Return a snapshot file that holds the last layer of a generator of width 16."""
    return sealed(save({"raw/layers.conv3.weight": np.full((16, 3, 4, 4), step, np.float32)}))


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
