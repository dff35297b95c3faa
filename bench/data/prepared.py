"""Prepared sets: every source becomes one array of bytes with a manifest, once, and is then only mapped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from bench.data.build import SCHEMA, array_sha256, build
from bench.data.readers.base import Source, check_labels
from bench.data.readers.opening import open_source
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.files import disk_error, read_json, write_record
from bench.processes import usable_cores

PREPARATION_VERSION = 1
"""Part of every key; to be raised when the same request and files would give other pixels than before."""

Progress = Callable[[str, int, int], None]
Mapped = np.memmap[Any, np.dtype[np.uint8]]

_CHECKED_FILE = "checked.json"  # beside images.npy: at which size and time of change its content was found sound
_SOUND: set[tuple[Any, ...]] = set()  # the same for this process, for folders that are only readable


@dataclass(frozen=True)
class PreparedSet:
    """One split on the disk: `images.npy` (N, 3, R, R) uint8 and `manifest.json` in the folder `path`.

    A set with labels has `labels.npy` (N, F) uint8 beside them, one of pairs `inputs.npy`, which is as `images.npy` is.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of the array's bytes: what identifies the data of a run."""
        return str(self.manifest["sha256"])

    @property
    def count(self) -> int:
        return int(self.manifest["count"])

    @property
    def resolution(self) -> int:
        return int(self.manifest["resolution"])

    @property
    def images_path(self) -> Path:
        return self.path / "images.npy"

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """What the labels say: each factor's values by name, in the order of their numbers; {} without labels."""
        labels = self.manifest.get("labels") or {"factors": {}}
        return {name: tuple(values) for name, values in labels["factors"].items()}

    @property
    def labels_path(self) -> Path:
        return self.path / "labels.npy"

    def labels(self) -> npt.NDArray[np.uint8] | None:
        """Return each image's value of each factor, (N, F) uint8, numbers into `factors`; None without labels."""
        return np.load(self.labels_path, allow_pickle=False) if self.factors else None

    def conditions(self) -> npt.NDArray[np.float32] | None:
        """Return what both players are told of each image: the one-hots of all factors side by side, (N, K) float32.

        None without labels.
        """
        labels = self.labels()
        if labels is None:
            return None
        sizes = map(len, self.factors.values())
        return np.concatenate(
            [np.eye(size, dtype=np.float32)[labels[:, place]] for place, size in enumerate(sizes)], axis=1
        )

    @property
    def input_kind(self) -> str | None:
        """What the input images of pairs are, one of `InputKind`; None where there are none."""
        return str(self.manifest["input"]["kind"]) if "input" in self.manifest else None

    @property
    def inputs_path(self) -> Path:
        return self.path / "inputs.npy"

    def images(self) -> Mapped:
        """Map the images, (N, 3, R, R) uint8, read-only; nothing is loaded before it is touched."""
        return _mapped(self.images_path)

    def inputs(self) -> Mapped | None:
        """Map the input image of each image as `images` does; None without pairs."""
        return None if self.input_kind is None else _mapped(self.inputs_path)

    def verify(self) -> None:
        """Read every byte and compare with the manifest's SHA-256 (about a second a gigabyte); raises BenchError.

        What was found sound is remembered beside it, where that can be written, until the file changes.
        """
        for what, path, expected in self._arrays():
            if (actual := array_sha256(_mapped(path))) != expected:
                raise _damaged(self.path, f"the SHA-256 of its {what} is {actual}, its manifest says {expected}")
        self._check_labels()
        state = self._state()
        _SOUND.add((self.path.absolute(), *state.values()))
        with suppress(BenchError):  # the folder may only be readable
            write_record(self.path / _CHECKED_FILE, state)

    def _check_content(self) -> None:
        """Verify the images, unless this process did, or an earlier one and the file is of that size and time."""
        state = self._state()
        if (self.path.absolute(), *state.values()) in _SOUND:
            return
        try:
            checked = read_json(self.path / _CHECKED_FILE)
        except BenchError:
            checked = None
        if checked != state:
            self.verify()

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for what, path, sha256 in self._arrays():
            found, prefix = path.stat(), "" if what == "images" else f"{what}_"
            state |= {f"{prefix}sha256": sha256, f"{prefix}bytes": found.st_size}
            state |= {f"{prefix}modified_ns": found.st_mtime_ns}
        return state

    def _arrays(self) -> list[tuple[str, Path, str]]:
        """Return the arrays of images that are there: (what they are, file, expected SHA-256)."""
        own = [("images", self.images_path, self.sha256)]
        if self.input_kind is not None:
            own.append(("inputs", self.inputs_path, str(self.manifest["input"]["sha256"])))
        return own

    @classmethod
    def open(cls, path: Path) -> PreparedSet:
        """Open a prepared split; checks the manifest, the file's size and header, and once its content.

        Raises BenchError when it is missing, damaged or written by another version.
        """
        manifest = read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            raise BenchError(
                f"{path} was prepared by another version of bench",
                hint=f"Delete the folder {path.parent}; it will be prepared again.",
            )
        if missing := {"source", "recipe", "split", "resolution", "count", "sha256"} - manifest.keys():
            raise _damaged(path, f"its manifest lacks {', '.join(sorted(missing))}")
        prepared = cls(path, manifest)
        prepared._check_files()
        prepared._check_labels()
        prepared._check_content()
        return prepared

    def _check_labels(self) -> None:
        """Compare the labels with the manifest; they are a thousandth of the images, so every opening does."""
        if not self.factors:
            return
        try:
            labels = self.labels()
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(self.path, str(error)) from error
        assert labels is not None
        if labels.shape != (self.count, len(self.factors)) or labels.dtype != np.uint8:
            raise _damaged(self.path, f"labels.npy is {labels.dtype} {labels.shape}, for {self.count} images")
        if (actual := array_sha256(labels)) != self.manifest["labels"]["sha256"]:
            raise _damaged(self.path, f"the SHA-256 of its labels is {actual}, its manifest says otherwise")

    def _check_files(self) -> None:
        shape = (self.count, 3, self.resolution, self.resolution)
        for _, path, _ in self._arrays():
            try:
                images = _mapped(path)  # NumPy refuses a file that is shorter than its header says
            except (OSError, ValueError, EOFError) as error:
                raise _damaged(self.path, str(error)) from error
            if images.shape != shape or images.dtype != np.uint8 or not images.flags.c_contiguous:
                raise _damaged(
                    self.path, f"{path.name} is {images.dtype} {images.shape}, its manifest says uint8 {shape}"
                )
            if (excess := path.stat().st_size - images.offset - images.nbytes) != 0:
                raise _damaged(self.path, f"{path.name} is {excess} bytes too long")


@dataclass(frozen=True)
class PreparedData:
    """What a run trains on, and what it is scored against."""

    train: PreparedSet
    heldout: PreparedSet

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of what a run sees of the data, as its status.json holds them."""
        splits = {"train": self.train, "heldout": self.heldout}
        found = {name: split.sha256 for name, split in splits.items()}
        for record, told in (("labels", "labels"), ("input", "inputs")):
            if record in self.train.manifest:
                found |= {f"{name}_{told}": str(split.manifest[record]["sha256"]) for name, split in splits.items()}
        return found


def prepare(
    request: DataRequest, root: Path, progress: Progress | None = None, workers: int | None = None
) -> PreparedData:
    """Prepare what `request` asks for under `root`, or open it when that was done before.

    `progress(stage, done, total)` is called after every block of images. `workers` processes decode (default: one per
    core). May be interrupted at any moment and called again, by several processes at once too: it goes on where it was.

    Raises BenchError when the source is missing or wrong, an image cannot be used, or the disk is full.
    """
    report = progress or _silent
    with open_source(request, root, fetch=False) as source:
        if source is None and (prepared := _prepared_before(request, root)) is not None:
            return prepared
    with open_source(request, root, fetch=True) as source:
        assert source is not None
        key = _key(request, source)
        folder = root / "prepared" / key
        if not folder.is_dir():  # what is finished needs no lock: it may lie in a folder that is only readable
            with _lock(folder, report):
                if not folder.is_dir():
                    build(source, request, key, folder, report, workers or usable_cores())
        return open_prepared(folder)


def is_prepared(request: DataRequest, root: Path) -> PreparedData | None:
    """Return what `request` asks for when it has been prepared, else None; reads no image and writes nothing.

    Where the source itself is away, a set that was prepared from the same path counts. Raises BenchError when the
    source is there but wrong, or the prepared set is damaged.
    """
    with open_source(request, root, fetch=False) as source:
        if source is None:
            return _prepared_before(request, root)
        folder = root / "prepared" / _key(request, source)
    return open_prepared(folder) if folder.is_dir() else None


def check_conditions_of(request: DataRequest, root: Path) -> None:
    """Raise BenchError where labels or pairs are asked for that the source, as far as it is there, has not.

    Reads lists of files and labels and headers of pairs; nothing where the images are prepared.
    """
    if not (request.labels or request.input) or is_prepared(request, root) is not None:
        return
    with open_source(request, root, fetch=False) as source:
        if source is not None:
            check_labels(request.title, *source.splits())


def present_images(request: DataRequest, root: Path) -> dict[str, str] | None:
    """Return the digests of the images that a run would see now, as status.json holds them.

    None where that is not known: nothing was prepared yet, or the source is wrong. Where it changed since it was
    prepared and was not prepared anew, they are no run's.
    """
    try:
        found = is_prepared(request, root)
        if found is not None:
            return found.digests()
        drawn = request.source == "faces"  # other code may draw the same faces: only drawing them tells
        return None if drawn or _prepared_before(request, root) is None else _CHANGED
    except BenchError:
        return None


_CHANGED = {"train": "changed", "heldout": "changed"}


def open_prepared(folder: Path) -> PreparedData:
    """Open a folder that `prepare` made (the parent of a `PreparedSet.path`) without asking its source."""
    return PreparedData(PreparedSet.open(folder / "train"), PreparedSet.open(folder / "test"))


def _key(request: DataRequest, source: Source) -> str:
    asked = request.model_dump(mode="json", exclude={"path"})  # a set is its content, wherever it lay
    text = json.dumps([PREPARATION_VERSION, asked, source.fingerprint], sort_keys=True)
    return f"{request.source}-{request.recipe}-{request.resolution}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _prepared_before(request: DataRequest, root: Path) -> PreparedData | None:
    """Find the newest set prepared for exactly this request, for when its source cannot be looked at."""
    asked = request.model_dump(mode="json")
    candidates = [
        file
        for file in (root / "prepared").glob(f"{request.source}-*/request.json")
        if not file.parent.name.endswith(".partial") and read_json(file) == asked
    ]
    newest = max(candidates, key=lambda file: file.stat().st_mtime_ns, default=None)
    return open_prepared(newest.parent) if newest else None


@contextmanager
def _lock(folder: Path, report: Progress) -> Iterator[None]:
    """Hold the lock of a prepared folder; tells `report` when another process holds it and has to be waited for."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(folder.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report("another process is preparing these images; waiting", 0, 0)
            lock.acquire()
    except OSError as error:
        raise disk_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _mapped(path: Path) -> Mapped:
    return cast(Mapped, np.load(path, mmap_mode="r", allow_pickle=False))


def _damaged(path: Path, why: str) -> BenchError:
    return BenchError(
        f"The prepared set {path} is damaged: {why}",
        hint=f"Delete the folder {path.parent}; it will be prepared again.",
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
