"""What every source of images offers to the preparation, and the choices by hash that all of them share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.data.crops import Rendered
from bench.errors import BenchError

HELDOUT_SHARE = 0.1
"""The share of a set without a test part that is held out."""

_BYTES = "surrogateescape"  # a file's name that is not UTF-8 stands for its own bytes

Item = TypeVar("Item", int, str)


@dataclass(frozen=True)
class Split:
    """The training or the held-out images of a source.

    `read(start, stop)` returns what `Source.render` needs to make images start to stop - 1: encoded files, an array, or
    only indices. It runs in the preparing process, in ascending order.
    """

    count: int
    read: Callable[[int, int], Any]


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
