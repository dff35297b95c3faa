"""The verb that deletes runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, BenchError
from bench.formatting import plural

if TYPE_CHECKING:
    from bench.execution.cleaning import Unplanned


@click.command()
@study_option
@click.option("--everything", is_flag=True, help="All runs of the study, not only those that it no longer plans.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def clean(roots: Roots, study: str | None, everything: bool, yes: bool, as_json: bool) -> int:
    """Delete run folders that a study no longer plans.

    Such runs have old settings, or were trained by code that has changed since. Each is listed with the reason, and
    you are asked. With --json nothing is asked, and nothing deleted without --yes.
    """
    from bench.execution.cleaning import remove, unplanned
    from bench.runs.added import read_additions
    from bench.runs.plan import make_plan

    name = roots.planned_study(study)
    plan = None if everything else make_plan(roots.read_study(name), read_additions(roots.runs, name))
    found = unplanned(roots.runs, name, plan)
    if as_json:
        if yes:
            remove([each.path for each in found])
        folders = [{"path": str(each.path), "state": each.state, "why": each.why} for each in found]
        print_json({"removed": yes, "folders": folders})
        return EXIT_DONE
    if not found:
        say("Nothing to remove.")
        return EXIT_DONE
    for each in found:
        say(f"{each.state:<12} {each.path}: {each.why}")
    if not yes and not _agreed(found):
        say("Nothing was removed.")
        return EXIT_DONE
    remove([each.path for each in found])
    say(f"Removed {plural(len(found), 'folder')}.")
    return EXIT_DONE


def _agreed(found: list[Unplanned]) -> bool:
    """Ask. Raises BenchError where nobody answers."""
    finished = sum(each.finished for each in found)
    of_them = f", {finished} of them finished" if finished else ""
    try:
        return click.confirm(f"Delete {plural(len(found), 'folder')}{of_them}?")
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl-C
        raise BenchError(
            "Nothing was removed: there is no terminal to ask on", hint="Add --yes where all of these may go."
        ) from None
