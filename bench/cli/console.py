"""Tables, colours and bars on the terminal, through rich."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import console as rich_console
from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bench.cli.text import printable

LEAST_LAST_COLUMN = 30  # columns that a table's last one is folded into at the narrowest
PIPE_WIDTH = 10_000  # columns: a program that reads a table wants each row on one line, however long


class Console(rich_console.Console):
    """rich's console, for text that we did not write: no markup, no emoji codes, no control characters.

    Where colour is meant, the caller passes a `rich.text.Text`. In a pipe or a file lines are as long as they are.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if not self.is_terminal:
            self.width = PIPE_WIDTH

    def render(
        self, renderable: rich_console.RenderableType, options: rich_console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does. All that is printed passes here; rich's own cursor movements are control segments."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def plain_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Collection[str] = (),
    width: int = PIPE_WIDTH,
) -> Table | Group:
    """Return a table without lines, whose last column folds; below `width`, where it does not fit, a list of its rows.

    No headings: none are shown. Columns in `right` are flush right.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(*([list(headings)] if headings else []), *cells, strict=True))
    needed = [max(map(cell_len, column)) for column in columns]
    if sum(needed[:-1]) + 2 * (len(needed) - 1) + min([*needed[-1:], LEAST_LAST_COLUMN]) > width:
        return _row_by_row(headings, cells, title)
    table = Table(
        box=None, pad_edge=False, header_style="dim", show_header=bool(headings), title=title, title_justify="left"
    )
    for number in range(len(needed)):
        heading = headings[number] if headings else ""
        last = number == len(needed) - 1
        table.add_column(
            heading,
            overflow="fold",
            no_wrap=not last,
            justify="right" if heading in right else "left",
        )
    for row in cells:
        table.add_row(*row)
    return table


def _row_by_row(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> Group:
    """Return each row as a line with its first cell, and under it what the other columns say and the last one."""
    parts: list[rich_console.RenderableType] = [Text(title, "italic")] if title else []
    for first, *others in rows:
        named = [
            f"{heading} {cell}" if heading else cell
            for heading, cell in zip(headings[1:-1] or [""] * (len(others) - 1), others[:-1], strict=True)
            if cell
        ]
        parts.append(Text(first, overflow="fold"))
        parts += [Padding(Text(line, overflow="fold"), (0, 0, 0, 2)) for line in ("  ".join(named), others[-1]) if line]
    return Group(*parts)


def counting_bar(console: Console) -> Progress:
    """Return a bar for work that can be counted: what is done, of how much, and the time left."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr, where that is a terminal, and give what moves it: what is done, how much, of how much."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
