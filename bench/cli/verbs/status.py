"""The verb that says how far a study is."""

from __future__ import annotations

import time

import click

from bench.cli.shared import Roots, json_option, study_option, wait_for_study
from bench.cli.text import print_json
from bench.errors import EXIT_DONE


@click.command()
@study_option
@click.option("--watch", is_flag=True, help="Stay, and show it anew every two seconds until all is through or Ctrl-C.")
@json_option
@click.pass_obj
def status(roots: Roots, study: str | None, watch: bool, as_json: bool) -> int:
    """Show how far every run of a study is.

    With --watch it waits for a study's first run. `bench watch` shows curves and samples too, in a browser.
    """
    from rich.console import RenderableType
    from rich.live import Live

    from bench.cli.console import Console
    from bench.cli.progress import progress_table
    from bench.runs.folder import read_plan
    from bench.watch.progress import has_ended, images_of, progress_of, study_seconds_left

    name = roots.planned_study(study)
    if as_json:
        rows = progress_of(roots.runs, name, images_of(roots.runs, name, roots.data))
        print_json([row | {"path": str(row["path"])} for row in rows])
        return EXIT_DONE
    console = Console()
    if not watch:
        rows = progress_of(roots.runs, name, images_of(roots.runs, name, roots.data))
        left = study_seconds_left(read_plan(roots.runs, name), rows)
        console.print(progress_table(rows, console.width, seconds_left=left))
        return EXIT_DONE

    def shown() -> RenderableType:
        left = study_seconds_left(read_plan(roots.runs, name), rows)
        return progress_table(rows, console.width, max(console.height - 3, 1), left)

    wait_for_study(roots, name, console)
    images = images_of(roots.runs, name, roots.data)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            rows = progress_of(roots.runs, name, images)
            live.update(shown(), refresh=True)
            if all(map(has_ended, rows)):
                return EXIT_DONE
            time.sleep(2)
