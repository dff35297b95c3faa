"""Time-lapses: the frames, their order and times, the stills, and their weight."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from helpers.study_fixture import grid_png
from PIL import Image

from bench.report.pictures.timelapse import FRAME_MS, LAST_FRAME_MS, TimeLapse, time_lapse

Pixels = npt.NDArray[np.uint8]


def a_grid(side: int, progress: float) -> Pixels:
    with Image.open(io.BytesIO(grid_png(side, "nsgan", 0, progress, collapsed=False))) as image:
        return np.asarray(image.convert("RGB"))


def grids(side: int = 32, snapshots: int = 3) -> list[tuple[int, Pixels]]:
    return [(2_400 >> back, a_grid(side, 2.0**-back)) for back in reversed(range(snapshots))]


def lapse(given: list[tuple[int, Pixels]]) -> TimeLapse:
    found = time_lapse(given)
    assert found is not None
    return found


def frames_of(animation: bytes) -> tuple[list[Pixels], list[int], int]:
    """Return the frames of a WebP, how long each is shown in ms, and how often it loops."""
    frames, durations = [], []
    with Image.open(io.BytesIO(animation)) as image:
        for index in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        return frames, durations, image.info["loop"]


def difference(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def test_the_last_snapshot_comes_first_and_stays_longer() -> None:
    given = grids()
    found = lapse(given)
    assert found.captions == ("step 2,400 (last)", "step 600", "step 1,200")
    frames, durations, loops = frames_of(found.animation)
    assert durations == [LAST_FRAME_MS, FRAME_MS, FRAME_MS]
    assert loops == 0
    for frame, wanted in zip(frames, (2_400, 600, 1_200), strict=True):
        away = {step: difference(frame[:128, :128], other[:128, :128]) for step, other in given}
        assert min(away, key=lambda step: away[step]) == wanted
        assert away[wanted] < 10  # the early ones are noise, which WebP smooths


def test_every_frame_has_its_own_step_written_under_the_images() -> None:
    found = lapse([(step, a_grid(32, 1.0)) for step in (1, 250, 1_000_000)])
    frames, _, _ = frames_of(found.animation)
    bands = [frame[128:] for frame in frames]
    assert len(bands) == 3  # equal images are not merged into one frame
    for band in bands:
        assert band.max() > 200  # there is light text ...
        assert band[:, :4].max() < 80  # ... which does not reach the edges
        assert band[:, -4:].max() < 80


def test_the_poster_is_the_first_frame() -> None:
    found = lapse(grids())
    with Image.open(io.BytesIO(found.poster)) as image:
        assert image.format == "WEBP"
        assert not getattr(image, "is_animated", False)
        assert image.size == (found.width, found.height)
        assert difference(np.asarray(image.convert("RGB")), frames_of(found.animation)[0][0]) < 2


@pytest.mark.parametrize(("side", "width", "bytes_at_most"), [(32, 128, 50_000), (64, 256, 150_000)])
def test_eight_snapshots_weigh_little(side: int, width: int, bytes_at_most: int) -> None:
    found = lapse(grids(side, snapshots=8))
    assert found.width == width
    assert len(found.animation) < bytes_at_most
    assert len(frames_of(found.animation)[0]) == 8


def test_large_images_are_four() -> None:
    large = a_grid(32, 1.0).repeat(4, axis=0).repeat(4, axis=1)
    found = lapse([(1, large), (2, large)])
    assert found.width == 256
    assert difference(frames_of(found.animation)[0][0][:256], large[:256, :256]) < 6


def test_one_snapshot_does_not_move() -> None:
    assert time_lapse(grids(snapshots=1)) is None
    assert time_lapse([]) is None
    assert time_lapse([(100, a_grid(64, 0.5)), (200, a_grid(32, 1.0))]) is None  # of another shape: left out
