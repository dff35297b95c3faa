"""Every metric of one set of images against another, without a study or a run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from bench.data import PreparedData, PreparedSet
from bench.data.build import array_sha256
from bench.data.images import load_images, map_images
from bench.data.streams import drawn_places
from bench.errors import BenchError, suggest
from bench.evaluation.evaluate import measured_lines
from bench.evaluation.extractors import load_extractors
from bench.evaluation.features import Progress
from bench.evaluation.metrics import final_values, sample_of_generated
from bench.evaluation.own_metrics import load_metrics
from bench.evaluation.reference import FEWEST_IMAGES, Reference
from bench.metrics.catalogue import metric_info
from bench.metrics.settings import EXTRACTORS, EvaluationSettings

Images = npt.ArrayLike | str | Path
_RESOLUTIONS = (32, 64, 128)


@dataclass(frozen=True)
class ArraySet(PreparedSet):
    """Images in memory, or mapped, where the evaluation expects prepared ones."""

    array: npt.NDArray[np.uint8] = field(repr=False)

    def images(self) -> npt.NDArray[np.uint8]:  # type: ignore[override]  # maybe in memory, so not mapped
        return self.array

    @classmethod
    def of(cls, array: npt.NDArray[np.uint8], name: str, source: str) -> ArraySet:
        """Take an array (N, 3, R, R); `source` as in a manifest, `name` for messages."""
        count, resolution = len(array), array.shape[-1]
        manifest = {"source": source, "count": count, "resolution": resolution, "sha256": array_sha256(array)}
        return cls(Path(name), manifest, array)


@dataclass(frozen=True)
class Measured:
    """Every metric of one set of images, as records have them, and of which images.

    images_sha256     of the N images that were measured, as prepared
    heldout_sha256    of the real images that they were held against
    training_sha256   of the training images; None where none were given
    """

    evaluation_id: str
    samples: int
    resolution: int
    images_sha256: str
    heldout_sha256: str
    training_sha256: str | None
    lines: tuple[dict[str, Any], ...]

    def table(self) -> pd.DataFrame:
        """Return a line for each metric."""
        rows = [
            {
                "metric": line["metric"],
                "value": line["value"],
                "floor": math.nan if line["floor"] is None else line["floor"],
                "better": metric_info(line["metric"]).better or "",
                **{name: line[name] for name in ("samples", "reference", "reference_samples", "floor_samples")},
                "extractor": line["extractor"],
                "extractor_sha256": line["extractor_sha256"] or "",
            }
            for line in self.lines
        ]
        return pd.DataFrame(rows).set_index("metric")


def measure(
    images: Images,
    reference: Images,
    *,
    training: Images | None = None,
    extractors: Sequence[str] = ("lite0",),
    samples: int | None = None,
    resolution: int | None = None,
    data: str | Path = "data",
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compute every metric of generated images against real ones: as runs are measured, of any images.

    images      generated images: an array, a folder, a zip, a .npz, .npy or parquet file, see `load_images`
    reference   real images that the generator has not seen, of the same resolution
    training    the images it was trained on; adds the distances to them, which tell whether it copies
    extractors  "lite0" (ImageNet), "inception" (the FID's; its weights are downloaded once) and "judge", which here
                is that of the package's drawn faces
    samples     N, at least 50: of more images a fixed random choice is measured, against as many real ones in a fixed
                random order [all the images there are]
    resolution  32, 64 or 128: what images are cropped and scaled to [the arrays' own; 64 for files]
    data        the folder in which features of real images and weights are cached
    device      "auto" (a GPU, else the CPU), "cpu", "cuda:0", ...
    progress    called as (stage, done, total) after every batch

    Files are read a block at a time into a temporary one: their features alone stay in memory. Returns a table by
    metric (docs/evaluation.md explains each): its `value`; its `floor`, which is the same metric of N other real
    images, what a perfect generator would reach; which way is `better` (empty: near the floor); `samples`, `reference`
    ("heldout" or "train") and `reference_samples`; `floor_samples`; `extractor` and the SHA-256 of its weights. The
    floor takes 2 N reference images, or `training`; without either it is empty. Distances depend on N: compare values
    of equal N only.
    Raises BenchError where images cannot be used or are too few, or an extractor's weights cannot be had.

        table = bench.measure("samples/", "celeba-test.zip", samples=5_000, resolution=64)
        table.loc["fd_lite0", ["value", "floor", "samples"]]
    """
    source = "faces" if "judge" in extractors else "array"
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as place:
        generated = _opened(images, Path(place), resolution, most=samples)
        heldout = ArraySet.of(_opened(reference, Path(place), resolution), "reference", source)
        seen = None
        if training is not None:
            seen = ArraySet.of(_opened(training, Path(place), resolution), "training", source)
        settings = _settings(extractors, count_measured(generated, samples))
        return measure_images(
            generated, heldout, seen, settings, source, Path(data), device_named(device), progress
        ).table()


def measure_images(
    generated: npt.NDArray[np.uint8],
    heldout: PreparedSet,
    training: PreparedSet | None,
    settings: EvaluationSettings,
    source: str,
    data_root: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Measured:
    """Compute every metric that settings ask for of the first `settings.samples` images; see `measure`.

    `source` is where the real images come from, as a study's data has it.
    """
    count = count_measured(generated, settings.samples)
    sizes = {"images": generated.shape[-1], "reference": heldout.resolution}
    _refuse_other_sizes(sizes | ({} if training is None else {"training": training.resolution}))
    # Without training images held-out ones stand in their place, and what is measured against them is left out.
    real = Reference(
        settings,
        PreparedData(training or heldout, heldout),
        load_extractors(settings, source, data_root, device),
        data_root,
        progress,
        load_metrics(settings),
    )
    sample = sample_of_generated(generated[:count], real, final=True, progress=progress)
    values = [value for value in final_values(sample, real) if training is not None or value.reference.split != "train"]
    with_floor = training is not None or heldout.count >= 2 * count
    return Measured(
        settings.id(),
        count,
        generated.shape[-1],
        array_sha256(generated[:count]),
        heldout.sha256,
        None if training is None else training.sha256,
        tuple(measured_lines(values, real, count, final=True, with_floor=with_floor)),
    )


def count_measured(generated: npt.NDArray[np.uint8], samples: int | None) -> int:
    """Return N. Raises BenchError where there are not so many images, or too few to measure."""
    count = len(generated) if samples is None else samples
    if not FEWEST_IMAGES <= count <= len(generated):
        raise BenchError(
            f"{count} of {len(generated)} images cannot be measured",
            hint=f"Give at least {FEWEST_IMAGES} images, and samples between {FEWEST_IMAGES} and their number.",
        )
    return count


def _opened(images: Images, place: Path, resolution: int | None, most: int | None = None) -> npt.NDArray[np.uint8]:
    if isinstance(images, str | Path):
        return map_images(Path(images), place, resolution=resolution, most=most)
    loaded = load_images(images, resolution=resolution)
    return loaded if most is None or len(loaded) <= most else loaded[drawn_places(len(loaded), most)]


def _settings(extractors: Sequence[str], count: int) -> EvaluationSettings:
    if not extractors or not set(extractors) <= set(EXTRACTORS):
        raise BenchError(f"{extractors!r} are no extractors", hint=f"Give a list out of {', '.join(EXTRACTORS)}.")
    names = tuple(dict.fromkeys(extractors))
    return EvaluationSettings(extractors=names, samples=count, snapshot_samples=FEWEST_IMAGES)


def _refuse_other_sizes(sizes: dict[str, int]) -> None:
    if len(set(sizes.values())) > 1 or sizes["images"] not in _RESOLUTIONS:
        told = ", ".join(f"{name} {size}x{size}" for name, size in sizes.items())
        raise BenchError(
            f"All images must be of one size, 32x32, 64x64 or 128x128; they are {told}",
            hint="Give the resolution 64 (or 32, 128): all are cropped and scaled to it in the same way.",
        )


def device_named(name: str) -> torch.device:
    """Return a device of this machine: "auto" is a GPU, else the CPU. Raises BenchError for one that is not there."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    known = [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    chosen = gpus[0] if gpus and name in ("auto", "cuda") else "cpu" if name == "auto" else name
    if chosen not in known:
        raise BenchError(
            f'This machine has no device "{name}"{suggest(name, known)}', hint=f"It has: {', '.join(known)}."
        )
    return torch.device(chosen)
