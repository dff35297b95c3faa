"""Which images a step sees, and how they reach the device.

The order of the data is a pure function of (seed, step), like every other draw: a run that goes on after an
interruption sees what it would have seen, and every objective sees the same images in the same order.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from bench.data.prepared import Mapped, PreparedSet
from bench.errors import BenchError
from bench.networks.conditioning import in_unit_range

Indices = npt.NDArray[np.int64]


def batches_per_epoch(count: int, batch: int) -> int:
    """Whole batches in an epoch of `count` images; the remainder of each epoch's shuffle is left out.

    Raises BenchError when not even one batch is there.
    """
    if batch < 1 or count < batch:
        raise BenchError(
            f"a batch of {batch} cannot be drawn from {count} training images",
            hint="Lower budget.batch, or raise data.train_count.",
        )
    return count // batch


def epoch_order(count: int, seed: int, epoch: int) -> Indices:
    """The shuffled indices 0 to count - 1 of an epoch, int64.

    They are the sorting order of Philox's raw 64-bit numbers: NumPy promises never to change those, while its
    `permutation` may change between versions.
    """
    digest = hashlib.sha256(f"{seed}/order/{epoch}".encode()).digest()
    philox = np.random.Philox(key=np.frombuffer(digest[:16], np.uint64))
    return np.argsort(philox.random_raw(count), kind="stable").astype(np.int64, copy=False)


def batch_indices(count: int, batch: int, seed: int, discriminator_step: int) -> Indices:
    """Indices of the real images of a discriminator step, (batch,) int64: a pure function of its arguments.

    `discriminator_step` counts the discriminator steps taken before this one. Images are shuffled without replacement
    in each epoch; no batch straddles two epochs. `batch` is the global batch, of which each rank takes its slice.
    """
    epoch, position = divmod(discriminator_step, batches_per_epoch(count, batch))
    return epoch_order(count, seed, epoch)[position * batch : (position + 1) * batch].copy()


class Sampler:
    """`batch_indices` that keeps the current epoch's order, so that a step costs microseconds."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count = count
        self.batch = batch
        self.seed = seed
        self._batches_per_epoch = batches_per_epoch(count, batch)
        self._epoch = -1
        self._order: Indices = np.empty(0, np.int64)

    def batch_indices(self, discriminator_step: int) -> Indices:
        """Indices of the real images of a discriminator step, (batch,) int64, a copy of its own."""
        epoch, position = divmod(discriminator_step, self._batches_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = epoch_order(self.count, self.seed, epoch), epoch
        return self._order[position * self.batch : (position + 1) * self.batch].copy()


def load_to_device(images: Mapped, device: torch.device, limit_bytes: int) -> torch.Tensor:
    """Return a set's images, (N, 3, R, R) uint8: on `device` where they take at most `limit_bytes`, else memory-mapped.

    On the CPU they are always mapped: the processes of several runs then share one copy, and the system may drop it
    when memory is short. Nothing may write to the tensor.
    """
    # From the whole file, since a tensor cannot begin inside one. Private pages: a write would never reach the file.
    flat = torch.from_file(str(images.filename), shared=False, size=images.offset + images.nbytes, dtype=torch.uint8)
    mapped = flat[images.offset :].view(images.shape)
    if device.type == "cpu" or images.nbytes > limit_bytes:
        return mapped
    return mapped.to(device)


def load_conditions(prepared: PreparedSet, device: torch.device, limit_bytes: int) -> torch.Tensor | None:
    """Return what both players are told of each image: one-hots (N, K) float32 on `device`, or input images.

    These are loaded as the images are. None where nothing is told.
    """
    inputs, told = prepared.inputs(), prepared.conditions()
    if inputs is not None:
        return load_to_device(inputs, device, limit_bytes)
    return None if told is None else torch.from_numpy(told).to(device)


def gather(images: torch.Tensor, indices: Indices | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Take images (N, 3, R, R) uint8 by index onto `device`: (batch, 3, R, R) float32 in [-1, 1], channels_last.

    Conditions, of any other type, are taken as they are.
    """
    where = torch.from_numpy(indices) if isinstance(indices, np.ndarray) else indices
    if images.device.type == "cuda" and where.device.type == "cpu":
        where = where.pin_memory()  # so that the copy need not wait for the work before it
    taken = images.index_select(0, where.to(images.device, non_blocking=True)).to(device)
    return in_unit_range(taken) if taken.dtype == torch.uint8 else taken
