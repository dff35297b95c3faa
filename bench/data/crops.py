"""How an image file becomes a square of pixels: named crops, one filter, nothing configurable between them.

Scores of sets that were cropped or scaled differently are not comparable (a wrong reference crop costs up to 127 points
of Fréchet distance), so a recipe is named in the manifest and fixed here for good. Every recipe scales with Pillow's
bicubic filter, which antialiases; its result equals torch's antialiased bicubic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from bench.images import UnusableImageError, open_image

CELEBA_SIZE = (178, 218)
"""Width and height in pixels of an aligned CelebA image."""

CELEBA_CROPS: dict[str, tuple[int, int, int, int]] = {
    "crop108": (35, 55, 143, 163),  # centre: carpedm20's DCGAN, TTUR's DCGAN, LynnHo's WGAN-GP and LSGAN
    "crop128": (25, 45, 153, 173),  # centre: TwoStageVAE; the default
    "crop138": (30, 40, 168, 178),  # soumith/dcgan.torch: the DCGAN paper's own
    "crop140": (19, 39, 159, 179),  # centre: WAE, score-SDE
    "crop148": (15, 35, 163, 183),  # centre: beta-VAE and PyTorch-VAE
    "crop160": (9, 29, 169, 189),  # centre: google/compare_gan (which then scales without antialiasing)
    "crop178": (0, 20, 178, 198),  # full width, centre: PyTorch's DCGAN tutorial, Mimicry
    "stylegan128": (25, 57, 153, 185),  # around x=89, y=121: StyleGAN, DDIM
}
"""Left, top, right and bottom of each crop in an aligned image of 178 x 218 pixels."""

RECIPES_OF: dict[str, tuple[str, ...]] = {
    "faces": ("none",),
    "celeba": ("crop128", *(name for name in CELEBA_CROPS if name != "crop128")),
    "mnist": ("square",),
    "fashion-mnist": ("square",),
    "cifar10": ("square",),
    "folder": ("square", "none", *CELEBA_CROPS),
    "own": ("square",),
}
"""The recipes of each source; the first is its default.

`square` is the largest centred square, scaled; MNIST's 28 x 28 pixels are scaled to 32 x 32 in this way, not padded.
`none` takes the pixels as they are: the image must have the resolution already. CelebA's crops are for a folder of
aligned CelebA images: each must be 178 x 218.
"""

Pixels = npt.NDArray[np.uint8]

_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values for images that are stored on their side


@dataclass(frozen=True)
class Encoded:
    """An image file as it was read: its bytes, or why it could not be read."""

    name: str
    data: bytes
    problem: str | None = None


@dataclass(frozen=True)
class Rendered:
    """A block of finished images, (N, 3, R, R) uint8, and the (name, reason) of each that could not be used.

    `inputs`, of pairs, are as the images are. The arrays are complete only when `bad` is empty.
    """

    images: Pixels
    bad: tuple[tuple[str, str], ...] = ()
    inputs: Pixels | None = None


def render_files(files: Sequence[Encoded], recipe: str, resolution: int) -> Rendered:
    """Decode, crop and scale a block of image files. A bad image is reported, never raised."""
    images = np.zeros((len(files), 3, resolution, resolution), np.uint8)
    bad: list[tuple[str, str]] = []
    for position, file in enumerate(files):
        with _reported(file, bad), _opened(file) as image:
            images[position] = render_image(image, recipe, resolution)
    return Rendered(images, tuple(bad))


def render_halves(files: Sequence[Encoded], left_is_input: bool, recipe: str, resolution: int) -> Rendered:
    """Do the same for files that hold input and target side by side."""
    images, inputs = (np.zeros((len(files), 3, resolution, resolution), np.uint8) for _ in range(2))
    left, right = (inputs, images) if left_is_input else (images, inputs)
    bad: list[tuple[str, str]] = []
    for position, file in enumerate(files):
        with _reported(file, bad), _opened(file) as image:
            upright, (width, height) = ImageOps.exif_transpose(image), upright_size(image)
            check_is_side_by_side((width, height))
            left[position] = render_image(upright.crop((0, 0, height, height)), recipe, resolution)
            right[position] = render_image(upright.crop((height, 0, width, height)), recipe, resolution)
    return Rendered(images, tuple(bad), inputs)


def render_pairs(pairs: Sequence[tuple[Encoded, Encoded]], recipe: str, resolution: int) -> Rendered:
    """Do the same for pairs of files: (input, target)."""
    inputs, images = (render_files(files, recipe, resolution) for files in zip(*pairs, strict=True))
    return Rendered(images.images, (*inputs.bad, *images.bad), inputs.images)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of an image as its EXIF orientation turns it; reads its header alone."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) in _LYING else (width, height)


def check_is_side_by_side(size: tuple[int, int]) -> None:
    """Raise UnusableImageError where an image is not twice as wide as high."""
    if size[0] != 2 * size[1]:
        raise UnusableImageError(f"is {size[0]}x{size[1]} pixels; two squares side by side are twice as wide as high")


@contextmanager
def _opened(file: Encoded) -> Iterator[Image.Image]:
    """Open a file that was read. Raises UnusableImageError for one that could not be, or holds nothing."""
    if file.problem is not None or not file.data:
        raise UnusableImageError(file.problem or "is empty")
    with open_image(file.data) as image:
        yield image


@contextmanager
def _reported(file: Encoded, bad: list[tuple[str, str]]) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error and others
        bad.append((file.name, reason(error)))


def render_arrays(arrays: Pixels, resolution: int) -> Rendered:
    """Bring images (N, H, W) or (N, H, W, 3) uint8 to (N, 3, R, R) by the recipe `square`."""
    images = np.zeros((len(arrays), 3, resolution, resolution), np.uint8)
    for position, array in enumerate(arrays):
        images[position] = render_image(Image.fromarray(array), "square", resolution)
    return Rendered(images)


def render_image(image: Image.Image, recipe: str, resolution: int) -> Pixels:
    """Crop and scale one image to (3, R, R) uint8; raises UnusableImageError when the recipe does not fit it."""
    if recipe in CELEBA_CROPS:
        if image.size != CELEBA_SIZE:
            raise UnusableImageError(f"is {image.width}x{image.height} pixels, not {CELEBA_SIZE[0]}x{CELEBA_SIZE[1]}")
        cropped = to_rgb(image).crop(CELEBA_CROPS[recipe])
    elif recipe == "square":
        upright = to_rgb(ImageOps.exif_transpose(image))
        side = min(upright.size)
        left, top = (upright.width - side) // 2, (upright.height - side) // 2
        cropped = upright.crop((left, top, left + side, top + side))
    else:
        cropped = to_rgb(ImageOps.exif_transpose(image))
        if cropped.size != (resolution, resolution):
            raise UnusableImageError(
                f'is {cropped.width}x{cropped.height}; recipe "none" needs {resolution}x{resolution}'
            )
    scaled = cropped.resize((resolution, resolution), Image.Resampling.BICUBIC)
    return np.asarray(scaled, dtype=np.uint8).transpose(2, 0, 1)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image with three 8-bit channels: grey is repeated, transparency is laid on white.

    Images of more than 8 bits a channel are refused: Pillow would clip them, not scale them.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        raise UnusableImageError("has more than 8 bits a channel; convert it to 8 bits")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    return image.convert("RGB")


def reason(error: Exception) -> str:
    """Return why an image file cannot be used."""
    return str(error) if isinstance(error, UnusableImageError) else f"does not decode ({error})"
