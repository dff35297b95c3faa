"""The verb that says how far a study is."""

from __future__ import annotations

import time

import click

from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json
from bench.errors import EXIT_DONE


@click.command()
@study_option
@click.option("--watch", is_flag=True, help="Stay, and show it anew every two seconds until Ctrl-C.")
@json_option
@click.pass_obj
def status(roots: Roots, study: str | None, watch: bool, as_json: bool) -> int:
    """Show how far every run of a study is."""
    from rich.live import Live

    from bench.cli.console import Console
    from bench.cli.progress import has_ended, images_of, progress_of, progress_table

    name = roots.planned_study(study)
    images = images_of(roots.runs, name, roots.data)
    if as_json:
        print_json([row | {"path": str(row["path"])} for row in progress_of(roots.runs, name, images)])
        return EXIT_DONE
    console = Console()
    if not watch:
        console.print(progress_table(progress_of(roots.runs, name, images)))
        return EXIT_DONE
    with Live(console=console, auto_refresh=False) as live:
        while True:
            rows = progress_of(roots.runs, name, images)
            live.update(progress_table(rows), refresh=True)
            if all(map(has_ended, rows)):
                return EXIT_DONE
            time.sleep(2)
