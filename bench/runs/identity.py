"""Which code decides what: hashes of source code without its comments, and every list of hashed files.

A changed hash makes what was computed with the old code stale: finished runs, cached features, counted modes. Change a
list here only when a computation moves to another file.
"""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parent.parent

Code = Literal["training", "drawing", "features", "evaluation", "report", "points", "stacked", "digit-reader"]

_ITERATION = tuple(
    f"training/{name}.py" for name in ("iteration", "schedule", "state", "optimizers", "rng", "engine", "meter")
)
_POINTS = (
    "objectives/base.py",
    "networks/backbone.py",
    "networks/layers.py",
    "networks/switches.py",
    "networks/heads.py",
    "networks/conditioning.py",
    "networks/codes.py",
    "networks/pictures.py",
    *_ITERATION,
    "data/sampler.py",
    "validation/modes/networks.py",
    "validation/modes/counting.py",
    "validation/modes/tasks.py",
    "validation/modes/training.py",
)
# Files below bench/; a folder stands for all in it.
SOURCES: dict[Code, tuple[str, ...]] = {
    # the weights of every run, beside its objective's own file
    "training": (
        "networks/backbone.py",
        "networks/layers.py",
        "networks/switches.py",
        "networks/heads.py",
        "networks/conditioning.py",
        "networks/codes.py",
        "networks/pictures.py",
        "networks/convolution.py",
        "networks/winograd.py",
        "objectives/base.py",
        "data/sampler.py",
        *_ITERATION,
        *(f"training/{name}.py" for name in ("graph", "ranks", "loop", "checkpoint", "environment")),
    ),
    # the pixels of drawn faces
    "drawing": tuple(
        f"data/faces/{name}.py"
        for name in ("__init__", "drawing", "features", "geometry", "headwear", "parts", "sampling")
    ),
    # an extractor's features of given images
    "features": (
        *(
            f"evaluation/{name}.py"
            for name in ("extractors", "features", "inception", "inception_network", "lite0", "own")
        ),
        "evaluation/resizing.py",
        "data/judge/__init__.py",
        "data/judge/network.py",
        "data/sampler.py",
    ),
    # the metrics of a finished run
    "evaluation": (
        "evaluation",
        "metrics/settings.py",
        "data/judge/__init__.py",
        "data/judge/network.py",
        "data/faces/features.py",
        "data/faces/sampling.py",
        "data/sampler.py",
    ),
    # a report's bytes, given its runs
    "report": ("report", "statistics", "metrics", "formatting.py"),
    # a run of `bench modes`, on points in the plane and on stacked digits
    "points": _POINTS,
    "stacked": (
        *_POINTS,
        "validation/modes/digits.py",
        "networks/convolution.py",
        "networks/winograd.py",
        "networks/sampling.py",
    ),
    "digit-reader": ("validation/modes/digits.py",),
}


def code_hash(of: Code) -> str:
    """Return 16 hexadecimal digits that change with the code (not with the comments) behind one kind of result."""
    return hash_sources(file for name in SOURCES[of] for file in _files(PACKAGE / name))


def objective_hash(*paths: Path) -> str:
    """Return the hash of an objective's files and of the package's objectives that they import."""
    gathered: list[Path] = []
    for path in paths:
        _gather_imports(path, gathered)
    return hash_sources(gathered)


def hash_sources(paths: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that change with the files' names and content; of Python, without its comments."""
    digest = hashlib.sha256()
    for path in paths:
        content = code_without_comments(path).encode() if path.suffix == ".py" else path.read_bytes()
        digest.update(f"{path.name}\n".encode() + content + b"\n")
    return digest.hexdigest()[:16]


def code_without_comments(path: Path) -> str:
    """Return a Python file's text without comments, trailing spaces and blank lines."""
    return _without_comments(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def _without_comments(text: str) -> str:
    # Kept by content, which is read anew: one command asks for the same hashes several times, a second of CPU each.
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def _gather_imports(path: Path, gathered: list[Path]) -> None:
    if path in gathered:
        return
    gathered.append(path)
    for line in code_without_comments(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("from", "import") and words[1].startswith("bench.objectives."):
            imported = PACKAGE / "objectives" / f"{words[1].split('.')[2]}.py"
            if imported.stem != "base" and imported.is_file():
                _gather_imports(imported, gathered)
