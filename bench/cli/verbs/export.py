"""The verb that writes a study as one archive."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import completing
from bench.cli.hints import command_line
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE
from bench.formatting import format_bytes

if TYPE_CHECKING:
    from bench.review.archive import Weights


@click.command()
@click.argument("study", required=False, shell_complete=completing.studies_with_runs)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The archive [<study>.zip].")
@click.option(
    "--weights",
    type=click.Choice(["none", "final", "all"]),
    default="none",
    show_default=True,
    help="Generators to include, so that others can measure again (`bench verify FILE --metrics`): each run's last "
    "snapshot, for the numbers at the final step, or all, for the curves too.",
)
@json_option
@click.pass_obj
def export(roots: Roots, study: str | None, out: Path | None, weights: Weights, as_json: bool) -> int:
    """Write a study as one archive.

    It is a zip of the plan, records, metrics, samples, a report made from them, and a SHA-256 of each file.

    `bench verify FILE` checks it on any machine, and `bench import FILE` puts it beside other runs. It holds no
    photograph from the study's images, no checkpoint, and no path of this machine. Without weights it takes a few MB,
    from which every table can be recomputed; a snapshot adds 2 MB (32 px, width 16) to 29 MB (64 px, width 64).
    """
    from bench.cli.console import progress_bar
    from bench.review.archive import export_study

    name = roots.planned_study(study)
    with progress_bar() as progress:
        done = export_study(roots.runs, name, out or Path(f"{name}.zip"), weights, progress)
    if as_json:
        print_json({**asdict(done), "path": str(done.path)})
        return EXIT_DONE
    say(f"Archive  {done.path}, {format_bytes(done.bytes)}: {done.runs} of {done.planned} planned runs")
    more = [choice for choice, size in done.weights_bytes.items() if size > done.weights_bytes[weights]]
    for choice in more:
        say(f"         --weights {choice} would add {format_bytes(done.weights_bytes[choice])}")
    say(f"Next: {command_line('verify', str(done.path))}")
    return EXIT_DONE
