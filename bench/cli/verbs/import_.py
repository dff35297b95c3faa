"""The verb that takes the runs of an archive in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bench.cli.hints import command_line
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE
from bench.formatting import plural


@click.command("import")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="NAME", help="The study's name here [as in the archive].")
@json_option
@click.pass_obj
def import_(roots: Roots, archive: Path, name: str | None, as_json: bool) -> int:
    """Add the runs of an archive to your own.

    ARCHIVE is a file that `bench export` wrote. Nothing is ever overwritten. All checksums are checked before anything
    is written. Runs that are here with the same records are skipped. It is an error where a run of the same name has
    other records, or the study here plans something else. Imported runs are marked as such, and are neither trained nor
    measured further here.
    """
    from bench.cli.console import progress_bar
    from bench.review.archive import import_study

    with progress_bar() as progress:
        done = import_study(archive, roots.runs, name, progress)
    if as_json:
        print_json(asdict(done))
        return EXIT_DONE
    skipped = f", {len(done.there)} were here already" if done.there else ""
    say(f"Imported {plural(len(done.added), 'run')} into {roots.runs / done.study}{skipped}.")
    if done.other_code:
        say(f"Trained by other code than this: {done.other_code}. They can be read, not continued.")
    say(f"Next: {command_line('report', '--study', done.study)}")
    return EXIT_DONE
