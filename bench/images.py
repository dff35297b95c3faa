"""Opening image files: the one place where what others wrote is decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bench.limits import MOST_PHOTO_PIXELS

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow decodes itself. Never EPS: it hands PostScript, whatever the name of the file, to Ghostscript."""


class UnusableImageError(ValueError):
    """An image that cannot be used; the message says why."""


@contextmanager
def open_image(
    source: Path | bytes, formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PHOTO_PIXELS
) -> Iterator[Image.Image]:
    """Open an image by its content, in one of `formats`; only its header has been read when the block begins.

    Raises UnusableImageError for what is in none of them or has more than `most_pixels`, and OSError for a file that
    cannot be read. Decoding, in the block, raises whatever Pillow's decoders do: OSError, SyntaxError, struct.error...
    """
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)
    except UnidentifiedImageError as error:
        raise UnusableImageError("is no image" if formats == FORMATS else f"is no {' or '.join(formats)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError(f"has more than {most_pixels:,} pixels") from error
    with image:
        if image.width * image.height > most_pixels:
            raise UnusableImageError(f"is {image.width}x{image.height}, more than {most_pixels:,} pixels")
        yield image
