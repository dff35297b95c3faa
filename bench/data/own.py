"""A data set of one's own, as a Python file: `bench new NAME --dataset` writes one to start from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

Part = Literal["train", "heldout"]


class ImageSource(ABC):
    """Images by their place: the same place must give the same image whenever, and in whatever order, it is asked for.

    The file's content is part of what identifies the prepared images. Where they come from files or a seed outside of
    it, change `version` when those change.
    """

    version: ClassVar[str] = ""

    @abstractmethod
    def count(self, part: Part) -> int:
        """Return how many training images there are, and how many that are held out: never the same ones."""

    @abstractmethod
    def image(self, part: Part, index: int) -> npt.NDArray[np.uint8]:
        """Return one image, uint8 H x W x 3 in RGB, or grey H x W."""
