"""The verb that takes out of a study what was added to it by hand."""

from __future__ import annotations

import click

from bench.cli.hints import command_line
from bench.cli.shared import Roots, json_option, label_argument, read_seeds, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE


@click.command()
@label_argument(required=True)
@study_option
@click.option("--seeds", metavar="SEEDS", help='Only these of the added seeds, such as "5-9".')
@json_option
@click.pass_obj
def remove(roots: Roots, names: tuple[str, ...], study: str | None, seeds: str | None, as_json: bool) -> int:
    """Take rows or seeds that you added out of a study.

    NAME is the label of a row (or a glob) that `bench run` added: by an objective's file, or with seeds that bench.toml
    does not have. Their runs stay in the runs folder; `bench clean` deletes them.
    """
    from bench.objectives import is_file, label_of_file
    from bench.runs.added import take_out

    name = roots.planned_study(study)
    labels = tuple(label_of_file(each) if is_file(each) else each for each in names)
    gone = take_out(roots.runs, name, labels, None if seeds is None else read_seeds(seeds))
    if as_json:
        print_json({"study": name, "removed": gone})
        return EXIT_DONE
    for each in gone:
        say(f"Took out of {name}: {each}")
    say(f"Next: {command_line('clean')}    deletes their runs")
    return EXIT_DONE
