"""The memory an evaluation takes: it grows with N, not with N^2, and 50,000 x 2,048 features stay below 4 GB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "evaluation_memory.py"


def measured(folder: Path, count: int, dimension: int) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), str(folder), str(count), str(dimension)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=SCRIPT.parent.parent)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_matrix_of_all_distances_exists(tmp_path: Path) -> None:
    count, dimension = 6_000, 48
    found = measured(tmp_path, count, dimension)
    assert {"fd_projection_inf", "kid_deviation_projection", "ms_ssim"} <= found["values"].keys()
    one_matrix_megabytes = 8 * count**2 / 2**20
    assert found["peak"] - found["before"] < 0.8 * one_matrix_megabytes


@pytest.mark.slow
def test_fifty_thousand_images_stay_below_four_gigabytes(tmp_path: Path) -> None:
    found = measured(tmp_path, 50_000, 2_048)
    assert "fd_projection_inf" in found["values"]
    assert found["peak"] < 4_000
