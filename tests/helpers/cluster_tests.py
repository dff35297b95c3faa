"""What tests on real clusters need."""

from __future__ import annotations

import os

import pytest


def need(missing: str | None) -> None:
    """Skip a test of what is not here, with the word why; in CI it fails."""
    if missing is not None and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing is not None:
        pytest.skip(missing)
