"""CelebA from archives and folders, right and wrong ones; real images only where they lie beside the checkout."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.data_images import encoded, jpeg, picture, write_zip
from PIL import Image

from bench.data import DataRequest, is_prepared, prepare
from bench.data.crops import render_image
from bench.data.readers.base import is_held_out
from bench.data.readers.celeba import ARCHIVE_NAME, IMAGE_COUNT, Partition, download, file_md5, partition
from bench.errors import BenchError
from bench.files import read_json

# Out of order, and from all three official parts.
NUMBERS = [200_001, 5, 182_637, 162_770, 182_638, 3, 162_771, 202_599, 1, 162_769]
EVERYTHING = range(1, IMAGE_COUNT + 1)


def ask(path: Path, **values: object) -> DataRequest:
    return DataRequest.model_validate({"source": "celeba", "path": str(path), "partial": True, **values})


# The partition


def test_the_complete_set_has_the_official_parts() -> None:
    chosen = partition(EVERYTHING, DataRequest(source="celeba"), Path("celeba"))
    assert (chosen.train[0], chosen.train[-1], len(chosen.train)) == (1, 162_770, 162_770)
    assert (chosen.heldout[0], chosen.heldout[-1], len(chosen.heldout)) == (182_638, 202_599, 19_962)


def test_a_missing_image_is_told_unless_a_part_was_asked_for() -> None:
    with pytest.raises(BenchError, match=r"202,598 of .*202,599 .*: 1 .*missing") as caught:
        partition(EVERYTHING[:-1], DataRequest(source="celeba"), Path("celeba"))
    assert "partial = true" in str(caught.value)
    assert partition(EVERYTHING[:-1], DataRequest(source="celeba", partial=True), Path("celeba")).heldout[-1] == 202_598


def test_counts_keep_a_fixed_choice_of_which_a_smaller_one_is_a_part() -> None:
    def chosen(count: int, seed: int = 0) -> list[int]:
        asked = DataRequest(source="celeba", heldout_count=count, seed=seed)
        return partition(EVERYTHING, asked, Path("celeba")).heldout

    assert chosen(100) == chosen(100) == sorted(chosen(100))
    assert set(chosen(100)) < set(chosen(1000))
    assert chosen(100) != chosen(100, seed=1)
    assert chosen(100) != list(range(182_638, 182_738))


def test_a_part_holds_out_as_many_as_asked_and_the_validation_part_goes_first() -> None:
    numbers = [*range(1, 2001), *range(162_771, 162_871), *range(182_638, 183_238)]  # 2,000, 100 and 600

    def chosen(count: int, **values: object) -> Partition:
        return partition(numbers, ask(Path("celeba"), heldout_count=count, **values), Path("celeba"))

    assert set(chosen(550).heldout) < set(numbers[2100:])
    assert len(chosen(550).train) == 2000
    some = chosen(660)
    assert (len(some.heldout), len(some.train)) == (660, 2000)
    assert set(numbers[2100:]) < set(some.heldout) < set(numbers[2000:])
    more = chosen(800)
    assert (len(more.heldout), len(more.train)) == (800, 1900)
    assert set(numbers[2000:]) < set(more.heldout)
    assert not set(more.heldout) & set(more.train)
    assert "100 of the validation part" in more.rule
    assert "100 of the training part" in more.rule
    assert more == chosen(800) != chosen(800, seed=1)
    with pytest.raises(BenchError, match="training"):
        chosen(2700)


def test_a_part_with_few_test_images_holds_out_a_tenth_of_the_training_part_and_says_so() -> None:
    numbers = [*range(1, 2001), *range(182_638, 182_648)]
    chosen = partition(numbers, DataRequest(source="celeba", partial=True), Path("celeba"))
    lent = [number for number in chosen.heldout if number <= 162_770]
    assert sorted(chosen.train + chosen.heldout) == numbers
    assert 140 < len(lent) < 260
    assert all(is_held_out(number, 0) for number in lent)
    assert f"{len(lent)} of the training part" in chosen.rule
    assert "only 10 images" in chosen.rule
    more = partition([*numbers, 5000], DataRequest(source="celeba", partial=True), Path("celeba"))
    assert set(chosen.heldout) <= set(more.heldout), "adding an image moved others"


def test_more_images_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(BenchError, match=r"heldout_count = 20,000.* 19,962"):
        partition(EVERYTHING, DataRequest(source="celeba", heldout_count=20_000), Path("celeba"))


# Archives and folders that are right


def test_an_archive_is_split_by_file_number_not_by_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.readers.celeba.FEWEST_TEST_IMAGES", 3)
    data = prepare(ask(write_zip(tmp_path / "any.zip", NUMBERS)), tmp_path / "data", workers=1)
    for prepared, numbers in ((data.train, [1, 3, 5, 162_769, 162_770]), (data.heldout, [182_638, 200_001, 202_599])):
        expected = [render_image(Image.open(io.BytesIO(jpeg(number))), "crop128", 64) for number in numbers]
        np.testing.assert_array_equal(prepared.images(), np.stack(expected))
    assert data.train.manifest["source_details"]["images_found"] == len(NUMBERS)
    assert data.train.manifest["source_details"]["complete"] is False
    assert data.train.manifest["source_details"]["partition"].startswith("official")
    assert (data.train.manifest["split"], data.heldout.manifest["split"]) == ("train", "test")


def test_every_layout_gives_the_same_bytes(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "zipped" / ARCHIVE_NAME, NUMBERS)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "unpacked")
    kaggle = tmp_path / "kaggle" / "archive.zip"
    kaggle.parent.mkdir()
    with zipfile.ZipFile(kaggle, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("list_eval_partition.csv", "image_id,partition\n")
        file.writestr("__MACOSX/img_align_celeba/._000001.jpg", "resource fork")
        for number in NUMBERS:
            file.writestr(f"img_align_celeba/img_align_celeba/{number:06d}.jpg", jpeg(number))
    shutil.copytree(tmp_path / "zipped", tmp_path / "torchvision" / "celeba")
    places = [
        archive,
        tmp_path / "zipped",
        tmp_path / "unpacked",
        tmp_path / "unpacked" / "img_align_celeba",
        kaggle,
        kaggle.parent,
        tmp_path / "torchvision",
    ]
    found = [prepare(ask(place), tmp_path / "data", workers=1) for place in places]
    assert len({(data.train.sha256, data.heldout.sha256) for data in found}) == 1
    assert found[1].train.path == found[0].train.path, "the same content was prepared twice"


def test_without_a_path_the_data_folder_is_looked_into(tmp_path: Path) -> None:
    write_zip(tmp_path / "celeba" / ARCHIVE_NAME, NUMBERS)
    assert prepare(DataRequest(source="celeba", partial=True), tmp_path, workers=1).train.count > 0


def test_another_content_is_prepared_anew_even_of_the_same_size_and_time(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", NUMBERS)
    first = prepare(ask(archive), tmp_path / "data", workers=1)
    stat = archive.stat()
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        crc = file.getinfo("img_align_celeba/000001.jpg").CRC.to_bytes(4, "little")
    for position in (data.find(crc), data.rfind(crc)):
        data[position] ^= 1
    archive.write_bytes(data)
    os.utime(archive, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert archive.stat().st_size == stat.st_size
    assert is_prepared(ask(archive), tmp_path / "data") is None
    archive.rename(tmp_path / "away.zip")
    assert is_prepared(ask(archive), tmp_path / "data") == first, "a set stays usable when its source is away"


# What is wrong


def broken(tmp_path: Path, path: Path, words: str) -> str:
    """Preparing `path` must fail with these words and leave nothing that looks finished; returns the whole message."""
    with pytest.raises(BenchError, match=words) as caught:
        prepare(ask(path), tmp_path / "data", workers=1)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert not list((tmp_path / "data").rglob("manifest.json"))
    assert not [file for file in (tmp_path / "data").rglob("images.npy") if ".partial" not in str(file)]
    return str(caught.value)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html><head><title>Quota", b"\n  <HTML>\n<body>Too many users"])
def test_the_page_that_drive_leaves_is_recognised(tmp_path: Path, page: bytes) -> None:
    (tmp_path / ARCHIVE_NAME).write_bytes(page + b"x" * 3000)
    assert "Delete the file" in broken(tmp_path, tmp_path, "is an HTML page")


def test_a_truncated_archive_is_recognised(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / ARCHIVE_NAME, NUMBERS)
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) * 2 // 3])
    assert "cut off" in broken(tmp_path, archive, "is not a complete zip archive")


def test_an_empty_archive_or_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.zip").touch()
    broken(tmp_path, tmp_path / "empty.zip", "is empty")
    broken(tmp_path, write_zip(tmp_path / "none.zip", []), "holds no CelebA images")
    (tmp_path / "folder").mkdir()
    broken(tmp_path, tmp_path / "folder", "holds neither img_align_celeba.zip")


def test_a_missing_archive_comes_with_the_ways_to_get_it(tmp_path: Path) -> None:
    message = broken(tmp_path, tmp_path / "nowhere.zip", "CelebA is not at")
    assert "--download" in message
    assert "Hugging Face" in message
    assert is_prepared(ask(tmp_path / "nowhere.zip"), tmp_path / "data") is None


def test_half_the_archive_is_an_error_without_partial(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / ARCHIVE_NAME, NUMBERS)
    with pytest.raises(BenchError, match=r"10 of .*202,599 .*: 202,589 .*missing"):
        prepare(ask(archive, partial=False), tmp_path / "data", workers=1)
    assert not list((tmp_path / "data").rglob("images.npy"))


def test_a_part_needs_training_and_held_out_images(tmp_path: Path) -> None:
    broken(tmp_path, write_zip(tmp_path / "a.zip", [190_000, 190_001, 190_002]), "0 training and 3 held-out")


def test_unusable_images_are_all_named(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in (*NUMBERS, 7):
            data = jpeg(number)
            if number == 3:
                data = data[:900]
            if number == 7:
                data = b"text"
            if number == 200_001:
                data = encoded(picture(1, 409, 687))
            file.writestr(f"img_align_celeba/{number:06d}.jpg", data)
    message = broken(tmp_path, archive, r"3 image\(s\) cannot be used")
    problems = dict(re.findall(r"img_align_celeba/(\d+)\.jpg (.*)", message))
    assert set(problems) == {"000003", "000007", "200001"}
    assert "truncated" in problems["000003"]
    assert "no image" in problems["000007"]
    assert re.findall(r"\d+x\d+", problems["200001"]) == ["409x687", "178x218"]


def test_many_unusable_images_are_all_named_in_a_file_and_finished_work_is_kept(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(1, 340):
            file.writestr(f"{number:06d}.jpg", jpeg(1) if number < 300 else b"text")
        for number in range(200_000, 200_010):
            file.writestr(f"{number:06d}.jpg", jpeg(number))
    message = broken(tmp_path, archive, r"\d+ image\(s\) cannot be used")
    assert message.count("is no image") == 10
    (listed,) = (tmp_path / "data" / "prepared").glob("*.unusable.txt")
    lines = listed.read_text().splitlines()
    assert len(lines) > 30
    assert str(listed) in message
    (progress,) = (tmp_path / "data" / "prepared").glob("*.partial/progress.json")
    assert read_json(progress)["done"]["train"] == 250


def test_damaged_bytes_inside_the_archive_are_found(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", NUMBERS)
    with zipfile.ZipFile(archive) as file:
        offset = file.getinfo("img_align_celeba/000005.jpg").header_offset
    data = bytearray(archive.read_bytes())
    data[offset + 1000] ^= 255
    archive.write_bytes(data)
    assert re.search(r"000005\.jpg .*Bad CRC-32", broken(tmp_path, archive, "cannot be used"))


def test_a_number_twice_or_beyond_celeba_is_told(tmp_path: Path) -> None:
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as file:
        file.writestr("img_celeba/000001.jpg", jpeg(1))
        file.writestr("img_align_celeba/000001.jpg", jpeg(1))
    broken(tmp_path, twice, r"000001 twice: img_celeba/000001\.jpg and img_align")
    broken(tmp_path, write_zip(tmp_path / "beyond.zip", [1, 202_600]), "does not have, such as 202600")


# Downloading


@pytest.mark.skipif(
    importlib.util.find_spec("gdown") is not None, reason="gdown is installed: this would really download"
)
def test_downloading_without_gdown_says_what_else_there_is(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="gdown") as caught:
        download(tmp_path)
    assert "Kaggle" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_download_is_kept_only_when_it_is_the_archive(tmp_path: Path) -> None:
    right = write_zip(tmp_path / "right.zip", NUMBERS)
    folder = tmp_path / "celeba"
    with pytest.raises(BenchError, match="HTML page"):
        download(folder, fetch=lambda path: path.write_text("<!doctype html>quota") and None)
    with pytest.raises(BenchError, match="its MD5 is"):
        download(folder, fetch=lambda path: path.write_text("other bytes") and None)
    with pytest.raises(BenchError, match="could not be downloaded: no route"):
        download(folder, fetch=_no_network)
    assert not list(folder.iterdir())
    md5 = file_md5(right)
    assert download(folder, fetch=lambda path: shutil.copy(right, path) and None, md5=md5) == folder / ARCHIVE_NAME
    assert download(folder, fetch=_no_network, md5=md5) == folder / ARCHIVE_NAME, "fetched again"
    with pytest.raises(BenchError, match="another MD5"):
        download(folder)
    assert file_md5(folder / ARCHIVE_NAME) == md5, "a file of the user's was touched"


def _no_network(path: Path) -> None:
    path.write_bytes(b"half of it")
    raise OSError("no route to host\nand more")


# The real thing


def test_the_real_part_is_prepared_within_a_minute(celeba_zip: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    data = prepare(ask(celeba_zip), tmp_path / "data", workers=2)
    assert time.perf_counter() - start < 60
    assert (data.train.count, data.heldout.count) == (4560, 659)
    assert data.train.manifest["source_details"]["partition"].startswith("official")
    data.train.verify()
    with zipfile.ZipFile(celeba_zip) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        first = Image.open(io.BytesIO(archive.read(names[0]))).crop((25, 45, 153, 173))
    expected = np.asarray(first.resize((64, 64), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    np.testing.assert_array_equal(data.train.images()[0], expected)
    brightness = data.train.images()[:500].mean(axis=(0, 1))
    assert brightness[20:50, 20:44].mean() > brightness[:, :6].mean(), "no face in the middle"
