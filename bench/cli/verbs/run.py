"""The verb that trains and evaluates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.shared import (
    Roots,
    Seconds,
    device_options,
    log_folder_option,
    override_options,
    overrides,
    study_option,
)
from bench.errors import EXIT_DONE, BenchError


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every entry of the study.")
@study_option
@override_options
@device_options
@click.option("--ranks", type=click.IntRange(min=1), default=1, help="Processes that share one run, a device each.")
@click.option(
    "--checkpoint-seconds",
    type=Seconds(),
    default=60.0,
    show_default=True,
    help="Seconds between a run's checkpoints.",
)
@click.option(
    "--accept-code",
    is_flag=True,
    help="Treat stale runs as current; each run records that.",
)
@click.option(
    "--log",
    metavar="NAMES",
    default="",
    help="Send losses, scores and sample grids to tensorboard, wandb or mlflow; several with commas.",
)
@log_folder_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.pass_obj
def run(
    roots: Roots,
    /,
    names: tuple[str, ...],
    everything: bool,
    study: str | None,
    devices: str,
    per_device: int | None,
    ranks: int,
    checkpoint_seconds: float,
    accept_code: bool,
    log: str,
    log_folder: Path,
    dry_run: bool,
    **options: Any,
) -> int:
    """Train and evaluate what a study lacks.

    That is the whole study, or its entries NAME. NAME is a label, a glob such as 'wgan*', or the path of your own
    objective's file. The command can be repeated at any time: finished work is not repeated, and an interrupted run
    continues from its last checkpoint. `bench watch` shows curves and samples meanwhile.
    """
    from bench.cli import launch
    from bench.cli.console import Console
    from bench.config.models import ADDED_OBJECTIVES
    from bench.data import present_images
    from bench.execution.devices import choose_slots
    from bench.execution.running import work_for
    from bench.execution.study import refuse_cpu_for_gpus, run_study
    from bench.runs.plan import make_plan
    from bench.trackers.adapters import named_trackers

    if not names and not everything:
        raise BenchError(
            "Which runs?", hint="Type `bench run --all`, or `bench run NAME...` (`bench list` shows the names)."
        )
    trackers = named_trackers(log)
    table = overrides(**options)
    own = [name for name in names if name.endswith(".py")]
    if own:
        table[ADDED_OBJECTIVES] = [str(Path(name).resolve()) for name in own]
        names = tuple(launch.label_of_file(name) if name in own else name for name in names)
    plan = make_plan(roots.read_study(study, table))
    console = Console()
    if dry_run:
        selected = plan.select(names)
        slots = choose_slots(devices, per_device, plan.study.training.threads, ranks)
        refuse_cpu_for_gpus(plan, selected, roots.runs, devices, slots)
        images = present_images(plan.study.data, roots.data)
        launch.show_missing(plan, [(spec, work_for(spec, roots.runs, images)) for spec in selected], slots, console)
        return EXIT_DONE
    outcomes = run_study(
        plan,
        names,
        runs=roots.runs,
        data=roots.data,
        devices=devices,
        per_device=per_device,
        ranks=ranks,
        checkpoint_seconds=checkpoint_seconds,
        accept_code=accept_code,
        log=trackers,
        log_folder=log_folder,
        console=console,
    )
    return launch.show_outcomes(outcomes, roots.runs / plan.study.name, console)
