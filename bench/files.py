"""Reading and writing files so that a crash at any moment leaves the old content or the new, never a mixture.

Records carry a checksum over their values, read whenever they are: a changed digit is an error that names the file. In
JSON-lines files each line's covers the line before too, so that one taken out is named as well. A checksum finds
accidents and careless edits; whoever can write the file can write the checksum. Files of before it stay readable.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.owning import check_owned, is_alive

if sys.platform != "win32":
    import fcntl

CHECKSUM = "checksum"
"""The last key of a summed record."""

# What locking says on file systems without: some FUSE mounts, Lustre `noflock`, NFS without a lock daemon.
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}
_CHECKSUM_AT_END = re.compile(rb'"checksum": "([0-9a-f]{16})"\}\s*$')


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to a temporary file beside `path`, flush it to the disk, and rename it into place.

    Raises BenchError when the disk is full or the folder cannot be written, TakenError when this process owned the
    folder and another one has taken it over; the old file is then untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        check_owned(path)  # last of all: a large file takes seconds to write
        Path(temporary).replace(path)
    except (OSError, BenchError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files, named as by `write_atomic`, in `folder` whose process is gone: it was killed.

    A process of another machine cannot be asked: only who owns a shared folder may delete what is found there.
    """
    names = ((path, path.name.split(".")) for path in folder.glob(".*.*.*"))
    return [path for path, parts in names if parts[-2].isdigit() and not is_alive(int(parts[-2]))]


def is_held(lock_file: Path) -> bool | None:
    """Tell whether a process holds a FileLock; None where the file system has no locks.

    Reads only: askers do not see each other, nor need they be its owner.
    """
    if sys.platform == "win32":
        try:
            with FileLock(lock_file, timeout=0):
                return False
        except Timeout:
            return True
    try:
        with lock_file.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        # There is none, or it cannot be asked: whoever wants to write has to take it.
        return None if error.errno in _NO_LOCKS else False
    return False


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically. NaN and infinity are refused: they are not JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write `values` as `write_json` does, with their checksum as a last key."""
    write_json(path, summed(values))


def summed(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return `values` with their checksum, which covers the checksum of the line `before` too."""
    values = json.loads(json.dumps(values))  # as they will be read: a number that is a key becomes text
    return values | {CHECKSUM: _checksum(values, before)}


def _checksum(values: Any, before: str) -> str:
    """Return 16 hexadecimal digits over the values, however they are laid out in the file."""
    text = before + json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> Any:
    """Read a JSON file; raises BenchError when it is missing, not JSON, or has a checksum that is not its own."""
    try:
        return parsed_json(path.read_bytes(), path)
    except FileNotFoundError as error:
        raise BenchError(f"{path} is missing") from error


def parsed_json(content: bytes, path: Path) -> Any:
    """Return the JSON value in a file's bytes, without its checksum; see `read_json`."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not valid JSON: {error}", hint="Delete the file, or restore it.") from error
    if isinstance(values, dict) and (found := values.pop(CHECKSUM, None)) not in (None, _checksum(values, "")):
        raise BenchError(
            f"{path} was changed after it was written: its checksum is {found}, its values give another",
            hint="Bring the file back from a copy, or move its folder away and run again.",
        )
    return values


def append_jsonl(path: Path, values: Iterable[dict[str, Any]]) -> None:
    """Append one summed JSON line per value and flush to the disk. A crash can tear at most the last line.

    Raises BenchError and TakenError as `write_atomic` does.
    """
    try:
        check_owned(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            last = _last_whole_line(file)
            found = _CHECKSUM_AT_END.search(last)
            before = found[1].decode() if found else ""
            if last and not found:  # lines of before the checksums: the first that has one covers them all
                before = _checksum(read_jsonl(path), "")
            file.write(_lines(values, before).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(path, error) from error


def write_jsonl(path: Path, values: Iterable[dict[str, Any]]) -> None:
    """Replace a JSON-lines file by these lines, summed anew, atomically."""
    write_atomic(path, _lines(values, ""))


def _lines(values: Iterable[dict[str, Any]], before: str) -> str:
    lines = []
    for value in values:
        line = summed(value, before)
        before = line[CHECKSUM]
        lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines)


def read_jsonl(path: Path) -> list[Any]:
    """Read a JSON-lines file, [] when there is none, without the checksums. A torn last line is left out.

    Raises BenchError, naming the line, where one is not JSON, was changed, or follows on one that is gone. Lines cut
    off at the end are not seen here: how many there were is in the run's status.json.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    values: list[Any] = []
    before: str | None = None  # the checksum of the line before; None as long as no line has one
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # no newline after it: the write was cut off
                break
            raise BenchError(f"{path}, line {number}, is not valid JSON: {error}") from error
        found = value.pop(CHECKSUM, None) if isinstance(value, dict) else None
        if found is not None or before is not None:
            covered = before if before is not None else _checksum(values, "") if values else ""
            if found != _checksum(value, covered):
                raise BenchError(
                    f"{path}, line {number}, was changed, or lines before it were, after it was written",
                    hint="Bring the file back from a copy, or move the run's folder away and run again.",
                )
            before = found
        values.append(value)
    return values


def is_summed(path: Path) -> bool:
    """Tell whether a record carries checksums; those of older versions do not."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 100))
        return _CHECKSUM_AT_END.search(file.read().replace(b"\n}", b"}")) is not None


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_error(path: Path, error: OSError) -> BenchError:
    """Turn an operating system error about `path` into one that says what to do."""
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return BenchError(f"No space left for {path}", hint="Free some disk space and type the same command again.")
    return BenchError(f"Cannot write {path}: {error.strerror or error}", hint="Check the folder and its permissions.")


def _last_whole_line(file: IO[bytes]) -> bytes:
    """Return the last line, b"" where there is none, and cut off what follows it without a newline of its own."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start > 0 and tail.rstrip(b"\n").count(b"\n") < 2:
        start = max(start - 4096, 0)
        file.seek(start)
        tail = file.read(end - start)
    whole, _, torn = tail.rpartition(b"\n")
    if torn:
        file.truncate(end - len(torn))
    return whole.rstrip(b"\n").rpartition(b"\n")[2]


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
