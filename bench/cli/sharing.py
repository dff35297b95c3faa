"""The verbs that carry a study from one machine to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.shared import Roots, progress_bar
from bench.errors import EXIT_DONE
from bench.formatting import data_size

if TYPE_CHECKING:
    from bench.review.archive import Weights


@click.command()
@click.argument("study", required=False)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The archive [<study>.zip].")
@click.option(
    "--weights",
    type=click.Choice(["none", "final", "all"]),
    default="none",
    show_default=True,
    help="Generators to take along, so that others can measure again (`bench verify FILE --metrics`): each run's last "
    "snapshot, for the numbers at the final step, or all, for the curves too.",
)
@click.pass_obj
def export(roots: Roots, study: str | None, out: Path | None, weights: Weights) -> int:
    """Write STUDY as one zip: plan, records, metrics, samples, a report made of them, and a SHA-256 of each file.

    `bench verify FILE` checks it on any machine, `bench import FILE` puts it beside other runs. It holds no training
    image that is not drawn, no checkpoint and no folder of this machine. Without weights it takes a few MB and every
    table can be recomputed; a snapshot adds 2 MB (32 px, width 16) to 29 MB (64 px, width 64).
    """
    from bench.review.archive import export_study

    name = roots.planned_study(study)
    with progress_bar() as progress:
        done = export_study(roots.runs, name, out or Path(f"{name}.zip"), weights, progress)
    click.echo(f"Archive  {done.path}, {data_size(done.bytes)}: {done.runs} of {done.planned} planned runs")
    more = [choice for choice, size in done.weights_bytes.items() if size > done.weights_bytes[weights]]
    for choice in more:
        click.echo(f"         --weights {choice} would add {data_size(done.weights_bytes[choice])}")
    click.echo(f"Next: bench verify {done.path}")
    return EXIT_DONE


@click.command("import")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="NAME", help="The study's name here [as in the archive].")
@click.pass_obj
def import_(roots: Roots, archive: Path, name: str | None) -> int:
    """Put the runs of ARCHIVE, which `bench export` wrote, beside your own; nothing is ever overwritten.

    All checksums are checked before anything is written. Runs that are here with the same records are skipped; others
    of the same name are an error, as is a study that plans something else. Imported runs are shown as such, and are
    neither trained nor measured further here.
    """
    from bench.review.archive import import_study

    with progress_bar() as progress:
        done = import_study(archive, roots.runs, name, progress)
    skipped = f", {len(done.there)} were here already" if done.there else ""
    click.echo(f"Imported {len(done.added)} runs into {roots.runs / done.study}{skipped}.")
    if done.other_code:
        click.echo(f"{done.other_code} of them were trained by other code than this: they can be read, not continued.")
    click.echo(f"Next: bench report --study {done.study}")
    return EXIT_DONE
