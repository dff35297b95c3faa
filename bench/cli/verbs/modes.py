"""The verb that counts dropped modes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import completing
from bench.cli.shared import Roots, json_option, read_seeds
from bench.cli.text import print_json
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED

if TYPE_CHECKING:
    from bench.cli.console import Console
    from bench.validation.modes.jobs import Job
    from bench.validation.modes.results import ModesFolder
    from bench.validation.modes.running import Outcome


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...", shell_complete=completing.objectives)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(["ring", "grid", "stacked", "ring-labels", "overlap"]),
    help="What is learnt; may be repeated [ring and grid].",
)
@click.option("--seeds", metavar="SEEDS", help='Seeds such as "0-4" or "0,3" [0-9; stacked 0-4, with labels 0-2].')
@click.option("--steps", type=click.IntRange(min=1), help="Generator steps in place of the task's.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes, of one thread each [one per core].")
@click.option(
    "--write", "out", type=click.Path(path_type=Path), help="Write modes.md, modes.csv and figures into this folder."
)
@json_option
@click.pass_obj
def modes(
    roots: Roots,
    objectives: tuple[str, ...],
    tasks: tuple[str, ...],
    seeds: str | None,
    steps: int | None,
    jobs: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Count the modes that objectives drop.

    Small networks learn Gaussian mixtures, and our backbone learns stacked digits. OBJECTIVE is a name, pacgan2 to
    pacgan4, or a path ending in .py; none means all (stacked: five). Each seed and task takes a few seconds. Finished
    work is not repeated: an interrupted call continues, a repeated one prints.
    """
    from bench.cli.console import Console
    from bench.processes import usable_cores
    from bench.validation.modes.page import ModesPage
    from bench.validation.modes.results import ModesFolder

    page = ModesPage.plan(tasks or ("ring", "grid"), objectives, None if seeds is None else read_seeds(seeds), steps)
    folder = ModesFolder(roots.runs / "modes")
    console = Console(stderr=as_json)
    failed = 0
    if folder.missing(page.jobs):
        with folder.owned():
            failed, stopped_with = _train(folder.missing(page.jobs), folder, jobs or usable_cores(), console)
        if stopped_with:
            console.print("Stopped. Type the same command again to continue.")
            return stopped_with
    measured = page.measure(folder)
    if as_json:
        print_json(measured.as_json())
    else:
        measured.show(console)
    if out is not None:
        for path in measured.write(out):
            console.print(f"wrote {path}")
    return EXIT_RUNS_FAILED if failed else EXIT_DONE


def _train(jobs: list[Job], folder: ModesFolder, processes: int, console: Console) -> tuple[int, int]:
    """Train the jobs with a bar; return how many failed, and the exit code when a signal ended it early (else 0)."""
    from bench.cli.console import counting_bar
    from bench.execution.stopping import StopOnSignals
    from bench.validation.modes.running import run_jobs

    failed = 0
    with StopOnSignals() as stop, counting_bar(console) as progress:
        bar = progress.add_task("training", total=len(jobs))

        def report(outcome: Outcome) -> None:
            nonlocal failed
            job = outcome.job
            if outcome.error is not None:
                failed += 1
                progress.console.print(f"failed   {job.task} {job.row}, seed {job.seed}: {outcome.error}")
            progress.update(bar, advance=1, description=f"{job.task} {job.row}")

        complete = run_jobs(jobs, folder, processes, report, stop)
        return failed, 0 if complete else stop.exit_code or EXIT_INTERRUPTED
