"""Reading what users write: files of studies as text, lists of seeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.limits import MOST_TEXT_BYTES

SEED_LIMIT = 2**31


def read_text(path: Path) -> str:
    """Read a file of UTF-8, with or without a byte order mark. Raises BenchError, naming the line that is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"Cannot read {path}: {error.strerror}") from error
    if len(content) > MOST_TEXT_BYTES:
        raise BenchError(f"{path} has {len(content):,} bytes; no file of studies has more than {MOST_TEXT_BYTES:,}")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BenchError(
            f"{path}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8", hint="Save the file as UTF-8."
        ) from error


def parse_seeds(value: Any) -> tuple[int, ...]:
    """Read seeds written as 5, [0, 1, 2] or "0-4,7". Raises ValueError saying what is allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        seeds = [value]
    elif isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        seeds = value
    elif isinstance(value, str) and re.fullmatch(r"\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*", value):
        seeds = []
        for part in value.split(","):
            first, _, last = part.partition("-")
            if last and int(last) - int(first) > 10_000:
                raise ValueError("names more than 10,000 seeds")
            seeds.extend(range(int(first), int(last or first) + 1))
    else:
        raise ValueError('must be a number, a list of numbers, or text such as "0-4" or "0,2,5-9"')
    if not seeds:
        raise ValueError("names no seed")
    if len(set(seeds)) != len(seeds):
        raise ValueError("names a seed twice")
    if not all(0 <= seed < SEED_LIMIT for seed in seeds):
        raise ValueError(f"must lie in 0 to {SEED_LIMIT - 1}")
    return tuple(seeds)
