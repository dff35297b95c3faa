"""Every metric of one set of images against another, without a study or a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from bench.data import PreparedData, PreparedSet
from bench.data.build import array_sha256
from bench.data.images import load_images
from bench.errors import BenchError, suggest
from bench.evaluation.extractors import load_extractors
from bench.evaluation.features import Progress
from bench.evaluation.metrics import final_values, floors, sample_of_generated
from bench.evaluation.reference import FEWEST_IMAGES, Reference
from bench.metrics.catalogue import metric_info
from bench.metrics.settings import EvaluationSettings, ExtractorName

Images = npt.ArrayLike | str | Path
_RESOLUTIONS = (32, 64, 128)


@dataclass(frozen=True)
class ArraySet(PreparedSet):
    """Images in memory where the evaluation expects prepared ones."""

    array: npt.NDArray[np.uint8] = field(repr=False)

    def images(self) -> npt.NDArray[np.uint8]:  # type: ignore[override]  # in memory, so not mapped
        return self.array

    @classmethod
    def of(cls, array: npt.NDArray[np.uint8], name: str, source: str) -> ArraySet:
        """Take an array (N, 3, R, R); `source` as in a manifest, `name` for messages."""
        count, resolution = len(array), array.shape[-1]
        manifest = {"source": source, "count": count, "resolution": resolution, "sha256": array_sha256(array)}
        return cls(Path(name), manifest, array)


def measure(
    images: Images,
    reference: Images,
    *,
    training: Images | None = None,
    extractors: Sequence[ExtractorName] = ("lite0",),
    samples: int | None = None,
    resolution: int | None = None,
    data: str | Path = "data",
    device: str = "auto",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compute every metric of generated images against real ones: as runs are measured, of any images.

    images      generated images: an array, a folder or a zip, see `load_images`
    reference   real images that the generator has not seen, of the same resolution
    training    the images it was trained on; adds the distances to them, which tell whether it copies
    extractors  "lite0" (ImageNet), "inception" (the FID's; its weights are downloaded once) and "judge", which knows
                the package's drawn faces alone
    samples     N, at least 50: the first N images are measured, against as many real ones in a fixed random order
                [all the images there are]
    resolution  32, 64 or 128: what images are cropped and scaled to [the arrays' own; 64 for files]
    data        the folder in which features of real images and weights are cached
    device      "auto" (a GPU, else the CPU), "cpu", "cuda:0", ...
    progress    called as (stage, done, total) after every batch

    Returns a table by metric (docs/evaluation.md explains each): its `value`; its `floor`, which is the same metric of
    N other real images, what a perfect generator would reach; which way is `better` (empty: near the floor); `samples`,
    `reference` ("heldout" or "train") and `reference_samples`; `floor_samples`; `extractor` and the SHA-256 of its
    weights. The floor takes 2 N reference images, or `training`; without either it is empty. Distances depend on N:
    compare values of equal N only.
    Raises BenchError where images cannot be used or are too few, or an extractor's weights cannot be had.

        table = bench.measure("samples/", "celeba-test.zip", samples=5_000, resolution=64)
        table.loc["fd_lite0", ["value", "floor", "samples"]]
    """
    generated = load_images(images, resolution=resolution)
    count = len(generated) if samples is None else samples
    if not FEWEST_IMAGES <= count <= len(generated):
        raise BenchError(
            f"{count} of {len(generated)} images cannot be measured",
            hint=f"Give at least {FEWEST_IMAGES} images, and samples between {FEWEST_IMAGES} and their number.",
        )
    source = "faces" if "judge" in extractors else "array"
    heldout = ArraySet.of(load_images(reference, resolution=resolution), "reference", source)
    seen = heldout  # without training images these stand in their place, and what is measured against them is left out
    if training is not None:
        seen = ArraySet.of(load_images(training, resolution=resolution), "training", source)
    _refuse_other_sizes({"images": generated, "reference": heldout.array, "training": seen.array})
    settings = _settings(extractors, count)
    place = device_named(device)
    real = Reference(
        settings,
        PreparedData(seen, heldout),
        load_extractors(settings, source, Path(data), place),
        Path(data),
        progress,
    )
    sample = sample_of_generated(torch.from_numpy(generated[:count]), real, final=True, progress=progress)
    has_floor = training is not None or heldout.count >= 2 * count
    floor = floors(real, count, final=True) if has_floor else {}
    floor_samples = len(real.floor_part(count)) if has_floor else 0
    lines: list[dict[str, Any]] = [
        {
            "metric": value.metric,
            "value": value.value,
            "floor": floor.get(value.metric, math.nan),
            "better": metric_info(value.metric).better or "",
            "samples": count,
            "reference": value.reference.split,
            "reference_samples": len(value.reference),
            "floor_samples": floor_samples,
            "extractor": "pixels" if value.extractor is None else value.extractor.name,
            "extractor_sha256": "" if value.extractor is None else value.extractor.sha256,
        }
        for value in final_values(sample, real)
        if training is not None or value.reference.split == "heldout"
    ]
    return pd.DataFrame(lines).set_index("metric")


def _settings(extractors: Sequence[ExtractorName], count: int) -> EvaluationSettings:
    known = get_args(ExtractorName)
    if not extractors or not set(extractors) <= set(known):
        raise BenchError(f"{extractors!r} are no extractors", hint=f"Give a list out of {', '.join(known)}.")
    names = tuple(dict.fromkeys(extractors))
    return EvaluationSettings(extractors=names, samples=count, snapshot_samples=FEWEST_IMAGES)


def _refuse_other_sizes(sets: dict[str, npt.NDArray[np.uint8]]) -> None:
    sizes = {name: array.shape[-1] for name, array in sets.items()}
    if len(set(sizes.values())) > 1 or sizes["images"] not in _RESOLUTIONS:
        told = ", ".join(f"{name} {size}x{size}" for name, size in sizes.items())
        raise BenchError(
            f"All images must be of one size, 32x32, 64x64 or 128x128; they are {told}",
            hint="Give resolution=64 (or 32, 128): all are cropped and scaled to it in the same way.",
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
