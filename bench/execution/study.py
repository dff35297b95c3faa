"""A study from its plan to its outcomes: what `bench run`, `bench evaluate` and a notebook do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.data import PreparedData, present_images
from bench.errors import BenchError
from bench.evaluation.extractors import require_extractors
from bench.execution.clustered import Destination, run_on
from bench.execution.devices import choose_slots, has_bf16_instructions, refuse_silent_cpu
from bench.execution.forgiving import measure_forgiven, measure_real_images
from bench.execution.grids import measure_grids
from bench.execution.pool import PoolOptions
from bench.execution.proving import accept, prove
from bench.execution.running import (
    Outcomes,
    States,
    check_images,
    folder_of,
    joined_outcomes,
    keep_imported,
    made_for_gpus,
    prepare_images,
    run_all,
    state_of,
    states_of,
    work_for,
)
from bench.execution.stopping import StopOnSignals
from bench.execution.untrained import measure_untrained
from bench.files import write_atomic
from bench.formatting import plural
from bench.runs.plan import Plan, RunSpec
from bench.trackers.adapters import require_trackers
from bench.trackers.following import following


def run_study(
    plan: Plan,
    names: str | Sequence[str] = (),
    *,
    seeds: Collection[int] | None = None,
    protocols: Collection[str] = (),
    runs: str | Path = "runs",
    data: str | Path = "data",
    devices: str = "auto",
    per_device: int | None = None,
    ranks: int = 1,
    checkpoint_seconds: float = 60.0,
    accept_code: bool = False,
    in_process: bool = False,
    log: Sequence[str] = (),
    log_folder: str | Path = "logs",
    on: Destination | None = None,
    console: Console | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcomes:
    """Train and evaluate what a plan's runs lack: `bench run`. Nothing finished is repeated; call it again to go on.

    names               labels or globs such as "wgan*"; none means the whole plan
    seeds, protocols    only runs of these
    runs, data          the folders of the runs and of prepared images and caches
    devices             "auto" (the GPUs, else the CPU), "all", or names such as "cpu" or "cuda:0,cuda:1"
    per_device          runs that share a device [1 on a GPU, one per core and thread of a run on the CPU]
    ranks               processes that share one run, a device each
    checkpoint_seconds  seconds between a run's checkpoints
    accept_code         count runs that other code trained as the present code's, and record that
    in_process          train here, one run after another on the first device, instead of in worker processes
    log                 trackers that are sent losses, scores and grids: "tensorboard", "wandb", "mlflow"
    log_folder          where these write their files, and what was sent is kept
    on                  a cluster that takes the runs, in place of this machine's devices
    console             where progress is printed; None prints to the output, `rich.console.Console(quiet=True)` nothing
    stop                asked between steps whether to save and end; None stops on Ctrl-C and SIGTERM

    What was added to the study by hand, here (`Plan.with_seeds`) or before, stays a part of it; names, seeds and
    protocols only select. A failed run is counted in the Outcomes, it raises nothing. Raises BenchError where nothing
    can start: no such name, device, image, tracker or weights of an extractor. A tracker that fails later costs no run
    anything. A study with other `backbones` is trained on each, one after another.

        plan = bench.make_plan(bench.load_study("quick"))
        outcomes = bench.run_study(plan, ["nsgan", "wgan*"], devices="cpu")
        outcomes.done, outcomes.failed
    """
    root = Path(runs)
    plans = [one.whole(root) for one in plan.whole(root).on_every_backbone()]
    selected = [one.select(_patterns(names), seeds, protocols) for one in plans]
    require_trackers(log)
    slots = [] if on else choose_slots(devices, per_device, plan.study.training.threads, ranks)
    console = console or _plain_console()
    if accept_code:
        for spec in accept([spec for chosen in selected for spec in chosen], root):
            console.print(f"accepted {spec.name}, which other code trained")
    if not on:
        for one, chosen in zip(plans, selected, strict=True):
            refuse_cpu_for_gpus(one, chosen, root, devices, slots)
    options = PoolOptions(Path(data), plan.study.training.threads, checkpoint_seconds, ranks)
    told = partial(_print_log_line, console)
    outcomes = []
    for one, chosen in zip(plans, selected, strict=True):
        with following(log, root, one.study.name, Path(log_folder), told):
            outcomes.append(_carry_out(one, chosen, root, on or slots, options, console, stop, in_process))
        if not outcomes[-1].complete:
            break
    if len(plans) > 1 and all(outcome.complete and outcome.on is None for outcome in outcomes):
        with _stopping(stop) as asked:
            for one in plans:
                measure_untrained(one, root, options.data_root, slots[0] if slots else "cpu", console, asked)
    return joined_outcomes(outcomes)


def evaluate_study(
    plan: Plan,
    names: str | Sequence[str] = (),
    *,
    seeds: Collection[int] | None = None,
    protocols: Collection[str] = (),
    again: bool = False,
    runs: str | Path = "runs",
    data: str | Path = "data",
    devices: str = "auto",
    per_device: int | None = None,
    in_process: bool = False,
    on: Destination | None = None,
    console: Console | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcomes:
    """Measure what trained runs lack, without training: `bench evaluate`. Arguments as for `run_study`.

    `again` measures everything anew; the old metrics stay until the new ones are there. Raises BenchError where no run
    of that name is trained.

        bench.evaluate_study(plan, again=True)
    """
    root = Path(runs)
    plan = plan.whole(root)
    chosen = plan.select(_patterns(names), seeds, protocols)
    states = states_of(chosen, root, present_images(plan.study.data, Path(data)))
    trained = [spec for spec in chosen if states[spec.folder] in ("done", "diverged")]
    if not trained:
        raise BenchError("No run of the study is trained yet", hint="Type `bench run --all` first.")
    slots = [] if on else choose_slots(devices, per_device, plan.study.training.threads)
    if not on:
        refuse_silent_cpu(devices, slots, made_for_gpus(plan.study, root))
    require_extractors(plan.study.evaluation, plan.study.data.source, Path(data))
    if again:
        keep_imported(plan, trained, root, states)
        for spec in trained:
            folder = folder_of(spec, root)
            with folder.owned():
                write_atomic(folder.again_file, "")
    options = PoolOptions(Path(data), plan.study.training.threads)
    return _carry_out(plan, trained, root, on or slots, options, console or _plain_console(), stop, in_process)


def refuse_cpu_for_gpus(
    plan: Plan, selected: Sequence[RunSpec], runs_root: Path, devices: str, slots: Sequence[str]
) -> None:
    """Raise BenchError where a selected run lacks something, was made for GPUs, and "auto" found none here."""
    try:
        refuse_silent_cpu(devices, slots, made_for_gpus(plan.study, runs_root))
    except BenchError:
        # Asked last: it reads the metrics of every finished run.
        if any(work_for(spec, runs_root) is not None for spec in selected):
            raise


def _patterns(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _carry_out(
    plan: Plan,
    selected: Sequence[RunSpec],
    runs_root: Path,
    where: list[str] | Destination,
    options: PoolOptions,
    console: Console,
    stop: Callable[[], bool] | None,
    in_process: bool,
) -> Outcomes:
    """Check what the runs need, prove what can be proved, and do the rest, on these slots or on a cluster."""
    if in_process and (options.ranks > 1 or isinstance(where, Destination)):
        raise BenchError("A run in this process has one rank, here", hint="Leave out in_process, or the other.")
    slots = [] if isinstance(where, Destination) else where[:1] if in_process else where
    if slots:
        named = ", ".join(dict.fromkeys(slots))
        console.print(f"study    {plan.study.name}: {plural(len(selected), 'run')}, {len(slots)} at a time on {named}")
        if plan.study.training.precision == "bf16" and "cpu" in slots and not has_bf16_instructions():
            console.print("         this CPU has no bf16 instructions: fp32 is several times as fast on it")
    data, states = _prepared(plan, selected, runs_root, options, console)
    with _stopping(stop) as asked:
        if isinstance(where, Destination):
            measuring = partial(measure_real_images, plan.study, data, where, options.data_root, console, asked)
            outcomes = run_on(
                plan,
                selected,
                where,
                runs_root=runs_root,
                options=options,
                console=console,
                stop=asked,
                states=states,
                before=measuring,
            )
        else:
            outcomes = run_all(
                plan,
                selected,
                runs_root=runs_root,
                slots=slots,
                options=options,
                console=console,
                stop=asked,
                in_process=in_process,
                states=states,
            )
        slot = slots[0] if slots else "cpu"
        if slots or (isinstance(where, Destination) and where.device_type() == slot and not where.detach):
            measure_forgiven(plan, data, runs_root, options.data_root, slot, console, asked)
            measure_grids(plan, data, runs_root, console, asked)
    return replace(outcomes, stopped_with=asked.exit_code if isinstance(asked, StopOnSignals) else 0)


def _prepared(
    plan: Plan, selected: Sequence[RunSpec], runs_root: Path, options: PoolOptions, console: Console
) -> tuple[PreparedData, States]:
    """Check what the runs need, prove what can be proved, and return the images and the runs' states."""
    study = plan.study
    twins = sum(plan.label_of(spec) != spec.label for spec in selected)
    if twins:
        console.print(f"         {twins} of them {study.twin_label}: {study.baseline} on its twin_seeds")
    require_extractors(study.evaluation, study.data.source, options.data_root)
    data = prepare_images(plan, options.data_root, console)
    check_images(study, data, options.data_root, console)
    images = present_images(study.data, options.data_root)
    states = states_of(selected, runs_root, images)
    stale = [run for run in selected if states[run.folder] == "stale"]
    by_code = [run for run in stale if not folder_of(run, runs_root).saw_others_than(images)]
    for proof in prove(by_code, runs_root, options.data_root, lambda text: console.print(f"proving  {text}")):
        if proof.verdict == "proved":
            states[proof.run.folder] = state_of(proof.run, runs_root, images)
            console.print(f"proved   {proof.run.name}: the present code gives the same bits; it is not trained again")
        elif proof.verdict == "failed":
            console.print(f"stale    {proof.run.name}: its fingerprint could not be repeated: {proof.reason}")
    return data, states


def _stopping(stop: Callable[[], bool] | None) -> AbstractContextManager[Callable[[], bool]]:
    if stop is not None:
        return nullcontext(stop)
    if threading.current_thread() is threading.main_thread():  # no other thread may say what a signal does
        return StopOnSignals()
    return nullcontext(lambda: False)


def _print_log_line(console: Console, text: str) -> None:
    console.print(f"log      {text}", markup=False, highlight=False, soft_wrap=True)


def _plain_console() -> Console:
    return Console(markup=False, emoji=False, highlight=False)
