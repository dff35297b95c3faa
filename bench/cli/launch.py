"""What `run` and `evaluate` say: what would be done, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.console import Console
from bench.cli.hints import command_line, typed_options
from bench.cli.text import print_json
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED
from bench.formatting import plural
from bench.objectives import label_of_file

if TYPE_CHECKING:
    from bench.cli.shared import Asked, Roots
    from bench.execution.clustered import Destination
    from bench.execution.jobs import Job
    from bench.execution.running import Outcomes
    from bench.runs.plan import Plan, RunSpec


Work = list[tuple["RunSpec", str | None]]
"""Runs, and what each lacks: "train", "evaluate" or None."""


def show_missing(asked: Asked, work: Work, slots: list[str]) -> None:
    """Print what --dry-run asks for: every run that lacks something, and what."""
    console, plan = Console(), asked.plan
    todo = [(spec, what) for spec, what in work if what is not None]
    for new in asked.new:
        console.print(f"add       {new}")
    for spec, what in todo:
        label = plan.label_of(spec)
        where = f" of {spec.study}" if spec.study != plan.study.name else ""
        console.print(f"{what:9} {spec.name}{where}" + (f" ({label})" if label != spec.label else ""))
    console.print(
        f"{len(todo)} of {plural(len(work), 'run')} of {plan.study.name} to train or evaluate, {len(slots)} at a time "
        f"on {', '.join(dict.fromkeys(slots))}. Nothing was done (--dry-run)."
    )


def print_missing(asked: Asked, work: Work, slots: list[str]) -> None:
    """Print what --dry-run --json asks for."""
    plan = asked.plan
    print_json(
        {
            "study": plan.study.name,
            "at_a_time": len(slots),
            "adds": list(asked.new),
            "runs": [{**_named(plan, spec), "lacks": what} for spec, what in work],
        }
    )


def show_orders(asked: Asked, destination: Destination, roots: Roots, ranks: int, as_json: bool) -> None:
    """Say what --dry-run asks for of a cluster: its jobs, what each asks for, and what they take."""
    from bench.clusters.standings import Standings
    from bench.data import present_images
    from bench.execution.clustered import in_words, jobs_on, orders_for, script_of
    from bench.execution.pool import PoolOptions
    from bench.execution.running import part, states_of

    study = asked.plan.study
    states = states_of(asked.runs(), roots.runs, present_images(study.data, roots.data))
    placed = Standings(roots.runs, study.name).look()
    away = {path for path, where in placed.items() if where.standing is not None}
    parted = part(asked.runs(), roots.runs, states, away)
    jobs = jobs_on(parted.todo, roots.runs, destination)
    options = PoolOptions(roots.data, study.training.threads, ranks=ranks)
    orders = orders_for(jobs, asked.plan, destination, roots.runs, options)
    if as_json:
        scripts = [{"pieces": [list(runs) for runs in order.pieces], "script": script_of(order)} for order in orders]
        seconds = sum(sum(job.seconds.values()) for job in jobs)
        print_json({"study": study.name, "on": destination.name, "orders": scripts, "device_seconds": round(seconds)})
        return
    console = Console()
    for order in orders:
        console.print(script_of(order), soft_wrap=True)
    console.print(in_words(study.name, destination, parted, jobs, orders) + ". Nothing was done (--dry-run).")


def print_outcomes(plan: Plan, outcomes: Outcomes) -> None:
    """Print what became of runs as JSON."""
    counts = ("done", "diverged", "failed", "taken", "skipped", "complete")
    print_json(
        {
            "study": plan.study.name,
            "on": outcomes.on,
            **{name: getattr(outcomes, name) for name in counts},
            "runs": [
                {
                    **_named(plan, job.spec),
                    "path": str(job.folder.path),
                    "outcome": job.outcome,
                    "reason": job.reason,
                    "device": job.device,
                }
                for job in outcomes.jobs
            ],
        }
    )


def _named(plan: Plan, spec: RunSpec) -> dict[str, Any]:
    label, seed = plan.label_of(spec), spec.training.seed
    return {"label": label, "protocol": spec.protocol, "seed": seed, "id": spec.id}


def show_outcomes(outcomes: Outcomes, folder: Path, console: Console) -> int:
    """Print what became of runs in a study's folder and what to type next, and return the exit code."""
    if outcomes.on is not None:
        left = sum(job.outcome is None for job in outcomes.jobs)
        console.print(
            f"\n{plural(left, 'run')} left to {outcomes.on}, which goes on with them. `{command_line('status')}` shows "
            f"how far they are, the same command watches them again, and `{command_line('stop')}` ends them.",
            soft_wrap=True,
        )
        return outcomes.stopped_with
    if not outcomes.complete:
        lost = [job.spec.name for job in outcomes.jobs if not job.saved]
        how = "what came after their last checkpoint is lost of " + ", ".join(lost) if lost else "every run was saved"
        console.print(f"\nStopped; {how}. Type the same command again to continue.")
        return outcomes.stopped_with or EXIT_INTERRUPTED
    console.print(f"\n{counts_in_words(outcomes)}. The runs are in {folder}.")
    ended = ended_early(outcomes)
    failed = [job for job in outcomes.jobs if job.outcome == "failed"]
    if failed:
        _show_failures(failed, outcomes.slots, console)
    console.print(f"Next: {command_line('report')}", soft_wrap=True)
    return EXIT_RUNS_FAILED if outcomes.failed or ended else EXIT_DONE


def counts_in_words(outcomes: Outcomes) -> str:
    """Return how many runs ended in which way."""
    parts = [f"{outcomes.done} done"]
    parts += [f"{outcomes.diverged} diverged"] if outcomes.diverged else []
    parts += [f"{outcomes.failed} failed"] if outcomes.failed else []
    parts += [f"{ended} ended before they were through"] if (ended := ended_early(outcomes)) else []
    parts += [f"{outcomes.taken} left to another process"] if outcomes.taken else []
    parts += [f"{outcomes.skipped} had nothing missing"] if outcomes.skipped else []
    return ", ".join(parts)


def ended_early(outcomes: Outcomes) -> int:
    """Return how many runs ended before they were through, though nothing failed."""
    return sum(job.outcome == "interrupted" for job in outcomes.jobs)


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
    options = typed_options(context, leave_out=("everything", "again", "steps", "study", "as_json"))
    again = command_line(context.info_name or "", *options, *own, *labels)
    console.print(f"To try again: {again}", soft_wrap=True)
