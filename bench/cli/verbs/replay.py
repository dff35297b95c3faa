"""The verb that trains a run again and compares."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path

import click

from bench.cli import completing
from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json, printable
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED, BenchError


@click.command()
@click.argument("run", shell_complete=completing.runs)
@study_option
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Train another seed: Does its score lie in the interval that the other seeds predict?",
)
@click.option(
    "--devices", default="auto", show_default=True, help="auto (a GPU, else the CPU), cpu, or a name such as cuda:0."
)
@click.option("--run-its-code", is_flag=True, help="Execute the files of code that the run names, without asking.")
@json_option
@click.pass_obj
def replay(
    roots: Roots, run: str, study: str | None, seed: int | None, devices: str, run_its_code: bool, as_json: bool
) -> int:
    """Train and evaluate a run again, and compare.

    With the same seed all bits must be equal; with another the score must lie in an interval. RUN is a run's folder,
    its id or the beginning of it, or label/seed such as nsgan/0. The exit code is 1 where something differs without a
    known cause, or a new seed falls outside the interval.

    Replaying executes the objective's code. Where that is a file which the run's records name, you are asked first: a
    run that somebody sent names whatever they like.
    """
    from bench.cli.console import Console
    from bench.cli.showing import find_run
    from bench.data import prepare
    from bench.execution.devices import choose_slots, refuse_silent_cpu
    from bench.execution.running import computed_on_gpu
    from bench.execution.stopping import StopOnSignals
    from bench.review import replay as replaying
    from bench.runs.plan import RunSpec

    name = roots.planned_study(study)
    original = find_run(Path(run), roots.runs, name)
    asked = RunSpec.read(original.spec_file)
    for file in () if run_its_code else asked.code_files:
        _ask(file, original.path)
    other_seed = seed is not None and seed != asked.training.seed
    spec = replaying.spec_of(original, seed, replaying.present_code(asked))
    folder = replaying.replay_folder(original, spec, roots.runs)
    prepare(spec.training.data, roots.data)
    console = Console(stderr=as_json)
    slots = choose_slots(devices, None, spec.training.training.threads)
    gpu = computed_on_gpu(original)
    refuse_silent_cpu(devices, slots, f"{spec.name} was computed on {gpu}" if gpu else None)
    with StopOnSignals() as stop:
        complete = replaying.train_again(folder, spec, slots=slots, data_root=roots.data, console=console, stop=stop)
        if not complete:
            console.print("Stopped. Type the same command again to continue.")
            return stop.exit_code
    if other_seed:
        predicted = replaying.predict(
            roots.runs, name, folder, label=spec.label, protocol=spec.protocol, seed=spec.training.seed
        )
        if as_json:
            print_json({"run": spec.name, **asdict(predicted), "inside": predicted.inside})
        where = "inside" if predicted.inside else "OUTSIDE"
        console.print(
            f"{spec.name}: {predicted.metric} {predicted.score:.5g}, {where} the 95 % prediction interval "
            f"{predicted.low:.5g} to {predicted.high:.5g} of {predicted.seeds} other seeds (mean {predicted.mean:.5g})."
        )
        return EXIT_DONE if predicted.inside else EXIT_RUNS_FAILED
    same = replaying.compare(original, folder)
    if as_json:
        verdict = {"identical": same.identical, "excused": same.excused}
        weights = same.weights if math.isfinite(same.weights) else None  # a tensor is missing
        print_json({"run": spec.name, **verdict, **asdict(same), "weights": weights})
    console.print("\n".join(replaying.sameness_in_words(same)))
    console.print(f"{spec.name}: {replaying.verdict_in_words(same)}", soft_wrap=True)
    return EXIT_DONE if same.identical or same.excused else EXIT_RUNS_FAILED


def _ask(file: str, run: Path) -> None:
    """Ask whether a file of code may be executed. Raises BenchError where nobody says yes."""
    question = f"{run} names {file!r} as code of its own. Execute that file?"
    if not sys.stdin.isatty() or not click.confirm(printable(question)):
        raise BenchError(
            f"{run} names {file!r} as code of its own, which was not executed",
            hint="Read that file. If you trust it, add --run-its-code.",
        )
