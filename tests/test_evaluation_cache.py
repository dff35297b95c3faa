"""The shared cache: computed once, never stale, never half there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bench.evaluation.cache import Arrays, Cache


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
