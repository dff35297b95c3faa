"""Ways in which real images are made worse on purpose, to see what a metric forgives and what it punishes.

Each is a function of the images and their places alone. Sizes in pixels go with the resolution: those below are of 64
pixels. Images are degraded when they are asked for, a batch at a time.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.cluster.vq import kmeans2
from scipy.ndimage import gaussian_filter

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CLUSTERS = 10
_SEED = 2020
_BLOCK = 500


class Degraded:
    """N images as a degradation leaves them, uint8 N x 3 x R x R: sliced like an array, made when they are asked for.

    images   an array or a mapped file of at least N real images
    places   which of its images, in which order
    mean     their mean image, 3 x R x R
    """

    def __init__(self, images: Bytes, places: Places, mean: Floats, degradation: Degradation) -> None:
        self._images, self._mean, self._degradation = images, mean, degradation
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, part: slice) -> Bytes:
        """Return images of the slice, which begins somewhere: the partner of image i is image i + 1."""
        at = np.arange(len(self))[part]
        chosen = Chosen(
            np.asarray(self._images[self._places[at]]),
            np.asarray(self._images[self._places[(at + 1) % len(self)]]),
            self._mean,
            at,
        )
        return self._degradation.of(chosen)


@dataclass(frozen=True)
class Chosen:
    """Some images with what a degradation may use: another image for each, the mean image, places in the sample."""

    images: Bytes
    others: Bytes
    mean: Floats
    at: Places

    @property
    def unit(self) -> float:
        """Return the pixels here that are one pixel at 64."""
        return float(self.images.shape[-1]) / 64


@dataclass(frozen=True)
class Degradation:
    """One way: its name in records, what it does in words, and the function."""

    name: str
    words: str
    of: Callable[[Chosen], Bytes]


def mean_image(images: Bytes, places: Places) -> Floats:
    """Return the mean of the images at `places`, 3 x R x R."""
    total = np.zeros(images.shape[1:])
    for start in range(0, len(places), _BLOCK):
        total += images[places[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
    return total / len(places)


def clusters_of(thumbnails: Bytes) -> npt.NDArray[np.int64]:
    """Return each image's cluster, 0 to 9, by k-means of N x 768 bytes (16 x 16 pixels): stand-ins for modes."""
    points = thumbnails.astype(np.float64)
    contents = [thumbnail.tobytes() for thumbnail in thumbnails]
    numbers = {content: number for number, content in enumerate(dict.fromkeys(contents))}
    if len(numbers) <= CLUSTERS:  # too few to begin with as many centres
        return np.array([numbers[content] for content in contents])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a cluster may end up empty: there are fewer modes then
        found = kmeans2(points, CLUSTERS, iter=25, minit="++", seed=np.random.default_rng(_SEED))
    return found[1].astype(np.int64)


def without_clusters(clusters: npt.NDArray[np.int64], count: int, dropped: int) -> Places:
    """Return `count` places among images of these clusters, of none of the `dropped` that come nearest to a tenth each.

    Those come first that are kept of the first `count`, then others in order; where there are too few, they repeat.
    """
    sizes = np.bincount(clusters, minlength=CLUSTERS)
    gone = np.argsort(np.abs(sizes - len(clusters) / CLUSTERS), kind="stable")[:dropped]
    kept = np.flatnonzero(~np.isin(clusters, gone))
    return np.resize(kept, count)


def _averaged(share: float) -> Callable[[Chosen], Bytes]:
    return lambda chosen: _bytes((1 - share) * chosen.images + share * chosen.mean)


def _blurred(sigma: float) -> Callable[[Chosen], Bytes]:
    def of(chosen: Chosen) -> Bytes:
        width = sigma * chosen.unit
        return _bytes(gaussian_filter(chosen.images.astype(np.float64), (0, 0, width, width), mode="nearest"))

    return of


def _checkered(height: float) -> Callable[[Chosen], Bytes]:
    def of(chosen: Chosen) -> Bytes:
        side = np.arange(chosen.images.shape[-1])
        return _bytes(chosen.images + height * np.where((side[:, None] + side) % 2, 1.0, -1.0))

    return of


def _noisy(sigma: float) -> Callable[[Chosen], Bytes]:
    def of(chosen: Chosen) -> Bytes:
        noise = [np.random.default_rng((_SEED, at)).standard_normal(chosen.images.shape[1:]) for at in chosen.at]
        return _bytes(chosen.images + sigma * np.stack(noise))

    return of


def _jpeg(quality: int) -> Callable[[Chosen], Bytes]:
    def one(image: Bytes) -> Bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as decoded:
            return np.asarray(decoded, dtype=np.uint8).transpose(2, 0, 1)

    return lambda chosen: np.stack([one(image) for image in chosen.images])


def _shifted(pixels: float) -> Callable[[Chosen], Bytes]:
    def of(chosen: Chosen) -> Bytes:
        by = max(round(pixels * chosen.unit), 1)
        return np.pad(chosen.images, ((0, 0), (0, 0), (0, 0), (by, 0)), mode="edge")[..., : chosen.images.shape[-1]]

    return of


def _brighter(by: float) -> Callable[[Chosen], Bytes]:
    return lambda chosen: _bytes(chosen.images + by)


def _halves(chosen: Chosen) -> Bytes:
    half = chosen.images.shape[-1] // 2
    return np.concatenate([chosen.images[..., :half], chosen.others[..., half:]], axis=-1)


def _quarters(chosen: Chosen) -> Bytes:
    half = chosen.images.shape[-1] // 2
    return np.roll(chosen.images, (half, half), axis=(2, 3))


def _bytes(values: npt.NDArray[np.floating]) -> Bytes:
    return (values + 0.5).clip(0, 255).astype(np.uint8)


_ALL = (
    Degradation("average-25", "averaged with the mean image, a quarter of it", _averaged(0.25)),
    Degradation("average-50", "averaged half-way with the mean image", _averaged(0.5)),
    Degradation("average-75", "averaged with the mean image, three quarters of it", _averaged(0.75)),
    Degradation("blur-1", "blurred, σ 1 pixel in 64", _blurred(1)),
    Degradation("blur-2", "blurred, σ 2 pixels in 64", _blurred(2)),
    Degradation("blur-4", "blurred, σ 4 pixels in 64", _blurred(4)),
    Degradation("checkerboard-5", "with a checkerboard of ±5", _checkered(5)),
    Degradation("checkerboard-10", "with a checkerboard of ±10", _checkered(10)),
    Degradation("checkerboard-20", "with a checkerboard of ±20", _checkered(20)),
    Degradation("noise-4", "with noise, σ 4", _noisy(4)),
    Degradation("noise-16", "with noise, σ 16", _noisy(16)),
    Degradation("jpeg-75", "saved as JPEG, quality 75", _jpeg(75)),
    Degradation("jpeg-25", "saved as JPEG, quality 25", _jpeg(25)),
    Degradation("shift-2", "moved aside by 2 pixels in 64", _shifted(2)),
    Degradation("shift-8", "moved aside by 8 pixels in 64", _shifted(8)),
    Degradation("brighter-5", "brighter by 5", _brighter(5)),
    Degradation("halves", "left half of one image, right half of another", _halves),
    Degradation("quarters", "quarters of the image changed places", _quarters),
)
DEGRADATIONS: Mapping[str, Degradation] = {degradation.name: degradation for degradation in _ALL}
AS_THEY_ARE = Degradation("none", "as they are", lambda chosen: chosen.images)
