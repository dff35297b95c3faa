"""The shared cache: computed once, never stale, never half there."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.prepared import PreparedData, PreparedSet
from bench.evaluation import reference
from bench.evaluation.cache import Arrays, Cache
from bench.evaluation.features import Features
from bench.evaluation.metrics import floors
from bench.evaluation.reference import Part, Reference
from bench.metrics.settings import EvaluationSettings
from bench.runs import identity
from bench.runs.identity import code_hash


class Counting:
    """Something slow to compute, which counts how often it was."""

    def __init__(self, value: float = 1.0, seconds: float = 0.0) -> None:
        self.calls = 0
        self.value = value
        self.seconds = seconds

    def __call__(self) -> Arrays:
        self.calls += 1
        time.sleep(self.seconds)
        return {"pool": np.full((3, 2), self.value), "modes": np.arange(3)}


def test_an_entry_is_computed_once_and_read_back(tmp_path: Path) -> None:
    compute = Counting()
    for _ in range(2):
        found = Cache(tmp_path).arrays("features", {"data": "abc"}, compute)
        assert np.array_equal(found["pool"], np.ones((3, 2)))
        assert np.array_equal(found["modes"], np.arange(3))
    assert compute.calls == 1
    numbers = [Cache(tmp_path).values("floors", {"data": "abc"}, lambda: {"fd": 0.1 + 0.2}) for _ in range(2)]
    assert numbers[0] == numbers[1] == {"fd": 0.1 + 0.2}


def test_another_key_never_meets_an_old_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.arrays("features", {"data": "abc"}, Counting(1))["pool"][0, 0] == 1
    assert cache.arrays("features", {"data": "abd"}, Counting(2))["pool"][0, 0] == 2
    assert cache.arrays("other", {"data": "abc"}, Counting(3))["pool"][0, 0] == 3


@pytest.mark.parametrize("damage", ["array cut", "array gone", "sidecar cut", "sidecar gone"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, damage: str) -> None:
    cache, compute = Cache(tmp_path), Counting()
    cache.arrays("features", {}, compute)
    file = next(tmp_path.glob("*/pool.npy" if damage.startswith("array") else "*/entry.json"))
    if damage.endswith("gone"):
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-4])
    assert np.array_equal(cache.arrays("features", {}, compute)["pool"], np.ones((3, 2)))
    assert compute.calls == 2


def test_a_changed_number_and_a_copied_entry_are_computed_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.values("floor", {"n": 1}, lambda: {"fd": 1.5}) == {"fd": 1.5}
    (file,) = tmp_path.glob("*/entry.json")
    file.write_text(file.read_text().replace("1.5", "1.7"))
    assert cache.values("floor", {"n": 1}, lambda: {"fd": 1.5}) == {"fd": 1.5}
    cache.values("floor", {"n": 2}, lambda: {"fd": 2.5})
    (other,) = set(tmp_path.glob("*/entry.json")) - {file}
    other.write_bytes(file.read_bytes())
    assert cache.values("floor", {"n": 2}, lambda: {"fd": 2.5}) == {"fd": 2.5}


def test_a_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise KeyboardInterrupt

    cache = Cache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.arrays("features", {}, fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert cache.arrays("features", {}, Counting())["pool"][0, 0] == 1


def test_who_comes_at_the_same_time_waits(tmp_path: Path) -> None:
    compute = Counting(seconds=0.3)
    found: list[Arrays] = []

    def ask() -> None:
        found.append(Cache(tmp_path).arrays("features", {}, compute))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compute.calls == 1
    assert len(found) == 4


def test_arrays_are_mapped_and_writing_to_them_changes_no_file(tmp_path: Path) -> None:
    found = Cache(tmp_path).arrays("features", {}, Counting())
    assert isinstance(found["pool"], np.memmap)
    found["pool"][0, 0] = 7
    assert Cache(tmp_path).arrays("features", {}, Counting(2))["pool"][0, 0] == 1


# --- what real images' features and statistics are kept under


class Quarters:
    """Mean colours of the four quarters of an image; counts the images it saw."""

    name = label = "quarters"
    device = torch.device("cpu")

    def __init__(self, sha256: str = "0" * 64, recipe: str = "plain") -> None:
        self.sha256, self.recipe, self.images = sha256, recipe, 0

    def features(self, images: Tensor) -> Features:
        self.images += len(images)
        return Features(torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1) / 64)


SETTINGS = EvaluationSettings(samples=60, snapshot_samples=60, kid_subsets=3, kid_subset_size=50)


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    sets = []
    for seed, split in enumerate(("train", "heldout")):
        folder = tmp_path / split
        folder.mkdir()
        np.save(folder / "images.npy", np.random.default_rng(seed).integers(0, 256, (130, 3, 32, 32), dtype=np.uint8))
        manifest = {"source": "folder", "resolution": 32, "count": 130, "sha256": f"{seed:064x}"}
        sets.append(PreparedSet(folder, manifest))
    return PreparedData(*sets)


def images_seen(root: Path, data: PreparedData, extractor: Quarters, settings: EvaluationSettings = SETTINGS) -> int:
    """Return how many images a new process with this cache would have to look at for features and floors."""
    there = Reference(settings, data, (extractor,), root)
    there.features(extractor, Part("heldout", 0, 60))
    floors(there, 60, final=True)
    return extractor.images


def test_reference_features_and_floors_are_computed_once(tmp_path: Path, data: PreparedData) -> None:
    assert images_seen(tmp_path, data, Quarters()) == 120 + 60
    assert images_seen(tmp_path, data, Quarters()) == 0
    kinds = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "cache" / "evaluation").iterdir() if path.is_dir()}
    assert kinds == {
        "features", "floors", "gaussian", "geometry", "nearest-features", "nearest-pixels", "thumbnails", "vendi",
    }  # fmt: skip


def with_other_images(data: PreparedData) -> PreparedData:
    manifest = {**data.heldout.manifest, "sha256": "f" * 64}
    return PreparedData(data.train, PreparedSet(data.heldout.path, manifest))


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: {"data": with_other_images(data)},
        lambda data: {"extractor": Quarters(sha256="1" * 64)},
        lambda data: {"extractor": Quarters(recipe="another")},
        lambda data: {"settings": SETTINGS.model_copy(update={"precision": "bf16"})},
        lambda data: {"settings": SETTINGS.model_copy(update={"samples": 61, "snapshot_samples": 61})},
    ],
    ids=["data", "weights", "recipe", "precision", "count"],
)
def test_what_changed_never_meets_an_old_entry(
    tmp_path: Path, data: PreparedData, changed: Callable[[PreparedData], dict[str, Any]]
) -> None:
    images_seen(tmp_path, data, Quarters())
    arguments = {"data": data, "extractor": Quarters(), **changed(data)}
    assert images_seen(tmp_path, **arguments) > 0


@pytest.mark.parametrize("changed", ["features", "evaluation"])
def test_changed_code_never_meets_an_old_entry(
    tmp_path: Path, data: PreparedData, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images_seen(tmp_path, data, Quarters())
    before = set((tmp_path / "cache" / "evaluation").glob("*-*/entry.json"))
    monkeypatch.setattr(reference, "code_hash", lambda of: "0" * 16 if of == changed else code_hash(of))
    seen = images_seen(tmp_path, data, Quarters())
    assert (seen > 0) == (changed == "features")
    made = {path.parent.name.rsplit("-", 1)[0] for path in (tmp_path / "cache" / "evaluation").glob("*-*/entry.json")}
    again = {
        path.parent.name.rsplit("-", 1)[0]
        for path in set((tmp_path / "cache" / "evaluation").glob("*-*/entry.json")) - before
    }
    not_again = {"thumbnails", "nearest-pixels"} if changed == "features" else {"features"}
    assert made - again == not_again


def test_the_codes_hash_follows_the_code_and_not_its_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = identity.PACKAGE
    copy = tmp_path / "bench"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    monkeypatch.setattr(identity, "PACKAGE", copy)
    expected = (code_hash("features"), code_hash("evaluation"))
    with (copy / "evaluation" / "resizing.py").open("a") as file:
        file.write("# only a comment\n")
    assert (code_hash("features"), code_hash("evaluation")) == expected
    with (copy / "evaluation" / "frechet.py").open("a") as file:
        file.write("x = 1\n")
    assert code_hash("features") == expected[0]
    assert code_hash("evaluation") != expected[1]
    with (copy / "evaluation" / "resizing.py").open("a") as file:
        file.write("x = 1\n")
    assert code_hash("features") != expected[0]
