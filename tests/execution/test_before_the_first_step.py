"""What the prepared images cannot do is said before anything is trained."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.training_fixture import study
from PIL import Image
from rich.console import Console

from bench.config.models import Study
from bench.data import PreparedData, prepare
from bench.errors import BenchError
from bench.evaluation.cache import Cache
from bench.execution.running import check_images


def told(study: Study, data: PreparedData, root: Path) -> str:
    with pytest.raises(BenchError) as caught:
        check_images(study, data, root, Console(file=io.StringIO()))
    return str(caught.value)


@pytest.mark.parametrize(
    ("counts", "key"),
    [((60, 19), "data.heldout_count"), ((20, 60), "data.train_count"), ((60, 60), "budget.batch")],
)
def test_too_few_images_and_too_large_batches(tmp_path: Path, counts: tuple[int, int], key: str) -> None:
    train, heldout = counts
    asked = study(
        data={"source": "faces", "resolution": 32, "train_count": train, "heldout_count": heldout},
        budget={"generator_steps": 8, "batch": 61 if key == "budget.batch" else 8, "halve_every": 3},
    )
    assert key in told(asked, prepare(asked.data, tmp_path, workers=1), tmp_path)


@pytest.mark.parametrize(("different", "fits"), [(1, False), (4, False), (100, True)])
def test_images_that_are_copies_of_few(tmp_path: Path, different: int, fits: bool) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(620):
        shade = 2 * (number % different)
        Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(folder / f"{number:03}.png")
    asked = study(data={"source": "folder", "path": str(folder), "resolution": 32})
    data = prepare(asked.data, tmp_path / "data", workers=1)
    if fits:
        check_images(asked, data, tmp_path / "data", Console(file=io.StringIO()))
    else:
        assert "data.path" in told(asked, data, tmp_path / "data")


def test_a_data_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    asked = study(data={"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60})
    data = prepare(asked.data, tmp_path, workers=1)
    (tmp_path / "cache").write_text("no folder can be made here")  # who runs tests as root may write anywhere else
    said = io.StringIO()
    check_images(asked, data, tmp_path, Console(file=said))
    assert "cannot be written" in said.getvalue()
    cache = Cache(tmp_path / "cache" / "evaluation")
    calls: list[int] = []

    def compute() -> dict[str, float]:
        calls.append(1)
        return {"x": float(len(calls))}

    assert [cache.values("floors", {"a": 1}, compute) for _ in range(2)] == [{"x": 1.0}] * 2  # kept for this process
