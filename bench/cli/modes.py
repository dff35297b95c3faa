"""The verb that counts dropped modes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.cli.shared import Roots, json_option, print_json
from bench.config.models import parse_seeds
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED, BenchError

if TYPE_CHECKING:
    from bench.validation.modes.jobs import Job
    from bench.validation.modes.results import ModesFolder
    from bench.validation.modes.running import Outcome


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(["ring", "grid", "stacked"]),
    help="What is learnt; may be repeated [ring and grid].",
)
@click.option("--seeds", metavar="SEEDS", help='Seeds such as "0-4" or "0,3" [0-9; stacked 0-4].')
@click.option("--steps", type=click.IntRange(min=1), help="Generator steps in place of the task's.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes, of one thread each [one per core].")
@click.option("--write", "out", type=click.Path(path_type=Path), help="Write modes.md, modes.csv and figures into it.")
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
    """Count the modes that objectives drop: small networks on Gaussian mixtures, our backbone on stacked digits.

    OBJECTIVE is a name, pacgan2 to pacgan4, or a path ending in .py; none means all (stacked: five). A few seconds for
    each seed and task. What is done is not done twice: an interrupted call goes on, a repeated one prints.
    """
    from bench.validation.modes.page import ModesPage
    from bench.validation.modes.results import ModesFolder

    page = ModesPage.plan(tasks or ("ring", "grid"), objectives, _seeds(seeds), steps)
    folder = ModesFolder(roots.runs / "modes")
    console = Console(highlight=False, stderr=as_json)
    failed = 0
    if folder.missing(page.jobs):
        with folder.owned():
            failed, stopped_with = _train(folder.missing(page.jobs), folder, jobs or os.cpu_count() or 1, console)
        if stopped_with:
            console.print("Stopped. Type the same command again to go on with what is missing.")
            return stopped_with
    measured = page.measure(folder)
    if as_json:
        print_json(measured.as_json())
    else:
        measured.show(console)
    if out is not None:
        for path in measured.write(out):
            console.print(f"wrote {path}", markup=False)
    return EXIT_RUNS_FAILED if failed else EXIT_DONE


def _train(jobs: list[Job], folder: ModesFolder, processes: int, console: Console) -> tuple[int, int]:
    """Train the jobs with a bar; return how many failed, and the exit code when a signal ended it early (else 0)."""
    from bench.execution.stopping import StopOnSignals
    from bench.validation.modes.running import run_jobs

    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with StopOnSignals() as stop, Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=len(jobs))

        def report(outcome: Outcome) -> None:
            nonlocal failed
            job = outcome.job
            if outcome.error is not None:
                failed += 1
                progress.console.print(f"failed   {job.task} {job.row}, seed {job.seed}: {outcome.error}", markup=False)
            progress.update(bar, advance=1, description=f"{job.task} {job.row}")

        complete = run_jobs(jobs, folder, processes, report, stop)
        return failed, 0 if complete else stop.exit_code or EXIT_INTERRUPTED


def _seeds(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise BenchError(f'--seeds "{text}" {error}', hint="For example: --seeds 0-4") from error
