"""The verb that draws the phase portraits."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.shared import Roots
from bench.errors import EXIT_DONE


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it [reports/theory].")
@click.pass_obj
def theory(roots: Roots, objectives: tuple[str, ...], out: Path | None) -> int:
    """Draw every objective's phase portrait: the GAN of one real and one generated point, solved from its own losses.

    OBJECTIVE is a name, or a path ending in .py; none means all of the package's. Takes about two seconds for each.
    """
    from bench.objectives import names
    from bench.validation.dirac.page import write
    from bench.validation.dirac.survey import eigenvalue_text, portrait

    portraits = []
    for name in dict.fromkeys(objectives) or names():
        portraits.append(portrait(name))
        latest = portraits[-1]
        click.echo(f"{latest.name:<12} {eigenvalue_text(latest.eigenvalues):<22} {latest.flow_does}")
    paths = write(portraits, out or roots.reports / "theory", " ".join(("bench theory", *objectives)))
    click.echo(f"HTML      {paths.html}")
    click.echo(f"Markdown  {paths.markdown}")
    click.echo(f"Figure    {paths.svg}")
    return EXIT_DONE
