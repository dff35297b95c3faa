"""Hashes of source code without its comments: what tells whether a finished run is stale."""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).parent
# What decides a run's numbers beside its objective: a change here makes finished runs stale.
TRAINING_SOURCES = ("networks.py", "convolution.py", "objectives/base.py", "data/sampler.py", "training")


def code_without_comments(path: Path) -> str:
    """Return a Python file's text without comments, trailing spaces and blank lines."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def hash_sources(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that change with the code (not the comments) of `paths`, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\n{code_without_comments(path)}\n".encode())
    return digest.hexdigest()[:16]


def training_hash() -> str:
    """Return the hash of the modules that every run goes through."""
    files: list[Path] = []
    for name in TRAINING_SOURCES:
        path = _PACKAGE / name
        files.extend(sorted(path.glob("*.py")) if path.is_dir() else [path])
    return hash_sources(files)


def objective_hash(*paths: Path) -> str:
    """Return the hash of an objective's files and of the package's objectives that they import."""
    found: list[Path] = []
    for path in paths:
        _with_imports(path, found)
    return hash_sources(found)


def _with_imports(path: Path, seen: list[Path]) -> list[Path]:
    if path in seen:
        return seen
    seen.append(path)
    for line in code_without_comments(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("from", "import") and words[1].startswith("bench.objectives."):
            imported = _PACKAGE / "objectives" / f"{words[1].split('.')[2]}.py"
            if imported.stem != "base" and imported.is_file():
                _with_imports(imported, seen)
    return seen
