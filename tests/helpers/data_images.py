"""Small image files for the data tests; none of them is a photograph."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, width: int = 178, height: int = 218) -> Image.Image:
    """A smooth coloured picture that belongs to `number` alone."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def jpeg(number: int, width: int = 178, height: int = 218) -> bytes:
    return encoded(picture(number, width, height))


def write_zip(path: Path, numbers: Iterable[int], distinct: int = 10**9) -> Path:
    """Write an archive like CelebA's, in the order given; `distinct` lets pictures repeat, which saves time."""
    made: dict[int, bytes] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in numbers:
            which = number % distinct
            if which not in made:
                made[which] = jpeg(which)
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", made[which])
    return path
