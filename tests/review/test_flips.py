"""A flipped bit anywhere in a finished study is named, or changes nothing that the study says."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.counting import counts_of


@pytest.mark.parametrize("flips", [2, pytest.param(500, marks=pytest.mark.slow)])
def test_flipped_bits_are_named_or_harmless(flips: int, tmp_path: Path) -> None:
    counts = counts_of("flipping", tmp_path, "flips", flips)
    assert counts["files"] > 50
    assert counts["which"] == []
