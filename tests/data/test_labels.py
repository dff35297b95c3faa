"""Labels beside images: every source's own, and what is wrong with those that cannot be used."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.data_images import encoded, picture, write_zip
from helpers.extras import needed
from pydantic import ValidationError

from bench.data import DataRequest, PreparedSet, check_conditions_of, faces, is_prepared, prepare, present_images
from bench.data.readers.attributes import ATTRIBUTES, parse_attributes
from bench.errors import BenchError

FACES = {"source": "faces", "resolution": 32, "train_count": 70, "heldout_count": 70}
NUMBERS = [1, 2, 3, 4, 182_638, 182_639, 182_640, 182_641]


def ask(path: Path, source: str, **values: Any) -> DataRequest:
    partial = {"partial": True} if source == "celeba" else {}
    return DataRequest.model_validate({"source": source, "path": str(path), "labels": ("class",), **partial, **values})


# Drawn faces


def test_labels_of_faces_are_the_factors_they_were_drawn_with(tmp_path: Path) -> None:
    data = prepare(DataRequest.model_validate({**FACES, "labels": ("hat", "skin")}), tmp_path, workers=1)
    assert data.train.factors == {"hat": faces.FACTORS["hat"], "skin": faces.FACTORS["skin"]}
    for prepared, start in ((data.train, 0), (data.heldout, faces.HELDOUT_START)):
        drawn = [faces.factors(0, start + index) for index in range(70)]
        labels, told = prepared.labels(), prepared.conditions()
        assert labels is not None
        assert told is not None
        assert labels.tolist() == [[face["hat"], face["skin"]] for face in drawn]
        assert told.shape == (70, 3 + 5)
        assert (told.argmax(1) == labels[:, 0]).all()
        assert (told[:, 3:].argmax(1) == labels[:, 1]).all()
        assert (told.sum(1) == 2).all()


def test_images_are_the_same_with_labels_and_without(tmp_path: Path) -> None:
    without = prepare(DataRequest.model_validate(FACES), tmp_path, workers=1)
    asked = DataRequest.model_validate({**FACES, "labels": ("hat",)})
    labelled = prepare(asked, tmp_path, workers=1)
    assert without.train.sha256 == labelled.train.sha256
    assert (without.train.labels(), without.train.conditions(), without.train.factors) == (None, None, {})
    assert set(labelled.digests()) - set(without.digests()) == {"train_labels", "heldout_labels"}
    assert present_images(asked, tmp_path) == labelled.digests()


@pytest.mark.parametrize(
    ("source", "labels", "said"),
    [
        ("faces", ("hatt",), 'did you mean "hat"'),
        ("faces", ("mouth",), "certainty"),
        ("faces", ("hat", "hat"), "twice"),
        ("celeba", ("Smilng",), 'did you mean "Smiling"'),
        ("mnist", ("digit",), "class"),
        ("folder", ("kind",), "class"),
        ("own", ("class",), "have none"),
        ("own", ("hat",), "have none"),
    ],
)
def test_a_label_that_a_source_has_not_is_refused(source: str, labels: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DataRequest.model_validate({"source": source, "labels": labels})


def test_a_request_without_labels_is_written_as_before_there_were_any() -> None:
    assert "labels" not in DataRequest(source="faces").model_dump()
    assert DataRequest(source="faces", labels=("hat",)).model_dump(mode="json", exclude={"path"})["labels"] == ["hat"]


def test_a_request_with_labels_is_read_back_from_json() -> None:
    asked = DataRequest(source="faces", labels=("hat", "glasses"))
    assert DataRequest.model_validate_json(asked.model_dump_json()) == asked


def test_damaged_labels_are_found(tmp_path: Path) -> None:
    asked = DataRequest.model_validate({**FACES, "labels": ("hat",)})
    path = prepare(asked, tmp_path, workers=1).train.path
    labels = np.load(path / "labels.npy")
    np.save(path / "labels.npy", (labels + 1) % 3)
    with pytest.raises(BenchError, match="SHA-256 of its labels"):
        PreparedSet.open(path)
    np.save(path / "labels.npy", labels[:-1])
    with pytest.raises(BenchError, match=r"labels.npy is uint8 \(69, 1\)"):
        is_prepared(asked, tmp_path)
    (path / "labels.npy").unlink()
    with pytest.raises(BenchError, match="damaged"):
        is_prepared(asked, tmp_path)


# MNIST and its kin


def write_mnist(
    folder: Path,
    classes: Sequence[Sequence[int]] = ((3, 1, 1, 3), (1, 3)),
    kind: str = ".gz",
    files: str = "images labels",
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, shown in zip(("train", "t10k"), classes, strict=True):
        images = np.arange(len(shown), dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
        contents = {
            "images": ("images-idx3", struct.pack(">iiii", 2051, *images.shape) + images.tobytes()),
            "labels": ("labels-idx1", struct.pack(">ii", 2049, len(shown)) + bytes(shown)),
        }
        for name in files.split():
            called, content = contents[name]
            packed = gzip.compress(content) if kind else content
            (folder / f"{part}-{called}-ubyte{kind}").write_bytes(packed)


@pytest.mark.parametrize(("place", "kind"), [("", ".gz"), ("", ""), ("FashionMNIST/raw", "")])
def test_fashion_mnist_with_its_classes_wherever_the_files_lie(tmp_path: Path, place: str, kind: str) -> None:
    write_mnist(tmp_path / "files" / place, kind=kind)
    data = prepare(ask(tmp_path / "files", "fashion-mnist"), tmp_path / "data", workers=1)
    labels = data.train.labels()
    assert labels is not None
    assert labels.tolist() == [[3], [1], [1], [3]]
    assert data.train.factors["class"][3] == "dress"
    assert [int(image[0, 0, 0]) for image in data.train.images()] == [0, 1, 2, 3]
    kept = prepare(ask(tmp_path / "files", "fashion-mnist", train_count=3), tmp_path / "data", workers=1).train
    chosen = kept.labels()
    assert chosen is not None
    assert [*chosen.tolist()] == [[3], [1], [1], [3]] or chosen.tolist() == [
        labels[int(image[0, 0, 0])].tolist() for image in kept.images()
    ]


def test_without_the_label_files_the_missing_one_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, files="images")
    assert prepare(ask(tmp_path, "mnist", labels=()), tmp_path / "data", workers=1).train.count == 4
    with pytest.raises(BenchError, match="train-labels-idx1-ubyte"):
        prepare(ask(tmp_path, "mnist"), tmp_path / "data", workers=1)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (((3, 1, 1), (1, 3)), "4 images"),
        (((3, 1, 1, 77), (1, 3)), "up to 77"),
        (((3, 1, 1, 2), (1, 3)), "class 2 is shown by training images alone"),
        (((3, 1, 1, 3), (1, 2)), "class 3 is shown by training images alone"),
        (((3, 3, 3, 3), (3, 3)), "nothing to tell"),
    ],
)
def test_classes_that_do_not_fit_are_told_before_anything_is_prepared(
    tmp_path: Path, classes: tuple[tuple[int, ...], ...], said: str
) -> None:
    write_mnist(tmp_path / "files")
    write_mnist(tmp_path / "files", classes, files="labels")
    asked = ask(tmp_path / "files", "mnist")
    for act in (check_conditions_of, prepare):
        with pytest.raises(BenchError, match=said):
            act(asked, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("images.npy"))


def test_a_cut_off_compressed_file_is_told(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    file = tmp_path / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BenchError, match=r"train-labels-idx1-ubyte\.gz cannot be read"):
        prepare(ask(tmp_path, "mnist"), tmp_path / "data", workers=1)


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="Debian's package is not installed")
def test_debian_s_fashion_mnist(tmp_path: Path) -> None:
    asked = ask(Path("/usr/share/datasets/fashion-mnist"), "fashion-mnist", train_count=300, heldout_count=300)
    labels = prepare(asked, tmp_path, workers=1).train.labels()
    assert labels is not None
    assert set(labels[:, 0].tolist()) == set(range(10))


# Folders


def write_images(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(number, 64, 64), "PNG"))


def test_a_folder_a_class_sorted_by_code_point(tmp_path: Path) -> None:
    write_images(
        tmp_path / "set", *(f"{part}/{kind}/{n}.png" for part in ("train", "test") for kind in "bAé" for n in (1, 2))
    )
    data = prepare(ask(tmp_path / "set", "folder"), tmp_path / "data", workers=1)
    assert data.train.factors == {"class": ("A", "b", "é")}
    for prepared in (data.train, data.heldout):
        labels = prepared.labels()
        assert labels is not None
        assert labels[:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_classes_without_splits_go_by_the_first_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "set", *(f"{kind}/deeper/{n}.png" for kind in ("cat", "dog") for n in range(60)))
    data = prepare(ask(tmp_path / "set", "folder"), tmp_path / "data", workers=1)
    assert data.train.factors == {"class": ("cat", "dog")}
    assert data.train.count + data.heldout.count == 120


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train/a/1.png", "train/2.png", "test/a/1.png"], "such as train/2.png"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png"], "class b is shown by training images alone"),
        (["train/a/1.png", "test/a/1.png", "test/b/2.png"], "class b is shown by held-out images alone"),
        (["train/a/1.png", "test/a/1.png"], "nothing to tell"),
        ([f"{part}/{kind}/1.png" for part in ("train", "test") for kind in range(257)], "at most 256"),
    ],
)
def test_folders_whose_classes_do_not_fit(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    with pytest.raises(BenchError, match=said):
        check_conditions_of(ask(tmp_path / "set", "folder"), tmp_path / "data")


# CelebA's attributes


def attribute_text(numbers: Sequence[int], count: int | None = None) -> str:
    """Write list_attr_celeba.txt as it comes: every second image smiles, every third is young."""
    rows = []
    for number in numbers:
        signs = {"Smiling": 1 if number % 2 else -1, "Young": 1 if number % 3 else -1}
        rows.append(f"{number:06d}.jpg " + " ".join(f"{signs.get(name, -1):2d}" for name in ATTRIBUTES))
    return "\n".join([str(count or len(numbers)), " ".join(ATTRIBUTES) + " ", *rows, ""])


def as_csv(text: str) -> str:
    _, names, *rows = text.splitlines()
    return "\n".join(["image_id," + ",".join(names.split()), *(",".join(row.split()) for row in rows)]) + "\n"


def celeba(path: Path, **values: Any) -> DataRequest:
    return ask(path, "celeba", labels=("Smiling", "Young"), **values)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.data.readers.celeba.FEWEST_TEST_IMAGES", 3)
    return write_zip(tmp_path / "celeba" / "img_align_celeba.zip", NUMBERS)


def assert_joined(request: DataRequest, root: Path) -> None:
    data = prepare(request, root, workers=1)
    assert data.train.factors == {"Smiling": ("no", "yes"), "Young": ("no", "yes")}
    for prepared, numbers in ((data.train, NUMBERS[:4]), (data.heldout, NUMBERS[4:])):
        labels = prepared.labels()
        assert labels is not None
        assert labels.tolist() == [[number % 2, int(number % 3 > 0)] for number in numbers]


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv"])
def test_attributes_are_joined_by_file_name_not_by_row(tmp_path: Path, images: Path, name: str) -> None:
    text = attribute_text([7, *reversed(NUMBERS)], count=202_599)
    file = images.parent / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(as_csv(text) if name.endswith("csv") else text)
    assert_joined(celeba(images.parent), tmp_path / "data")
    assert_joined(celeba(images), tmp_path / "data")  # beside the archive that is named
    before = present_images(celeba(images), tmp_path / "data")
    file.write_text(file.read_text().replace("000003.jpg", "000009.jpg"))
    with pytest.raises(BenchError, match=r"no row for 1 of 4 images, such as 000003.jpg"):
        prepare(celeba(images), tmp_path / "data", workers=1)
    assert before is not None


def test_attributes_in_kaggle_s_archive(tmp_path: Path, images: Path) -> None:
    import zipfile

    with zipfile.ZipFile(images, "a") as archive:
        archive.writestr("list_attr_celeba.csv", as_csv(attribute_text(NUMBERS)))
    assert_joined(celeba(images), tmp_path / "data")


def test_attributes_in_parquet_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    from helpers.data_images import jpeg

    monkeypatch.setattr("bench.data.readers.celeba.FEWEST_TEST_IMAGES", 3)
    (tmp_path / "shards").mkdir()
    rows = [{"bytes": jpeg(number), "path": f"{number:06d}.jpg"} for number in NUMBERS]
    smiling = [number % 2 == 1 for number in NUMBERS]
    columns = {"image": rows, "Smiling": smiling, "Young": [1 if number % 3 else -1 for number in NUMBERS]}
    parquet.write_table(pa.table(columns), tmp_path / "shards" / "train-0.parquet", row_group_size=3)
    assert_joined(celeba(tmp_path / "shards"), tmp_path / "data")
    with pytest.raises(BenchError, match="no column Male"):
        check_conditions_of(ask(tmp_path / "shards", "celeba", labels=("Male",)), tmp_path / "data")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!DOCTYPE html><html>quota exceeded</html>", "HTML page"),
        ("", "empty"),
        (attribute_text(NUMBERS)[:-20], "line 10, is no row"),
        (attribute_text(NUMBERS[:-1]), "no row for 1 of 4 images, such as 182641"),
        (attribute_text(NUMBERS).replace("Smiling", "Grinning"), "no attribute Smiling"),
        ("000001.jpg 1 1\n000002.jpg 1 1\n", "does not begin"),
    ],
)
def test_attribute_files_that_are_wrong(tmp_path: Path, images: Path, content: str, said: str) -> None:
    (images.parent / "list_attr_celeba.txt").write_text(content)
    with pytest.raises(BenchError, match=said):
        check_conditions_of(celeba(images.parent), tmp_path / "data")


def test_without_attributes_the_file_to_bring_is_named(tmp_path: Path, images: Path) -> None:
    with pytest.raises(BenchError, match=r"no list_attr_celeba\.txt"):
        check_conditions_of(celeba(images), tmp_path / "data")
    assert len(ATTRIBUTES) == 40


def test_trailing_blanks_and_padding_do_not_move_columns() -> None:
    text = attribute_text([5, 6]).replace(" 1", "   1").replace("\n", " \r\n")
    assert parse_attributes(text.encode(), "x", ["Young", "Smiling"]) == {5: [1, 1], 6: [0, 0]}
