"""Reads tables.toml: a table per source and data set, each with its provenance and what is known of its protocol."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

METRICS = {"fid": "fid", "is": "is", "kid": "kid_inception"}
"""The keys of a row that are figures, and what a study calls that metric."""

Mark = Literal["V", "M"]


@dataclass(frozen=True)
class Figure:
    """One number as its source prints it: "65.6 ± 4.2"; `spread` is what stands behind the sign, if anything."""

    printed: str
    value: float
    spread: float | None


@dataclass(frozen=True)
class PublishedRow:
    """One method. `objective` is which of this project's it is, "" for none; `figures` go by a study's metrics."""

    method: str
    objective: str
    figures: Mapping[str, Figure]
    mark: Mark
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """One source's figures for one data set, and its protocol. "" and None: not stated in what was read.

    `mark` is "V" where the figures were read in `seen_in`, "M" where they are quoted from memory; rows may differ.
    `section` is where the project's reference sheet on objectives has them, `about` tells tables of one source apart.
    `train_images`, `generated` (N) and `reference_images` count images, `resolution` is in pixels, `spread` says what a
    printed plus-minus is, and `runs` how many trainings a figure rests on.
    """

    name: str
    paper: str
    authors: str
    year: int
    section: str
    mark: Mark
    seen_in: str
    data: str
    resolution: int
    rows: tuple[PublishedRow, ...]
    about: str = ""
    arxiv: str = ""
    url: str = ""
    train_images: int | None = None
    crop: str = ""
    filter: str = ""
    network: str = ""
    batch: int | None = None
    optimiser: str = ""
    budget: str = ""
    generated: int | None = None
    reference: str = ""
    reference_images: int | None = None
    extractor: str = ""
    selection: str = ""
    runs: int | None = None
    spread: str = ""
    note: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that some row has, as studies name them."""
        return tuple(metric for metric in METRICS.values() if any(metric in row.figures for row in self.rows))

    @property
    def cited(self) -> str:
        """Return who states it: authors, year, and arXiv id."""
        return f"{self.authors} {self.year}" + (f" (arXiv {self.arxiv})" if self.arxiv else "")

    @property
    def link(self) -> str:
        return self.url or f"https://arxiv.org/abs/{self.arxiv}"


@lru_cache(maxsize=1)
def published_tables() -> tuple[PublishedTable, ...]:
    """Return every published table, in the file's order."""
    content = tomllib.loads(files("bench.report.literature").joinpath("tables.toml").read_text("utf-8"))
    return tuple(table for source in content["source"] for table in _tables_of(source))


def _tables_of(source: dict[str, Any]) -> Iterator[PublishedTable]:
    """A table says what it alone has; the rest is its source's."""
    for own in source["table"]:
        values = {key: value for key, value in (source | own).items() if key not in ("table", "rows")}
        yield PublishedTable(**values, rows=tuple(_row(row, values["mark"]) for row in own["rows"]))


def _row(row: Mapping[str, Any], mark: Mark) -> PublishedRow:
    figures = {metric: _figure(row[key]) for key, metric in METRICS.items() if key in row}
    return PublishedRow(row["method"], row.get("objective", ""), figures, row.get("mark", mark), row.get("note", ""))


def _figure(printed: str) -> Figure:
    value, _, spread = printed.partition("±")
    return Figure(printed, float(value), float(spread) if spread else None)
