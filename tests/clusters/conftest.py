"""What tests on real clusters share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared images and their features, for all of these studies."""
    return tmp_path_factory.mktemp("images")
