"""Images from arrays, folders and zips, as one array of bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers.data_images import encoded, picture

from bench.data.images import load_images
from bench.errors import BenchError

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of several sizes and kinds, in sub-folders, and what is no image."""
    place = tmp_path / "pictures"
    for number, name in enumerate(("b/1.png", "a/2.jpg", "a/10.png", "z.webp")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        kind = {".jpg": "JPEG", ".webp": "WEBP"}.get(Path(name).suffix, "PNG")
        (place / name).write_bytes(encoded(picture(number, 60 + number, 48), kind))
    (place / "notes.txt").write_text("no image")
    return place


def zipped(folder: Path) -> Path:
    """The same files as a zip, members in another order, with macOS's copies."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/a/._2.jpg", b"resource fork")
        archive.writestr(".hidden/3.png", b"hidden")
    return path


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_arrays_come_in_either_order_of_axes(axes: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(load_images(BYTES.transpose(axes)), BYTES)


def test_grey_images_are_repeated_over_the_colours() -> None:
    loaded = load_images(BYTES[:, 0])
    assert loaded.shape == (4, 3, 32, 32)
    for colour in range(3):
        np.testing.assert_array_equal(loaded[:, colour], BYTES[:, 0])


def test_a_read_only_array_becomes_writable_and_keeps_its_pixels() -> None:
    given = BYTES.copy()
    given.flags.writeable = False
    loaded = load_images(given)
    assert loaded.flags.writeable
    assert loaded.flags.c_contiguous
    np.testing.assert_array_equal(loaded, BYTES)


def test_a_folder_and_its_zip_hold_the_same_images(folder: Path) -> None:
    loaded = load_images(folder, resolution=32)
    assert (loaded.shape, loaded.dtype) == ((4, 3, 32, 32), np.uint8)
    np.testing.assert_array_equal(load_images(zipped(folder), resolution=32), loaded)
    assert load_images(str(folder)).shape == (4, 3, 64, 64)


def test_an_array_is_cropped_and_scaled_as_its_file_is(folder: Path) -> None:
    pixels = np.asarray(picture(0, 60, 48))[None]  # b/1.png, the third by path: a/10, a/2, b/1, z
    np.testing.assert_array_equal(load_images(pixels, resolution=32)[0], load_images(folder, resolution=32)[2])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (BYTES.astype(np.float32), "float32"),
        (BYTES[0, 0], r"\(32, 32\)"),
        (RANDOM.integers(0, 256, (2, 5, 32, 32), dtype=np.uint8), r"\(2, 5, 32, 32\)"),
        (BYTES[:, :, :, :16], "16x32"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_are_no_images_is_named(given: npt.NDArray[np.uint8] | str, named: str) -> None:
    with pytest.raises(BenchError, match=named):
        load_images(given)


def test_an_empty_folder_a_broken_file_and_a_broken_zip_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="empty"):
        load_images(tmp_path / "empty")
    (folder / "a" / "broken.png").write_bytes(b"no png")
    for place in (folder, zipped(folder)):
        with pytest.raises(BenchError, match=r"a/broken\.png"):
            load_images(place)
    (tmp_path / "cut.zip").write_bytes(zipped(folder).read_bytes()[:200])
    with pytest.raises(BenchError, match=r"cut\.zip"):
        load_images(tmp_path / "cut.zip")
