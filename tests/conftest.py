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
    """The real part of CelebA that lies beside the checkout; it may not be redistributed, so others skip."""
    path = ROOT.parent / "shared" / "celeba" / "img_align_celeba.zip"
    if not path.is_file():
        pytest.skip("the real CelebA part does not lie in ../shared/celeba")
    return path
