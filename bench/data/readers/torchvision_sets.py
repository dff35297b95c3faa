"""MNIST, Fashion-MNIST and CIFAR-10, downloaded and checked by torchvision, always at 32x32 with three channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bench.data.crops import Pixels, render_arrays
from bench.data.readers.base import Source, Split, choose, hash_lines
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.files import disk_error, sha256_file

_IDX_MAGIC = 2051  # unsigned bytes in three dimensions
_MNIST_FILES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
_CIFAR_FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


@dataclass(frozen=True)
class _Kind:
    """A torchvision set: its class, where it keeps its files and which of them hold images."""

    class_name: str
    folder: str
    files: tuple[str, ...]
    by_hand: str  # what a person puts into the folder


_KINDS = {
    "mnist": _Kind("MNIST", "MNIST/raw", _MNIST_FILES, "the four *-ubyte.gz files of MNIST"),
    "fashion-mnist": _Kind(
        "FashionMNIST", "FashionMNIST/raw", _MNIST_FILES, "the four *-ubyte.gz files of Fashion-MNIST"
    ),
    "cifar10": _Kind("CIFAR10", "cifar-10-batches-py", _CIFAR_FILES, "the files unpacked from cifar-10-python.tar.gz"),
}


def open_torchvision(request: DataRequest, root: Path, fetch: bool) -> Source | None:
    """Open a torchvision set at `request.path` (default: the cache in `root`); `fetch` downloads a missing one.

    The official test part is held out. Raises BenchError when the files cannot be had or are not what they should be.
    """
    kind = _KINDS[request.source]
    folder = Path(request.path).expanduser() if request.path is not None else root / "cache" / "torchvision"
    files = [folder / kind.folder / name for name in kind.files]
    if not all(file.is_file() for file in files):
        if not fetch:
            return None
        _download(kind, folder)
    load = _load_cifar if request.source == "cifar10" else _load_idx
    details: dict[str, Any] = {}
    return Source(
        fingerprint=hash_lines(f"{file.name} {sha256_file(file)}" for file in files),
        splits=lambda: _splits(kind, partial(load, kind, folder), request, details),
        render=partial(render_arrays, resolution=request.resolution),
        details=details,
    )


def _splits(
    kind: _Kind, load: Callable[[bool], Pixels], request: DataRequest, details: dict[str, Any]
) -> tuple[Split, Split]:
    def split(images: Pixels, count: int | None, what: str) -> Split:
        kept = choose(range(len(images)), count, request.seed, what)
        return Split(len(kept), lambda start, stop: images[kept[start:stop]])

    train, test = load(True), load(False)
    height, width = train.shape[1:3]
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


def _load_idx(kind: _Kind, folder: Path, train: bool) -> Pixels:
    """Read an idx file of images: (N, 28, 28)."""
    path = folder / kind.folder / _MNIST_FILES[0 if train else 1]
    data = path.read_bytes()
    header = np.frombuffer(data[:16].ljust(16, b"\0"), ">i4").tolist()
    if header[0] != _IDX_MAGIC or min(header[1:]) < 1 or len(data) != 16 + header[1] * header[2] * header[3]:
        raise BenchError(
            f"{path} is no idx file of images, or is cut off ({len(data):,} bytes)",
            hint="Delete the file and type the same command again.",
        )
    return np.frombuffer(data, np.uint8, offset=16).reshape(header[1:])


def _load_cifar(kind: _Kind, folder: Path, train: bool) -> Pixels:
    """Let torchvision read CIFAR-10: (N, 32, 32, 3). Its files are pickles; it checks their MD5 before opening them."""
    import torchvision.datasets

    try:
        images = getattr(torchvision.datasets, kind.class_name)(str(folder), train=train).data
    except RuntimeError as error:
        raise BenchError(
            f"{folder / kind.folder} is not CIFAR-10 as it was published: a file is missing or its MD5 is another",
            hint=f"Delete the folder {folder / kind.folder} and type the same command again.",
        ) from error
    return np.ascontiguousarray(images, np.uint8)
