"""What every source of images offers to the preparation, and the choices by hash that all of them share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bench.data.crops import Rendered
from bench.errors import BenchError

HELDOUT_SHARE = 0.1
"""The share of a set without a test part that is held out."""

_BYTES = "surrogateescape"  # a file's name that is not UTF-8 stands for its own bytes

Item = TypeVar("Item", int, str)


@dataclass(frozen=True)
class Labels:
    """What images show: `factors` maps each factor to its values, `values` (N, F) uint8 are numbers into those."""

    factors: Mapping[str, tuple[str, ...]]
    values: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """The training or the held-out images of a source.

    `read(start, stop)` returns what `Source.render` needs to make images start to stop - 1: encoded files, an array, or
    only indices. It runs in the preparing process, in ascending order. `labels` are there where they were asked for.
    """

    count: int
    read: Callable[[int, int], Any]
    labels: Labels | None = None


@dataclass(frozen=True)
class Source:
    """An opened source.

    fingerprint  a cheap hash of the content: another content, another fingerprint
    splits       lists the images: (training, held out); raises BenchError when they are not what was asked for
    render       turns what a split reads into pixels; it runs in worker processes, so it must be picklable
    details      what the manifest says about where the images come from; filled in by `splits`
    remedy       what to do about images that cannot be used
    notice       what of the source is not read, for the user to know; "" for nothing
    """

    fingerprint: str
    splits: Callable[[], tuple[Split, Split]]
    render: Callable[[Any], Rendered]
    details: dict[str, Any] = field(default_factory=dict)
    remedy: str = "Replace these images or take them away, and type the same command again."
    notice: str = ""


def _number(seed: int, purpose: str, item: int | str) -> int:
    """A 64-bit number that depends on nothing but its arguments."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{item}".encode(errors=_BYTES)).digest()[:8], "big")


def is_held_out(item: int | str, seed: int) -> bool:
    """Whether an image belongs to the held-out tenth: by a hash, so that adding images moves none of the others."""
    return _number(seed, "heldout", item) < HELDOUT_SHARE * 2**64


def choose(items: Sequence[Item], count: int | None, seed: int, what: str) -> list[Item]:
    """Keep `count` of the items (None: all), chosen by hash, in their order; a smaller choice is part of a larger one.

    Raises BenchError when there are fewer than `count`; `what` names the split ("train" or "heldout").
    """
    if count is None:
        return list(items)
    if count > len(items):
        raise BenchError(
            f"{what}_count = {count:,}, but there are only {len(items):,} such images",
            hint=f"Set {what}_count to {len(items)} or less, or leave it out to take all.",
        )
    kept = set(sorted(items, key=lambda item: _number(seed, what, item))[:count])
    return [item for item in items if item in kept]


def hash_lines(lines: Iterable[str]) -> str:
    """SHA-256 of text lines, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode(errors=_BYTES))
        digest.update(b"\n")
    return digest.hexdigest()


def class_labels(names: Sequence[str], classes: Sequence[str]) -> Labels:
    """Return the one factor `class` of images whose classes are `names`, out of `classes` (256 at most)."""
    number = {name: index for index, name in enumerate(classes)}
    values = np.array([number[name] for name in names], np.uint8)
    return Labels({"class": tuple(classes)}, values[:, None])


def check_labels(source: str, train: Split, heldout: Split) -> None:
    """Raise BenchError for a value that one split alone shows, and for a factor of which only one is shown at all."""
    if train.labels is None or heldout.labels is None:
        return
    for place, (factor, values) in enumerate(train.labels.factors.items()):
        learned, measured = (set(labels.values[:, place].tolist()) for labels in (train.labels, heldout.labels))
        for alone, split, said in (
            (learned - measured, "training", "could be learned and not measured"),
            (measured - learned, "held-out", "could be measured and not learned"),
        ):
            if alone:
                raise BenchError(
                    f"{source}: {factor} {values[min(alone)]} is shown by {split} images alone: it {said}",
                    hint="Bring images of it to both splits (or raise a count), or take it out of both.",
                )
        if len(learned) < 2:
            raise BenchError(
                f"{source}: all images show one {factor}, {values[min(learned)]}: there is nothing to tell",
                hint=f"Take {factor} out of data.labels, or bring images that show another.",
            )
