"""The verb that ends what stands with clusters."""

from __future__ import annotations

import click

from bench.cli.shared import Roots, Seconds, json_option, label_argument, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED


@click.command()
@label_argument()
@study_option
@click.option(
    "--wait", type=Seconds(), default=90.0, show_default=True, help="Seconds to wait until running ones have saved."
)
@json_option
@click.pass_obj
def stop(roots: Roots, names: tuple[str, ...], study: str | None, wait: float, as_json: bool) -> int:
    """End what stands with clusters, saving it.

    That is every run of the study that a cluster has, or those of the labels or globs NAME, with the runs that share
    their jobs. Waiting ones leave the queue; running ones save a checkpoint and end. `bench run` goes on with them.
    """
    from bench.clusters.stopping import stop_orders
    from bench.formatting import plural

    name = roots.planned_study(study)
    stopped = stop_orders(roots.runs, name, names, wait)
    if as_json:
        print_json({"study": name, "queued": stopped.queued, "running": stopped.running, "left": stopped.left})
        return EXIT_RUNS_FAILED if stopped.left or stopped.away else EXIT_DONE
    for text in stopped.away:
        say(f"{text}: what stands there was not ended", err=True)
    if not (stopped.queued or stopped.running):
        say(f"Nothing of {name} stands with a cluster.")
    else:
        say(f"{plural(stopped.queued, 'job')} left the queue, {stopped.running - stopped.left} saved and ended.")
    if stopped.left:
        say(f"{plural(stopped.left, 'job')} had not ended after {wait:.0f} s; `bench status` shows them.", err=True)
    return EXIT_RUNS_FAILED if stopped.left or stopped.away else EXIT_DONE
