"""What a call of `bench modes` shows and writes: tables on the terminal, a page, a CSV file and figures. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from bench.config.parsing import parse_seeds
from bench.files import read_json, write_atomic
from bench.formatting import joined, plural
from bench.report.model import Table
from bench.report.render.markdown import table as markdown_table
from bench.report.render.markdown import text as markdown_text
from bench.validation.modes.counting import ModeCount, ceiling_and_floor
from bench.validation.modes.figure import draw, panels
from bench.validation.modes.jobs import Job, make_job, reader_files
from bench.validation.modes.published import published_for
from bench.validation.modes.results import ModesFolder, RowResult, summarise
from bench.validation.modes.rows import Row, find_rows
from bench.validation.modes.table import CEILING, FLOOR, References, as_frame, literature_table, result_table
from bench.validation.modes.tasks import (
    DIGITS_LATENT,
    DIGITS_WIDTH,
    DISCRIMINATOR_LAYERS,
    DISCRIMINATOR_SLOPE,
    GENERATOR_LAYERS,
    HALVINGS,
    LATENT,
    RESOLUTION,
    WIDTH,
    PointTask,
    Task,
    find_task,
)
from bench.version import __version__

DISCUSSION = "modes-discussion.md"
"""Linked where such a file lies beside the page: what somebody made of the numbers is not for this code to write."""

_FIRST_PILOT_SEED = 1_000


@dataclass(frozen=True)
class Part:
    """One task of a call: its rows and their jobs."""

    task: Task
    rows: tuple[Row, ...]
    jobs: tuple[Job, ...]
    steps: int | None

    @property
    def protocols(self) -> dict[str, str]:
        return {row.label: row.protocol(self.task, self.steps) for row in self.rows}


@dataclass(frozen=True)
class ModesPage:
    """Everything that a call asks for; `command` is what asks for it again."""

    parts: tuple[Part, ...]
    command: str

    @classmethod
    def plan(
        cls, tasks: Sequence[str], objectives: Sequence[str], seeds: tuple[int, ...] | None, steps: int | None
    ) -> ModesPage:
        """Resolve tasks, rows and seeds. Raises BenchError for a name that is none."""
        parts = []
        for name in dict.fromkeys(tasks):
            task = find_task(name)
            rows = find_rows(objectives, task)
            own_seeds = seeds or parse_seeds(task.seeds)
            jobs = tuple(make_job(task, row, seed, steps) for seed in own_seeds for row in rows)
            parts.append(Part(task, tuple(rows), jobs, steps))
        return cls(tuple(parts), _command(tasks, objectives, seeds, steps))

    @property
    def jobs(self) -> list[Job]:
        """Return all jobs, in the order in which they are run: seed by seed, so that every row grows alike."""
        return [job for part in self.parts for job in part.jobs]

    def measure(self, folder: ModesFolder) -> Measured:
        """Read what there is of it."""
        records = folder.records()
        return Measured(
            tuple(
                MeasuredPart(part, tuple(summarise(part.jobs, records)), references(part.task, folder))
                for part in self.parts
            ),
            folder,
            self.command,
        )


@dataclass(frozen=True)
class MeasuredPart:
    """A task with what its rows gave."""

    part: Part
    results: tuple[RowResult, ...]
    references: References

    def table(self) -> Table:
        return result_table(self.part.task, self.results, self.part.protocols, self.references)


@dataclass(frozen=True)
class Measured:
    """The answer to a call."""

    parts: tuple[MeasuredPart, ...]
    folder: ModesFolder
    command: str

    @property
    def with_labels(self) -> bool:
        """Tell whether all tasks have labels."""
        return all(has_labels(measured.part.task) for measured in self.parts)

    @property
    def name(self) -> str:
        """Return what its files are called."""
        return "modes-labels" if self.with_labels else "modes"

    def as_json(self) -> list[dict[str, Any]]:
        """Return one object per task and row, with its runs."""
        lines = self._frame().astype(object).where(lambda frame: frame.notna(), None).to_dict("records")
        runs = [list(result.records) for measured in self.parts for result in measured.results]
        return [{**line, "runs": own} for line, own in zip(lines, runs, strict=True)]

    def show(self, console: Console) -> None:
        """Print the tables."""
        for measured in self.parts:
            _print(measured.table(), console)
            console.print(f"Shared by all rows: {protocol_of(measured.part.task, measured.part.steps)}\n", markup=False)

    def write(self, out: Path) -> list[Path]:
        """Write a page, its numbers and a figure per mixture; return their paths.

        They are modes.md and modes.csv, or modes-labels.md and .csv where all tasks have labels.
        """
        paths = [out / f"{self.name}.md", out / f"{self.name}.csv"]
        figures: dict[str, Path] = {}
        for measured in self.parts:
            task = measured.part.task
            if isinstance(task, PointTask):
                figures[task.name] = out / "images" / f"modes-{task.name}.png"
                write_atomic(figures[task.name], draw(task, panels(task, measured.results, self.folder)))
        write_atomic(paths[0], self.markdown(out, figures))
        write_atomic(paths[1], self._frame().to_csv(index=False, lineterminator="\n"))
        return [*paths, *figures.values()]

    def _frame(self) -> Any:
        protocols = {(m.part.task.name, row): text for m in self.parts for row, text in m.part.protocols.items()}
        return as_frame([result for measured in self.parts for result in measured.results], protocols)

    def markdown(self, out: Path, figures: Mapping[str, Path]) -> str:
        """Return the page as it stands in the folder `out`. Every sentence follows from the tasks and the results."""
        parts = [measured.part for measured in self.parts]
        title = "Modes found, told which" if self.with_labels else "Modes found"
        blocks = [f"# {title}", *map(markdown_text, _lead(parts))]
        if (out / DISCUSSION).is_file() and not self.with_labels:
            blocks.append(f"What was made of one such experiment: [{DISCUSSION}]({DISCUSSION}).")
        for measured in self.parts:
            task = measured.part.task
            blocks += [f"## {task.name.capitalize()}", markdown_text(protocol_of(task, measured.part.steps))]
            blocks.append(markdown_table(measured.table()))
            if task.name in figures:
                blocks.append(f"![What every row made on the {task.name}](images/{figures[task.name].name})")
                blocks.append(
                    f"*The seed in the middle by modes found, named over each panel; {task.samples:,} points. A circle "
                    "marks a mode that was not found.*"
                )
            if published_for(task.name):
                blocks.append(markdown_table(literature_table(task, measured.results)))
        if not self.with_labels:
            blocks += ["## What differs from the papers' protocols"]
            blocks += [f"- {markdown_text(point)}" for point in _differences(parts)]
        blocks += ["## To repeat it", f"    {self.command} --write {out.name}", f"Made by bench {__version__}."]
        return "\n\n".join(blocks) + "\n"


def has_labels(task: Task) -> bool:
    """Tell whether points have labels, which both networks are told."""
    return isinstance(task, PointTask) and bool(task.classes)


def protocol_of(task: Task, steps: int | None = None) -> str:
    """Say what all rows of a task share; `steps` stand in place of the task's generator steps."""
    recipe = task.recipe
    rate = f"{recipe.learning_rate_generator:g}"
    if recipe.learning_rate_discriminator != recipe.learning_rate_generator:
        rate = f"{recipe.learning_rate_discriminator:g} for D and {rate} for G"
    rates = f"Adam {rate}, betas {recipe.betas}, halved after each quarter of the run"
    assert HALVINGS == 4
    spent = (
        f"{steps or task.generator_steps:,} generator steps of {task.batch}, "
        f"{plural(recipe.discriminator_steps, 'D step')} each"
    )
    if isinstance(task, PointTask):
        scale = "" if task.scale == 1 else f" Networks see points divided by {task.scale:g}."
        networks = (
            f"G: {LATENT} latents from N(0, I), {GENERATOR_LAYERS} hidden layers of {WIDTH}, ReLU. D: "
            f"{DISCRIMINATOR_LAYERS} hidden layers of {WIDTH}, LeakyReLU {DISCRIMINATOR_SLOPE:g}. No norm.{scale}"
        )
    else:
        networks = (
            f"The backbone at {RESOLUTION} pixels, width {DIGITS_WIDTH}, {DIGITS_LATENT} latents from N(0, I), D norm "
            f"{recipe.norm}; noise of standard deviation {recipe.instance_noise:g}, falling to 0, on what D sees."
        )
    return f"{spent}; {rates}. {networks} {task.protocol}"


def _lead(parts: Sequence[Part]) -> list[str]:
    mixtures = sum(isinstance(part.task, PointTask) for part in parts)
    learnt = [
        *(["Gaussian mixtures in the plane"] if mixtures else []),
        *(["stacked digits"] if len(parts) > mixtures else []),
    ]
    rows = (
        f"The rows learn distributions whose modes can be counted: {joined(learnt)}. All go through the training step "
        "that studies use, with one recipe; where a row needs another value, the last column says so."
    )
    if all(job.seed < _FIRST_PILOT_SEED for part in parts for job in part.jobs):
        rows += f" These values were chosen in pilots with seeds from {_FIRST_PILOT_SEED:,} up, none of which is shown."
    quality = "Read modes found together with the high-quality share."
    if mixtures:
        quality += (
            " The last line of a mixture's table counts points that are spread evenly over its square: where a row's "
            "share is near that line's, its number of modes says nothing."
        )
    told = (
        "Both labels of the overlap share its middle. AC-GAN's class term pays G for points that its classifier is "
        "sure of, and so for an empty middle: expected there is what minimises 2 JS and the term, of generators that "
        "move mass from the middle to the sides, with D and classifier at their optimum. The terms of TAC-GAN and "
        "ADC-GAN are 0 at the data. A row that is not told may draw any label anywhere."
    )
    shared = any(isinstance(part.task, PointTask) and part.task.shared.any() for part in parts)
    return [rows, quality, *([told] if shared else [])]


def _differences(parts: Sequence[Part]) -> list[str]:
    """Return how the papers' protocols for these tasks differ from this one."""
    mixtures = [part for part in parts if isinstance(part.task, PointTask)]
    points = []
    if mixtures:
        spent = joined(
            [
                f"{part.steps or part.task.generator_steps:,} steps of {part.task.batch} on the {part.task.name}"
                for part in mixtures
            ]
        )
        points += [
            f"Length: PacGAN trains 400 epochs of 100,000 points in batches of 100, which is 400,000 steps, with Adam "
            f"1e-4 and beta1 0.8; here {spent}, with a larger, falling learning rate.",
            "Networks: PacGAN's G has four hidden layers of 400 with batch norm, its D three maxout layers of 200 (5 "
            f"pieces); here {GENERATOR_LAYERS} and {DISCRIMINATOR_LAYERS} layers of {WIDTH} without norm, the same for "
            "all objectives, since batch norm in D is not defined for penalties per sample.",
            "The papers' own plain GANs lie far apart: on the grid VEEGAN's finds 3.3 of 25 modes, PacGAN's 17.3. The "
            "recipe was set in pilots to bring the plain GAN near PacGAN's, because PacGAN's rows stand beside it.",
            "WGAN-GP's own toy code divides the mixtures by 2.828 and 1.414; thresholds are relative to the modes' "
            "standard deviation, so the count does not change.",
        ]
    points += [
        "A packed row sees as many packs per step as the others see samples, as in PacGAN: its batch is larger by the "
        "packing.",
        "PacGAN's plus-minus is the standard error over 10 trials; here it is half the width of a 95 % t interval, "
        "which is 2.26 standard errors where there are 10 seeds.",
    ]
    if len(parts) > len(mixtures):
        points += [
            "Stacked digits: the papers stack MNIST (70,000 digits of 28x28), here scikit-learn's 1,797 of 8x8. The "
            "classifier, the backbone and the budget differ too (PacGAN: DCGAN at 28 pixels, 50 epochs of 128,000 "
            "images). Counts of modes can be compared among rows here, and with the papers only in kind.",
            "The classifier gives every image a triple, as in the papers, also one that shows no digits. The share of "
            "high quality, which the papers do not have, tells digits from that.",
        ]
    return points


def _command(tasks: Sequence[str], objectives: Sequence[str], seeds: tuple[int, ...] | None, steps: int | None) -> str:
    words = ["bench modes", *(name if not name.endswith(".py") else Path(name).name for name in objectives)]
    words += [f"--task {name}" for name in dict.fromkeys(tasks)]
    words += [f"--seeds {','.join(map(str, seeds))}"] if seeds else []
    words += [f"--steps {steps}"] if steps else []
    return " ".join(words)


def references(task: Task, folder: ModesFolder) -> References:
    """Return what is counted of samples that no row made: the data themselves, and none but where they lie."""
    if isinstance(task, PointTask):
        real, flat = ceiling_and_floor(task)
        return {CEILING: real, FLOOR: flat}
    described = reader_files(folder.path)[1]
    return {CEILING: ModeCount(**read_json(described)["ceiling"])} if described.exists() else {}


def _print(table: Table, console: Console) -> None:
    shown = RichTable(
        box=None, pad_edge=False, header_style="dim", title=table.caption, title_justify="left", title_style="bold"
    )
    for heading in table.headings:
        shown.add_column(heading.text, justify="right" if heading.numeric else "left", overflow="fold")
    for row in table.rows:
        texts = ["\n".join(part for part in (cell.text, cell.detail) if part) for cell in row.cells]
        shown.add_row(*texts, style="dim" if row.kind == "floor" else None)
    console.print(shown)
