"""What a report is made of, before it is HTML or Markdown. All text in here is plain text; the renderers escape it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from bench.report.render.naming import file_stem

FIGURES = "figures"  # the folder of figures and pictures beside the page


@dataclass(frozen=True)
class Cell:
    """One cell. The lines of `detail` stand small under it, `badges` are states, `notes` numbers of the notes.

    `sort` is what a column is sorted by where the text does not begin with it, such as seconds.
    """

    text: str
    detail: str = ""
    badges: tuple[str, ...] = ()
    notes: tuple[int, ...] = ()
    numeric: bool = False
    code: bool = False
    sort: float | None = None


@dataclass(frozen=True)
class Heading:
    """One column's head; `code` is a metric's name in results.csv."""

    text: str
    code: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Row:
    """One row. `kind` is "", "floor" (no entry), "set" (the best, as a set) or "beside" (of another table)."""

    cells: tuple[Cell, ...]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption, and its notes numbered from 1.

    `name` is unique on the page; `header` is the column that names the rows. `facts`: two columns, what and its value.
    """

    name: str
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    header: int = 0
    facts: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawn figure: SVG at two widths (the same one where it is small), its words, and what it shows.

    `variants` are the same figure against other axes: the axis, and SVG at both widths; `axis` is that of the figure
    itself.
    """

    name: str
    title: str
    alt: str
    caption: str
    wide: str
    narrow: str
    png: bytes
    data: pd.DataFrame
    table: Table
    axis: str = ""
    variants: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """Sample images: `page` (WebP) is shown, `evidence` lies beside as a file of kind `suffix`; sizes in pixels.

    An empty `page` means that the page only links to the file. `moving` is an animated WebP of which `page` is the
    still; `title` names what is shown on demand. `alt` is of the page's picture, `file_alt` of the file where that
    shows more.
    """

    name: str
    alt: str
    caption: str
    page: bytes
    evidence: bytes
    width: int
    height: int
    suffix: str = "png"
    title: str = ""
    moving: bytes = b""
    file_alt: str = ""

    @property
    def file(self) -> str:
        """Return the file's name in the report's folder."""
        return f"{FIGURES}/{file_stem(self.name)}.{self.suffix}"


@dataclass(frozen=True)
class SampleSet:
    """The samples of one entry: the wall, how its first row formed (None with one snapshot), best and worst seed.

    `closer` are shown on demand: the time-lapse, ways between latents, nearest training images; what is missing is
    absent. `kind`: what of an entry is shown, so that several sets of one have addresses of their own.
    """

    label: str
    protocol: str
    seed_text: str
    wall: Picture | None
    progress: Picture | None
    extremes: tuple[Picture, ...] = ()
    closer: tuple[Picture, ...] = ()
    kind: str = "wall"

    @property
    def anchor(self) -> str:
        """Return where the samples are found on the page."""
        return f"{self.kind}-{self.label}-{self.protocol}"

    @property
    def pictures(self) -> list[Picture]:
        """Return every picture, in the order of the page."""
        candidates = (self.wall, self.progress, *self.extremes, *self.closer)
        return [picture for picture in candidates if picture is not None]


@dataclass(frozen=True)
class Equation:
    """One line of mathematics: its LaTeX, and its drawing (None where it could not be drawn) with sizes in em."""

    latex: str
    svg: str | None
    width: float = 0.0
    height: float = 0.0
    depth: float = 0.0


@dataclass(frozen=True)
class MethodCard:
    """What an objective's authors state. `losses`: who minimises, and the lines of the equation."""

    name: str
    title: str
    source: str
    link: str | None
    family: str
    losses: tuple[tuple[str, tuple[Equation, ...]], ...]
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    code_differences: tuple[str, ...]


@dataclass(frozen=True)
class Prose:
    """A paragraph; what stands between backticks is code. `kind` is "", "lead", "small", "notice" or "alert"."""

    text: str
    kind: Literal["", "lead", "small", "notice", "alert"] = ""


@dataclass(frozen=True)
class Points:
    """Sentences as a list, under words that lead to them; `kind` is "", "verdict" or "notes"."""

    items: tuple[str, ...]
    lead: str = ""
    kind: Literal["", "verdict", "notes"] = ""


@dataclass(frozen=True)
class Commands:
    """What to type, a command a line."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """A glossary: each term with its meaning, and the document that says more ("" where none does)."""

    terms: tuple[Term, ...]
    linked: bool = False  # whether documents lie where links to them lead


@dataclass(frozen=True)
class Term:
    """One word of the glossary; `forms` are those in which it is linked where the text first has it."""

    word: str
    meaning: str
    document: str = ""
    forms: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        return "word-" + re.sub(r"[^a-z0-9]+", "-", self.word.lower()).strip("-")


@dataclass(frozen=True)
class BoardRow:
    """One row of a board: places are in percent of the axis, `strip` are samples, `note` what became of its runs.

    `low` and `high` are None where no interval holds; `target` is the anchor of the row's samples on the page.
    """

    label: str
    colour: str
    rank: str
    ties: str
    mean: str
    bounds: str
    places: tuple[float, ...]
    middle: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    best: bool = False
    strip: Picture | None = None
    target: str = ""


@dataclass(frozen=True)
class Board:
    """The primary metric and samples of every row under one protocol, row by row.

    `ticks` and `floor` are places on the axis, in percent, with their words; `real` names the floor's images.
    """

    name: str
    title: str
    metric: str
    axis: str
    rows: tuple[BoardRow, ...]
    ticks: tuple[tuple[float, str], ...]
    floor: tuple[float, str] | None = None
    real: str = ""

    @property
    def averaged(self) -> bool:
        """Tell whether rows have means with intervals; else `mean` is the values themselves."""
        return any(row.bounds for row in self.rows)

    @property
    def tied(self) -> bool:
        return any(row.ties for row in self.rows)

    @property
    def ranked(self) -> bool:
        return any(row.rank for row in self.rows)

    @property
    def pictured(self) -> bool:
        return any(row.strip for row in self.rows)


@dataclass(frozen=True)
class Boards:
    """A board for each protocol, and how they are read; `figures` draw the same, for where there is no page."""

    boards: tuple[Board, ...]
    words: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Panels:
    """Small figures, as many in a line as there is room for."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Walls:
    """The samples of every row."""

    sets: tuple[SampleSet, ...]


@dataclass(frozen=True)
class Pairs:
    """The answers on all pairs of rows: `labels` to choose from, and for each protocol a table.

    Beside each table stand its rows' pairs, as places in `labels`.
    """

    labels: tuple[str, ...]
    lead: str
    tables: tuple[tuple[str, Table, tuple[tuple[int, int], ...]], ...]


@dataclass(frozen=True)
class Group:
    """Blocks under a heading of their own; `link` is where they come from."""

    title: str
    blocks: tuple[Block, ...]
    link: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown on demand."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Several:
    """Tables or figures of one kind, one a protocol; `words` is what their captions would all say.

    `beside`: they stand beside each other where there is room.
    """

    blocks: tuple[Table | Figure, ...]
    words: str = ""
    beside: bool = False


Block = (
    Prose
    | Points
    | Commands
    | Terms
    | Table
    | Figure
    | Boards
    | Panels
    | Walls
    | Pairs
    | MethodCard
    | Group
    | Fold
    | Several
)
Depth = Literal["minute", "ten", "hour"]
DEPTHS: dict[Depth, str] = {"minute": "One minute", "ten": "Ten minutes", "hour": "An hour"}


@dataclass(frozen=True)
class Section:
    """One section of the page: `anchor` is its address on it, `short` its name in the navigation.

    A reader of one minute sees the first, of ten minutes the next ones; those of an hour are folded.
    """

    anchor: str
    title: str
    depth: Depth
    blocks: tuple[Block, ...]
    short: str = ""


@dataclass(frozen=True)
class Page:
    """The whole report: its sections in the order of the page, from what a minute needs to what an hour does."""

    study: str
    title: str
    notice: str | None
    sections: tuple[Section, ...]
    version: str

    @property
    def blocks(self) -> Iterator[Block]:
        """Return every block, those inside of others too, in the order of the page."""
        return (block for section in self.sections for block in every_block(section.blocks))

    @property
    def drawn(self) -> list[Figure]:
        """Return every figure, in the order of the page."""
        figures: list[Figure] = []
        for block in self.blocks:
            if isinstance(block, Figure):
                figures.append(block)
            elif isinstance(block, Panels | Boards):
                figures += block.figures
        return figures

    @property
    def pictures(self) -> list[Picture]:
        """Return every picture that lies beside the page, in its order."""
        walls = (block for block in self.blocks if isinstance(block, Walls))
        return [picture for wall in walls for one in wall.sets for picture in one.pictures]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Return the words that the page explains."""
        return tuple(term for block in self.blocks if isinstance(block, Terms) for term in block.terms)


def every_block(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks and those inside of them."""
    for block in blocks:
        yield block
        if isinstance(block, Group | Fold | Several):
            yield from every_block(block.blocks)
        elif isinstance(block, Pairs):
            yield from (table for _, table, _ in block.tables)


@dataclass(frozen=True)
class ReportOptions:
    """How much a report shows: rows and columns of each sample wall on the page, and points per loss curve.

    `show_training_images` shows those nearest to generated ones also where they are not drawn: they may be
    photographs of people. `documents` links the project's documents, in a report that lies in its repository.
    """

    wall_rows: int = 4
    wall_columns: int = 8
    points_per_curve: int = 100
    show_training_images: bool = False
    documents: bool = False


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies: its pages, its tables of results and of the summary, its manifest and its figures."""

    html: Path
    markdown: Path
    results: Path
    summary: Path
    manifest: Path
    figures: tuple[Path, ...] = field(default=())
