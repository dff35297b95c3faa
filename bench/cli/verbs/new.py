"""The verb that starts an objective of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bench.cli.hints import command_line
from bench.cli.text import say
from bench.errors import EXIT_DONE


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder to write into [the current one].",
)
def new(name: str, directory: Path) -> int:
    """Start an objective of your own, with its test.

    For the NAME my-objective this writes my_objective.py and test_my_objective.py.
    """
    from bench.cli.scaffold import write_objective

    file, test = write_objective(name, directory)
    path = str(file) if file.is_absolute() else os.path.join(os.curdir, file)  # noqa: PTH118 - Path drops the ./
    say(f"Wrote {file} (a hinge loss to change) and {test}.")
    say(f"Next: {command_line('check', path)}    does it meet the contract?")
    say(f"      {command_line('run', path)}      train it beside the study's other rows")
    return EXIT_DONE
