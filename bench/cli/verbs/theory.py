"""The verb that draws the phase portraits."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli import completing
from bench.cli.shared import Roots
from bench.cli.text import say
from bench.errors import EXIT_DONE


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...", shell_complete=completing.objectives)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write into [reports/theory].")
@click.pass_obj
def theory(roots: Roots, objectives: tuple[str, ...], out: Path | None) -> int:
    """Draw the phase portraits of objectives.

    A portrait is that of a GAN of one real and one generated point, under the objective's own losses. OBJECTIVE is a
    name, or a path ending in .py; none means all of the package's. Takes about two seconds for each.
    """
    from bench.objectives import unlabelled_names
    from bench.validation.dirac.page import write
    from bench.validation.dirac.survey import eigenvalue_text, portrait

    portraits = []
    for name in dict.fromkeys(objectives) or unlabelled_names():
        portraits.append(portrait(name))
        latest = portraits[-1]
        say(f"{latest.name:<12} {eigenvalue_text(latest.eigenvalues):<22} {latest.flow_does}")
    paths = write(portraits, out or roots.reports / "theory", " ".join(("bench theory", *objectives)))
    say(f"HTML      {paths.html}")
    say(f"Markdown  {paths.markdown}")
    say(f"Figure    {paths.svg}")
    return EXIT_DONE
