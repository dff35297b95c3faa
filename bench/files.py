"""Reading and writing files so that a crash at any moment leaves the old content or the new, never a mixture."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from bench.errors import BenchError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to a temporary file beside `path`, flush it to the disk, and rename it into place.

    Raises BenchError when the disk is full or the folder cannot be written; the old file is then untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise disk_error(path, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically. NaN and infinity are refused: they are not JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raises BenchError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchError(f"{path} is missing") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is not valid JSON: {error}", hint="Delete the file, or restore it.") from error


def append_jsonl(path: Path, values: Iterable[Any]) -> None:
    """Append one JSON line per value and flush to the disk. A crash can tear at most the last line."""
    lines = "".join(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _drop_torn_line(file)
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(path, error) from error


def read_jsonl(path: Path) -> list[Any]:
    """Read a JSON-lines file, [] when there is none. A torn last line (a crash while writing) is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    values = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):  # no newline after it: the write was cut off
                break
            raise BenchError(f"{path}, line {number}, is not valid JSON: {error}") from error
    return values


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_error(path: Path, error: OSError) -> BenchError:
    """Turn an operating system error about `path` into one that says what to do."""
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return BenchError(f"No space left for {path}", hint="Free some disk space and type the same command again.")
    return BenchError(f"Cannot write {path}: {error.strerror or error}", hint="Check the folder and its permissions.")


def _drop_torn_line(file: IO[bytes]) -> None:
    """Cut off a last line without its newline, so that what is appended starts on a line of its own."""
    end = file.seek(0, os.SEEK_END)
    keep = end
    while keep > 0:
        file.seek(max(keep - 4096, 0))
        block = file.read(keep - max(keep - 4096, 0))
        newline = block.rfind(b"\n")
        if newline >= 0:
            keep = max(keep - 4096, 0) + newline + 1
            break
        keep = max(keep - 4096, 0)
    if keep < end:
        file.truncate(keep)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
