"""The judges: small classifiers that recognise what an image shows, for counting modes and for a Fréchet distance.

One knows drawn faces, one Fashion-MNIST. Their weights ship with the package; `python -m bench.data.judge.training`
makes them again. They were also shown pictures that are nothing of the kind (noise, blurs, averages, mixtures) with the
answer "any value alike", so that their confidence falls where there is nothing to recognise (outlier exposure,
Hendrycks et al. 2019, arXiv 1812.04606). What they know is here, without torch; `network.py` has the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from bench.data import faces
from bench.data.readers.torchvision_sets import FASHION_CLASSES


@dataclass(frozen=True)
class Knowledge:
    """What a judge knows of a source: each factor's values, which factors make a mode; and its weights' SHA-256."""

    source: str
    factors: Mapping[str, Sequence[str]]
    mode_factors: tuple[str, ...]
    sha256: str

    @property
    def weights(self) -> Path:
        """Return the file of its weights."""
        return Path(__file__).with_name(f"{self.source}.safetensors")

    @property
    def mode_count(self) -> int:
        """Return how many modes there are: combinations of the mode factors' values."""
        return prod(len(self.factors[name]) for name in self.mode_factors)


KNOWN = {
    known.source: known
    for known in (
        Knowledge(
            "faces",
            faces.FACTORS,
            faces.MODE_FACTORS,
            "6e2f8d878c7661fa9a69525c560e0c6e74319a265fd77d5ae73c6e467ce6f597",
        ),
        Knowledge(
            "fashion-mnist",
            {"class": FASHION_CLASSES},
            ("class",),
            "825f4bc6efe8849c61d8c6e69e95092f7ec0e1ce982b9ec0e08ebdecc3f5d6a4",
        ),
    )
}
"""What the judges of this version know, by source."""
