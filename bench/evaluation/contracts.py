"""What an extractor or a metric of one's own is: the classes that such a file subclasses.

bench new my-features --extractor     writes a file to start from
bench check ./my_features.py          holds it to the contract
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class FeatureExtractor(ABC):
    """A network, or any function, that turns images into features.

    What it does with an image must depend on that image alone: not on its batch, not on what came before, not on
    chance. `weights` is the file that bench.toml names, its SHA-256 checked; None where it names none.
    """

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        self.device = device
        self.weights = weights

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Return the features, N x d floats, of uint8 images N x 3 x R x R, which lie on `device`.

        `bench.evaluation.resizing.scaled(images, 224)` scales them as Pillow's bicubic filter does.
        """


@dataclass(frozen=True)
class Images:
    """One set of images as a metric of one's own sees it.

    pixels     uint8 N x 3 x R x R, an array or a mapped file: take a slice at a time
    features   N x d float32 of the extractor in turn; None for a metric of pixels
    """

    pixels: Any
    features: npt.NDArray[np.float32] | None


class SampleMetric(ABC):
    """A number of one set of generated images, held against as many real ones."""

    of: ClassVar[Literal["features", "pixels"]]
    """What it looks at: `features` is measured once for each of the study's extractors, `pixels` once."""

    better: ClassVar[Literal["higher", "lower"] | None]
    """Which way is better; None for a value that should be near what real images give."""

    @abstractmethod
    def value(self, generated: Images, real: Images) -> float:
        """Return the metric. The same images must give the same value, whatever was measured before."""
