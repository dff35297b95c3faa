"""Any folder of images, with everything below it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.data.crops import render_files
from bench.data.readers.archives import archive_kind, identities, read_file
from bench.data.readers.base import Source, Split, choose, class_labels, hash_lines, is_held_out
from bench.data.request import DataRequest
from bench.errors import BenchError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
_NOT_READ = frozenset({".gif", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".jpe", ".tga", ".psd", ".svg", ".eps"})
"""Suffixes of other images: counted, so that nobody takes the rest for the whole."""

MOST_CLASSES = 256  # a class is stored as one byte
_HELD_OUT = ("test", "val", "valid", "validation")


def open_folder(request: DataRequest, fetch: bool) -> Source | None:
    """Open the folder at `request.path`; with `fetch`, raises BenchError when it is not there.

    Images are ordered by their path in the folder; links are followed. Where there are sub-folders `train` and `test`
    (or else `val`, `valid` or `validation`), these are the splits and nothing else is read; otherwise a tenth, chosen
    by a hash of that path, is held out. The label `class` is the first folder below the split.
    """
    folder = folder_asked_for(request, fetch)
    if folder is None:
        return None
    names, left_out = image_names(folder)
    details: dict[str, Any] = {"left_out": dict(left_out)} if left_out else {}
    return Source(
        fingerprint=hash_lines(identities(folder, names)),
        splits=lambda: _splits(folder, names, request, details),
        render=partial(render_files, recipe=request.recipe, resolution=request.resolution),
        details=details,
        notice=notice_of(folder, left_out),
    )


def folder_asked_for(request: DataRequest, fetch: bool) -> Path | None:
    """Return the folder at `request.path`, None where nothing is there; with `fetch`, raises BenchError then.

    Raises BenchError for anything else than a folder.
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
        kind = archive_kind(folder)
        what = f"is {kind}: unpack it, and set" if kind else "is a file: set"
        raise BenchError(f"{folder} {what} `path` to the folder of images", hint="It stands in the study's data.")
    return folder


def notice_of(folder: Path, left_out: Counter[str]) -> str:
    """Return what is told of images in a folder that are not read; "" where there are none."""
    told = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(left_out.items()))
    return f"{folder.name} also holds {told}, which bench does not read" if told else ""


def image_names(folder: Path) -> tuple[list[str], Counter[str]]:
    """Return the paths of all images below `folder`, relative to it and sorted, and how many others by their suffix.

    Hidden files and folders are left out. A folder that links lead to twice is read once. Raises BenchError for one
    that cannot be read.
    """
    names: list[str] = []
    left_out: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    for place, subfolders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        status = Path(place).stat()
        known = (status.st_dev, status.st_ino) in seen
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = [] if known else sorted(name for name in subfolders if not name.startswith("."))
        for name in [] if known else files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                names.append((Path(place) / name).relative_to(folder).as_posix())
            elif suffix in _NOT_READ:
                left_out[suffix] += 1
    return sorted(names), left_out


def _refuse(error: OSError) -> None:
    raise BenchError(
        f"Cannot read the folder {error.filename}: {error.strerror or error}",
        hint="Make it readable (chmod), or take it away: its images would be missing without a word.",
    ) from error


@dataclass(frozen=True)
class Partition:
    """Paths of the training and the held-out images, the rule that parted them, and the folders it went by."""

    train: list[str]
    heldout: list[str]
    rule: str
    folders: tuple[str, str] | None

    def class_of(self, name: str) -> str:
        """Return the first folder below the split; "" for an image that lies in none."""
        below = name.split("/")[:-1][0 if self.folders is None else 1 :]
        return below[0] if below else ""


def partition(folder: Path, names: list[str], request: DataRequest) -> Partition:
    """Part images, by their paths in `folder`. Raises BenchError where one part would have none."""
    train = [name for name in names if name.startswith("train/")]
    apart = next((part for part in _HELD_OUT if any(name.startswith(f"{part}/") for name in names)), "")
    heldout = [name for name in names if apart and name.startswith(f"{apart}/")]
    folders: tuple[str, str] | None = ("train", apart)
    rule = f"sub-folders train and {apart}"
    if not train or not heldout:
        train = [name for name in names if not is_held_out(name, request.seed)]
        heldout = [name for name in names if is_held_out(name, request.seed)]
        folders = None
        rule = "a tenth, chosen by a hash of the name, is held out"
    if not train or not heldout:
        raise BenchError(
            f"{folder} holds {len(names)} image(s) ({', '.join(sorted(SUFFIXES))}), too few to hold out a tenth",
            hint="Add images, or sort them into sub-folders train and test.",
        )
    return Partition(train, heldout, rule, folders)


def _classes(folder: Path, parts: Partition) -> tuple[str, ...]:
    """Return the names of the class folders, sorted by code point. Raises BenchError for images that lie in none."""
    named = [(parts.class_of(name), name) for name in (*parts.train, *parts.heldout)]
    if outside := [name for kind, name in named if not kind]:
        where = f"{folder}" if parts.folders is None else f"{folder / parts.folders[0]}"
        raise BenchError(
            f"{folder}: {len(outside):,} image(s) lie in no class folder, such as {outside[0]}",
            hint=f"For labels each class has a folder in {where}, named after it. Sort these images into such, or take"
            " `labels` out of the study's data.",
        )
    classes = tuple(sorted({kind for kind, _ in named}))
    if len(classes) > MOST_CLASSES:
        raise BenchError(
            f"{folder} has {len(classes)} class folders; bench takes at most {MOST_CLASSES} classes",
            hint="Take some away, or take `labels` out of the study's data.",
        )
    return classes


def _splits(folder: Path, names: list[str], request: DataRequest, details: dict[str, Any]) -> tuple[Split, Split]:
    parts = partition(folder, names, request)
    classes = _classes(folder, parts) if request.labels else ()

    def split(chosen: Sequence[str]) -> Split:
        labels = class_labels([parts.class_of(name) for name in chosen], classes) if classes else None
        return Split(
            len(chosen), lambda start, stop: [read_file(folder / name, name) for name in chosen[start:stop]], labels
        )

    details.update(
        kind="folder", file=folder.name, images_found=len(names), partition=parts.rule, seed=request.seed,
        filter="bicubic, antialiased",
    )  # fmt: skip
    return (
        split(choose(parts.train, request.train_count, request.seed, "train")),
        split(choose(parts.heldout, request.heldout_count, request.seed, "heldout")),
    )
