"""Crops, scaling and channels, against what they are defined as."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from helpers.data_images import encoded, picture
from PIL import Image

from bench.data.crops import CELEBA_CROPS, RECIPES_OF, Encoded, render_arrays, render_files, render_image


def render(image: Image.Image, recipe: str, resolution: int = 64, kind: str = "PNG") -> np.ndarray:
    rendered = render_files([Encoded("image", encoded(image, kind))], recipe, resolution)
    assert rendered.bad == ()
    return rendered.images[0]


@pytest.mark.parametrize("recipe", CELEBA_CROPS)
def test_a_crop_has_the_side_in_its_name(recipe: str) -> None:
    left, top, right, bottom = CELEBA_CROPS[recipe]
    assert right - left == bottom - top == int("".join(filter(str.isdigit, recipe)))
    assert left >= 0
    assert right <= 178
    assert top >= 0
    assert bottom <= 218
    if recipe not in {"crop138", "stylegan128"}:
        assert (left, top) == ((178 - (right - left)) // 2, (218 - (bottom - top)) // 2)


def test_crops_without_scaling_are_the_pixels_themselves() -> None:
    image = picture(1)
    pixels = np.asarray(image).transpose(2, 0, 1)
    np.testing.assert_array_equal(render(image, "crop128", 128), pixels[:, 45:173, 25:153])
    np.testing.assert_array_equal(render(image, "stylegan128", 128), pixels[:, 121 - 64 : 121 + 64, 89 - 64 : 89 + 64])


@pytest.mark.parametrize("recipe", CELEBA_CROPS)
def test_scaling_is_antialiased_bicubic_as_torch_has_it(recipe: str) -> None:
    # No extremes: Pillow clips between the two axes, torch only at the end.
    image = Image.fromarray(np.random.default_rng(3).integers(64, 192, (218, 178, 3), dtype=np.uint8))
    left, top, right, bottom = CELEBA_CROPS[recipe]
    cropped = torch.from_numpy(np.asarray(image)[top:bottom, left:right].transpose(2, 0, 1).copy())[None].double()
    expected = torch.nn.functional.interpolate(cropped, (64, 64), mode="bicubic", antialias=True, align_corners=False)
    difference = render(image, recipe).astype(float) - expected[0].clamp(0, 255).numpy()
    assert np.abs(difference).max() <= 1.01  # one grey level: Pillow rounds after each of the two axes


def test_every_source_has_a_recipe_that_exists() -> None:
    known = {*CELEBA_CROPS, "square", "none"}
    assert {recipe for recipes in RECIPES_OF.values() for recipe in recipes} == known
    assert RECIPES_OF["celeba"][0] == "crop128"


def test_square_takes_the_centre() -> None:
    wide = Image.new("RGB", (100, 64), "black")
    wide.paste("white", (18, 0, 82, 64))
    assert render(wide, "square").min() == 255


def test_none_takes_only_the_exact_size() -> None:
    image = picture(2, 64, 64)
    np.testing.assert_array_equal(render(image, "none"), np.asarray(image).transpose(2, 0, 1))
    bad = render_files([Encoded("a.png", encoded(picture(2, 65, 64), "PNG"))], "none", 64).bad
    assert bad == (("a.png", 'is 65x64; recipe "none" needs 64x64'),)


def test_grey_is_repeated_and_28_pixels_are_scaled() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    images = render_arrays(grey, 32).images
    assert images.shape == (3, 3, 32, 32)
    np.testing.assert_array_equal(images[:, 0], images[:, 1])
    np.testing.assert_array_equal(images[:, 0], images[:, 2])
    scaled = Image.fromarray(grey[1]).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(images[1, 0], np.asarray(scaled)[:, :, 0])


def test_colour_arrays_of_the_right_size_are_untouched() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(render_arrays(colour, 32).images, colour.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    pixels = image.convert(mode) if mode != "P" else image.quantize(4)
    assert render(pixels, "square").min() == 255


def test_a_photograph_is_turned_upright() -> None:
    image = Image.new("RGB", (64, 64), "black")
    image.paste("white", (0, 0, 64, 32))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # to be turned by half a circle
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=95)
    turned = render_files([Encoded("photo", buffer.getvalue())], "square", 64).images[0]
    assert turned[:, :24].max() < 20
    assert turned[:, 40:].min() > 235


def test_sixteen_bits_are_refused_not_clipped() -> None:
    deep = Image.fromarray(np.full((64, 64), 30_000, np.uint16))
    (bad,) = render_files([Encoded("deep.png", encoded(deep, "PNG"))], "square", 64).bad
    assert "more than 8 bits" in bad[1]


def test_bad_files_are_reported_beside_good_ones() -> None:
    good = encoded(picture(5))
    files = [
        Encoded("good", good),
        Encoded("cut", good[: len(good) // 2]),
        Encoded("text", b"not an image at all"),
        Encoded("empty", b""),
        Encoded("unread", b"", "cannot be read (input/output error)"),
        Encoded("small", encoded(picture(5, 100, 100))),
    ]
    rendered = render_files(files, "crop128", 64)
    assert [name for name, _ in rendered.bad] == ["cut", "text", "empty", "unread", "small"]
    reasons = dict(rendered.bad)
    assert "truncated" in reasons["cut"]
    assert reasons["text"] == "is no image"
    assert reasons["empty"] == "is empty"
    assert reasons["unread"].startswith("cannot be read")
    assert reasons["small"] == "is 100x100 pixels, not 178x218"
    np.testing.assert_array_equal(rendered.images[0], render_image(Image.open(io.BytesIO(good)), "crop128", 64))
