"""The verb that measures what is trained."""

from __future__ import annotations

from typing import Any

import click

from bench.cli.shared import Roots, device_options, override_options, overrides, study_option


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@override_options
@click.option("--again", is_flag=True, help="Compute all metrics again; the old ones stay until the new are there.")
@device_options
@click.pass_obj
def evaluate(
    roots: Roots,
    /,
    names: tuple[str, ...],
    study: str | None,
    again: bool,
    devices: str,
    per_device: int | None,
    **options: Any,
) -> int:
    """Add metrics that a study's runs lack, without training.

    The metrics are those that the study asks for; they are computed from the runs' snapshots.
    """
    from bench.cli.console import Console
    from bench.cli.launch import show_outcomes
    from bench.execution.study import evaluate_study
    from bench.runs.plan import make_plan

    plan = make_plan(roots.read_study(study, overrides(**options)))
    console = Console()
    outcomes = evaluate_study(
        plan,
        names,
        again=again,
        runs=roots.runs,
        data=roots.data,
        devices=devices,
        per_device=per_device,
        console=console,
    )
    return show_outcomes(outcomes, roots.runs / plan.study.name, console)
