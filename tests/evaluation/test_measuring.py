"""Metrics of any images: N, floors, what training images add, and what cannot be measured.

That they are a run's metrics where the images are a run's is tested with the notebook, in test_api.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bench.data.faces import draw_faces
from bench.errors import BenchError
from bench.evaluation.measuring import measure

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def faces() -> Bytes:
    return draw_faces(3, range(260), 32)


def test_n_reference_and_floor_stand_beside_every_value(faces: Bytes, place: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    table = measure(noise, faces[:120], samples=60, extractors=["lite0"], data=place, device="cpu")
    assert set(table["samples"]) == set(table["reference_samples"]) == set(table["floor_samples"]) == {60}
    assert set(table["reference"]) == {"heldout"}
    assert set(table["extractor"]) == {"lite0", "pixels"}
    assert table["floor"].notna().all()
    assert not [name for name in table.index if name.startswith("nearest") or name.endswith("_train")]
    assert table.loc["fd_lite0", "value"] > 3 * table.loc["fd_lite0", "floor"]
    assert table.loc["fd_lite0", "better"] == "lower"


def test_without_images_for_it_there_is_no_floor(faces: Bytes, place: Path) -> None:
    table = measure(faces[:60], faces[60:170], data=place, device="cpu")
    assert table["floor"].isna().all()
    assert set(table["floor_samples"]) == {0}
    assert table["value"].notna().all()


def test_training_images_tell_a_copier_and_give_a_floor(faces: Bytes, place: Path) -> None:
    seen, unseen = faces[:100], faces[100:160]
    options: dict[str, Any] = {"training": seen, "data": place, "device": "cpu"}
    copied = measure(seen[:60], unseen, **options)
    fresh = measure(faces[200:260], unseen, **options)
    assert copied.loc["nearest_train", "value"] == 0
    assert fresh.loc["nearest_train", "value"] > 0.5
    assert copied.loc["fd_lite0_train", "reference"] == "train"
    assert copied["floor"].notna().all()
    assert set(copied["floor_samples"]) == {60}


def test_the_judge_counts_modes_of_drawn_faces(faces: Bytes, place: Path) -> None:
    table = measure(faces[:60], faces[60:180], extractors=["judge"], data=place, device="cpu")
    assert table.loc["modes_judge", "value"] > 30
    assert table.loc["judge_confident", "value"] > 0.9


def test_a_folder_is_measured_as_its_array(faces: Bytes, place: Path, tmp_path: Path) -> None:
    for index, image in enumerate(faces[:50]):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{index:03}.png")
    options: dict[str, Any] = {"data": place, "device": "cpu", "extractors": ["judge"]}
    of_folder = measure(tmp_path, faces[60:160], resolution=32, **options)
    assert of_folder.equals(measure(faces[:50].transpose(0, 2, 3, 1), faces[60:160], **options))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"images": 40}, "40"),
        ({"samples": 61}, "61"),
        ({"samples": 10}, "10"),
        ({"reference": 30}, "30"),
        ({"extractors": ["lite1"]}, "lite1"),
        ({"extractors": []}, "extractors"),
        ({"device": "gpu:9"}, "gpu:9"),
    ],
)
def test_what_cannot_be_measured_is_named(faces: Bytes, place: Path, change: dict[str, Any], named: str) -> None:
    change = dict(change)
    images, reference = faces[: change.pop("images", 60)], faces[: change.pop("reference", 120)]
    with pytest.raises(BenchError, match=named):
        measure(images, reference, data=place, **{"device": "cpu", "extractors": ["judge"], **change})


def test_images_of_several_sizes_are_refused(faces: Bytes, place: Path) -> None:
    larger = faces[:60].repeat(2, axis=2).repeat(2, axis=3)
    with pytest.raises(BenchError, match="64x64"):
        measure(larger, faces, data=place)
    with pytest.raises(BenchError, match="28x28"):
        measure(faces[:60, :, :28, :28], faces[:120, :, :28, :28], data=place)
    assert len(measure(larger, faces[60:160], resolution=32, extractors=["judge"], data=place, device="cpu"))


def test_real_images_that_will_not_do_are_asked_for_in_words_that_fit(faces: Bytes, place: Path) -> None:
    """There is no study to edit here."""
    for reference, told in ((faces[:30], "Give more images"), (faces[:1].repeat(60, axis=0), "Give others")):
        with pytest.raises(BenchError) as error:
            measure(faces[60:120], reference, extractors=["judge"], data=place, device="cpu")
        assert str(error.value.hint).startswith(told)
