"""The verb that removes runs."""

from __future__ import annotations

import click

from bench.cli.shared import Roots, study_option
from bench.cli.text import say
from bench.errors import EXIT_DONE
from bench.formatting import plural


@click.command()
@study_option
@click.option("--everything", is_flag=True, help="All runs of the study, not only those that it no longer plans.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def clean(roots: Roots, study: str | None, everything: bool, yes: bool) -> int:
    """Remove run folders that a study no longer plans.

    Such runs have old settings, or were trained by code that has changed since.
    """
    from bench.execution.running import clean as folders_to_clean
    from bench.execution.running import remove
    from bench.runs.plan import make_plan

    name = roots.planned_study(study)
    plan = None if everything else make_plan(roots.read_study(name))
    folders = folders_to_clean(roots.runs, name, plan, everything=everything)
    if not folders:
        say("Nothing to remove.")
        return EXIT_DONE
    for folder in folders:
        say(str(folder))
    count = plural(len(folders), "folder")
    if not yes and not click.confirm(f"Remove {count}?"):
        say("Nothing was removed.")
        return EXIT_DONE
    remove(folders)
    say(f"Removed {count}.")
    return EXIT_DONE
