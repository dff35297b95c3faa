"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent


@pytest.fixture
def celeba_zip() -> Path:
    """The official archive of real CelebA images, or a part of it; it may not be redistributed, so others skip."""
    named = os.environ.get("BENCH_TEST_CELEBA")
    if named is None:
        pytest.skip("BENCH_TEST_CELEBA does not name an img_align_celeba.zip")
    path = Path(named)
    assert path.is_file(), f"BENCH_TEST_CELEBA names {path}, which is no file"
    return path
