"""The verb that examines this machine."""

from __future__ import annotations

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED

COLOURS = {"ok": "green", "note": "yellow", "missing": "red"}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> int:
    """Say what this machine has, what is missing, and what to type."""
    from rich.text import Text

    from bench.cli.console import Console
    from bench.cli.doctor import examine

    roots: Roots = context.obj
    findings = examine(roots.config, roots.data)
    if as_json:
        print_json([finding.__dict__ for finding in findings])
    else:
        console = Console()
        for finding in findings:
            console.print(Text(f"{finding.level:<7}", COLOURS[finding.level]).append(f" {finding.what}", "default"))
            if finding.advice:
                console.print(f"        {with_typed_options(finding.advice, context)}", style="dim")
    return EXIT_RUNS_FAILED if any(finding.level == "missing" for finding in findings) else EXIT_DONE
