"""The verb that lists what there is to choose from."""

from __future__ import annotations

import click

from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json
from bench.errors import EXIT_DONE

KINDS = ("objectives", "studies", "datasets", "metrics")


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]", type=click.Choice(KINDS))
@click.option("--objectives", is_flag=True, help="The same as `bench list objectives`.")
@json_option
@click.pass_obj
def list_(roots: Roots, kind: str | None, objectives: bool, as_json: bool) -> int:
    """List objectives, studies, datasets and metrics.

    A KIND is one of these four; without it all are listed.
    """
    from bench.cli.console import Console, plain_table
    from bench.cli.listing import listing

    kind = "objectives" if objectives else kind
    config = roots.read_config()
    listed = {name: listing(name, config) for name in ([kind] if kind else KINDS)}
    if as_json:
        print_json(listed)
        return EXIT_DONE
    console = Console()
    for name, rows in listed.items():
        headings = [key.replace("_", " ") for key in rows[0]] if rows else []
        console.print(plain_table(headings, [list(row.values()) for row in rows], title=name, width=console.width))
        console.print()
    return EXIT_DONE
