"""Fill a prepared folder: block by block, in worker processes, with a note of how far it got.

The pixels are written with ordinary writes, not through a memory map: a full disk is then an error that can be told,
where a map would kill the process with SIGBUS.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from bench.data.crops import Pixels, Rendered
from bench.data.inputs import DERIVED, InputKind
from bench.data.readers.base import Labels, Source, Split, check_labels
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.files import disk_error, read_json, write_atomic, write_json, write_record
from bench.processes import map_in_order

SCHEMA = 1
BLOCK = 250  # images that a worker renders at a time
BLOCKS_PER_CHECKPOINT = 8  # 2,000 images: what a crash can cost at most
BAD_IMAGES_SHOWN = 10
# With so many the source is wrong as a whole: an archive of other images, a recipe that fits none.
BAD_IMAGES_MOST = 1000
SPACE_MARGIN_BYTES = 64 * 2**20

Progress = Callable[[str, int, int], None]


def build(source: Source, request: DataRequest, key: str, folder: Path, report: Progress, workers: int) -> None:
    """Make the prepared `folder` (with `train` and `test`) from an opened source; the caller holds its lock.

    Everything is written in `<folder>.partial`, which is renamed at the very end; what a former, interrupted call left
    there is kept. Raises BenchError for a source that is not what was asked for, for unusable images (all are named, in
    a file beside where they are many) and for a full disk.
    """
    train, heldout = source.splits()
    check_labels(request.title, train, heldout)
    if source.notice:
        report(source.notice, 0, 0)
    unfinished = folder.with_name(folder.name + ".partial")
    arrays = ("images",) if request.input is None else ("images", "inputs")
    work = _Work(unfinished, key, request.resolution, {"train": train.count, "test": heldout.count}, arrays)
    _check_space(unfinished, work.bytes_missing())
    render = _renderer(source, request.input)
    bad = _fill(work, render, {"train": train, "test": heldout}, report, workers)
    if bad:
        raise unusable_images(request.source, bad, source.remedy, folder.with_name(f"{folder.name}.unusable.txt"))
    folder.with_name(f"{folder.name}.unusable.txt").unlink(missing_ok=True)
    for split, labels in (("train", train.labels), ("test", heldout.labels)):
        report(f"checksum of the {_WORDS[split]} images", 0, 1)
        manifest = _manifest(request, work, split, source.details)
        if labels is not None:
            manifest["labels"] = write_labels(unfinished / split, labels)
        if request.input is not None:
            manifest["input"] = input_record(request.input, work.path(split, "inputs"))
        write_record(unfinished / split / "manifest.json", manifest)
        report(f"checksum of the {_WORDS[split]} images", 1, 1)
    write_record(unfinished / "request.json", request.model_dump(mode="json"))
    (unfinished / "progress.json").unlink()
    try:
        unfinished.replace(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        raise disk_error(folder, error) from error


_WORDS = {"train": "training", "test": "held-out"}


class _Work:
    """The arrays that grow in a `.partial` folder, and its note (`progress.json`) of how many images are safe."""

    def __init__(
        self, folder: Path, key: str, resolution: int, counts: dict[str, int], arrays: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.arrays = arrays  # the files of a split, without their suffix: all of one shape
        self.key = key
        self.resolution = resolution
        self.counts = counts
        self.done = self._done_before()
        if not any(self.done.values()):
            shutil.rmtree(folder, ignore_errors=True)

    def path(self, split: str, array: str) -> Path:
        return self.folder / split / f"{array}.npy"

    def image_bytes(self) -> int:
        return 3 * self.resolution**2

    def bytes_missing(self) -> int:
        missing = sum(self.counts[split] - self.done[split] for split in self.counts)
        return missing * self.image_bytes() * len(self.arrays)

    def write(self, split: str, block: Rendered) -> None:
        """Append a block of images to a split; it counts as done only after `checkpoint`."""
        for array in self.arrays:
            self._append(split, array, getattr(block, array))
        self.done[split] += len(block.images)

    def _append(self, split: str, array: str, images: Pixels) -> None:
        path = self.path(split, array)
        header = _header(self.counts[split], self.resolution)
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(header)
            with path.open("r+b") as file:
                # A block that was cut off, or written but never noted, is overwritten.
                file.truncate(len(header) + self.done[split] * self.image_bytes())
                file.seek(0, os.SEEK_END)
                file.write(np.ascontiguousarray(images).data)
        except OSError as error:
            with suppress(OSError):  # on a full disk this makes room for the note of how far it got
                os.truncate(path, len(header) + self.done[split] * self.image_bytes())
            raise disk_error(path, error) from error

    def checkpoint(self) -> None:
        """Flush what was written to the disk, then note it."""
        for path in (self.path(split, array) for split in self.counts for array in self.arrays):
            if path.exists():
                with path.open("r+b") as file:
                    os.fsync(file.fileno())
        write_json(self.folder / "progress.json", {"schema": SCHEMA, "key": self.key, "done": self.done})

    def _done_before(self) -> dict[str, int]:
        """How many images of each split a former call finished; none when its note does not fit."""
        nothing = dict.fromkeys(self.counts, 0)
        try:
            note = read_json(self.folder / "progress.json")
        except (BenchError, OSError):
            return nothing
        if not isinstance(note, dict) or (note.get("schema"), note.get("key")) != (SCHEMA, self.key):
            return nothing
        done = {split: int(note["done"].get(split, 0)) for split in self.counts}
        for split, count in done.items():
            if count > self.counts[split]:
                return nothing
            if count and not all(self._holds(self.path(split, array), split, count) for array in self.arrays):
                return nothing
        return done

    def _holds(self, path: Path, split: str, count: int) -> bool:
        """Tell whether an array that is being written holds so many images."""
        header = _header(self.counts[split], self.resolution)
        if not path.exists():
            return False
        with path.open("rb") as file:
            same_header = file.read(len(header)) == header
        return same_header and path.stat().st_size >= len(header) + count * self.image_bytes()


def _renderer(source: Source, kind: InputKind | None) -> Callable[[Any], Rendered]:
    """Return what renders a source's images, with their inputs where these are functions of the image."""
    return source.render if kind is None or kind not in DERIVED else partial(_with_derived, source.render, kind)


def _with_derived(render: Callable[[Any], Rendered], kind: InputKind, payload: Any) -> Rendered:
    rendered = render(payload)
    return replace(rendered, inputs=DERIVED[kind](rendered.images))


def _fill(
    work: _Work, render: Callable[[Any], Rendered], splits: dict[str, Split], report: Progress, workers: int
) -> list[tuple[str, str]]:
    """Render all that is missing; returns the unusable images, after the first of which nothing more is written."""
    plan = [
        (name, start, min(start + BLOCK, split.count))
        for name, split in splits.items()
        for start in range(work.done[name], split.count, BLOCK)
    ]
    payloads = (splits[name].read(start, stop) for name, start, stop in plan)
    bad: list[tuple[str, str]] = []
    rendered = map_in_order(render, payloads, workers if len(plan) >= 8 else 1)
    try:
        for number, ((name, _start, stop), block) in enumerate(zip(plan, rendered, strict=True), start=1):
            bad.extend(block.bad)
            if len(bad) >= BAD_IMAGES_MOST:
                break
            if not bad:
                work.write(name, block)
                if number % BLOCKS_PER_CHECKPOINT == 0 or number == len(plan):
                    work.checkpoint()
            checked = ", after the first that cannot be used" if bad else ""
            report(f"preparing {_WORDS[name]} images{checked}", stop, splits[name].count)
    except BaseException:  # an interruption too: what has been written is kept
        if any(work.done.values()):
            with suppress(BenchError, OSError):
                work.checkpoint()
        raise
    finally:
        rendered.close()
    if bad and any(work.done.values()):  # once a file can be read again, what came before it is there
        work.checkpoint()
    return bad


def _manifest(request: DataRequest, work: _Work, split: str, details: dict[str, Any]) -> dict[str, Any]:
    images = np.load(work.path(split, "images"), mmap_mode="r", allow_pickle=False)
    return {
        "schema": SCHEMA,
        "source": request.source,
        "recipe": request.recipe,
        "split": split,
        "resolution": request.resolution,
        "count": work.counts[split],
        "sha256": array_sha256(images),
        "source_details": {**details, "pillow": PIL.__version__},
    }


def write_labels(folder: Path, labels: Labels) -> dict[str, Any]:
    """Write `labels.npy` into a split's folder and return what its manifest says of them."""
    path = folder / "labels.npy"
    try:
        np.save(path, np.ascontiguousarray(labels.values), allow_pickle=False)
    except OSError as error:
        raise disk_error(path, error) from error
    factors = {name: list(values) for name, values in labels.factors.items()}
    return {"factors": factors, "sha256": array_sha256(labels.values)}


def input_record(kind: str, path: Path) -> dict[str, Any]:
    """Return what a manifest says of the input images at `path`."""
    return {"kind": kind, "sha256": array_sha256(np.load(path, mmap_mode="r", allow_pickle=False))}


def array_sha256(images: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of an array's bytes in C order, read in pieces so that a mapped array need not fit into memory."""
    digest = hashlib.sha256()
    flat = images.reshape(-1)
    for start in range(0, flat.size, 1 << 24):
        digest.update(np.ascontiguousarray(flat[start : start + (1 << 24)]).data)
    return digest.hexdigest()


def _header(count: int, resolution: int) -> bytes:
    """The bytes that stand before the pixels in an .npy file of this shape."""
    buffer = io.BytesIO()
    shape = (count, 3, resolution, resolution)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _check_space(folder: Path, needed_bytes: int) -> None:
    parent = next(place for place in folder.parents if place.exists())
    free_bytes = shutil.disk_usage(parent).free
    if needed_bytes + SPACE_MARGIN_BYTES > free_bytes:
        raise BenchError(
            f"Preparing takes {needed_bytes / 1e9:.1f} GB in {folder.parent}, {free_bytes / 1e9:.1f} GB are free there",
            hint="Free some disk space, or choose another data folder.",
        )


def unusable_images(
    name: str, bad: Sequence[tuple[str, str]], remedy: str, list_file: Path | None = None
) -> BenchError:
    """Return the error that names images, (name, reason) each, which cannot be used; many go into `list_file`."""
    count = f"{'at least ' if len(bad) >= BAD_IMAGES_MOST else ''}{len(bad):,} image(s)"
    lines = [f"{image} {reason}" for image, reason in bad]
    shown = "".join(f"\n  {line}" for line in lines[:BAD_IMAGES_SHOWN])
    if len(lines) > BAD_IMAGES_SHOWN:
        shown += f"\n  and {len(lines) - BAD_IMAGES_SHOWN:,} more"
        if list_file is not None:
            write_atomic(list_file, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
            shown += f"; all stand in {list_file}"
    return BenchError(f"{name}: {count} cannot be used:{shown}", hint=remedy)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk, where the system can (Windows cannot open a folder)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
