"""The verb that says how far a study is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import Roots, json_option, study_option, wait_for_study
from bench.cli.text import print_json
from bench.errors import EXIT_DONE, BenchError

if TYPE_CHECKING:
    from bench.config.models import Study
    from bench.execution.unmeasured import Seen
    from bench.watch.progress import Row


@click.command()
@study_option
@click.option("--watch", is_flag=True, help="Stay, and show it anew every two seconds until all is through or Ctrl-C.")
@json_option
@click.pass_obj
def status(roots: Roots, study: str | None, watch: bool, as_json: bool) -> int:
    """Show how far every run of a study is.

    Trained runs that lack metrics under the study's present settings are marked as unmeasured; those that a cluster has
    are queued, with its word for why, or run there. With --watch it waits for a study's first run. `bench watch` shows
    curves and samples too, in a browser.
    """
    from rich.live import Live

    from bench.cli.console import Console
    from bench.cli.progress import progress_table
    from bench.clusters.standings import Standings
    from bench.runs.differences import study_changes
    from bench.runs.folder import evaluation_settings, read_plan
    from bench.watch.progress import (
        has_ended,
        images_of,
        lacking_metrics,
        progress_of,
        study_seconds_left,
        with_standings,
    )

    name = roots.planned_study(study)
    console, context = Console(), click.get_current_context()
    if watch and not as_json:
        wait_for_study(roots, name, console)
    images = images_of(roots.runs, name, roots.data)
    defined = _defined(roots, name)
    seen: Seen = {}
    standings = Standings(roots.runs, name)

    def look() -> tuple[list[Row], list[str], float | None]:
        """Return a row for each run, what there is to say of all of them, and the seconds left."""
        plan = read_plan(roots.runs, name)
        rows = progress_of(plan, roots.runs / name, images)
        with_standings(rows, roots.runs / name, standings)
        lacking = lacking_metrics(rows, defined.evaluation if defined else evaluation_settings(plan), seen)
        for row in rows:
            seconds = lacking.seconds(row["path"])
            row["unmeasured"] = row["path"] in lacking.images
            row["unmeasured_seconds"] = round(seconds, 1) if row["unmeasured"] and seconds is not None else None
        below = [f"{text}: what waits there may be shown as interrupted or planned" for text in standings.away.values()]
        below += [with_typed_options(lacking.in_words(), context)]
        if defined and (changed := study_changes(plan, defined)):
            told = f"The file of studies differs from this plan: {', '.join(changed)}. `bench run --all` plans anew."
            below.append(with_typed_options(told, context))
        return rows, list(filter(None, below)), study_seconds_left(plan, rows)

    if as_json:
        print_json([row | {"path": str(row["path"])} for row in look()[0]])
        return EXIT_DONE
    if not watch:
        rows, below, left = look()
        console.print(progress_table(rows, below, width=console.width, seconds_left=left))
        return EXIT_DONE
    with Live(console=console, auto_refresh=False) as live:
        while True:
            rows, below, left = look()
            live.update(
                progress_table(rows, below, width=console.width, height=console.height, seconds_left=left), refresh=True
            )
            if all(map(has_ended, rows)):
                return EXIT_DONE
            time.sleep(2)


def _defined(roots: Roots, study: str) -> Study | None:
    """Return the study as the file of studies has it; None where that has none of this name, or cannot be read."""
    try:
        return roots.read_study(study)
    except BenchError:
        return None
