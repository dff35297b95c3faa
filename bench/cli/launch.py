"""What `run` and `evaluate` say: what would be done, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.console import Console
from bench.cli.hints import command_line, typed_options
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED
from bench.formatting import plural

if TYPE_CHECKING:
    from bench.execution.jobs import Job
    from bench.execution.running import Outcomes
    from bench.runs.plan import Plan, RunSpec


def show_missing(plan: Plan, work: list[tuple[RunSpec, str | None]], slots: list[str], console: Console) -> None:
    """Print what --dry-run asks for: every run that lacks something, and what."""
    todo = [(spec, what) for spec, what in work if what is not None]
    for spec, what in todo:
        label = plan.label_of(spec)
        console.print(f"{what:9} {spec.name}" + (f" ({label})" if label != spec.label else ""))
    console.print(
        f"{len(todo)} of {plural(len(work), 'run')} of {plan.study.name} to train or evaluate, {len(slots)} at a time "
        f"on {', '.join(dict.fromkeys(slots))}. Nothing was done (--dry-run)."
    )


def label_of_file(name: str) -> str:
    """Return the label of the entry that a user's own objective file adds to a study."""
    return Path(name).stem.replace("_", "-")


def show_outcomes(outcomes: Outcomes, folder: Path, console: Console) -> int:
    """Print what became of runs in a study's folder and what to type next, and return the exit code."""
    if not outcomes.complete:
        lost = [job.spec.name for job in outcomes.jobs if not job.saved]
        how = "what came after their last checkpoint is lost of " + ", ".join(lost) if lost else "every run was saved"
        console.print(f"\nStopped; {how}. Type the same command again to continue.")
        return outcomes.stopped_with or EXIT_INTERRUPTED
    parts = [f"{outcomes.done} done"]
    parts += [f"{outcomes.diverged} diverged"] if outcomes.diverged else []
    parts += [f"{outcomes.failed} failed"] if outcomes.failed else []
    parts += [f"{outcomes.taken} left to another process that is at it"] if outcomes.taken else []
    parts += [f"{outcomes.skipped} had nothing missing"] if outcomes.skipped else []
    console.print(f"\n{', '.join(parts)}. The runs are in {folder}.")
    failed = [job for job in outcomes.jobs if job.outcome == "failed"]
    if failed:
        _show_failures(failed, outcomes.slots, console)
    console.print(f"Next: {command_line('report')}", soft_wrap=True)
    return EXIT_RUNS_FAILED if outcomes.failed else EXIT_DONE


def _show_failures(failed: Sequence[Job], slots: Sequence[str], console: Console) -> None:
    """Name the failed runs with their reasons, what may help, and the command that tries them again."""
    from bench.execution.failures import advice

    for job in failed:
        console.print(f"failed   {job.spec.name}: {job.reason}")
    helps = [advice(job.failures[-1], slots.count(str(job.device))) for job in failed]
    for text in dict.fromkeys(text for text in helps if text is not None):
        console.print(text)
    context = click.get_current_context()
    own = [name for name in context.params["names"] if name.endswith(".py")]  # files that add their entry to the study
    added = {label_of_file(name) for name in own}
    labels = [label for label in dict.fromkeys(job.spec.label for job in failed) if label not in added]
    options = typed_options(context, leave_out=("everything", "again"))
    again = command_line(context.info_name or "", *options, *own, *labels)
    console.print(f"To try again: {again}", soft_wrap=True)
