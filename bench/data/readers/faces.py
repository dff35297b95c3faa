"""Drawn faces as a source of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bench.data import faces
from bench.data.crops import Rendered
from bench.data.faces.sampling import faces as sampled
from bench.data.readers.base import Labels, Source, Split
from bench.data.request import DataRequest
from bench.runs.identity import code_hash


def faces_source(request: DataRequest) -> Source:
    """The drawn faces: training images are indices 0 and up, held-out ones begin at `faces.HELDOUT_START`."""
    train_count, heldout_count = request.train_count, request.heldout_count
    assert train_count is not None, "DataRequest fills it in"
    assert heldout_count is not None, "DataRequest fills it in"
    heldout_start = faces.HELDOUT_START

    def labels(indices: range) -> Labels | None:
        return _factors(request.seed, indices, request.labels) if request.labels else None

    def splits() -> tuple[Split, Split]:
        return (
            Split(train_count, lambda start, stop: (start, stop), labels(range(train_count))),
            Split(
                heldout_count,
                lambda start, stop: (heldout_start + start, heldout_start + stop),
                labels(range(heldout_start, heldout_start + heldout_count)),
            ),
        )

    return Source(
        fingerprint=code_hash("drawing"),  # an edited drawing draws other faces
        splits=splits,
        render=partial(_draw_pairs if request.input == "parts" else _draw_faces, request.seed, request.resolution),
        details={"kind": "drawn", "seed": request.seed, "heldout_start": heldout_start},
    )


def _draw_faces(seed: int, resolution: int, indices: tuple[int, int]) -> Rendered:
    return Rendered(faces.draw_faces(seed, range(*indices), resolution))


def _draw_pairs(seed: int, resolution: int, indices: tuple[int, int]) -> Rendered:
    pictures, numbers = faces.draw_faces_and_parts(seed, range(*indices), resolution)
    return Rendered(pictures, inputs=faces.parts_picture(numbers))


def _factors(seed: int, indices: range, names: Sequence[str]) -> Labels:
    drawn = [[face.factors[name] for name in names] for face in sampled(seed, indices)]
    return Labels({name: faces.FACTORS[name] for name in names}, np.array(drawn, np.uint8))
