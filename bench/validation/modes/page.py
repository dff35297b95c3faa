"""What a call of `bench modes` shows and writes: tables on the terminal, a page, a CSV file and figures. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from bench import __version__
from bench.config.models import parse_seeds
from bench.files import read_json, write_atomic
from bench.report.model import Table
from bench.report.render.markdown import table as markdown_table
from bench.report.render.markdown import text as markdown_text
from bench.validation.modes.counting import ModeCount, ceiling_and_floor
from bench.validation.modes.figure import draw, panels
from bench.validation.modes.jobs import Job, make_job, reader_files
from bench.validation.modes.results import ModesFolder, RowResult, summarise
from bench.validation.modes.rows import Row, find_rows
from bench.validation.modes.table import CEILING, FLOOR, References, as_frame, literature_table, result_table
from bench.validation.modes.tasks import PointTask, Task, find_task
from bench.validation.modes.words import differences, findings, lead, protocol_of


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
    """Everything that a call asks for."""

    parts: tuple[Part, ...]

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
        return cls(tuple(parts))

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
        """Write modes.md, modes.csv and a figure per mixture; return their paths."""
        paths = [out / "modes.md", out / "modes.csv"]
        figures: dict[str, Path] = {}
        for measured in self.parts:
            task = measured.part.task
            if isinstance(task, PointTask):
                figures[task.name] = out / "images" / f"modes-{task.name}.png"
                write_atomic(figures[task.name], draw(task, panels(task, measured.results, self.folder)))
        write_atomic(paths[0], self._markdown(figures))
        write_atomic(paths[1], self._frame().to_csv(index=False, lineterminator="\n"))
        return [*paths, *figures.values()]

    def _frame(self) -> Any:
        protocols = {(m.part.task.name, row): text for m in self.parts for row, text in m.part.protocols.items()}
        return as_frame([result for measured in self.parts for result in measured.results], protocols)

    def _markdown(self, figures: Mapping[str, Path]) -> str:
        blocks = ["# Modes found", *map(markdown_text, lead())]
        for measured in self.parts:
            task = measured.part.task
            blocks += [f"## {task.name.capitalize()}", markdown_text(protocol_of(task, measured.part.steps))]
            blocks.append(markdown_table(measured.table()))
            if task.name in figures:
                blocks.append(f"![What every row made on the {task.name}](images/{figures[task.name].name})")
                blocks.append(
                    "*The seed in the middle by modes found, named over each panel; 2,500 points. A circle marks a "
                    "mode that was not found.*"
                )
            blocks.append(markdown_table(literature_table(task, measured.results)))
            blocks += [f"- {markdown_text(point)}" for point in findings(task)]
        blocks += ["## What differs from the papers' protocols"]
        blocks += [f"- {markdown_text(point)}" for point in differences()]
        command = " ".join(f"--task {measured.part.task.name}" for measured in self.parts)
        blocks += ["## To repeat it", f"    bench modes {command} --write docs", f"Made by bench {__version__}."]
        return "\n\n".join(blocks) + "\n"


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
