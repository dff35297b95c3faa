"""Hashes of the code behind what the cache keeps: part of its keys, so that changed code never meets an old entry."""

from __future__ import annotations

from pathlib import Path

from bench.source import hash_sources

_PACKAGE = Path(__file__).parent.parent
_ORDER = "data/sampler.py"
_FEATURE_SOURCES = (
    *(f"evaluation/{name}.py" for name in ("extractors", "features", "inception", "inception_network", "lite0")),
    "evaluation/resizing.py",
    "data/judge.py",
    _ORDER,
)


def feature_code() -> str:
    """Return the hash of the code (comments left out) that turns images into features."""
    return hash_sources(_PACKAGE / name for name in _FEATURE_SOURCES)


def evaluation_code() -> str:
    """Return the hash of the code that turns images into metrics."""
    files = sorted((_PACKAGE / "evaluation").glob("*.py"))
    others = ("evaluation_settings.py", "data/judge.py", "data/faces/features.py", "data/faces/sampling.py", _ORDER)
    return hash_sources([*files, *(_PACKAGE / name for name in others)])
