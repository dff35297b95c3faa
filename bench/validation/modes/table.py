"""The tables: what the seeds say, beside what papers state. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.formatting import NOTHING, format_number
from bench.report.model import Cell, Heading, Row, Table
from bench.validation.modes.bias import expected_shared
from bench.validation.modes.counting import ModeCount
from bench.validation.modes.published import NOT_STATED, Figure, published_for
from bench.validation.modes.results import Mean, RowResult
from bench.validation.modes.rows import find_rows
from bench.validation.modes.tasks import PointTask, Task

CEILING, FLOOR = "the data themselves", "even over the square"
References = Mapping[str, ModeCount]
"""What is counted of samples that no row made, by what they are."""


def result_table(
    task: Task, results: Sequence[RowResult], protocols: Mapping[str, str], references: References
) -> Table:
    """Return a task's rows with their intervals, and the reference counts under them."""
    headings = (
        "row",
        f"modes of {task.modes:,}",
        "high quality",
        "KL",
        "diverged",
        "CPU seconds",
        *_own_headings(task),
        "otherwise than the rest",
    )
    rows = [_result_row(task, result, protocols.get(result.row, "")) for result in results]
    rows += [_reference_row(task, name, count) for name, count in references.items()]
    words = ("row", "published modes", "otherwise than the rest")
    return Table(
        name=f"modes-{task.name}",
        caption=f"{task.title}. {_what_is_shown(results)}",
        headings=tuple(Heading(text, numeric=text not in words) for text in headings),
        rows=tuple(rows),
    )


def _own_headings(task: Task) -> tuple[str, ...]:
    """Return the columns that not every task has; of shared modes also what a row's share should be."""
    if not isinstance(task, PointTask) or not task.classes:
        return ("published modes",)
    return ("as told", "in the middle", "expected there") if task.shared.any() else ("as told",)


def literature_table(task: Task, results: Sequence[RowResult]) -> Table:
    """Return every published figure of a task, beside our row of the same method where there is one."""
    ours = {result.row: result for result in results}
    rows = []
    for figure in published_for(task.name):
        mine = ours.get(figure.row)
        rows.append(
            Row(
                (
                    Cell(figure.method),
                    Cell(_printed(figure.modes, figure.modes_pm, "modes" in figure.recalled), numeric=True),
                    Cell(_printed(figure.high_quality, figure.high_quality_pm, False), numeric=True),
                    Cell(_printed(figure.kl, figure.kl_pm, "kl" in figure.recalled), numeric=True),
                    Cell(_ours(mine), numeric=True),
                    Cell(_origin(figure)),
                )
            )
        )
    headings = (
        "method",
        f"modes of {task.modes:,}",
        "high quality, %",
        "KL",
        "here: row, modes, quality, KL",
        "source",
    )
    return Table(
        name=f"published-{task.name}",
        caption=f"Published figures, {task.name}. An asterisk marks one quoted from memory of its paper.",
        headings=tuple(Heading(text, numeric=0 < index < 5) for index, text in enumerate(headings)),
        rows=tuple(rows),
    )


def as_frame(results: Sequence[RowResult], protocols: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Return one line per task and row: means, half the widths of their 95 % intervals, counts, what differs."""
    lines = []
    for result in results:
        line: dict[str, object] = {
            "task": result.task,
            "row": result.row,
            "planned": result.planned,
            "done": result.done,
        }
        line["diverged"] = result.diverged
        with_labels = ("as_told", "shared") if result.as_told is not None else ()
        for name in ("modes", "high_quality", "kl", *with_labels):
            mean: Mean | None = getattr(result, name)
            line[name] = None if mean is None else mean.value
            line[f"{name}_half_width"] = None if mean is None else mean.half_width
        line["kl_runs"] = 0 if result.kl is None else result.kl.values
        line["cpu_seconds"] = result.cpu_seconds
        line["protocol"] = protocols.get((result.task, result.row), "")
        lines.append(line)
    return pd.DataFrame(lines)


def short_published(task: str, row: str) -> str:
    """Return what papers state beside a row, in a few words: "6.3 ± 0.5 (PacGAN)"."""
    parts = []
    for figure in published_for(task, row):
        value = figure.note if figure.modes is None else _printed(figure.modes, figure.modes_pm, False)
        parts.append(f"{value} ({figure.source.split(' ')[0]})")
    return ", ".join(parts)


def _result_row(task: Task, result: RowResult, protocol: str) -> Row:
    so_far = "" if result.done == result.planned else f"{result.done} of {result.planned} seeds so far"
    kl = result.kl
    partial = kl is not None and kl.values < result.done
    return Row(
        (
            Cell(result.row, detail=so_far, code=True),
            Cell(_mean(result.modes, 1), numeric=True),
            Cell(_mean(result.high_quality, 1, percent=True), numeric=True),
            Cell(_mean(kl, 2), detail=f"of {kl.values} runs" if kl is not None and partial else "", numeric=True),
            Cell(str(result.diverged) if result.done else NOTHING, numeric=True),
            Cell(format_number(result.cpu_seconds, 1), numeric=True),
            *_own_cells(task, result),
            Cell(protocol),
        )
    )


def _own_cells(task: Task, result: RowResult) -> tuple[Cell, ...]:
    if not isinstance(task, PointTask) or not task.classes:
        return (Cell(short_published(task.name, result.row)),)
    told = Cell(_mean(result.as_told, 1, percent=True), numeric=True)
    if not task.shared.any():
        return (told,)
    (row,) = find_rows((result.row,), task)
    expected = Cell(_percent(expected_shared(task, row)), numeric=True)
    return (told, Cell(_mean(result.shared, 1, percent=True), numeric=True), expected)


def _reference_row(task: Task, name: str, count: ModeCount) -> Row:
    shares = [_percent(share) for share in (count.as_told, count.shared) if share is not None]
    own = [*shares, *[""] * (len(_own_headings(task)) - len(shares))]
    cells = (name, str(count.found), _percent(count.high_quality), format_number(count.kl, 2), "", "", *own, "")
    return Row(tuple(Cell(text) for text in cells), kind="floor")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _what_is_shown(results: Sequence[RowResult]) -> str:
    seeds = max((result.planned for result in results), default=0)
    if seeds < 3:
        return f"{seeds} {'seed' if seeds == 1 else 'seeds'}: no interval below three."
    return f"Mean over {seeds} seeds ± half the width of its 95 % t interval."


def _mean(mean: Mean | None, places: int, percent: bool = False) -> str:
    if mean is None:
        return NOTHING
    factor = 100 if percent else 1
    text = format_number(factor * mean.value, places)
    if mean.half_width is not None:
        text += f" ± {format_number(factor * mean.half_width, places)}"
    return f"{text} %" if percent else text


def _ours(result: RowResult | None) -> str:
    if result is None or result.modes is None:
        return NOTHING
    parts = (result.row, _mean(result.modes, 1), _mean(result.high_quality, 1, percent=True), _mean(result.kl, 2))
    return "; ".join(parts)


def _printed(value: float | None, plus_minus: float | None, recalled: bool) -> str:
    if value is None:
        return NOTHING
    text = f"{value:,g}" + (f" ± {plus_minus:g}" if plus_minus is not None else "")
    return text + ("*" if recalled else "")


def _origin(figure: Figure) -> str:
    trials = f"{figure.trials} trials" if figure.trials else "trials not stated in what was read"
    spread = figure.spread if figure.spread == NOT_STATED else f"the {figure.spread}"
    plus_minus = f"; ± is {spread}" if figure.modes_pm is not None and figure.spread else ""
    return f"{figure.source}; {trials}{plus_minus}" + (f"; {figure.note}" if figure.note else "")
