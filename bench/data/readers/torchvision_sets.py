"""MNIST, Fashion-MNIST and CIFAR-10, downloaded and checked by torchvision, always at 32x32 with three channels."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from bench.data.crops import Pixels, render_arrays
from bench.data.readers.base import Labels, Source, Split, choose, hash_lines
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.files import disk_error, sha256_file

_IDX_MAGIC = 2051  # unsigned bytes in three dimensions
_LABELS_MAGIC = 2049  # unsigned bytes in one dimension
_MNIST_FILES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
_MNIST_LABELS = ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte")
_CIFAR_FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


@dataclass(frozen=True)
class _Kind:
    """A torchvision set: its class, where it keeps its files, which of them hold images, and which labels alone."""

    class_name: str
    folder: str
    files: tuple[str, ...]
    by_hand: str  # what a person puts into the folder
    classes: tuple[str, ...]
    label_files: tuple[str, ...] = ()


FASHION_CLASSES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
"""What Fashion-MNIST's labels 0 to 9 stand for (Xiao et al. 2017, arXiv 1708.07747)."""

_KINDS = {
    "mnist": _Kind(
        "MNIST",
        "MNIST/raw",
        _MNIST_FILES,
        "the four *-ubyte.gz files of MNIST",
        ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        _MNIST_LABELS,
    ),
    "fashion-mnist": _Kind(
        "FashionMNIST",
        "FashionMNIST/raw",
        _MNIST_FILES,
        "the four *-ubyte.gz files of Fashion-MNIST",
        FASHION_CLASSES,
        _MNIST_LABELS,
    ),
    "cifar10": _Kind(
        "CIFAR10",
        "cifar-10-batches-py",
        _CIFAR_FILES,
        "the files unpacked from cifar-10-python.tar.gz",
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}

_Loaded = tuple[Pixels, npt.NDArray[np.uint8] | None]
"""Images, and their classes (N,) where they were asked for."""


def open_torchvision(request: DataRequest, root: Path, fetch: bool) -> Source | None:
    """Open a torchvision set at `request.path` (default: the cache in `root`); `fetch` downloads a missing one.

    idx files may lie in the folder itself, and compressed. The official test part is held out. Raises BenchError when
    the files cannot be had or are not what they should be.
    """
    kind = _KINDS[request.source]
    folder = Path(request.path).expanduser() if request.path is not None else root / "cache" / "torchvision"
    wanted = (*kind.files, *(kind.label_files if request.labels else ()))
    files = _found(kind, folder, wanted)
    if len(files) < len(wanted):
        if not fetch:
            return None
        if request.path is not None and set(kind.files) <= files.keys():
            missing = next(name for name in wanted if name not in files)
            raise BenchError(
                f"{files[kind.files[0]].parent} holds the images of {kind.class_name}, but no {missing}",
                hint="Put the label files beside them, or take `labels` out of the study's data.",
            )
        _download(kind, folder)
        files = _found(kind, folder, wanted)
    load = partial(_load_cifar, kind, folder) if request.source == "cifar10" else partial(_load_mnist, files)
    details: dict[str, Any] = {}
    return Source(
        fingerprint=hash_lines(f"{files[name].name} {sha256_file(files[name])}" for name in wanted),
        splits=lambda: _splits(kind, load, request, details),
        render=partial(render_arrays, resolution=request.resolution),
        details=details,
    )


def _found(kind: _Kind, folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Return where the files of these names lie, as far as they are there."""
    compressed = ("", ".gz") if kind.label_files else ("",)
    places = (folder / kind.folder, folder) if kind.label_files else (folder / kind.folder,)
    found = {}
    for name in names:
        candidates = (place / f"{name}{suffix}" for place in places for suffix in compressed)
        if file := next((file for file in candidates if file.is_file()), None):
            found[name] = file
    return found


def _splits(
    kind: _Kind, load: Callable[[bool], _Loaded], request: DataRequest, details: dict[str, Any]
) -> tuple[Split, Split]:
    def split(loaded: _Loaded, count: int | None, what: str) -> Split:
        images, classes = loaded
        kept = choose(range(len(images)), count, request.seed, what)
        labels = None
        if request.labels and classes is not None:
            labels = Labels({"class": kind.classes}, classes[kept][:, None])
        return Split(len(kept), lambda start, stop: images[kept[start:stop]], labels)

    train, test = load(True), load(False)
    height, width = train[0].shape[1:3]
    details.update(
        kind=f"torchvision {kind.class_name}", partition="official", seed=request.seed, original_size=[width, height],
        filter="bicubic, antialiased" if width != request.resolution else "none",
    )  # fmt: skip
    return split(train, request.train_count, "train"), split(test, request.heldout_count, "heldout")


def _download(kind: _Kind, folder: Path) -> None:
    import torchvision.datasets

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{kind.class_name}.lock"):
            getattr(torchvision.datasets, kind.class_name)(str(folder), train=True, download=True)
    except Exception as error:  # urllib, tarfile and torchvision each raise errors of their own
        if isinstance(error, OSError) and error.errno in {13, 28, 30, 122}:
            raise disk_error(folder, error) from error
        reasons = [line for line in str(error).splitlines() if line.strip()]
        raise BenchError(
            f"{kind.class_name} is not in {folder / kind.folder}, and downloading it failed: {' '.join(reasons)}",
            hint=f"Put {kind.by_hand} into {folder / kind.folder} by hand, and type the same command again.",
        ) from error


def _load_mnist(files: Mapping[str, Path], train: bool) -> _Loaded:
    """Read idx files: images (N, 28, 28), and the classes where their file is among them."""
    part = 0 if train else 1
    images = _load_idx(files[_MNIST_FILES[part]], _IDX_MAGIC)
    if _MNIST_LABELS[part] not in files:
        return images, None
    file = files[_MNIST_LABELS[part]]
    classes = _load_idx(file, _LABELS_MAGIC)
    if len(classes) != len(images) or classes.max() > 9:
        raise BenchError(
            f"{file} holds {len(classes):,} classes up to {classes.max()}; there are {len(images):,} images of 10",
            hint="Get images and labels of one set.",
        )
    return images, classes


def _load_idx(path: Path, magic: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of bytes, compressed or not, whose last magic byte says how many axes it has."""
    axes = magic % 256
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(f"{path} cannot be read: {error}", hint="Get the file anew.") from error
    size = 4 * (1 + axes)
    header = np.frombuffer(data[:size].ljust(size, b"\0"), ">i4").tolist()
    if header[0] != magic or min(header[1:]) < 1 or len(data) != size + prod(header[1:]):
        what = "images" if magic == _IDX_MAGIC else "labels"
        raise BenchError(
            f"{path} is no idx file of {what}, or is cut off ({len(data):,} bytes)",
            hint="Delete the file and type the same command again.",
        )
    return np.frombuffer(data, np.uint8, offset=size).reshape(header[1:])


def _load_cifar(kind: _Kind, folder: Path, train: bool) -> _Loaded:
    """Let torchvision read CIFAR-10: (N, 32, 32, 3). Its files are pickles; it checks their MD5 before opening them."""
    import torchvision.datasets

    try:
        loaded = getattr(torchvision.datasets, kind.class_name)(str(folder), train=train)
    except RuntimeError as error:
        raise BenchError(
            f"{folder / kind.folder} is not CIFAR-10 as it was published: a file is missing or its MD5 is another",
            hint=f"Delete the folder {folder / kind.folder} and type the same command again.",
        ) from error
    return np.ascontiguousarray(loaded.data, np.uint8), np.array(loaded.targets, np.uint8)
