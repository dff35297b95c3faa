"""The verb that starts an objective, an extractor, a metric or a data set of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bench.cli.hints import command_line
from bench.cli.text import say
from bench.errors import EXIT_DONE, BenchError

_STARTS = {
    "objective": "a hinge loss to change",
    "extractor": "features to change",
    "metric": "a metric to change",
    "dataset": "coloured discs to change",
}


@click.command()
@click.argument("name")
@click.option("--extractor", is_flag=True, help="An extractor of features instead.")
@click.option("--metric", is_flag=True, help="A metric instead.")
@click.option("--dataset", is_flag=True, help="A data set instead.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder to write into [the current one].",
)
def new(name: str, extractor: bool, metric: bool, dataset: bool, directory: Path) -> int:
    """Start an objective, extractor, metric or data set.

    It is a file of your own that works, with its test. For the NAME my-objective this writes my_objective.py and
    test_my_objective.py.
    """
    from bench.cli.scaffold import write_own

    given = [
        kind for kind, is_given in (("extractor", extractor), ("metric", metric), ("dataset", dataset)) if is_given
    ]
    if len(given) > 1:
        raise BenchError("One file is of one kind", hint="Give one of --extractor, --metric and --dataset.")
    kind = given[0] if given else "objective"
    file, test = write_own(name, directory, kind)
    path = str(file) if file.is_absolute() else os.path.join(os.curdir, file)  # noqa: PTH118 - Path drops the ./
    say(f"Wrote {file} ({_STARTS[kind]}) and {test}.")
    say(f"Next: {command_line('check', path)}    does it meet the contract?")
    if kind == "objective":
        say(f"      {command_line('run', path)}      train it beside the study's other rows")
    else:
        say(f"      then name it in bench.toml: {_named(kind, name, path)}")
    return EXIT_DONE


def _named(kind: str, name: str, path: str) -> str:
    """Return the line of bench.toml that uses a file."""
    if kind == "dataset":
        return f'data = {{ source = "own", path = "{path}" }}'
    more = f', and "{name}" among evaluation.extractors' if kind == "extractor" else ""
    return f'evaluation.{kind}.{name} = {{ file = "{path}" }}{more}'
