"""Runs a harness of this folder as a process of its own, and reads the counts that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def counts_of(module: str, folder: Path, what: str, number: int) -> dict[str, Any]:
    """Return what `python -m helpers.MODULE FOLDER --WHAT NUMBER --seed NUMBER` counts."""
    done = subprocess.run(
        [sys.executable, "-m", f"helpers.{module}", str(folder), f"--{what}", str(number), "--seed", str(number)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    print(counts)
    return counts
