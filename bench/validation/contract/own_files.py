"""The contracts of an extractor, a metric and a data set of one's own: what a study takes for granted of them.

They are tried on drawn faces. `check_own` finds out of which kind a file is by what its class is made of.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data.faces import draw_faces
from bench.data.own import Part
from bench.data.readers.own import image_of, load_source
from bench.errors import BenchError
from bench.evaluation.contracts import FeatureExtractor, Images, SampleMetric
from bench.evaluation.degrading import DEGRADATIONS, Degraded, mean_image
from bench.evaluation.frechet import fit, frechet_distance
from bench.userfile import base_names, class_in
from bench.validation.contract.report import NotApplicable, Problem, Report, Result

Kind = Literal["objective", "extractor", "metric", "dataset"]
Check = tuple[str, Callable[[], Iterator[Problem]]]
"""What holds where nothing is found, and the search."""

_KINDS: Mapping[str, Kind] = {"FeatureExtractor": "extractor", "SampleMetric": "metric", "ImageSource": "dataset"}
_PARTS: tuple[Part, ...] = ("train", "heldout")
_TOLERANCE = 1e-4
_FEWEST = 50
_LOOKED_AT = 200
Bytes = npt.NDArray[np.uint8]


def kind_of(file: Path) -> Kind:
    """Return what a user's file holds, by what its class is made of; an objective where that says nothing else."""
    bases = base_names(file)
    return next((kind for base, kind in _KINDS.items() if base in bases), "objective")


def check_own(file: Path, weights: Path | None = None) -> Report:
    """Hold a file with an extractor, a metric or a data set to its contract; its code is run.

    weights   the file of an extractor's weights, where it takes one
    """
    began = time.perf_counter()
    makers: dict[str, Callable[[Path], dict[str, Check]]] = {
        "extractor": partial(_of_extractor, weights=weights),
        "metric": _of_metric,
        "dataset": _of_dataset,
    }
    try:
        checks = makers[kind_of(file)](file.resolve())
        found = [_result(label, *check) for label, check in checks.items()]
    except BenchError as error:
        found = [Result("import", "the file can be imported", "failed", (Problem(error.message, error.hint or ""),))]
    except Exception as error:  # whatever making its class raises
        mend = "Mend __init__, or take it away."
        if kind_of(file) == "extractor" and weights is None:
            mend = "Mend __init__; where it takes weights, name their file: --weights FILE."
        told = Problem(f"{type(error).__name__}: {error}", mend)
        found = [Result("import", "its class can be made", "failed", (told,))]
    return Report(file.stem.replace("_", "-"), str(file), tuple(found), time.perf_counter() - began)


def _result(label: str, proves: str, search: Callable[[], Iterator[Problem]]) -> Result:
    try:
        problems = tuple(search())
    except NotApplicable as reason:
        return Result(label, proves, "not applicable", why=str(reason))
    except BenchError as error:
        problems = (Problem(error.message, error.hint or ""),)
    except Exception as error:  # whatever a user's code raises
        problems = (Problem(f"{type(error).__name__}: {error}", "Mend the method that raises this."),)
    return Result(label, proves, "failed" if problems else "passed", problems)


def _of_extractor(file: Path, weights: Path | None) -> dict[str, Check]:
    own = class_in(file, FeatureExtractor, "extractor")(torch.device("cpu"), weights)  # type: ignore[type-abstract]
    faces = torch.from_numpy(draw_faces(2020, range(24), 32))

    def shape() -> Iterator[Problem]:
        for size in (32, 64):
            found: Any = own.features(torch.from_numpy(draw_faces(2020, range(5), size)))
            if not (isinstance(found, Tensor) and found.ndim == 2 and len(found) == 5 and found.is_floating_point()):
                told = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                yield Problem(
                    f"5 images of {size}x{size} give {told}, not floats 5 x d", "Return a row for each image."
                )
            elif not bool(found.isfinite().all()):
                yield Problem(f"images of {size}x{size} have features that are not finite", "Guard roots and logs.")

    def alone() -> Iterator[Problem]:
        whole = own.features(faces).double()
        apart = torch.cat([own.features(faces[:1]), own.features(faces[1:8]), own.features(faces[8:])]).double()
        worst = float((whole - apart).abs().max() / whole.abs().max().clamp(min=1e-12))
        if worst > _TOLERANCE:
            yield Problem(
                f"an image's features differ by {worst:.1e} with the batch it is in", "Put the network into eval mode."
            )

    def again() -> Iterator[Problem]:
        kept = faces.clone()
        if not torch.equal(own.features(faces), own.features(faces)):
            yield Problem("the same images give other features the second time", "Draw nothing, drop nothing out.")
        if not torch.equal(kept, faces):
            yield Problem("the images were changed in place", "Work on a copy: images.float() is one.")

    def order() -> Iterator[Problem]:
        real, other = (draw_faces(seed, range(200), 32) for seed in (1, 2))
        reference = fit(_features(own, real))
        places = np.arange(len(other))
        blurred = Degraded(other, places, mean_image(other, places), DEGRADATIONS["blur-1"])[0:200]
        least = frechet_distance(_features(own, blurred), reference)
        for name, images in _nonsense(other).items():
            value = frechet_distance(_features(own, images), reference)
            if value <= least:
                yield Problem(
                    f"{name} scores {value:.4g}, slightly blurred faces {least:.4g}",
                    "Its distance cannot rank generators; let it describe, beside another primary metric.",
                )

    return {
        "shape": ("every image gets a row of finite numbers", shape),
        "batches": ("an image's features do not depend on its batch", alone),
        "repeats": ("the same images give the same bits, and stay as they are", again),
        "order": ("grey, noise, blobs and one repeated image score worse than slightly blurred images", order),
    }


def _features(own: FeatureExtractor, images: Bytes) -> Tensor:
    with torch.inference_mode():
        return torch.cat([own.features(torch.from_numpy(images[at : at + 50])) for at in range(0, len(images), 50)])


def _nonsense(real: Bytes) -> dict[str, Bytes]:
    """Return what must not pass for images: as many of each kind as there are real ones."""
    random = np.random.default_rng(2020)
    blobs = random.integers(0, 256, (len(real), 3, 2, 2), dtype=np.uint8).repeat(16, axis=2).repeat(16, axis=3)
    return {
        "grey": np.full_like(real, 128),
        "noise": random.integers(0, 256, real.shape, dtype=np.uint8),
        "colour blobs": blobs,
        "one repeated image": real[:1].repeat(len(real), axis=0),
    }


def _of_metric(file: Path) -> dict[str, Check]:
    own = class_in(file, SampleMetric, "metric")()  # type: ignore[type-abstract]
    real, other = (draw_faces(seed, range(60), 32) for seed in (1, 2))

    def sets(images: Bytes) -> Images:
        if getattr(own, "of", None) == "pixels":
            return Images(images, None)
        fields = torch.nn.functional.avg_pool2d(torch.from_numpy(images).float(), 8).flatten(1)
        return Images(images, fields.numpy())

    def declared() -> Iterator[Problem]:
        if getattr(own, "of", None) not in ("features", "pixels"):
            yield Problem("`of` is not said", 'Write of = "features" or of = "pixels" into the class.')
        if getattr(own, "better", "") not in ("higher", "lower", None):
            yield Problem("`better` is not said", 'Write better = "higher", "lower" or None into the class.')

    def finite() -> Iterator[Problem]:
        for name, images in {"faces": other, **_nonsense(other)}.items():
            value = own.value(sets(images), sets(real))
            if not isinstance(value, float | int | np.floating) or not np.isfinite(value):
                yield Problem(f"{name} give {value!r}", "Return a finite number for any images.")

    def again() -> Iterator[Problem]:
        generated, held = sets(other.copy()), sets(real)
        if own.value(generated, held) != own.value(generated, held):
            yield Problem("the same images give another value the second time", "Draw from a generator of fixed seed.")
        if not np.array_equal(generated.pixels, other):
            yield Problem("the images were changed in place", "Work on a copy.")

    def direction() -> Iterator[Problem]:
        if getattr(own, "better", None) is None:
            raise NotApplicable("neither high nor low is better")
        sign = 1 if own.better == "higher" else -1
        faces = own.value(sets(other), sets(real))
        worse = {name: own.value(sets(images), sets(real)) for name, images in _nonsense(other).items()}
        if all(sign * value > sign * faces for value in worse.values()):
            yield Problem(
                f"all of {', '.join(worse)} score better than faces ({faces:.4g})", "Turn `better` round, or the value."
            )

    return {
        "declared": ("the class says what it looks at, and which way is better", declared),
        "finite": ("any images have a finite value", finite),
        "repeats": ("the same images give the same value, and stay as they are", again),
        "direction": ("faces score better than one of grey, noise, blobs and one repeated image at least", direction),
    }


def _of_dataset(file: Path) -> dict[str, Check]:
    own = load_source(file)

    def counts() -> Iterator[Problem]:
        for part in _PARTS:
            count: Any = own.count(part)
            if not isinstance(count, int) or count < _FEWEST:
                yield Problem(f"count({part!r}) is {count!r}", f"Metrics need {_FEWEST} images of each part or more.")

    def images() -> Iterator[Problem]:
        for part in _PARTS:
            first = [image_of(own, part, index) for index in range(5)]
            if all(np.array_equal(first[0], image) for image in first):
                yield Problem(f"the first five images of {part} are the same", "Let the index decide the image.")

    def again() -> Iterator[Problem]:
        anew = load_source(file)
        for part in _PARTS:
            last = int(own.count(part)) - 1
            for index in (last, 0, last // 2, 0):
                if not np.array_equal(image_of(own, part, index), image_of(anew, part, index)):
                    yield Problem(
                        f"image({part!r}, {index}) is another one the second time",
                        'Seed what is drawn by part and index: np.random.default_rng((part == "heldout", index)).',
                    )

    def apart() -> Iterator[Problem]:
        seen = {_digest(own, "train", index) for index in range(min(int(own.count("train")), _LOOKED_AT))}
        heldout = range(min(int(own.count("heldout")), _LOOKED_AT))
        shared = [index for index in heldout if _digest(own, "heldout", index) in seen]
        if shared:
            yield Problem(
                f"{len(shared)} held-out images are training images too, {shared[0]} first",
                "Hold out images that no generator is trained on.",
            )

    return {
        "counts": ("both parts have enough images", counts),
        "images": ("images are bytes, and differ", images),
        "repeats": ("the same place gives the same image, in any order", again),
        "held out": (f"of the first {_LOOKED_AT}, no held-out image is a training image", apart),
    }


def _digest(own: Any, part: Part, index: int) -> bytes:
    return hashlib.sha256(image_of(own, part, index).tobytes()).digest()
