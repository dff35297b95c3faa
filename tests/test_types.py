"""mypy, strict, over the package. It takes as long as all of `make fast`, and so has a file of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_mypy_strict_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
