"""Images of files, block by block: every kind gives the same bytes, and what is no images is refused by name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.extras import needed
from PIL import Image

from bench.data import images as images_module
from bench.data import streams
from bench.data.faces import draw_faces
from bench.data.images import load_images, map_images
from bench.data.readers import archives
from bench.data.streams import drawn_places
from bench.errors import BenchError

FACES = draw_faces(4, range(7), 32)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder: Path, kind: str) -> Path:
    """Write the faces as files of a kind."""
    path = folder / f"faces.{kind}"
    if kind == "npy":
        np.save(path, FACES)
    elif kind == "npz":
        np.savez_compressed(path, labels=np.arange(7), images=FACES.transpose(0, 2, 3, 1))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for index, image in enumerate(FACES):
                archive.writestr(f"{index}.png", png(image))
    elif kind == "parquet":
        pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
        rows = [{"bytes": png(image), "path": f"{index}.png"} for index, image in enumerate(FACES)]
        parquet.write_table(pa.table({"image": rows}), path, row_group_size=3)
    else:
        path.mkdir()
        for index, image in enumerate(FACES):
            (path / f"{index}.png").write_bytes(png(image))
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "npz", "npy", "parquet"])
def test_every_kind_gives_the_same_images(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK", 2)
    path, place = write(tmp_path, kind), tmp_path / "place"
    place.mkdir()
    np.testing.assert_array_equal(load_images(path, resolution=32), FACES)
    mapped = map_images(path, place, resolution=32)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, FACES)
    np.testing.assert_array_equal(map_images(path, place, resolution=32, most=3), FACES[drawn_places(len(FACES), 3)])


def test_mapped_images_are_read_a_block_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BLOCK", 2)
    sizes: list[int] = []

    def counted(*words: Any) -> tuple[int, streams.Blocks]:
        count, blocks = streams.count_and_blocks(*words)
        return count, (sizes.append(len(block)) or block for block in blocks)  # type: ignore[func-returns-value]

    monkeypatch.setattr(images_module, "count_and_blocks", counted)
    map_images(write(tmp_path, "npz"), tmp_path, resolution=32)
    assert sizes == [2, 2, 2, 1]


def test_a_part_is_drawn_from_all_classes_however_they_lie() -> None:
    """Sorted by class, or class after class in turn: neither the first images nor every tenth would be a sample."""
    drawn = np.array(drawn_places(50_000, 5_000))
    assert len(set(drawn)) == 5_000
    for classes in (drawn // 5_000, drawn % 10):
        assert np.bincount(classes, minlength=10).min() > 400
    assert list(drawn_places(7, 7)) == list(drawn_places(7, None)) == list(range(7))


def test_arrays_that_hold_no_images_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", FACES / 255)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(FACES))
    np.save(tmp_path / "flat.npy", FACES.reshape(7, -1))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "many.npz", one=FACES, two=FACES)
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    whole = (write(tmp_path, "npy")).read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-100])
    for name in ("floats.npy", "fortran.npy", "flat.npy", "objects.npy", "many.npz", "broken.npz", "short.npy"):
        with pytest.raises(BenchError, match=name.replace(".", r"\.")):
            load_images(tmp_path / name)
    wide = tmp_path / "wide.npy"
    np.save(wide, FACES[:, :, :, :20])
    with pytest.raises(BenchError, match="20x32"):
        load_images(wide)
    assert load_images(wide, resolution=32).shape == FACES.shape


def test_a_recipe_is_one_of_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "folder")
    with pytest.raises(BenchError, match="crop128"):
        load_images(path, recipe="crop12")
    with pytest.raises(BenchError, match="178x218"):
        load_images(path, recipe="crop128")


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_file_beyond_the_bound_is_named_and_not_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, kind)
    monkeypatch.setattr(archives, "MOST_IMAGE_BYTES", 100)
    with pytest.raises(BenchError, match=r"0\.png has [\d,]+ bytes, more than 100"):
        load_images(path, resolution=32)
