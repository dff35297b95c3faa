"""CelebA's attributes: list_attr_celeba.txt and the other forms in which copies of the set bring it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.readers.archives import Container, check_is_data, file_number
from bench.data.readers.base import Labels
from bench.errors import BenchError, suggest

# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on
"""The 40 attributes of list_attr_celeba.txt, in its order (Liu et al. 2015)."""

VALUES = ("no", "yes")
FILE_NAMES = ("list_attr_celeba.txt", "list_attr_celeba.csv")
_WAY = (
    f"{FILE_NAMES[0]} comes with CelebA, in its folder Anno: put it beside the images, or take `labels` out of the"
    " study's data."
)

Rows = Mapping[int, Sequence[int]]
"""Official file number -> 0 or 1 for each attribute asked for."""


@dataclass(frozen=True)
class Attributes:
    """Where attributes were found: a `name` for the manifest, the `sha256` of the content, and how to read them."""

    name: str
    sha256: str
    read: Callable[[], Rows]


def find_attributes(path: Path, container: Container, names: Sequence[str]) -> Attributes:
    """Find the attributes `names` of the images in `container`, which was found at `path`.

    A file beside the images counts before what an archive or parquet shards hold themselves. Raises BenchError where
    there is none, or it is not what its name says.
    """
    if (file := _file_beside(path if path.is_dir() else path.parent)) is not None:
        check_is_data(file, _WAY)
        content = file.read_bytes()
        return Attributes(file.name, _sha256(content), lambda: parse_attributes(content, str(file), names))
    if container.attributes is None:
        raise BenchError(f"{path} holds CelebA's images, but no {FILE_NAMES[0]}", hint=_WAY)
    name, held = container.attributes(names)
    if isinstance(held, bytes):
        return Attributes(name, _sha256(held), lambda: parse_attributes(held, name, names))
    return Attributes(name, container.fingerprint, lambda: held)


def labels_of(numbers: Sequence[int], rows: Rows, found: Attributes, names: Sequence[str]) -> Labels:
    """Join attributes to images by their file's number. Raises BenchError, with the count, for images without a row."""
    if missing := [number for number in numbers if number not in rows]:
        raise BenchError(
            f"{found.name} has no row for {len(missing):,} of {len(numbers):,} images, such as {missing[0]:06d}.jpg; it"
            f" has {len(rows):,} rows",
            hint=f"The file was probably cut off: get it anew. {_WAY}",
        )
    return Labels(dict.fromkeys(names, VALUES), np.array([rows[number] for number in numbers], np.uint8))


def parse_attributes(content: bytes, where: str, names: Sequence[str]) -> Rows:
    """Read list_attr_celeba.txt (a count, the names, rows of a file name and -1 or 1), or its CSV form.

    Columns are told apart by any run of white space, or by commas. Raises BenchError for anything else.
    """
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()]
    is_csv = bool(lines) and "," in lines[0]
    cells: Iterable[list[str]] = csv.reader(lines) if is_csv else (line.split() for line in lines)
    table = list(cells)
    head = table[0][1:] if is_csv else table[1] if len(table) > 1 else []
    first = 1 if is_csv else 2
    if not set(head) & set(ATTRIBUTES):
        raise BenchError(f"{where} does not begin as {FILE_NAMES[0]} does", hint=f"Get the file anew. {_WAY}")
    for name in names:
        if name not in head:
            raise BenchError(f"{where} has no attribute {name}{suggest(name, head)}", hint=_WAY)
    columns = [1 + head.index(name) for name in names]
    rows: dict[int, list[int]] = {}
    for line, row in enumerate(table[first:], start=first + 1):
        number = file_number(row[0])
        values = [_MEANS.get(row[column], -1) for column in columns] if len(row) == len(head) + 1 else [-1]
        if number is None or -1 in values:
            raise BenchError(
                f"{where}, line {line}, is no row of a file name and {len(head)} values of -1 or 1: "
                f"{' '.join(row)[:60]}",
                hint=f"The file was probably cut off or edited: get it anew. {_WAY}",
            )
        rows[number] = values
    return rows


_MEANS = {"1": 1, "-1": 0, "0": 0}


def _file_beside(folder: Path) -> Path | None:
    roots = [folder / name for name in ("", "celeba", "CelebA")]
    places = [place for root in roots for place in (root, root / "Anno")]
    return next((place / name for place in places for name in FILE_NAMES if (place / name).is_file()), None)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
