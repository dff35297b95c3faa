"""Pairs: input images beside the images, whatever they are, and what is wrong with those that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.data_images import encoded, picture
from PIL import Image
from pydantic import ValidationError

from bench.data import DataRequest, PreparedSet, check_conditions_of, faces, is_prepared, prepare, present_images
from bench.data.crops import render_image
from bench.data.faces.drawing import draw_pixels
from bench.data.inputs import edges, grey, quarter
from bench.data.prepared import _key
from bench.data.readers.base import Source
from bench.data.request import inputs_of
from bench.data.sampler import gather, load_conditions, load_to_device
from bench.errors import BenchError

FACES = {"source": "faces", "resolution": 32, "train_count": 12, "heldout_count": 6}
CPU = torch.device("cpu")


def ask(path: Path, **values: Any) -> DataRequest:
    return DataRequest.model_validate({"source": "folder", "path": str(path), "resolution": 32, **values})


def write(path: Path, image: Image.Image, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image, kind))


def side_by_side(number: int, side: int = 40) -> Image.Image:
    """Return the pictures `number` and `number` + 100 in one, as pix2pix's data are."""
    whole = Image.new("RGB", (2 * side, side))
    whole.paste(picture(number, side, side), (0, 0))
    whole.paste(picture(number + 100, side, side), (side, 0))
    return whole


# Which inputs a study may ask for


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "mnist", "input": "parts"}, "no input of mnist: edges, quarter"),
        ({"source": "celeba", "input": "left"}, "no input of celeba: edges, grey, quarter"),
        ({"source": "fashion-mnist", "input": "grey"}, "no input of fashion-mnist"),
        ({"source": "faces", "input": "edge"}, "'edges'"),
        ({"source": "faces", "input": "parts", "labels": ("hat",)}, "not both"),
        ({"source": "folder", "input": "left", "recipe": "crop128"}, "halves"),
    ],
)
def test_an_input_that_cannot_be_is_refused_at_its_key(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        DataRequest.model_validate(values)
    assert [error["loc"] for error in caught.value.errors()] == [("input",)]


def test_every_source_has_the_inputs_that_are_functions_of_its_images() -> None:
    assert inputs_of("faces") == ("parts", "edges", "grey", "quarter")
    assert inputs_of("folder") == ("left", "right", "folders", "edges", "grey", "quarter")
    assert inputs_of("own") == ("edges", "grey", "quarter")


def test_a_request_without_pairs_is_written_and_kept_as_before_there_were_any(tmp_path: Path) -> None:
    assert "input" not in DataRequest(source="faces").model_dump()
    source = Source("f", lambda: pytest.fail("read"), lambda _: pytest.fail("rendered"))
    keys = {
        "faces-none-64-46ff6dab5c32": DataRequest(source="faces"),
        "folder-square-64-b386f97d8eb2": DataRequest(source="folder", path="x"),
        "faces-none-64-f1ebd6c840fd": DataRequest(source="faces", labels=("hat",)),
    }
    assert {_key(request, source): request for request in keys.values()} == keys
    asked = DataRequest(source="faces", input="parts")
    assert _key(asked, source) not in keys
    assert DataRequest.model_validate_json(asked.model_dump_json()) == asked


# Drawn faces and the map of their parts


@pytest.mark.parametrize("resolution", faces.RESOLUTIONS)
def test_faces_are_drawn_the_same_with_the_map_of_their_parts(resolution: int) -> None:
    indices = [*range(60), faces.HELDOUT_START]
    pictures, numbers = faces.draw_faces_and_parts(3, indices, resolution)
    assert np.array_equal(pictures, faces.draw_faces(3, indices, resolution))
    assert numbers.shape == (61, resolution, resolution)
    assert set(np.unique(numbers)) == set(range(len(faces.PARTS)))
    shown = faces.parts_picture(numbers)
    assert (shown.shape, shown.dtype) == (pictures.shape, np.uint8)
    assert np.array_equal(faces.part_numbers(shown), numbers)


def test_shares_of_parts_add_up_to_one_and_32_pixels_are_their_means() -> None:
    for index in range(20):
        shares = draw_pixels(faces.face(0, index), 64, parts=True)[3:]
        assert shares.min() >= 0
        assert np.abs(shares.sum(axis=0) - 1).max() < 1e-5
        means = shares.reshape(10, 32, 2, 32, 2).mean(axis=(2, 4), dtype=np.float64)
        most = np.sort(means, axis=0)
        clear = most[-1] - most[-2] > 1e-4
        assert np.array_equal(faces.draw_faces_and_parts(0, [index], 32)[1][0][clear], means.argmax(axis=0)[clear])


def test_the_map_shows_what_is_worn_and_hides_every_colour() -> None:
    who = faces.face(0, 0)
    glasses, hat = faces.PARTS.index("glasses"), faces.PARTS.index("hat")

    def parts(**factors: int) -> np.ndarray:
        seen = faces.Face({**who.factors, **factors}, who.traits)
        return draw_pixels(seen, 64, parts=True)[3:].argmax(axis=0)

    for worn in range(3):
        assert (parts(glasses=worn) == glasses).any() == (worn > 0)
        assert (parts(hat=worn) == hat).any() == (worn > 0)
    colours = dict.fromkeys(("skin", "background", "shirt", "hair_colour", "eyes"), 2)
    assert np.array_equal(parts(**colours), parts(**dict.fromkeys(colours, 0)))


def test_colours_of_parts_lie_far_apart_and_others_are_refused() -> None:
    colours = np.array(list(faces.PART_COLOURS.values()), dtype=float)
    apart = np.linalg.norm(colours[:, None] - colours, axis=2)[~np.eye(10, dtype=bool)]
    assert apart.min() > 120
    with pytest.raises(BenchError):
        faces.part_numbers(np.full((1, 3, 2, 2), 7, np.uint8))


# Functions of the stored image


def test_grey_is_the_luma_that_pillow_makes() -> None:
    images = np.stack([np.asarray(picture(n, 32, 32)).transpose(2, 0, 1) for n in range(3)])
    expected = np.stack([np.asarray(picture(n, 32, 32).convert("L")) for n in range(3)])
    found = grey(images)
    assert (found == found[:, :1]).all()
    assert np.abs(found[:, 0].astype(int) - expected).max() <= 1


def test_edges_are_as_bright_as_the_step_is_high() -> None:
    images = np.zeros((1, 3, 16, 16), np.uint8)
    images[..., 8:] = 100
    found = edges(images)[0, 0]
    assert (found[:, [7, 8]] == 100).all()
    assert not np.delete(found, [7, 8], axis=1).any()
    assert np.array_equal(edges(images.transpose(0, 1, 3, 2))[0, 0], found.T)
    several = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    assert np.array_equal(edges(several)[1:2], edges(several[1:2]))
    checkered = np.indices((16, 16)).sum(axis=0) // 4 % 2 * 255
    assert edges(np.broadcast_to(checkered, (1, 3, 16, 16)).astype(np.uint8)).max() == 255


def test_quarter_holds_the_means_of_four_by_four_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    found = quarter(images)
    means = images.reshape(2, 3, 8, 4, 8, 4).mean(axis=(3, 5))
    assert np.abs(found[:, :, ::4, ::4] - means).max() <= 0.5
    assert np.array_equal(found, np.kron(found[:, :, ::4, ::4], np.ones((1, 1, 4, 4), np.uint8)))


# Prepared sets


@pytest.mark.parametrize("kind", ["parts", "edges"])
def test_inputs_lie_beside_images_that_are_as_without(tmp_path: Path, kind: str) -> None:
    without = prepare(DataRequest.model_validate(FACES), tmp_path, workers=1)
    asked = DataRequest.model_validate({**FACES, "input": kind})
    data = prepare(asked, tmp_path, workers=1)
    assert data.train.sha256 == without.train.sha256
    assert (without.train.inputs(), without.train.input_kind) == (None, None)
    assert set(data.digests()) - set(without.digests()) == {"train_inputs", "heldout_inputs"}
    assert present_images(asked, tmp_path) == data.digests()
    for prepared, start in ((data.train, 0), (data.heldout, faces.HELDOUT_START)):
        drawn, numbers = faces.draw_faces_and_parts(0, range(start, start + prepared.count), 32)
        inputs = prepared.inputs()
        assert inputs is not None
        assert np.array_equal(inputs, faces.parts_picture(numbers) if kind == "parts" else edges(drawn))
        assert prepared.input_kind == kind


def test_an_interrupted_preparation_of_pairs_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.build.BLOCK", 5)
    monkeypatch.setattr("bench.data.build.BLOCKS_PER_CHECKPOINT", 1)
    asked = DataRequest.model_validate({**FACES, "input": "parts"})
    whole = prepare(asked, tmp_path / "whole", workers=1).digests()

    def stop(stage: str, done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(asked, tmp_path, stop, workers=1)
    begun = next((tmp_path / "prepared").glob("*.partial"))
    assert (begun / "train" / "inputs.npy").stat().st_size == (begun / "train" / "images.npy").stat().st_size
    counts: list[int] = []
    assert prepare(asked, tmp_path, lambda stage, done, total: counts.append(done), workers=1).digests() == whole
    assert counts[0] == 12  # the first ten were kept
    with pytest.raises(KeyboardInterrupt):
        prepare(asked, tmp_path / "again", stop, workers=1)
    begun = next((tmp_path / "again" / "prepared").glob("*.partial"))
    (begun / "train" / "inputs.npy").unlink()
    assert prepare(asked, tmp_path / "again", workers=1).digests() == whole


def test_damaged_inputs_are_found(tmp_path: Path) -> None:
    asked = DataRequest.model_validate({**FACES, "input": "grey"})
    train = prepare(asked, tmp_path, workers=1).train
    whole = train.inputs_path.read_bytes()
    changed = bytearray(whole)
    changed[-5] ^= 1
    times = train.inputs_path.stat()
    train.inputs_path.write_bytes(changed)
    with pytest.raises(BenchError, match="SHA-256 of its inputs"):
        PreparedSet.open(train.path)
    os.utime(train.inputs_path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(BenchError, match="SHA-256 of its inputs"):
        PreparedSet.open(train.path).verify()
    train.inputs_path.write_bytes(whole[:-1])
    with pytest.raises(BenchError, match="damaged"):
        is_prepared(asked, tmp_path)
    train.inputs_path.unlink()
    with pytest.raises(BenchError, match=r"inputs\.npy"):
        is_prepared(asked, tmp_path)


def test_a_batch_of_inputs_reaches_the_device_as_its_images_do(tmp_path: Path) -> None:
    train = prepare(DataRequest.model_validate({**FACES, "input": "parts"}), tmp_path, workers=1).train
    conditions = load_conditions(train, CPU, limit_bytes=10**9)
    inputs = train.inputs()
    assert conditions is not None
    assert inputs is not None
    chosen = np.array([3, 0, 11])
    batch = gather(conditions, chosen, CPU)
    assert torch.equal(batch, torch.from_numpy(np.array(inputs[chosen])).float() / 127.5 - 1)
    images = gather(load_to_device(train.images(), CPU, 10**9), chosen, CPU)
    assert (batch.shape, batch.dtype, batch.stride()) == (images.shape, images.dtype, images.stride())


# Folders of pairs


def test_halves_of_files_are_input_and_target(tmp_path: Path) -> None:
    for place, name in enumerate(["train/a.png", "train/x/b.png", "val/c.png"]):
        write(tmp_path / "set" / name, side_by_side(place))
    left = prepare(ask(tmp_path / "set", input="left"), tmp_path / "data", workers=1)
    right = prepare(ask(tmp_path / "set", input="right"), tmp_path / "data", workers=1)
    for data, first, second in ((left, 0, 100), (right, 100, 0)):
        inputs = data.train.inputs()
        assert inputs is not None
        for place in (0, 1):
            assert np.array_equal(inputs[place], render_image(picture(place + first, 40, 40), "square", 32))
            assert np.array_equal(
                data.train.images()[place], render_image(picture(place + second, 40, 40), "square", 32)
            )
    assert left.heldout.count == 1
    assert left.train.manifest["source_details"]["partition"] == "sub-folders train and val"
    assert left.train.path != right.train.path


def test_the_test_folder_is_held_out_before_val_and_without_both_a_tenth(tmp_path: Path) -> None:
    for name in ("train/a.png", "val/b.png", "test/c.png", "test/d.png"):
        write(tmp_path / "three" / name, side_by_side(1))
    assert prepare(ask(tmp_path / "three", input="left"), tmp_path / "data", workers=1).heldout.count == 2
    for number in range(40):
        write(tmp_path / "one" / "train" / f"{number}.png", side_by_side(number))
    data = prepare(ask(tmp_path / "one", input="left"), tmp_path / "data", workers=1)
    assert data.train.count + data.heldout.count == 40
    assert 1 <= data.heldout.count <= 12


def test_two_folders_are_matched_by_name_whatever_the_suffix(tmp_path: Path) -> None:
    for place, name in enumerate(["train/a", "train/x/b", "test/c"]):
        write(tmp_path / "set" / "A" / f"{name}.png", picture(place, 48, 40))
        write(tmp_path / "set" / "B" / f"{name}.bmp", picture(place + 100, 96, 80), "BMP")
    (tmp_path / "set" / "AB").mkdir()
    data = prepare(ask(tmp_path / "set", input="folders"), tmp_path / "data", workers=1)
    inputs = data.heldout.inputs()
    assert inputs is not None
    assert np.array_equal(inputs[0], render_image(picture(2, 48, 40), "square", 32))
    assert np.array_equal(data.heldout.images()[0], render_image(picture(102, 96, 80), "square", 32))
    assert data.train.count == 2
    kept = prepare(ask(tmp_path / "set", input="folders", train_count=1), tmp_path / "data", workers=1)
    assert kept.train.count == 1


def wrong_shape(folder: Path) -> str:
    write(folder / "train" / "wide.png", picture(1, 81, 40))
    return "train/wide.png is 81x40"


def no_image(folder: Path) -> str:
    (folder / "train" / "text.png").write_text("no image")
    return "train/text.png is no image"


@pytest.mark.parametrize("damage", [wrong_shape, no_image])
def test_files_that_hold_no_two_squares_are_named_before_work(tmp_path: Path, damage: Any) -> None:
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        write(tmp_path / "set" / name, side_by_side(1))
    said = damage(tmp_path / "set")
    asked = ask(tmp_path / "set", input="left")
    for act in (check_conditions_of, prepare):
        with pytest.raises(BenchError, match=said):
            act(asked, tmp_path / "data")
    assert not list((tmp_path / "data").glob("prepared/*.partial"))


def alone(folder: Path) -> str:
    write(folder / "A" / "train" / "only.png", picture(1, 40, 40))
    (folder / "B" / "test" / "c.png").unlink()
    return r"2 image\(s\) have no partner.*\n  A/test/c.png\n  A/train/only.png"


def twice(folder: Path) -> str:
    write(folder / "A" / "train" / "a.bmp", picture(1, 40, 40), "BMP")
    return "holds train/a twice: train/a.bmp and train/a.png"


def other_shape(folder: Path) -> str:
    write(folder / "B" / "train" / "a.png", picture(1, 40, 80))
    return "B/train/a.png is 40x80 pixels and A/train/a.png 40x40"


def one_folder(folder: Path) -> str:
    (folder / "B").rename(folder / "b-side")
    return "no sub-folders A and B"


@pytest.mark.parametrize("damage", [alone, twice, other_shape, one_folder])
def test_folders_that_do_not_pair_are_refused_by_name(tmp_path: Path, damage: Any) -> None:
    for name in ("train/a.png", "train/b.png", "test/c.png"):
        for part in "AB":
            write(tmp_path / "set" / part / name, picture(1, 40, 40))
    said = damage(tmp_path / "set")
    asked = ask(tmp_path / "set", input="folders")
    for act in (check_conditions_of, prepare):
        with pytest.raises(BenchError, match=said):
            act(asked, tmp_path / "data")


def test_a_missing_folder_of_pairs_is_told_as_any_other(tmp_path: Path) -> None:
    check_conditions_of(ask(tmp_path / "none", input="left"), tmp_path / "data")
    with pytest.raises(BenchError, match="does not exist"):
        prepare(ask(tmp_path / "none", input="left"), tmp_path / "data")
