"""Drawn faces as a source of images."""

from __future__ import annotations

from functools import partial

from bench.data import faces
from bench.data.crops import Rendered
from bench.data.readers.base import Source, Split
from bench.data.request import DataRequest
from bench.runs.identity import code_hash


def faces_source(request: DataRequest) -> Source:
    """The drawn faces: training images are indices 0 and up, held-out ones begin at `faces.HELDOUT_START`."""
    train_count, heldout_count = request.train_count, request.heldout_count
    assert train_count is not None, "DataRequest fills it in"
    assert heldout_count is not None, "DataRequest fills it in"
    heldout_start = faces.HELDOUT_START

    def splits() -> tuple[Split, Split]:
        return (
            Split(train_count, lambda start, stop: (start, stop)),
            Split(heldout_count, lambda start, stop: (heldout_start + start, heldout_start + stop)),
        )

    return Source(
        fingerprint=code_hash("drawing"),  # an edited drawing draws other faces
        splits=splits,
        render=partial(_draw_faces, request.seed, request.resolution),
        details={"kind": "drawn", "seed": request.seed, "heldout_start": heldout_start},
    )


def _draw_faces(seed: int, resolution: int, indices: tuple[int, int]) -> Rendered:
    return Rendered(faces.draw_faces(seed, range(*indices), resolution))
