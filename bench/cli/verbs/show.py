"""The verb that shows one run."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli import completing
from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json
from bench.errors import EXIT_DONE


@click.command()
@click.argument("run", shell_complete=completing.runs)
@study_option
@json_option
@click.pass_obj
def show(roots: Roots, run: str, study: str | None, as_json: bool) -> int:
    """Show a run's settings, state, last losses and metrics.

    RUN is a run's folder, its id or the beginning of it, or label/seed such as nsgan/0.
    """
    from bench.cli.console import Console, plain_table
    from bench.cli.showing import describe_run, find_run

    folder = find_run(Path(run), roots.runs, roots.planned_study(study))
    values = describe_run(folder)
    if as_json:
        print_json(values)
        return EXIT_DONE
    console = Console()
    console.print(f"{folder.path}\n")
    for heading, content in values.items():
        if content:
            console.print(plain_table([], list(content.items()), title=heading, width=console.width))
            console.print()
    return EXIT_DONE
