"""Tables, colours and bars on the terminal, through rich."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import console as rich_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

from bench.cli.text import printable

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


def plain_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """Return a table without lines, whose cells fold where the terminal is narrow. No headings: none are shown."""
    table = Table(
        box=None, pad_edge=False, header_style="dim", show_header=bool(headings), title=title, title_justify="left"
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    return table


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
