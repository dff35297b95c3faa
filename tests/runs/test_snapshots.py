"""A snapshot's checksum finds every flipped bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from bench.errors import BenchError
from bench.runs.snapshots import check_snapshot, generator_width, sealed

TENSORS = {
    "raw/layers.conv9.weight": np.arange(24, dtype=np.float32).reshape(8, 3, 1, 1),
    "raw/layers.conv10.weight": np.arange(12, dtype=np.float32).reshape(4, 3, 1, 1),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "step-00000001.safetensors"
    path.write_bytes(sealed(save(TENSORS)))
    return path


def test_a_sealed_snapshot_holds_the_same_tensors(file: Path) -> None:
    assert check_snapshot(file)
    found = load_file(file)
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in TENSORS.items()}
    assert generator_width(file) == 4


def test_every_flipped_bit_is_named_or_changes_no_tensor(file: Path) -> None:
    content = file.read_bytes()
    weights = 8 + int.from_bytes(content[:8], "little")
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1 << (index % 8)
        file.write_bytes(changed)
        try:
            check_snapshot(file)
        except BenchError:
            continue
        assert index < weights
        assert {name: value.tolist() for name, value in load_file(file).items()} == {
            name: value.tolist() for name, value in TENSORS.items()
        }


def test_an_older_snapshot_has_no_checksum_and_a_cut_one_is_damaged(file: Path) -> None:
    whole = save(TENSORS)
    file.write_bytes(whole)
    assert not check_snapshot(file)
    for length in (0, 4, 50, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(BenchError, match="damaged"):
            check_snapshot(file)
