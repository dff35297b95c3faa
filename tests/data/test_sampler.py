"""The order of the data as a pure function of the step, and pixels on their way to the device."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import DataRequest, PreparedData, prepare
from bench.data.sampler import Sampler, batch_indices, batches_per_epoch, epoch_order, gather, load_to_device
from bench.errors import BenchError


def test_an_epoch_is_a_shuffle_without_replacement() -> None:
    order = epoch_order(1000, seed=3, epoch=7)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_epochs_and_seeds_differ() -> None:
    orders = {epoch_order(100, seed, epoch).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_batches_of_an_epoch_are_disjoint_and_the_remainder_is_left_out() -> None:
    seen = np.concatenate([batch_indices(103, 10, 0, step) for step in range(10)])
    assert len(set(seen.tolist())) == 100
    np.testing.assert_array_equal(seen, epoch_order(103, 0, 0)[:100])
    np.testing.assert_array_equal(batch_indices(103, 10, 0, 10), epoch_order(103, 0, 1)[:10])


def test_the_order_is_the_same_for_ever() -> None:
    # Fixed values: a change here changes every run that was ever made.
    assert batch_indices(20_000, 6, seed=0, discriminator_step=0).tolist() == [19665, 12632, 10582, 13345, 9141, 7689]
    assert batch_indices(20_000, 6, seed=1, discriminator_step=12_345).tolist() == [4477, 13256, 474, 4811, 13350, 7897]


def test_the_sampler_is_the_pure_function_in_any_order_of_access() -> None:
    sampler = Sampler(90, 16, seed=5)
    steps = np.random.default_rng(0).integers(0, 60, 200).tolist()
    for step in [0, 59, 0, *steps]:
        np.testing.assert_array_equal(sampler.batch_indices(step), batch_indices(90, 16, 5, step))


def test_what_a_caller_does_to_a_batch_stays_with_the_caller() -> None:
    sampler = Sampler(50, 10, seed=0)
    sampler.batch_indices(0)[:] = -1
    np.testing.assert_array_equal(sampler.batch_indices(0), batch_indices(50, 10, 0, 0))


def test_every_image_is_shown_equally_often_in_the_long_run() -> None:
    sampler = Sampler(64, 16, seed=1)
    shown = np.bincount(np.concatenate([sampler.batch_indices(step) for step in range(400)]), minlength=64)
    assert (shown == 100).all()


def test_a_step_costs_microseconds() -> None:
    sampler = Sampler(162_770, 64, seed=0)
    sampler.batch_indices(0)
    best = min(_seconds(lambda: sampler.batch_indices(17)) for _ in range(50))
    assert best < 100e-6


def _seconds(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


@pytest.mark.parametrize(("count", "batch"), [(10, 11), (0, 1), (10, 0)])
def test_a_batch_that_cannot_be_drawn_is_an_error(count: int, batch: int) -> None:
    with pytest.raises(BenchError, match="cannot be drawn"):
        batches_per_epoch(count, batch)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    request = DataRequest(source="faces", resolution=32, train_count=20, heldout_count=5)
    return prepare(request, tmp_path_factory.mktemp("data"), workers=1)


def test_images_are_mapped_on_the_cpu_and_the_file_is_never_written(faces: PreparedData) -> None:
    images = load_to_device(faces.train.images(), torch.device("cpu"), limit_bytes=10**9)
    assert images.dtype == torch.uint8
    assert images.shape == (20, 3, 32, 32)
    np.testing.assert_array_equal(images.numpy(), faces.train.images())
    images.zero_()
    faces.train.verify()


def test_gather_gives_the_chosen_images_in_range_and_channels_last(faces: PreparedData) -> None:
    cpu = torch.device("cpu")
    images = load_to_device(faces.train.images(), cpu, limit_bytes=0)
    indices = batch_indices(20, 8, 0, 1)
    batch = gather(images, indices, cpu)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    expected = faces.train.images()[indices].astype(np.float32) / np.float32(127.5) - np.float32(1)
    np.testing.assert_array_equal(batch.numpy(), expected)
    assert torch.equal(batch, gather(images, torch.from_numpy(indices), cpu))


def test_the_extreme_bytes_become_exactly_minus_one_and_one() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4).contiguous()
    batch = gather(images, np.array([0, 1]), torch.device("cpu"))
    assert batch[0].unique().tolist() == [-1.0]
    assert batch[1].unique().tolist() == [1.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_sees_the_same_bits(faces: PreparedData, tmp_path: Path) -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    resident = load_to_device(faces.train.images(), cuda, limit_bytes=10**9)
    mapped = load_to_device(faces.train.images(), cuda, limit_bytes=100)
    assert (resident.device.type, mapped.device.type) == ("cuda", "cpu")
    indices = batch_indices(20, 8, 0, 1)
    expected = gather(mapped, indices, cpu)
    for images in (resident, mapped):
        batch = gather(images, indices, cuda)
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.cpu(), expected)
