"""The verbs that make and remove runs."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console

from bench.cli.shared import Roots, device_options, override_options, overrides, runs_per_device, study_option
from bench.config.models import ADDED_OBJECTIVES
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED, BenchError

if TYPE_CHECKING:
    from bench.execution.jobs import Job
    from bench.execution.running import Outcomes
    from bench.runs.plan import Plan, RunSpec


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every entry of the study.")
@study_option
@override_options
@device_options
@click.option("--ranks", type=click.IntRange(min=1), default=1, help="Processes that share one run, each on a device.")
@click.option("--checkpoint-seconds", type=float, default=60.0, show_default=True, help="How often runs are made safe.")
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
    workers: int | None,
    ranks: int,
    checkpoint_seconds: float,
    dry_run: bool,
    **options: Any,
) -> int:
    """Train and evaluate what is missing of a study: all of it, or the entries NAME.

    NAME is a label or a glob such as 'wgan*', or the path of your own objective's file. May be typed again at any time:
    what is done is not done twice, and what was cut off goes on from its last checkpoint.
    """
    from bench.execution.devices import choose_slots, refuse_silent_cpu
    from bench.execution.running import made_for_gpus, work_for
    from bench.runs.plan import make_plan

    if not names and not everything:
        raise BenchError(
            "Which runs?", hint="Type `bench run --all`, or `bench run NAME...` (`bench list` shows names)."
        )
    table = overrides(**options)
    own = [name for name in names if name.endswith(".py")]
    if own:
        table[ADDED_OBJECTIVES] = [str(Path(name).resolve()) for name in own]
        names = tuple(Path(name).stem.replace("_", "-") if name in own else name for name in names)
    the_plan = make_plan(roots.read_study(study, table))
    selected = the_plan.select(names)
    slots = choose_slots(devices, runs_per_device(per_device, workers), the_plan.study.training.threads, ranks)
    work = [(spec, work_for(spec, roots.runs)) for spec in selected]
    if any(what is not None for _, what in work):
        refuse_silent_cpu(devices, slots, made_for_gpus(the_plan.study, roots.runs))
    console = Console(highlight=False)
    if dry_run:
        _say_what_is_missing(the_plan, work, slots, console)
        return EXIT_DONE
    return _carry_out(roots, the_plan, selected, slots, console, checkpoint_seconds, ranks)


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
    workers: int | None,
    **options: Any,
) -> int:
    """Add the metrics that the study asks for and its runs lack, from their snapshots; nothing is trained."""
    from bench.evaluation.extractors import require_extractors
    from bench.execution.devices import choose_slots, refuse_silent_cpu
    from bench.execution.running import folder_of, keep_imported, made_for_gpus, state_of
    from bench.runs.plan import make_plan

    the_plan = make_plan(roots.read_study(study, overrides(**options)))
    slots = choose_slots(devices, runs_per_device(per_device, workers), the_plan.study.training.threads)
    require_extractors(the_plan.study.evaluation, the_plan.study.data.source, roots.data)
    trained = [spec for spec in the_plan.select(names) if state_of(spec, roots.runs) in ("done", "diverged")]
    if not trained:
        raise BenchError("No run of the study is trained yet", hint="Type `bench run --all` first.")
    refuse_silent_cpu(devices, slots, made_for_gpus(the_plan.study, roots.runs))
    if again:
        keep_imported(the_plan, trained, roots.runs)
        for spec in trained:
            folder_of(spec, roots.runs).metrics_file.unlink(missing_ok=True)
    return _carry_out(roots, the_plan, trained, slots, Console(highlight=False))


@click.command()
@study_option
@click.option("--everything", is_flag=True, help="All runs of the study, not only those that it no longer plans.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def clean(roots: Roots, study: str | None, everything: bool, yes: bool) -> int:
    """Remove run folders that the study no longer plans (old settings, stale code), or all of them."""
    from bench.execution.running import clean as folders_to_clean
    from bench.execution.running import remove
    from bench.runs.plan import make_plan

    name = roots.planned_study(study)
    the_plan = None if everything else make_plan(roots.read_study(name))
    folders = folders_to_clean(roots.runs, name, the_plan, everything=everything)
    if not folders:
        click.echo("Nothing to remove.")
        return EXIT_DONE
    for folder in folders:
        click.echo(str(folder))
    if not yes:
        click.confirm(f"Remove these {len(folders)} folders?", abort=True)
    remove(folders)
    click.echo(f"Removed {len(folders)} folders.")
    return EXIT_DONE


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("bench.toml"))
def init(path: Path) -> int:
    """Write a bench.toml to start from: a copy of the packaged studies."""
    from bench.config.models import packaged_config

    if path.exists():
        raise BenchError(f"{path} is there already", hint="Name another file, or move it away.")
    shutil.copyfile(packaged_config(), path)
    click.echo(f"Wrote {path}. `bench plan` shows what its default study would do.")
    return EXIT_DONE


def _carry_out(
    roots: Roots,
    the_plan: Plan,
    selected: Sequence[RunSpec],
    slots: list[str],
    console: Console,
    checkpoint_seconds: float = 60.0,
    ranks: int = 1,
) -> int:
    """Do what the selected runs lack, and return the exit code."""
    from bench.evaluation.extractors import require_extractors
    from bench.execution.devices import has_bf16_instructions
    from bench.execution.pool import PoolOptions
    from bench.execution.running import prepare_images, run_all
    from bench.execution.stopping import StopOnSignals

    study = the_plan.study
    console.print(
        f"study    {study.name}: {len(selected)} runs, {len(slots)} at a time on {_names(slots)}", markup=False
    )
    twins = sum(the_plan.label_of(spec) != spec.label for spec in selected)
    if twins:
        console.print(f"         {twins} of them {study.twin_label}: {study.baseline} on its twin_seeds", markup=False)
    if study.training.precision == "bf16" and "cpu" in slots and not has_bf16_instructions():
        console.print("         this CPU has no bf16 instructions: on it, fp32 is several times as fast", markup=False)
    require_extractors(study.evaluation, study.data.source, roots.data)
    prepare_images(the_plan, roots.data, console)
    with StopOnSignals() as stop:
        outcomes = run_all(
            the_plan,
            selected,
            runs_root=roots.runs,
            slots=slots,
            options=PoolOptions(roots.data, study.training.threads, checkpoint_seconds, ranks),
            console=console,
            stop=stop,
        )
        return _say_what_became(outcomes, roots, the_plan, slots, console, stop.exit_code)


def _say_what_is_missing(
    the_plan: Plan, work: list[tuple[RunSpec, str | None]], slots: list[str], console: Console
) -> None:
    todo = [(spec, what) for spec, what in work if what is not None]
    for spec, what in todo:
        label = the_plan.label_of(spec)
        console.print(f"{what:9} {spec.name}" + (f" ({label})" if label != spec.label else ""), markup=False)
    console.print(
        f"{len(todo)} of {len(work)} runs of {the_plan.study.name} have work to do, {len(slots)} at a time on "
        f"{_names(slots)}. Nothing was done (--dry-run).",
        markup=False,
    )


def _say_what_became(
    outcomes: Outcomes, roots: Roots, the_plan: Plan, slots: list[str], console: Console, stopped_with: int
) -> int:
    study = the_plan.study.name
    if not outcomes.complete:
        console.print(
            "\nStopped; every run was saved. Type the same command again to go on where it was.", markup=False
        )
        return stopped_with or EXIT_INTERRUPTED
    parts = [f"{outcomes.done} done"]
    parts += [f"{outcomes.diverged} diverged"] if outcomes.diverged else []
    parts += [f"{outcomes.failed} failed"] if outcomes.failed else []
    parts += [f"{outcomes.skipped} had nothing missing"] if outcomes.skipped else []
    console.print(f"\n{', '.join(parts)}. Runs lie in {roots.runs / study}.", markup=False)
    failed = [job for job in outcomes.jobs if job.outcome == "failed"]
    if failed:
        _say_what_failed(failed, slots, console)
    flag = "" if study == roots.planned_study(None) else f" --study {study}"
    console.print(f"Next: bench report{flag}", markup=False)
    return EXIT_RUNS_FAILED if outcomes.failed else EXIT_DONE


def _say_what_failed(failed: Sequence[Job], slots: list[str], console: Console) -> None:
    """Name the failed runs with their reasons, what may help, and the command that tries them again."""
    from bench.execution.failures import advice

    helps = [advice(job.failures[-1], slots.count(str(job.device))) for job in failed]
    for job in failed:
        console.print(f"failed   {job.spec.name}: {job.reason}", markup=False)
    for text in dict.fromkeys(text for text in helps if text is not None):
        console.print(text, markup=False)
    labels = list(dict.fromkeys(job.spec.label for job in failed))
    console.print(f"To try again: {_command_for(labels, click.get_current_context())}", markup=False, soft_wrap=True)


def _command_for(labels: Sequence[str], context: click.Context) -> str:
    """Return the command that was typed, with all its options, for these entries alone."""
    words = ["bench"]
    for level in (context.parent, context):
        assert level is not None
        words += [context.info_name or ""] if level is context else []
        for option in level.command.params:
            name = option.name or ""
            typed = level.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if not (typed and isinstance(option, click.Option)) or name in ("everything", "again"):
                continue
            values = level.params[name] if option.multiple else [level.params[name]]
            for value in values:
                words += [option.opts[0]] if option.is_flag else [option.opts[0], str(value)]
    own = [name for name in context.params["names"] if name.endswith(".py")]  # files that add their entry to the study
    added = {Path(name).stem.replace("_", "-") for name in own}
    return shlex.join([*words, *own, *(label for label in labels if label not in added)])


def _names(slots: list[str]) -> str:
    return ", ".join(dict.fromkeys(slots))
