"""Libraries that tests need and that not everybody has installed."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def needed(module: str) -> Any:
    """Return a library that an extra brings; where it is missing, the test is skipped, and fails in CI."""
    if os.environ.get("CI") == "true":
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed; the extras test and docs bring it")
