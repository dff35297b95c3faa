"""CelebA from Hugging Face shards, made here by pyarrow with the columns that the real ones have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.data_images import jpeg, write_zip
from helpers.extras import needed

from bench.data import DataRequest, PreparedData, is_prepared, prepare
from bench.data.readers.parquet import open_parquet
from bench.errors import BenchError

pa = needed("pyarrow")
pq = needed("pyarrow.parquet")

TRAIN, VALID, TEST = [1, 3, 5, 162_769, 162_770], [162_771, 182_637], [182_638, 200_001, 202_599]


@pytest.fixture(autouse=True)
def three_test_images_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.readers.celeba.FEWEST_TEST_IMAGES", 3)


def write_shard(path: Path, numbers: Sequence[int], paths: Sequence[str | None] | None = None, group: int = 2) -> Path:
    """A shard of these images; `paths` is what stands in image.path (default: nothing)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = paths or [None] * len(numbers)
    images = [{"bytes": jpeg(number), "path": name} for number, name in zip(numbers, stored, strict=True)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "celeb_id": pa.array(range(len(numbers)), pa.int64())})
    pq.write_table(table, path, row_group_size=group)
    return path


def official(numbers: Sequence[int]) -> list[str]:
    return [f"{number:06d}.jpg" for number in numbers]


def prepared(path: Path, data: Path) -> PreparedData:
    return prepare(DataRequest(source="celeba", path=str(path), partial=True), data, workers=1)


def test_shards_with_official_names_give_the_same_bytes_as_the_archive(tmp_path: Path) -> None:
    numbers = [*TEST, *VALID, *reversed(TRAIN)]
    write_shard(tmp_path / "hf" / "data" / "train-00000-of-00002.parquet", numbers[:4], official(numbers[:4]))
    write_shard(tmp_path / "hf" / "data" / "train-00001-of-00002.parquet", numbers[4:], official(numbers[4:]))
    found = prepared(tmp_path / "hf", tmp_path / "data")
    expected = prepared(write_zip(tmp_path / "a.zip", numbers), tmp_path / "data")
    assert (found.train.sha256, found.heldout.sha256) == (expected.train.sha256, expected.heldout.sha256)
    details = found.train.manifest["source_details"]
    assert details["kind"] == "parquet"
    assert details["numbers"] == "from the paths in the shards"
    assert (
        is_prepared(DataRequest(source="celeba", path=str(tmp_path / "hf"), partial=True), tmp_path / "data") == found
    )


def test_named_parts_without_paths_are_taken_in_the_official_order(tmp_path: Path) -> None:
    first = {"train": [1, 2, 3], "valid": [162_771, 162_772], "test": [182_638, 182_639, 182_640, 182_641]}
    for part, numbers in first.items():
        for shard, half in enumerate((numbers[:2], numbers[2:])):
            write_shard(tmp_path / "hf" / f"{part}-{shard:05d}-of-00002.parquet", half)
    found = prepared(tmp_path / "hf", tmp_path / "data")
    expected = prepared(
        write_zip(tmp_path / "a.zip", [number for part in first.values() for number in part]), tmp_path / "data"
    )
    assert (found.train.sha256, found.heldout.sha256) == (expected.train.sha256, expected.heldout.sha256)
    assert found.train.manifest["source_details"]["numbers"].startswith("assumed")


def test_a_lone_train_split_without_paths_is_the_whole_set_in_order(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000-of-00003.parquet", range(1, 41))
    container = open_parquet([tmp_path / "train-00000-of-00003.parquet"], tmp_path)
    places = container.locate()
    assert list(places) == list(range(1, 41))
    assert [file.data for file in container.read([places[7], places[40], places[8]])] == [jpeg(7), jpeg(40), jpeg(8)]


@pytest.mark.parametrize(
    "paths", [["a.jpg", "b.jpg", "c.jpg"], ["000000.jpg", "000001.jpg", "000002.jpg"], ["000009.jpg"] * 3]
)
def test_paths_that_are_no_official_numbers_are_not_believed(tmp_path: Path, paths: list[str]) -> None:
    shard = write_shard(tmp_path / "train.parquet", [1, 2, 3], paths)
    container = open_parquet([shard], tmp_path)
    assert list(container.locate()) == [1, 2, 3]
    assert container.details["numbers"].startswith("assumed")


def test_a_column_of_plain_bytes_will_do(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": pa.array([jpeg(1), jpeg(2)], pa.binary())}), tmp_path / "a.parquet")
    container = open_parquet([tmp_path / "a.parquet"], tmp_path)
    places = container.locate()
    assert [file.data for file in container.read([places[2]])] == [jpeg(2)]


def test_another_content_has_another_fingerprint(tmp_path: Path) -> None:
    one = open_parquet([write_shard(tmp_path / "1" / "a.parquet", [1, 2, 3])], tmp_path / "1")
    same = open_parquet([write_shard(tmp_path / "2" / "a.parquet", [1, 2, 3])], tmp_path / "2")
    other = open_parquet([write_shard(tmp_path / "3" / "a.parquet", [1, 2, 4])], tmp_path / "3")
    assert one.fingerprint == same.fingerprint != other.fingerprint


def wrong(path: Path, data: Path, words: str) -> str:
    with pytest.raises(BenchError, match=words) as caught:
        prepared(path, data)
    assert not list(data.rglob("images.npy"))
    return str(caught.value)


def test_wrong_shards_are_told(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "cut" / "train.parquet", [1, 2, 3])
    shard.write_bytes(shard.read_bytes()[:-100])
    wrong(shard, tmp_path / "data", "is no complete parquet file")
    pointer = tmp_path / "lfs" / "train.parquet"
    pointer.parent.mkdir()
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 400000000\n")
    assert "git lfs pull" in wrong(pointer.parent, tmp_path / "data", "git-lfs pointer")
    other: dict[str, Any] = {"img": [b"1"], "label": [1]}
    pq.write_table(pa.table(other), tmp_path / "other.parquet")
    wrong(tmp_path / "other.parquet", tmp_path / "data", "no column `image`; its columns are img, label")
    pq.write_table(pa.table({"image": ["a.jpg"]}), tmp_path / "names.parquet")
    wrong(tmp_path / "names.parquet", tmp_path / "data", "column `image` is string")


def test_an_image_without_bytes_is_named(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "train.parquet", [*TRAIN, *TEST], official([*TRAIN, *TEST]))
    table = pq.read_table(shard).to_pylist()
    table[3]["image"]["bytes"] = None
    pq.write_table(pa.Table.from_pylist(table), shard, row_group_size=2)
    wrong(shard, tmp_path / "data", r"train.parquet, row group 1, row 1, has no bytes in the shard")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "train.parquet", [1, 2])
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\nfrom bench.data import DataRequest, prepare\n"
        f"prepare(DataRequest(source='celeba', path={str(tmp_path)!r}), Path({str(tmp_path / 'data')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'ganbench[hf]'" in done.stderr
