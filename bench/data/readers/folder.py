"""Any folder of images, with everything below it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.data.crops import render_files
from bench.data.readers.archives import read_file
from bench.data.readers.base import Source, Split, choose, hash_lines, is_held_out
from bench.data.request import DataRequest
from bench.errors import BenchError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def open_folder(request: DataRequest, fetch: bool) -> Source | None:
    """Open the folder at `request.path`; with `fetch`, raises BenchError when it is not there.

    Images are ordered by their path in the folder. Where there are sub-folders `train` and `test`, these are the splits
    and nothing else is read; otherwise a tenth, chosen by a hash of that path, is held out.
    """
    if request.path is None:
        raise BenchError(
            'source = "folder" needs a path', hint="Set `path` in the study's data to the folder of images."
        )
    folder = Path(request.path).expanduser()
    if not folder.exists():
        if fetch:
            raise BenchError(
                f"The folder of images {folder} does not exist", hint="Set `path` in the study's data to it."
            )
        return None
    if not folder.is_dir():
        raise BenchError(f"{folder} is a file", hint="Set `path` in the study's data to a folder of images.")
    names = image_names(folder)
    details: dict[str, Any] = {}
    return Source(
        fingerprint=hash_lines(_identity(folder, name) for name in names),
        splits=lambda: _splits(folder, names, request, details),
        render=partial(render_files, recipe=request.recipe, resolution=request.resolution),
        details=details,
    )


def image_names(folder: Path) -> list[str]:
    """Paths of all images below `folder`, relative to it and sorted; hidden files and folders are left out."""
    names = []
    for place, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                names.append((Path(place) / name).relative_to(folder).as_posix())
    return sorted(names)


def _identity(folder: Path, name: str) -> str:
    stat = (folder / name).stat()
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"


def _splits(folder: Path, names: list[str], request: DataRequest, details: dict[str, Any]) -> tuple[Split, Split]:
    train = [name for name in names if name.startswith("train/")]
    heldout = [name for name in names if name.startswith("test/")]
    rule = "sub-folders train and test"
    if not train or not heldout:
        train = [name for name in names if not is_held_out(name, request.seed)]
        heldout = [name for name in names if is_held_out(name, request.seed)]
        rule = "a tenth, chosen by a hash of the name, is held out"
    if not train or not heldout:
        raise BenchError(
            f"{folder} holds {len(names)} image(s) ({', '.join(sorted(SUFFIXES))}), too few to hold out a tenth",
            hint="Add images, or sort them into sub-folders train and test.",
        )

    def split(chosen: Sequence[str]) -> Split:
        return Split(len(chosen), lambda start, stop: [read_file(folder / name, name) for name in chosen[start:stop]])

    details.update(
        kind="folder", file=folder.name, images_found=len(names), partition=rule, seed=request.seed,
        filter="bicubic, antialiased",
    )  # fmt: skip
    return (
        split(choose(train, request.train_count, request.seed, "train")),
        split(choose(heldout, request.heldout_count, request.seed, "heldout")),
    )
