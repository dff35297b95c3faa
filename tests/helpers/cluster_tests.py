"""What tests on real clusters need."""

from __future__ import annotations

import pytest


def need(missing: str | None) -> None:
    """Skip a test of what is not here, with the word why."""
    if missing is not None:
        pytest.skip(missing)
