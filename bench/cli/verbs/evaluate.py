"""The verb that measures what is trained."""

from __future__ import annotations

from typing import Any

import click

from bench.cli.shared import (
    Roots,
    asked_for,
    cluster_options,
    destination,
    device_options,
    json_option,
    label_argument,
    selection_options,
    study_option,
)


@click.command()
@label_argument()
@study_option
@selection_options()
@click.option("--again", is_flag=True, help="Compute all metrics again; the old ones stay until the new are there.")
@device_options
@cluster_options
@json_option
@click.pass_obj
def evaluate(
    roots: Roots,
    /,
    names: tuple[str, ...],
    study: str | None,
    again: bool,
    devices: str,
    per_device: int | None,
    on: str | None,
    at_a_time: int | None,
    detach: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Add metrics that a study's runs lack, without training.

    The metrics are those that the study asks for; they are computed from the runs' snapshots. With --json progress goes
    to stderr.
    """
    from bench.cli.console import Console
    from bench.cli.launch import print_outcomes, show_outcomes
    from bench.execution.study import evaluate_study

    asked = asked_for(roots, study, names, **options)
    console = Console(stderr=as_json)
    outcomes = evaluate_study(
        asked.plan,
        asked.labels,
        seeds=asked.seeds,
        protocols=asked.protocols,
        again=again,
        runs=roots.runs,
        data=roots.data,
        devices=devices,
        per_device=per_device,
        on=destination(roots, study, on, at_a_time, detach),
        console=console,
    )
    if as_json:
        print_outcomes(asked.plan, outcomes)
    return show_outcomes(outcomes, roots.runs / asked.plan.study.name, console)
