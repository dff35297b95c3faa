"""From images to features: one pass of one extractor over one set of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.errors import EXIT_RUNS_FAILED, BenchError

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total) after every batch. It may raise to stop: nothing that is written down is lost."""

UNSURE = -1
# Small batches stay in the processor's cache: 64 images take half again as long each as 16 do.
_BATCH = {"cpu": 16}
_BATCH_ELSEWHERE = 200


class NotFiniteError(BenchError):
    """A generator's images, or their features, hold NaN or infinity: its run has diverged.

    They have to be refused: torch-fidelity's KID and precision return plausible numbers for them.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} are not finite: the generator has diverged",
            hint="Look at the run's log; a lower learning rate may help.",
            exit_code=EXIT_RUNS_FAILED,
        )


@dataclass(frozen=True)
class Features:
    """What an extractor says about N images, on the CPU; `pool` is where metrics are computed of it.

    pool       N x d float32, pooled features
    logits     N x K float32 over the classes it was trained on, None where it has none
    modes      N int64, the judge's mode of each image or UNSURE; None for other extractors
    answers    N x F uint8, which value of each of its factors the judge sees; None for others
    certainty  N x F float32, with what probability
    """

    pool: Tensor
    logits: Tensor | None = None
    modes: Tensor | None = None
    answers: Tensor | None = None
    certainty: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pool)

    def part(self, start: int, stop: int) -> Features:
        """Return the features of images `start` to `stop` (views, no copies)."""
        return Features(*(None if part is None else part[start:stop] for part in self._parts()))  # type: ignore[arg-type]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is there as NumPy arrays, by name."""
        names = (field.name for field in fields(self))
        return {name: part.numpy() for name, part in zip(names, self._parts(), strict=True) if part is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Features:
        """The inverse of `arrays`."""
        return cls(**{name: torch.from_numpy(array) for name, array in arrays.items()})

    def measured_on(self, device: torch.device) -> Features:
        """Return the same with `pool` on the device where distances are computed."""
        return replace(self, pool=self.pool.to(device))

    def finite(self) -> bool:
        """Tell whether no feature is NaN or infinite."""
        return all(bool(part.isfinite().all()) for part in (self.pool, self.logits) if part is not None)

    def room_for(self, count: int) -> Features:
        """Return features of the same kinds for `count` images, not yet filled in, on the CPU."""
        empty = (
            None if part is None else part.new_empty((count, *part.shape[1:]), device="cpu") for part in self._parts()
        )
        return Features(*empty)  # type: ignore[arg-type]

    def put(self, start: int, part: Features) -> None:
        """Fill in the features of the images from `start` on."""
        for whole, piece in zip(self._parts(), part._parts(), strict=True):
            if whole is not None and piece is not None:
                whole[start : start + len(piece)] = piece

    def _parts(self) -> tuple[Tensor | None, ...]:
        return (self.pool, self.logits, self.modes, self.answers, self.certainty)


class Extractor(Protocol):
    """A network that turns images into features.

    name     inception | lite0 | judge, as settings name it
    label    what metrics are named after: the name, or `inception-1a2b3c4d` for other Inception weights
    sha256   digest of its weights
    recipe   how images are resized and normalised
    device   where it computes
    """

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def recipe(self) -> str: ...
    @property
    def device(self) -> torch.device: ...

    def features(self, images: Tensor) -> Features:
        """Return the features of one batch, uint8 N x 3 x R x R on any device."""
        ...


class Sliced(Protocol):
    """Images that are made when a slice of them is asked for, uint8 N x 3 x R x R."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> npt.NDArray[np.uint8]: ...


def extract(
    extractor: Extractor,
    images: Tensor | npt.NDArray[np.uint8] | Sliced,
    indices: npt.NDArray[np.int64] | None = None,
    progress: Progress | None = None,
    stage: str = "features",
) -> Features:
    """Return the features of `images`, uint8 N x 3 x R x R (of those at `indices`, in their order, when given).

    Batches are cut at fixed places, so that the same images give the same bits. Only one batch of images is held.
    Raises NotFiniteError when a feature is NaN or infinite.
    """
    total = len(images) if indices is None else len(indices)
    batch = _BATCH.get(extractor.device.type, _BATCH_ELSEWHERE)
    found: Features | None = None
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        with torch.inference_mode():
            part = extractor.features(_take(images, indices, start, stop))
        if not part.finite():
            raise NotFiniteError(f"The {extractor.label} features of {stage}")
        if found is None:
            found = part.room_for(total)
        found.put(start, part)
        if progress is not None:
            progress(f"{stage} ({extractor.label})", stop, total)
    assert found is not None
    return found


def _take(
    images: Tensor | npt.NDArray[np.uint8] | Sliced, indices: npt.NDArray[np.int64] | None, start: int, stop: int
) -> Tensor:
    if isinstance(images, Tensor):
        return images[start:stop] if indices is None else images[torch.from_numpy(indices[start:stop])]
    taken = images[start:stop] if indices is None else np.asarray(images)[indices[start:stop]]
    return torch.from_numpy(np.array(taken))  # a copy: a mapped file is read-only, which torch warns about
