"""Reading and encoding of sample images: what a page shows is coded to fit, what lies beside it is finer."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

QUALITIES = (90, 75, 60, 45, 30)
Pixels = npt.NDArray[np.uint8]


def read_pixels(path: Path) -> Pixels | None:
    """Return an image as H x W x 3, or None where there is none or the file is damaged."""
    image = read_image(path)
    return None if image is None else image[0]


def read_image(path: Path) -> tuple[Pixels, str] | None:
    """Return an image as H x W x 3 and what its text "bench" says ("" without one); None as read_pixels."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")), str(image.info.get("bench", ""))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


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
