"""Measures one sample of N images under an extractor of d features and prints the peak memory: a process of its own.

    python evaluation_memory.py FOLDER N D

Prints the peak resident memory in MB when the images are there, and in the end. Everything is the real evaluation but
for the images, which are random, and the network, which is one random matrix.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.prepared import PreparedData, PreparedSet
from bench.evaluation.features import Features
from bench.evaluation.metrics import final_values, sample_of_generated
from bench.evaluation.reference import Reference
from bench.metrics.settings import EvaluationSettings

RESOLUTION = 16


class Projection:
    """Pixels times one random matrix, and ReLU."""

    name = label = recipe = sha256 = "projection"
    device = torch.device("cpu")

    def __init__(self, dimension: int) -> None:
        random = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(3 * RESOLUTION**2, dimension, generator=random) / 3000
        self.classes = torch.randn(dimension, min(dimension, 1_008), generator=random)

    def features(self, images: Tensor) -> Features:
        pool = ((images.flatten(1).float() - 128) @ self.matrix).relu()
        return Features(pool, pool @ self.classes)


def prepared(folder: Path, count: int, seed: int) -> PreparedSet:
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images_of(count, seed).numpy())
    manifest = {"source": "folder", "resolution": RESOLUTION, "count": count, "sha256": f"{seed:064x}"}
    return PreparedSet(folder, manifest)


def images_of(count: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, RESOLUTION, RESOLUTION), generator=random, dtype=torch.uint8)


def peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    folder, count, dimension = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    data = PreparedData(prepared(folder / "train", count, 0), prepared(folder / "heldout", 2 * count, 1))
    settings = EvaluationSettings(samples=count, snapshot_samples=min(count, 1_000))
    reference = Reference(settings, data, (Projection(dimension),), folder)  # type: ignore[arg-type]
    images = images_of(count, 2)
    before = peak_megabytes()
    sample = sample_of_generated(images, reference, final=True, progress=None)
    values = {value.metric: value.value for value in final_values(sample, reference)}
    print(json.dumps({"before": before, "peak": peak_megabytes(), "values": values}))


if __name__ == "__main__":
    main()
