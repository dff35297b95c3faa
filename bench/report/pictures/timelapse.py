"""Time-lapses: how the samples of the same latents form from snapshot to snapshot, moving and as a still."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

GRID = 8  # images in a row of a sample grid
FRAME_MS = 700
LAST_FRAME_MS = 2_000
_SMALLEST_FONT = 10  # pixels, of the step in the band under the images
QUALITY = 80  # at 90 a frame weighs half as much again and looks the same
_BAND_COLOUR, _TEXT_COLOUR = (34, 34, 34), (255, 255, 255)

Pixels = npt.NDArray[np.uint8]
Grids = Sequence[tuple[int, Pixels]]
"""(generator step, grid H x W x 3 with 8 images a row), oldest first."""


@dataclass(frozen=True)
class TimeLapse:
    """Frames of `width` x `height` pixels, each with its step written under the images.

    animation   WebP that loops for ever: the last snapshot, held longer, then the others from the oldest on. A reader
                who sees no movement sees the result
    poster      WebP, the first frame alone: for print, for readers who want no motion, and before it is started
    captions    what each frame shows, in the order of the frames
    """

    animation: bytes
    poster: bytes
    captions: tuple[str, ...]
    width: int
    height: int


def time_lapse(grids: Grids, quality: int = QUALITY) -> TimeLapse | None:
    """Return the first 4 x 4 images (2 x 2 above 64 pixels) over the snapshots, None where there is only one.

    Grids of another shape than the last one are left out.
    """
    grids = of_one_shape(grids)
    if len(grids) < 2:
        return None
    ordered = [grids[-1], *grids[:-1]]
    captions = tuple(f"step {step:,}" + (" (last)" if index == 0 else "") for index, (step, _) in enumerate(ordered))
    frames = [_frame(grid, caption) for (_, grid), caption in zip(ordered, captions, strict=True)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[LAST_FRAME_MS, *[FRAME_MS] * (len(frames) - 1)],
        loop=0,
        quality=quality,
        method=4,
    )
    return TimeLapse(buffer.getvalue(), _webp(frames[0], quality), captions, *frames[0].size)


def of_one_shape(grids: Grids) -> list[tuple[int, Pixels]]:
    """Return the grids that have the shape of the last one."""
    return [(step, grid) for step, grid in grids if grid.shape == grids[-1][1].shape]


def _frame(grid: Pixels, caption: str) -> Image.Image:
    side = grid.shape[1] // GRID
    size = (4 if side <= 64 else 2) * side
    height = min(size, grid.shape[0])
    font_size = max(_SMALLEST_FONT, size // 20)
    band = font_size + 6
    frame = Image.new("RGB", (size, height + band), _BAND_COLOUR)
    frame.paste(Image.fromarray(grid[:height, :size]))
    font = ImageFont.load_default(font_size)
    ImageDraw.Draw(frame).text((size / 2, height + band / 2), caption, fill=_TEXT_COLOUR, font=font, anchor="mm")
    return frame


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, method=4)
    return buffer.getvalue()
