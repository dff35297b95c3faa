"""A flipped bit anywhere in a finished study is named, or changes nothing that the study says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("flips", [2, pytest.param(500, marks=pytest.mark.slow)])
def test_flipped_bits_are_named_or_harmless(flips: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helpers.flipping", str(tmp_path), "--flips", str(flips), "--seed", str(flips)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    print(counts)
    assert counts["files"] > 50
    assert counts["which"] == []
