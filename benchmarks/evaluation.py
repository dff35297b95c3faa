"""How many images a second the Inception path reaches on one core, against torch-fidelity's own extractor.

    python benchmarks/evaluation.py [--resolution 64] [--rounds 5]

Both have the same random weights, which cost what the TF-2015 ones cost, and get the same images as bytes. torch-
fidelity is timed at its default batch of 64 images and at 8, where it is fastest. Rounds alternate, so that a busy
machine slows all alike; the ratios of the medians are what counts, and nothing else is worth keeping.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from bench.evaluation.features import extract
from bench.evaluation.inception import InceptionExtractor, Weights
from bench.training.environment import describe_environment

DEFAULT_BATCH, FAST_BATCH = 64, 8


class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's network before any weights are loaded."""

    def load_state_dict(self, state_dict: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of the Inception path against torch-fidelity.")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = random_weights()
    theirs = FeatureExtractorInceptionV3(
        "reference", ["2048", "logits_unbiased"], feature_extractor_weights_path=as_file(weights)
    )
    ours = InceptionExtractor(Weights(weights, "0" * 64), torch.device("cpu"))
    images = smooth_images(DEFAULT_BATCH, options.resolution)

    def in_batches(size: int) -> Tensor:
        with torch.inference_mode():
            return torch.cat([theirs(batch)[0] for batch in torch.split(images, size)])

    ways: dict[str, Callable[[], Tensor]] = {
        "bench": lambda: extract(ours, images).pool,
        f"torch-fidelity, {DEFAULT_BATCH} at a time": lambda: in_batches(DEFAULT_BATCH),
        f"torch-fidelity, {FAST_BATCH} at a time": lambda: in_batches(FAST_BATCH),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    features: dict[str, Tensor] = {}
    for _ in range(options.rounds + 1):  # the first round warms up
        for name, way in ways.items():
            began = time.perf_counter()
            features[name] = way()
            seconds[name].append(time.perf_counter() - began)
    environment: dict[str, Any] = describe_environment(torch.device("cpu"))
    print(f"{environment['device']}, {environment['capability']}, torch {environment['packages']['torch']}, one thread")
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    mine = features["bench"]
    for name, median in medians.items():
        error = float((features[name] - mine).norm() / mine.norm())
        print(
            f"{name:32} {1000 * median / len(images):7.1f} ms an image   "
            f"ratio {median / medians['bench']:.2f}   features apart by {error:.1e}"
        )


def random_weights() -> dict[str, Tensor]:
    """Return weights that keep the signal alive through the network (He et al.'s initialisation)."""
    network = Blank("blank", ["2048"], feature_extractor_weights_path=as_file({}))
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=random)
    weights: dict[str, Tensor] = network.state_dict()
    return weights


def as_file(weights: dict[str, Tensor]) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(weights, file)
    file.seek(0)
    return file


def smooth_images(count: int, resolution: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    return (255 * interpolate(coarse, size=(resolution, resolution), mode="bilinear")).round().to(torch.uint8)


if __name__ == "__main__":
    main()
