"""What a report is made of, before it is HTML or Markdown. All text in here is plain text; the renderers escape it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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

    `name` is unique on the page; `header` is the column that names the rows.
    """

    name: str
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    header: int = 0


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
    absent.
    """

    label: str
    objective_title: str
    seed_text: str
    wall: Picture | None
    progress: Picture | None
    extremes: tuple[Picture, ...] = ()
    closer: tuple[Picture, ...] = ()

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
class ProtocolSection:
    """The comparison under one protocol."""

    protocol: str
    title: str
    table: Table
    figure: Figure | None
    sentences: tuple[str, ...]  # one paragraph
    every_metric: Table
    pairs: Table | None = None
    same: Table | None = None


@dataclass(frozen=True)
class Conclusions:
    """A sentence each: what corrected tests tell apart, what they leave open, and what is described without a test."""

    decided: tuple[str, ...]
    open: tuple[str, ...]
    described: tuple[str, ...]

    @property
    def lists(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each list under its words, in the order of the page; none that is empty."""
        named = (
            ("These seeds decide:", self.decided),
            ("They do not decide:" if self.decided else "These seeds do not decide:", self.open),
            ("Described, not tested:", self.described),
        )
        return tuple((words, sentences) for words, sentences in named if sentences)


@dataclass(frozen=True)
class LossSection:
    """Loss curves of every entry under one protocol."""

    protocol: str
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class SampleSection:
    """Sample walls of every entry under one protocol."""

    protocol: str
    title: str
    sets: tuple[SampleSet, ...]


@dataclass(frozen=True)
class StabilitySection:
    """How steady every entry was under one protocol."""

    protocol: str
    title: str
    table: Table
    figure: Figure | None


PUBLISHED_WORDS = (
    "What others state for the same data set at the same size, in the same metric. Their protocols differ from this "
    "study’s in everything that the second table of each source lists, so levels cannot be compared; at most an order "
    "can. None of these figures takes part in a rank or a verdict. The data are in published.csv and "
    "published-differences.csv."
)


FORGIVES_WORDS = (
    "The same metrics, of real images that were made worse on purpose. What stands near the floor is forgiven: a "
    "generator that does this is hardly punished for it. Where the Fréchet distance, KID and coverage put these rows "
    "in different orders, an order of the study’s own rows by one of them deserves a second look by another."
)
EXTERNAL_WORDS = (
    "Images that were made elsewhere, measured as this study’s runs are: the same images to compare with, the same "
    "metrics, as many samples. Nothing here was trained by this study: architecture, budget and data are whatever "
    "their makers say, nobody checked them, and none of these rows takes part in a rank or a verdict. The data are in "
    "external.csv."
)


@dataclass(frozen=True)
class PublishedSection:
    """One source's figures for the same images, and in what its protocol differs."""

    title: str
    link: str
    figures: Table
    differences: Table


@dataclass(frozen=True)
class Page:
    """The whole report."""

    study: str
    title: str
    notice: str | None
    lead: tuple[str, ...]
    alerts: tuple[str, ...]
    missing: tuple[str, ...]
    conclusions: Conclusions
    protocols: tuple[ProtocolSection, ...]
    both_protocols: Table | None
    published: tuple[PublishedSection, ...]
    external: Table | None
    equal: Table
    curves: tuple[Figure, ...]
    equal_seconds: tuple[Table, ...]
    planes: tuple[Figure, ...]
    forgives: Table | None
    diversity: tuple[Table, ...]
    diversity_notes: tuple[str, ...]
    stability: tuple[StabilitySection, ...]
    losses: tuple[LossSection, ...]
    samples: tuple[SampleSection, ...]
    how_to_read_closer: str
    cards: tuple[MethodCard, ...]
    recipes: Table
    parameters: Table
    environments: Table
    troubles: Table | None
    moved: Table | None
    runs: Table
    costs: Table
    metrics: Table
    repeat: tuple[str, ...]
    repeat_rows: Table
    version: str

    @property
    def drawn(self) -> list[Figure]:
        """Return every figure, in the order of the page."""
        scores = [section.figure for section in self.protocols if section.figure]
        seeds = [section.figure for section in self.stability if section.figure]
        return [
            *scores,
            *seeds,
            *self.curves,
            *self.planes,
            *(figure for section in self.losses for figure in section.figures),
        ]

    @property
    def has_losses(self) -> bool:
        return any(section.figures for section in self.losses)


@dataclass(frozen=True)
class ReportOptions:
    """How much a report shows: rows and columns of each sample wall on the page, and points per loss curve.

    `show_training_images` shows those nearest to generated ones also where they are not drawn: they may be
    photographs of people.
    """

    wall_rows: int = 4
    wall_columns: int = 8
    points_per_curve: int = 100
    show_training_images: bool = False


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies: its pages, its tables of results and of the summary, its manifest and its figures."""

    html: Path
    markdown: Path
    results: Path
    summary: Path
    manifest: Path
    figures: tuple[Path, ...] = field(default=())
