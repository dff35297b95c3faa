"""What a study may ask for, and that asking never loads torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from bench.data import DataRequest


@pytest.mark.parametrize(
    ("source", "recipe", "resolution"),
    [
        ("faces", "none", 64),
        ("celeba", "crop128", 64),
        ("folder", "square", 64),
        ("mnist", "square", 32),
        ("fashion-mnist", "square", 32),
        ("cifar10", "square", 32),
    ],
)
def test_defaults_follow_the_source(source: Any, recipe: str, resolution: int) -> None:
    request = DataRequest(source=source)
    assert (request.recipe, request.resolution) == (recipe, resolution)
    assert DataRequest.model_validate(request.model_dump(mode="json")) == request


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ({"source": "celeba", "path": "/somewhere/else"}, "celeba"),
        ({"source": "folder", "path": "/somewhere/cats"}, 'folder "cats"'),
        ({"source": "folder", "path": "cats/./dogs/.."}, 'folder "cats"'),
        ({"source": "folder"}, "folder"),
    ],
)
def test_a_folder_is_called_by_its_name_and_not_by_where_it_lies(values: dict[str, Any], title: str) -> None:
    assert DataRequest.model_validate(values).title == title


def test_faces_have_counts_unless_told_otherwise() -> None:
    assert (DataRequest(source="faces").train_count, DataRequest(source="faces").heldout_count) == (20_000, 10_000)
    fewer = DataRequest(source="faces", train_count=500)
    assert (fewer.train_count, fewer.heldout_count) == (500, 10_000)
    assert DataRequest(source="celeba").train_count is None


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"source": "celebA"}, "source", "'celeba'"),
        ({"source": "celeba", "recipe": "crop129"}, "recipe", 'did you mean "crop128"?'),
        ({"source": "faces", "recipe": "crop128"}, "recipe", "no recipe of faces: none"),
        ({"source": "mnist", "resolution": 64}, "resolution", "32x32 only"),
        ({"source": "celeba", "resolution": 48}, "resolution", "32, 64 or 128"),
        ({"source": "celeba", "resolution": "64"}, "resolution", "32, 64 or 128"),
        ({"source": "faces", "path": "somewhere"}, "path", "drawn"),
        ({"source": "folder", "path": " "}, "path", "empty"),
        ({"source": "faces", "train_count": 1_000_001}, "train_count", "held-out ones begin"),
        ({"source": "celeba", "heldout_count": 0}, "heldout_count", "greater than or equal to 1"),
        ({"source": "folder", "partial": True}, "partial", "only celeba"),
        ({"source": "celeba", "partial": 1}, "partial", "boolean"),
        ({"source": "celeba", "crop": 3}, "crop", "not permitted"),
        ({"source": "celeba", "seed": -1}, "seed", "greater than or equal to 0"),
    ],
)
def test_a_mistake_is_told_at_its_field(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataRequest.model_validate(values)
    (error,) = caught.value.errors()
    assert error["loc"] == (field,)
    assert words in error["msg"]


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DataRequest(source="faces").seed = 3  # type: ignore[misc]


def test_asking_and_preparing_never_import_torch() -> None:
    code = (
        "import sys, bench.data, bench.data.readers.celeba, bench.data.readers.parquet, bench.data.readers.folder\n"
        "import bench.data.readers.torchvision_sets\n"
        "assert not {'torch', 'torchvision', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
