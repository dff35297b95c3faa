"""The verb that compares two reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bench.cli import completing
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, BenchError


@click.command()
@click.argument("report_a", type=click.Path(path_type=Path), shell_complete=completing.studies_with_runs)
@click.argument("report_b", type=click.Path(path_type=Path), shell_complete=completing.studies_with_runs)
@click.option(
    "--all", "every_metric", is_flag=True, help="Compare every metric that both have, not only the primary one."
)
@json_option
@click.pass_obj
def compare(roots: Roots, report_a: Path, report_b: Path, every_metric: bool, as_json: bool) -> int:
    """Say what changed from one report to another.

    Each score's change from REPORT_A to REPORT_B stands beside the noise of the seeds. A report is a folder that `bench
    report` wrote, or a study's name. Only the reports are read; no runs are needed. The exit code is 0 whatever
    differs, and 2 where a report cannot be read.
    """
    from bench.review import compare as comparing

    shipped = [comparing.read_shipped(_report_folder(roots, given)) for given in (report_a, report_b)]
    compared = comparing.compare(*shipped, every_metric=every_metric)
    if as_json:
        print_json(asdict(compared))
    else:
        say(comparing.in_words(compared).rstrip())
    return EXIT_DONE


def _report_folder(roots: Roots, given: Path) -> Path:
    """Return the folder that is meant: the one given, else the report of the study of that name."""
    if given.is_dir():
        return given
    named = roots.reports / given
    if len(given.parts) == 1 and named.is_dir():
        return named
    raise BenchError(
        f"There is no report {given}, neither a folder of that name nor {named}",
        hint="Name two folders that `bench report` wrote, or two studies that have a report.",
    )
