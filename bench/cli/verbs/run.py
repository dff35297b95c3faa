"""The verb that trains and evaluates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import (
    Roots,
    Seconds,
    asked_for,
    cluster_options,
    destination,
    device_options,
    json_option,
    label_argument,
    log_folder_option,
    selection_options,
    study_option,
)
from bench.errors import EXIT_DONE, BenchError


@click.command()
@label_argument()
@click.option("--all", "everything", is_flag=True, help="Every entry of the study.")
@study_option
@selection_options(adds=True)
@device_options
@cluster_options
@click.option("--ranks", type=click.IntRange(min=1), default=1, help="Processes that share one run, a device each.")
@click.option(
    "--checkpoint-seconds",
    type=Seconds(),
    default=60.0,
    show_default=True,
    help="Seconds between a run's checkpoints [on a cluster 300].",
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
@json_option
@click.pass_obj
def run(
    roots: Roots,
    /,
    names: tuple[str, ...],
    everything: bool,
    study: str | None,
    devices: str,
    per_device: int | None,
    on: str | None,
    at_a_time: int | None,
    detach: bool,
    ranks: int,
    checkpoint_seconds: float,
    accept_code: bool,
    log: str,
    log_folder: Path,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Train and evaluate what a study lacks.

    That is the whole study (on each of its `backbones`), or its entries NAME. NAME is a label, a glob such as 'wgan*',
    or the path of your own objective's file, which becomes a row of the study until `bench remove` takes it out. The
    command can be repeated at any time: finished work is not repeated, and an interrupted run continues from its last
    checkpoint. `bench watch` shows curves and samples meanwhile. With --on a cluster takes the runs: Ctrl-C leaves them
    there, and `bench stop` ends them. With --json progress goes to stderr.
    """
    from bench.cli import launch
    from bench.cli.console import Console
    from bench.data import present_images
    from bench.execution.devices import choose_slots
    from bench.execution.running import state_of, work_for
    from bench.execution.study import refuse_cpu_for_gpus, run_study
    from bench.trackers.adapters import named_trackers

    if not names and not everything:
        raise BenchError(
            "Which runs?", hint="Type `bench run --all`, or `bench run NAME...` (`bench list` shows the names)."
        )
    trackers = named_trackers(log)
    where = destination(roots, study, on, at_a_time, detach)
    asked = asked_for(roots, study, names, adds=True, **options)
    plan, selected = asked.plan, asked.runs()
    console = Console(stderr=as_json)
    if dry_run and where is not None:
        launch.show_orders(asked, where, roots, ranks, as_json)
        return EXIT_DONE
    if dry_run:
        slots = choose_slots(devices, per_device, plan.study.training.threads, ranks)
        refuse_cpu_for_gpus(plan, selected, roots.runs, devices, slots)
        images = present_images(plan.study.data, roots.data)
        every = [
            spec for one in plan.on_every_backbone() for spec in one.select(asked.labels, asked.seeds, asked.protocols)
        ]
        work = [(spec, work_for(spec, roots.runs, state_of(spec, roots.runs, images))) for spec in every]
        (launch.print_missing if as_json else launch.show_missing)(asked, work, slots)
        return EXIT_DONE
    for new in asked.new:
        told = f"added    {new} to {plan.study.name} (`bench remove` takes it out)"
        console.print(with_typed_options(told, click.get_current_context()), soft_wrap=True)
    outcomes = run_study(
        plan,
        asked.labels,
        seeds=asked.seeds,
        protocols=asked.protocols,
        runs=roots.runs,
        data=roots.data,
        devices=devices,
        per_device=per_device,
        ranks=ranks,
        checkpoint_seconds=checkpoint_seconds,
        accept_code=accept_code,
        log=trackers,
        log_folder=log_folder,
        on=where,
        console=console,
    )
    if as_json:
        launch.print_outcomes(plan, outcomes)
    return launch.show_outcomes(outcomes, roots.runs / plan.study.name, console)
