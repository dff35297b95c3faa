"""Any folder of images, and the torchvision sets from files in torchvision's own formats."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import socket
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.data_images import encoded, picture

from bench.data import DataRequest, is_prepared, prepare, present_images
from bench.data.crops import render_image
from bench.data.readers.base import is_held_out
from bench.errors import BenchError
from bench.images import UnusableImageError, open_image


def ask(path: Path, **values: object) -> DataRequest:
    return DataRequest.model_validate({"source": "folder", "path": str(path), "resolution": 32, **values})


def write_images(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Write lossless images of 32x32; returns their pixels."""
    pixels = {}
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = picture(place, 32, 32)
        kind = {"png": "PNG", "bmp": "BMP", "webp": "WEBP"}[name.rsplit(".", 1)[1].lower()]
        if kind == "WEBP":
            image.save(folder / name, kind, lossless=True)
        else:
            (folder / name).write_bytes(encoded(image, kind))
        pixels[name] = np.asarray(image).transpose(2, 0, 1)
    return pixels


def test_a_folder_is_read_in_the_order_of_names_with_a_tenth_held_out(tmp_path: Path) -> None:
    names = [f"{'abc'[place % 3]}/{place:02d}.{('png', 'BMP', 'webp')[place % 3]}" for place in range(60)]
    pixels = write_images(tmp_path / "images", names)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    (tmp_path / "images" / ".hidden.png").write_bytes(b"not an image")
    data = prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1)
    heldout = sorted(name for name in names if is_held_out(name, seed=0))
    train = sorted(set(names) - set(heldout))
    assert 1 <= len(heldout) <= 14
    np.testing.assert_array_equal(data.train.images(), np.stack([pixels[name] for name in train]))
    np.testing.assert_array_equal(data.heldout.images(), np.stack([pixels[name] for name in heldout]))
    assert data.train.manifest["recipe"] == "square"
    assert "a tenth" in data.train.manifest["source_details"]["partition"]


def test_subfolders_train_and_test_are_the_splits(tmp_path: Path) -> None:
    pixels = write_images(tmp_path / "images", ["train/a.png", "train/x/b.png", "test/c.png", "val/d.png", "e.png"])
    data = prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1)
    np.testing.assert_array_equal(data.train.images(), np.stack([pixels["train/a.png"], pixels["train/x/b.png"]]))
    np.testing.assert_array_equal(data.heldout.images(), pixels["test/c.png"][None])
    assert data.heldout.manifest["source_details"]["partition"] == "sub-folders train and test"


def test_a_folder_of_aligned_celeba_takes_its_named_crops(tmp_path: Path) -> None:
    for name, number in (("train/a.png", 1), ("test/b.png", 2)):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(encoded(picture(number), "PNG"))
    data = prepare(ask(tmp_path / "images", recipe="crop140", resolution=64), tmp_path / "data", workers=1)
    assert data.train.manifest["recipe"] == "crop140"
    np.testing.assert_array_equal(data.train.images()[0], render_image(picture(1), "crop140", 64))
    np.testing.assert_array_equal(data.heldout.images()[0], render_image(picture(2), "crop140", 64))


def test_other_images_refuse_celebas_crops(tmp_path: Path) -> None:
    write_images(tmp_path / "images", ["train/a.png", "test/b.png"])
    with pytest.raises(BenchError, match="32x32 pixels, not 178x218"):
        prepare(ask(tmp_path / "images", recipe="crop128"), tmp_path / "data", workers=1)


def test_a_changed_folder_is_prepared_anew(tmp_path: Path) -> None:
    write_images(tmp_path / "images", ["train/a.png", "test/c.png"])
    first = prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1)
    assert is_prepared(ask(tmp_path / "images"), tmp_path / "data") == first
    then = {"train": first.train.sha256, "heldout": first.heldout.sha256}
    assert present_images(ask(tmp_path / "images"), tmp_path / "data") == then
    write_images(tmp_path / "images", ["train/b.png"])
    assert present_images(ask(tmp_path / "images"), tmp_path / "data") not in (None, then)
    assert present_images(ask(tmp_path / "images"), tmp_path / "other") is None
    assert is_prepared(ask(tmp_path / "images"), tmp_path / "data") is None
    assert prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1).train.count == 2


def test_counts_choose_among_the_images(tmp_path: Path) -> None:
    pixels = write_images(tmp_path / "images", [f"train/{n}.png" for n in range(9)] + ["test/a.png"])
    data = prepare(ask(tmp_path / "images", train_count=4), tmp_path / "data", workers=1)
    known = {value.tobytes() for value in pixels.values()}
    assert data.train.count == len({image.tobytes() for image in data.train.images()} & known) == 4


@pytest.mark.parametrize("what", ["missing", "file", "empty", "one", "no path"])
def test_a_wrong_folder_is_told(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "images"
    words = {"missing": "does not exist", "file": "is a file", "empty": "holds 0 image", "one": "holds 1 image"}
    if what == "file":
        folder.touch()
    if what in {"empty", "one"}:
        write_images(folder, ["a.png"] if what == "one" else [])
        folder.mkdir(exist_ok=True)
    request = DataRequest(source="folder") if what == "no path" else ask(folder)
    with pytest.raises(BenchError, match=words.get(what, "needs a path")) as caught:
        prepare(request, tmp_path / "data", workers=1)
    assert caught.value.hint


def sound_and_odd(folder: Path) -> Path:
    write_images(folder, ["train/a.png", "test/b.png"])
    return folder


def test_linked_folders_are_followed_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", ["train/a.png", "test/c.png"])
    (tmp_path / "images").mkdir()
    for part in ("train", "test"):
        (tmp_path / "images" / part).symlink_to(tmp_path / "elsewhere" / part)
    (tmp_path / "elsewhere" / "train" / "again").symlink_to(tmp_path / "images")
    data = prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1)
    assert (data.train.count, data.heldout.count) == (1, 1)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scandir = sound_and_odd(tmp_path / "images"), os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("train"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(BenchError, match=r"images/train: Permission denied"):
        prepare(ask(folder), tmp_path / "data", workers=1)


def test_links_that_lead_nowhere_and_pipes_are_named(tmp_path: Path) -> None:
    folder = sound_and_odd(tmp_path / "images")
    (folder / "train" / "dead.png").symlink_to("gone.png")
    os.mkfifo(folder / "train" / "pipe.png")
    with pytest.raises(BenchError, match=r"2 of 4 images") as caught:
        is_prepared(ask(folder), tmp_path / "data")
    assert "train/dead.png" in caught.value.message
    assert "train/pipe.png is no file" in caught.value.message


def test_names_that_are_not_utf_8_are_read(tmp_path: Path) -> None:
    folder = sound_and_odd(tmp_path / "images")
    name = os.fsdecode("train/caf\u00e9.png".encode("latin-1"))
    (folder / "train" / "a.png").rename(folder / name)
    assert prepare(ask(folder), tmp_path / "data", workers=1).train.count == 1
    (folder / name).write_bytes(b"text")
    with pytest.raises(BenchError, match=r"1 image\(s\) cannot be used"):
        prepare(ask(folder), tmp_path / "data", workers=1)


def test_images_of_other_formats_are_read_or_counted_and_said(tmp_path: Path) -> None:
    folder = sound_and_odd(tmp_path / "images")
    image = picture(9, 32, 32)
    for name, kind in (("t.tif", "TIFF"), ("p.ppm", "PPM"), ("j.jfif", "JPEG"), ("g.gif", "GIF"), ("h.GIF", "GIF")):
        (folder / "train" / name).write_bytes(encoded(image, kind))
    said: list[str] = []
    data = prepare(ask(folder), tmp_path / "data", lambda stage, done, total: said.append(stage), workers=1)
    assert data.train.count == 4
    assert data.train.manifest["source_details"]["left_out"] == {".gif": 2}
    assert any("2 .gif" in stage for stage in said)


def test_a_validation_folder_is_held_out_and_never_mixed_into_training(tmp_path: Path) -> None:
    pixels = write_images(tmp_path / "images", [*(f"train/{n}.png" for n in range(12)), "val/d.png"])
    data = prepare(ask(tmp_path / "images"), tmp_path / "data", workers=1)
    assert data.train.count == 12
    np.testing.assert_array_equal(data.heldout.images(), pixels["val/d.png"][None])


def test_postscript_under_an_images_name_is_no_image(tmp_path: Path) -> None:
    folder = sound_and_odd(tmp_path / "images")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"
    (folder / "train" / "a.png").write_bytes(script)
    with pytest.raises(BenchError, match=r"train/a\.png is no image"):
        prepare(ask(folder), tmp_path / "data", workers=1)


def test_more_pixels_than_a_photograph_has_are_not_decoded() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png += struct.pack(">I", 10) + b"IDAT"
    with pytest.raises(UnusableImageError, match="pixels"), open_image(png):
        pass
    small = encoded(picture(0, 32, 32), "PNG")
    with pytest.raises(UnusableImageError, match="32x32, more than 1,000"), open_image(small, most_pixels=1_000):
        pass


ARCHIVES = {
    "celeba.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "7-Zip"),
    "celeba.tar.gz": (gzip.compress(b"x" * 600), "gzip"),
    "celeba.zip": (b"x" * 257 + b"ustar" + bytes(600), "tar"),
}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("source", ["folder", "celeba", "celeba beside"])
def test_other_archives_are_called_what_they_are(tmp_path: Path, name: str, source: str) -> None:
    content, kind = ARCHIVES[name]
    (tmp_path / name).write_bytes(content)
    path = tmp_path if source == "celeba beside" else tmp_path / name
    request = DataRequest.model_validate({"source": source.split()[0], "path": str(path)})
    with pytest.raises(BenchError, match=kind) as caught:
        prepare(request, tmp_path / "data", workers=1)
    assert "npack" in str(caught.value)
    assert "cut off" not in str(caught.value)


@pytest.mark.parametrize("place", ["CelebA/Img/img_align_celeba", "Img/img_align_celeba", "Img/img_align_celeba_png"])
def test_the_official_layout_of_celeba_is_found(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "set" / place
    folder.mkdir(parents=True)
    for number in (1, 2, 182_638):
        (folder / f"{number:06d}.png").write_bytes(encoded(picture(number), "PNG"))
    (tmp_path / "set" / "Eval").mkdir(exist_ok=True)
    request = DataRequest.model_validate({"source": "celeba", "path": str(tmp_path / "set"), "partial": True})
    assert prepare(request, tmp_path / "data", workers=1).train.count > 0


# The torchvision sets


def idx(images: np.ndarray) -> bytes:
    return struct.pack(">iiii", 2051, *images.shape) + images.tobytes()


def write_mnist(folder: Path, name: str = "MNIST") -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (7, 3))
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(train))
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(test))
    return train, test


@pytest.mark.parametrize(("source", "name"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_files_become_32x32_with_three_channels(tmp_path: Path, source: Any, name: str) -> None:
    write_mnist(tmp_path / "cache" / "torchvision", name)
    data = prepare(DataRequest(source=source), tmp_path, workers=1)
    assert data.train.images().shape == (7, 3, 32, 32)
    assert data.heldout.images().shape == (3, 3, 32, 32)
    assert data.train.manifest["source_details"]["original_size"] == [28, 28]
    assert is_prepared(DataRequest(source=source), tmp_path) == data


def test_a_cut_off_idx_file_is_told(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BenchError, match=r"t10k-images-idx3-ubyte .*cut off"):
        prepare(DataRequest(source="mnist", path=str(tmp_path)), tmp_path / "data", workers=1)
    assert not list((tmp_path / "data").rglob("images.npy"))


def test_compressed_files_put_there_by_hand_are_unpacked_by_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    write_mnist(tmp_path / "made")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    resources = []
    for part in ("train", "t10k"):
        images = (tmp_path / "made" / "MNIST" / "raw" / f"{part}-images-idx3-ubyte").read_bytes()
        count = {"train": 7, "t10k": 3}[part]
        labels = struct.pack(">ii", 2049, count) + bytes(count)
        for name, content in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
            (raw / name).write_bytes(gzip.compress(content))
            resources.append((name, hashlib.md5((raw / name).read_bytes()).hexdigest()))
    monkeypatch.setattr(MNIST, "resources", resources)  # only the expected checksums are other ones
    assert prepare(DataRequest(source="mnist", path=str(tmp_path)), tmp_path / "data", workers=1).train.count == 7


def write_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Write CIFAR-10's pickles with other images, and tell torchvision their checksums; returns the training pixels."""
    from torchvision.datasets import CIFAR10

    base = folder / "cifar-10-batches-py"
    base.mkdir(parents=True)
    random = np.random.default_rng(1)
    pixels, checksums = [], {}
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        batch = random.integers(0, 256, (2, 3072), dtype=np.uint8)
        (base / name).write_bytes(pickle.dumps({"data": batch, "labels": [0, 1]}))
        checksums[name] = hashlib.md5((base / name).read_bytes()).hexdigest()
        pixels.append(batch.reshape(2, 3, 32, 32))
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}))
    meta = {**CIFAR10.meta, "md5": hashlib.md5((base / "batches.meta").read_bytes()).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5] for name, md5 in checksums.items() if name != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", checksums["test_batch"]]])
    return np.concatenate(pixels[:5])


def test_cifar_files_keep_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = write_cifar(tmp_path / "cache" / "torchvision", monkeypatch)
    data = prepare(DataRequest(source="cifar10"), tmp_path, workers=1)
    np.testing.assert_array_equal(data.train.images(), train)
    assert data.heldout.count == 2
    assert data.train.manifest["source_details"]["filter"] == "none"


def test_a_changed_cifar_file_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(BenchError, match="not CIFAR-10 as it was published"):
        prepare(DataRequest(source="cifar10", path=str(tmp_path)), tmp_path / "data", workers=1)


class _Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("a file with a wrong checksum was unpickled",)


@pytest.mark.parametrize("source", ["mnist", "fashion-mnist", "cifar10"])
def test_without_a_network_the_place_for_the_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any
) -> None:
    def refuse(*_args: object, **_values: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)  # so that no machine really downloads here
    assert is_prepared(DataRequest(source=source), tmp_path) is None
    with pytest.raises(BenchError, match=r"failed.*Temporary failure") as caught:
        prepare(DataRequest(source=source), tmp_path, workers=1)
    assert "by hand" in str(caught.value.hint)
    assert str(tmp_path / "cache" / "torchvision") in str(caught.value.hint)
