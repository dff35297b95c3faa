"""The verb that sends what runs have logged to the trackers that people have."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.shared import Roots, json_option, log_folder_option, study_option
from bench.cli.text import print_json
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED


@click.command("export-logs")
@study_option
@click.option("--to", metavar="NAMES", required=True, help="tensorboard, wandb or mlflow; several with commas.")
@log_folder_option
@click.option("--again", is_flag=True, help="Send everything anew, as to a tracker that was emptied.")
@json_option
@click.pass_obj
def export_logs(roots: Roots, study: str | None, to: str, log_folder: Path, again: bool, as_json: bool) -> int:
    """Send a study's losses, scores and sample grids to trackers.

    That is what `bench run --log` does while runs go, for runs that there are already. What a tracker has been sent
    is not sent again. Weights & Biases is used online where you are logged in, unless WANDB_MODE=offline. Damaged runs
    are left out and named; the exit code is then 1.
    """
    from bench.cli.console import Console
    from bench.formatting import plural
    from bench.runs.folder import read_plan
    from bench.trackers.adapters import named_trackers
    from bench.trackers.following import in_a_line, where
    from bench.trackers.sending import Sender

    trackers, name, console = named_trackers(to), roots.planned_study(study), Console()
    read_plan(roots.runs, name)  # refuses a study without runs
    told = []
    for tracker in trackers:
        sender = Sender(tracker, roots.runs, name, log_folder, again=again)
        sent, failure = 0, None
        try:
            sent = sender.send()
            sender.close()
        except Exception as error:  # a tracker may raise anything
            failure = in_a_line(error)
        place = where(tracker, log_folder)
        told.append(
            {"tracker": tracker, "sent": sent, "where": place, "error": failure, "left_out": dict(sender.left_out)}
        )
        if as_json:
            continue
        said = f"sent {plural(sent, 'value')}" if sent else "nothing new"
        console.print(f"{tracker}: {failure or f'{said}. {place}'}", soft_wrap=True)
        for path, reason in sender.left_out.items():
            console.print(f"{tracker}: {path} is not sent: {reason}", soft_wrap=True)
    if as_json:
        print_json(told)
    return EXIT_RUNS_FAILED if any(one["error"] or one["left_out"] for one in told) else EXIT_DONE
