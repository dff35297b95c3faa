"""A content-addressed cache of arrays and numbers that several processes share.

An entry's folder is named after the hash of everything that decides its content, so that changed data, weights,
recipe, precision or code can never meet an old entry. It appears whole, by one rename. Nothing in it can run code.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from bench.errors import BenchError
from bench.files import CHECKSUM, disk_error, parsed_json, sha256_file, summed

Arrays = dict[str, npt.NDArray[Any]]
_SIDECAR = "entry.json"


@dataclass(frozen=True)
class Cache:
    """A folder of entries."""

    folder: Path

    def arrays(self, kind: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of `key`, computed at most once, whichever process asks first."""

        def make(folder: Path) -> dict[str, Any]:
            found = compute()
            for name, array in found.items():
                with _synced(folder / f"{name}.npy") as file:
                    np.save(file, array, allow_pickle=False)
            return {name: sha256_file(folder / f"{name}.npy") for name in found}

        place, digests = self._entry(kind, key, make)
        # Mapped, so that processes share the memory; copy on write, as torch warns about read-only arrays.
        return {name: np.load(place / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in digests}

    def values(self, kind: str, key: Mapping[str, Any], compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return the numbers of `key`, computed at most once."""
        return self._entry(kind, key, lambda _: compute())[1]

    def _entry(
        self, kind: str, key: Mapping[str, Any], make: Callable[[Path], dict[str, Any]]
    ) -> tuple[Path, dict[str, Any]]:
        """Return an entry's folder and the content of its sidecar, making it where it is missing or damaged."""
        text = json.dumps({"kind": kind, **key}, sort_keys=True)
        place = self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        asked = json.loads(text)
        content = _read(place, asked)
        if content is not None:
            return place, content
        if not is_writable(self.folder) and self.folder != _private_folder():
            return Cache(_private_folder())._entry(kind, key, make)
        try:
            with FileLock(place.with_name(place.name + ".lock")):
                content = _read(place, asked)  # another process may have made it meanwhile
                if content is None:
                    content = self._make(place, asked, make)
        except OSError as error:
            raise disk_error(place, error) from error
        return place, content

    def _make(self, place: Path, key: dict[str, Any], make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        for left in self.folder.glob(f".{place.name}.*"):  # of a process that was killed: the lock is ours
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=self.folder))
        try:
            content = make(temporary)
            with _synced(temporary / _SIDECAR) as file:
                file.write(json.dumps(summed({"key": key, "content": content}), indent=2).encode())
            shutil.rmtree(place, ignore_errors=True)  # damaged, or it would have been read
            temporary.chmod(0o755)  # a temporary folder is private, a cache is shared
            temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return content


def is_writable(folder: Path) -> bool:
    """Tell whether files can be made in `folder`, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@lru_cache
def _private_folder() -> Path:
    """Return a folder that lasts as long as this process, for when the shared one is only readable."""
    folder = Path(tempfile.mkdtemp(prefix="bench-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _read(place: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an entry's sidecar holds, None when it is missing, damaged, of another key or without a checksum."""
    try:
        text = (place / _SIDECAR).read_bytes()
        entry = parsed_json(text, place / _SIDECAR)
        content: dict[str, Any] = entry["content"]
        sound = (
            entry["key"] == key
            and CHECKSUM in json.loads(text)
            and all(
                sha256_file(place / f"{name}.npy") == digest
                for name, digest in content.items()
                if isinstance(digest, str)
            )
        )
    except (OSError, BenchError, KeyError, TypeError, AttributeError):
        return None
    return content if sound else None


@contextmanager
def _synced(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file and have what was written to it on the disk in the end."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
