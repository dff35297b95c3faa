"""CelebA in Hugging Face's parquet shards: a column `image` of {bytes, path}, read with pyarrow (the extra `hf`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.crops import Encoded
from bench.data.readers.archives import Container, file_number
from bench.data.readers.base import hash_lines
from bench.errors import BenchError

OFFICIAL_PARTS = {"train": range(1, 162_771), "valid": range(162_771, 182_638), "test": range(182_638, 202_600)}
_SPLIT_NAME = re.compile(r"(train|valid|test)")
_BY_PATH = "from the paths in the shards"
_BY_ORDER = "assumed: the rows are taken to be in the official order"


class Row(NamedTuple):
    """Where an image lies in the shards."""

    shard: Path
    row_group: int
    row: int


@dataclass
class _Reader:
    """Reads rows; keeps the last row group, since the rows asked for are nearly always in order."""

    kept: tuple[Path, int] | None = None
    images: list[Any] = field(default_factory=list)

    def read(self, rows: Sequence[Row]) -> list[Encoded]:
        return [self._read_row(row) for row in rows]

    def _read_row(self, row: Row) -> Encoded:
        name = f"{row.shard.name}, row group {row.row_group}, row {row.row},"
        if self.kept != (row.shard, row.row_group):
            try:
                with _parquet().ParquetFile(row.shard) as shard:
                    self.images = shard.read_row_group(row.row_group, columns=["image"]).column("image").to_pylist()
            except (OSError, ValueError) as error:  # pyarrow's errors are kinds of these
                return Encoded(name, b"", f"cannot be read ({error})")
            self.kept = (row.shard, row.row_group)
        image = self.images[row.row]
        data = image.get("bytes") if isinstance(image, dict) else image
        return Encoded(name, data) if data else Encoded(name, b"", "has no bytes in the shard")


def open_parquet(shards: list[Path], folder: Path) -> Container:
    """Open shards as one set of numbered images; raises BenchError without pyarrow or for other columns."""
    parquet = _parquet()
    for shard in shards:
        _check_columns(parquet, shard)
    details: dict[str, Any] = {"file": ", ".join(shard.name for shard in shards)}

    def locate() -> dict[int, Row]:
        numbered = _numbers_from_paths(shards)
        details["numbers"] = _BY_ORDER if numbered is None else _BY_PATH
        return _numbers_from_order(shards) if numbered is None else numbered

    lines = (f"{shard.relative_to(folder).as_posix()} {shard.stat().st_size} {_footer_hash(shard)}" for shard in shards)
    return Container(
        "parquet", hash_lines(lines), locate, _Reader().read, details, lambda names: _attributes(shards, locate, names)
    )


def open_rows(shards: list[Path]) -> tuple[list[Row], Callable[[Sequence[Row]], list[Encoded]]]:
    """Return every row of shards of any images, in order, and what reads rows. Raises as `open_parquet` does."""
    parquet = _parquet()
    for shard in shards:
        _check_columns(parquet, shard)
    return [row for shard in shards for row in _rows(shard)], _Reader().read


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise BenchError(
            "Reading parquet shards needs pyarrow, which is not installed", hint="Type: pip install 'ganbench[hf]'"
        ) from error
    return pyarrow.parquet


def _check_columns(parquet: Any, shard: Path) -> None:
    import pyarrow as pa

    try:
        schema = parquet.read_schema(shard)
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{shard} is no complete parquet file ({error})", hint="Delete the file and download it again."
        ) from error
    if "image" not in schema.names:
        raise BenchError(f"{shard} has no column `image`; its columns are {', '.join(schema.names)}")
    kind = schema.field("image").type
    has_bytes = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if not (has_bytes or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise BenchError(f"{shard}: column `image` is {kind}, not encoded images (a struct with `bytes`, or binary)")


def _footer_hash(shard: Path) -> str:
    """Hash of a parquet file's footer, which holds sizes, offsets and statistics of every column chunk."""
    with shard.open("rb") as file:
        end = file.seek(-8, 2)
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(end - length, 0))
        return hashlib.sha256(file.read(length)).hexdigest()


def _rows(shard: Path) -> list[Row]:
    with _parquet().ParquetFile(shard) as file:
        groups = file.metadata.num_row_groups
        return [Row(shard, g, row) for g in range(groups) for row in range(file.metadata.row_group(g).num_rows)]


def _numbers_from_paths(shards: Sequence[Path]) -> dict[int, Row] | None:
    """Official numbers as the stored paths tell them, or None when not every row has a usable one of its own."""
    rows: dict[int, Row] = {}
    for shard in shards:
        for row, path in zip(_rows(shard), _paths(shard), strict=True):
            number = file_number(path or "")
            if number is None or number in rows or not 1 <= number <= OFFICIAL_PARTS["test"][-1]:
                return None
            rows[number] = row
    return rows


def _paths(shard: Path) -> list[str | None]:
    with _parquet().ParquetFile(shard) as file:
        names = [file.schema.column(index).path for index in range(len(file.schema))]
        if "image.path" not in names:
            return [None] * file.metadata.num_rows
        images = file.read(columns=["image.path"]).column("image").to_pylist()
        return [image["path"] if image else None for image in images]


def _numbers_from_order(shards: Sequence[Path]) -> dict[int, Row]:
    """Number the rows in order: from 1, or within the official parts when the names tell at least two of them.

    A lone `train` is how Hugging Face calls the shards of a set that is not split at all.
    """
    parts: dict[str, list[Path]] = {}
    for shard in shards:
        match = _SPLIT_NAME.match(shard.name)
        parts.setdefault(match.group(1) if match else "other", []).append(shard)
    if len(parts) == 1 or "other" in parts:
        everything = range(1, OFFICIAL_PARTS["test"][-1] + 1)
        return _number_part("all", shards, everything)
    numbered: dict[int, Row] = {}
    for name, members in parts.items():
        numbered |= _number_part(name, members, OFFICIAL_PARTS[name])
    return numbered


def _number_part(name: str, shards: Sequence[Path], numbers: range) -> dict[int, Row]:
    rows = [row for shard in shards for row in _rows(shard)]
    if len(rows) > len(numbers):
        raise BenchError(
            f"The shards of part `{name}` hold {len(rows):,} images, CelebA has {len(numbers):,} there",
            hint="Keep only one data set's shards in the folder.",
        )
    return dict(zip(numbers, rows, strict=False))


def _attributes(
    shards: Sequence[Path], locate: Callable[[], dict[int, Row]], names: Sequence[str]
) -> tuple[str, dict[int, list[int]]]:
    """Return the attributes' columns (true or false, or 1 and -1) by file number; raises BenchError where one lacks."""
    values: dict[tuple[Path, int, int], list[int]] = {}
    for shard in shards:
        with _parquet().ParquetFile(shard) as file:
            known = file.schema_arrow.names
            if lacking := [name for name in names if name not in known]:
                raise BenchError(
                    f"{shard} has no column {lacking[0]}; its columns are {', '.join(known)}",
                    hint="Put list_attr_celeba.txt beside the shards, or take `labels` out of the study's data.",
                )
            for group in range(file.metadata.num_row_groups):
                columns = file.read_row_group(group, columns=list(names)).to_pydict()
                for row, cells in enumerate(zip(*(columns[name] for name in names), strict=True)):
                    if None not in cells:
                        values[shard, group, row] = [int(cell > 0) for cell in cells]
    named = ", ".join(shard.name for shard in shards)
    return named, {number: values[place] for number, row in locate().items() if (place := tuple(row)) in values}
