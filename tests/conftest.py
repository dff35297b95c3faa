"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.browser import Browser, browser, find_browser
from helpers.fast import FAST

os.environ.setdefault("MPLBACKEND", "Agg")
torch.set_num_threads(1)

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; where there is none, tests skip, and fail in CI."""
    executable = find_browser()
    if executable is None:
        missing = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with browser(executable) as found:
        yield found


@pytest.fixture
def celeba_zip() -> Path:
    """The official archive of real CelebA images, or a part of it; it may not be redistributed, so others skip."""
    named = os.environ.get("BENCH_TEST_CELEBA")
    if named is None:
        pytest.skip("BENCH_TEST_CELEBA does not name an img_align_celeba.zip")
    path = Path(named)
    assert path.is_file(), f"BENCH_TEST_CELEBA names {path}, which is no file"
    return path


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Let `-m fast` not even import the files that it leaves out."""
    if config.option.markexpr != "fast" or not collection_path.name.startswith("test_"):
        return None
    name = collection_path.relative_to(TESTS).as_posix()
    return None if any(entry.partition("::")[0] == name for entry in FAST) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = f"{item.path.relative_to(TESTS).as_posix()}::{item.name}"
        if name.startswith(FAST) and item.get_closest_marker("slow") is None:
            item.add_marker("fast")
