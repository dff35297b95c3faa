"""Which pairs of input image and target a sample grid shows: held-out ones, the same in every grid of a study."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.data.prepared import PreparedSet
from bench.networks.sampling import GRID


class Pairs(NamedTuple):
    """Input pictures and the images that they belong to, 8 x 3 x R x R uint8 each."""

    inputs: Tensor
    targets: Tensor


def shown_pairs(prepared: PreparedSet) -> Pairs | None:
    """Return a row of a grid of pairs, spread evenly over a set; None where it has no input images."""
    inputs = prepared.inputs()
    if inputs is None:
        return None
    places = np.arange(GRID) * prepared.count // GRID
    return Pairs(torch.from_numpy(inputs[places]), torch.from_numpy(prepared.images()[places]))
