"""The verb that measures what is trained."""

from __future__ import annotations

from typing import Any

import click

from bench.cli.shared import Roots, device_options, override_options, overrides, study_option
from bench.errors import BenchError


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@override_options
@click.option("--again", is_flag=True, help="Drop the metrics there are and compute them again.")
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
    from bench.cli.launch import launch
    from bench.evaluation.extractors import require_extractors
    from bench.execution.devices import choose_slots, refuse_silent_cpu
    from bench.execution.running import folder_of, keep_imported, made_for_gpus, state_of
    from bench.runs.plan import make_plan

    plan = make_plan(roots.read_study(study, overrides(**options)))
    slots = choose_slots(devices, per_device, plan.study.training.threads)
    require_extractors(plan.study.evaluation, plan.study.data.source, roots.data)
    trained = [spec for spec in plan.select(names) if state_of(spec, roots.runs) in ("done", "diverged")]
    if not trained:
        raise BenchError("No run of the study is trained yet", hint="Type `bench run --all` first.")
    refuse_silent_cpu(devices, slots, made_for_gpus(plan.study, roots.runs))
    if again:
        keep_imported(plan, trained, roots.runs)
        for spec in trained:
            folder_of(spec, roots.runs).metrics_file.unlink(missing_ok=True)
    return launch(roots, plan, trained, slots, Console())
