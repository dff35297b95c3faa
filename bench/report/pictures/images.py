"""Reading and encoding of sample images: what a page shows is coded to fit, what lies beside it is finer."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.images import open_image
from bench.limits import MOST_PICTURE_PIXELS, MOST_PICTURE_SIDE

GRID = 8  # images in a row of each of a run's pictures
QUALITIES = (90, 75, 60, 45, 30)
Pixels = npt.NDArray[np.uint8]


def read_pixels(path: Path) -> Pixels | None:
    """Return the picture of a run or a report as H x W x 3; None where there is none that can be read as a grid."""
    image = read_image(path)
    return None if image is None else image[0]


def read_image(path: Path) -> tuple[Pixels, str] | None:
    """Return an image as H x W x 3 and what its text "bench" says ("" without one); None as read_pixels."""
    try:
        with open_image(path, ("PNG", "WEBP"), MOST_PICTURE_PIXELS) as image:
            pixels, text = np.asarray(image.convert("RGB")), str(image.info.get("bench", ""))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error):
        return None
    sides = pixels.shape[:2]
    return (pixels, text) if min(sides) >= GRID and max(sides) <= MOST_PICTURE_SIDE else None


def webp(pixels: Pixels, quality: int) -> bytes:
    """Return H x W x 3 pixels as lossy WebP."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=quality, method=2)
    return buffer.getvalue()


def fitted(encode: Callable[[int], bytes], byte_limit: int) -> tuple[bytes, bool]:
    """Encode in the best of QUALITIES that keeps to a number of bytes, else in the least; and tell whether it fits."""
    content = b""
    for quality in QUALITIES:
        content = encode(quality)
        if len(content) <= byte_limit:
            return content, True
    return content, False
