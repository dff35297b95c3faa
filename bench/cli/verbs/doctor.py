"""The verb that examines this machine, or a cluster."""

from __future__ import annotations

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import Roots, Seconds, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED

COLOURS = {"ok": "green", "note": "yellow", "missing": "red"}


@click.command()
@click.option("--on", metavar="CLUSTER", help="Look at a cluster, and by a job of some seconds at one of its nodes.")
@click.option(
    "--wait", type=Seconds(), default=120.0, show_default=True, help="With --on: seconds to wait for the job to run."
)
@json_option
@click.pass_context
def doctor(context: click.Context, on: str | None, wait: float, as_json: bool) -> int:
    """Say what this machine has, what is missing, and what to type."""
    from rich.text import Text

    from bench.cli.console import Console

    roots: Roots = context.obj
    if on is None:
        from bench.cli.doctor import examine

        findings = examine(roots.config, roots.data)
    else:
        from bench.config.clusters import find_cluster
        from bench.execution.clustered import Destination
        from bench.execution.probing import examine_cluster

        where = Destination(on, find_cluster(on, roots.read_config().clusters))
        findings = examine_cluster(where, roots.runs, roots.data, wait, lambda text: say(text, err=True))
    if as_json:
        print_json([finding.__dict__ for finding in findings])
    else:
        console = Console()
        for finding in findings:
            console.print(Text(f"{finding.level:<7}", COLOURS[finding.level]).append(f" {finding.what}", "default"))
            if finding.advice:
                console.print(f"        {with_typed_options(finding.advice, context)}", style="dim")
    return EXIT_RUNS_FAILED if any(finding.level == "missing" for finding in findings) else EXIT_DONE
