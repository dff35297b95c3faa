"""A run that is killed at any of its writes and typed again ends bit for bit as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.counting import counts_of


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_runs_end_bit_identical_with_nothing_left_behind(kills: int, tmp_path: Path) -> None:
    counts = counts_of("killing", tmp_path, "kills", kills)
    assert counts["kills"] >= kills
    assert counts["calls"] > 100
    assert counts["unlike"] == 0, counts["which"]
