"""A run that is killed at any of its writes and typed again ends bit for bit as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_runs_end_bit_identical_with_nothing_left_behind(kills: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helpers.killing", str(tmp_path), "--kills", str(kills), "--seed", str(kills)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    print(counts)
    assert counts["kills"] >= kills
    assert counts["calls"] > 100
    assert counts["unlike"] == 0, counts["which"]
