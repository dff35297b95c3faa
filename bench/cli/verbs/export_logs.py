"""The verb that sends what runs have logged to the trackers that people have."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.shared import Roots, log_folder_option, study_option
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED


@click.command("export-logs")
@study_option
@click.option("--to", metavar="NAMES", required=True, help="tensorboard, wandb or mlflow; several with commas.")
@log_folder_option
@click.option("--again", is_flag=True, help="Send everything anew, as to a tracker that was emptied.")
@click.pass_obj
def export_logs(roots: Roots, study: str | None, to: str, log_folder: Path, again: bool) -> int:
    """Send a study's losses, scores and sample grids to trackers.

    That is what `bench run --log` does while runs go, for runs that there are already. What a tracker has been sent
    is not sent again. Weights & Biases is used online where you are logged in, unless WANDB_MODE=offline.
    """
    from bench.cli.console import Console
    from bench.formatting import plural
    from bench.runs.folder import read_plan
    from bench.trackers.adapters import named_trackers
    from bench.trackers.following import in_a_line, where
    from bench.trackers.sending import Sender

    trackers, name, console = named_trackers(to), roots.planned_study(study), Console()
    read_plan(roots.runs, name)  # refuses a study without runs
    broken = False
    for tracker in trackers:
        sender = Sender(tracker, roots.runs, name, log_folder, again=again)
        try:
            sent = sender.send()
            sender.close()
        except Exception as error:  # a tracker may raise anything
            console.print(f"{tracker}: {in_a_line(error)}", soft_wrap=True)
            broken = True
            continue
        said = f"sent {plural(sent, 'value')}" if sent else "nothing new"
        console.print(f"{tracker}: {said}. {where(tracker, log_folder)}", soft_wrap=True)
    return EXIT_RUNS_FAILED if broken else EXIT_DONE
