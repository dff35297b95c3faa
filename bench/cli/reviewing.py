"""The verbs of reviewers: do the numbers hold, and does the same come out again?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench.cli.shared import Roots, json_option, print_json, progress_bar, study_option
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED, BenchError

if TYPE_CHECKING:
    from bench.review.verify import Measure


@click.command()
@click.argument("run")
@study_option
@click.option("--seed", type=click.IntRange(min=0), help="Another seed: does it fall where the others predict?")
@click.option(
    "--devices", default="auto", show_default=True, help="auto (a GPU, else the CPU), cpu, or a name such as cuda:0."
)
@click.pass_obj
def replay(roots: Roots, run: str, study: str | None, seed: int | None, devices: str) -> int:
    """Train and evaluate RUN again and compare: bit for bit with the same seed, by interval with another.

    RUN is a run's folder, its id or the beginning of it, or label/seed such as nsgan/0. Exit code 1 says that something
    differs without a known cause, or that a new seed fell outside the interval.
    """
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
    other_seed = seed is not None and seed != asked.training.seed
    spec = replaying.spec_of(original, seed, replaying.present_code(asked))
    folder = replaying.replay_folder(original, spec, roots.runs)
    prepare(spec.training.data, roots.data)
    console = Console(highlight=False)
    slots = choose_slots(devices, None, spec.training.training.threads)
    gpu = computed_on_gpu(original)
    refuse_silent_cpu(devices, slots, f"{spec.name} was computed on {gpu}" if gpu else None)
    with StopOnSignals() as stop:
        complete = replaying.train_again(folder, spec, slots=slots, data_root=roots.data, console=console, stop=stop)
        if not complete:
            console.print("Stopped. Type the same command again to go on.")
            return stop.exit_code
    if other_seed:
        found = replaying.predict(
            roots.runs, name, folder, label=spec.label, protocol=spec.protocol, seed=spec.training.seed
        )
        where = "inside" if found.inside else "OUTSIDE"
        console.print(
            f"{spec.name}: {found.metric} {found.score:.5g}, {where} the 95 % prediction interval {found.low:.5g} to "
            f"{found.high:.5g} of {found.seeds} other seeds (mean {found.mean:.5g}).",
            markup=False,
        )
        return EXIT_DONE if found.inside else EXIT_RUNS_FAILED
    same = replaying.compare(original, folder)
    console.print("\n".join(replaying.sameness_in_words(same)), markup=False)
    console.print(f"{spec.name}: {replaying.verdict_in_words(same)}", markup=False, soft_wrap=True)
    return EXIT_DONE if same.identical or same.excused else EXIT_RUNS_FAILED


@click.command()
@click.argument("report", required=False, type=click.Path(path_type=Path))
@study_option
@click.option("--metrics", is_flag=True, help="Measure every run's snapshots again too; takes as long as evaluating.")
@json_option
@click.pass_obj
def verify(roots: Roots, report: Path | None, study: str | None, metrics: bool, as_json: bool) -> int:
    """Recompute every number of REPORT from what is there, and say which hold and at which level.

    REPORT is a folder that `bench report` wrote [the study's], or an archive that `bench export` wrote. Without its
    runs its files and statistics are checked; with them, in the runs folder or in the archive, also that these runs
    give this report. `bench replay` checks the training.
    """
    from bench.review import verify as verification

    folder = report or roots.reports / roots.planned_study(study)
    measure = _measure_again(roots.data) if metrics else None
    if folder.is_file():
        from bench.review.archive import verify_archive

        with progress_bar() as progress:
            findings = verify_archive(folder, measure, progress)
    else:
        findings = verification.verify(folder, roots.runs)
        if measure is not None:
            findings += verification.verify_metrics(folder, roots.runs, measure)
    failed = sum(finding.outcome == "FAILS" for finding in findings)
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{finding.outcome:<12}{finding.level:<12}{finding.what}")
        left_open = sum(finding.outcome == "not checked" for finding in findings)
        verdict = f"{failed} findings FAIL" if failed else "what was checked holds"
        click.echo(f"\n{folder}: {verdict}" + (f"; {left_open} not checked, see above." if left_open else "."))
    return EXIT_RUNS_FAILED if failed else EXIT_DONE


def _measure_again(data_root: Path) -> Measure:
    from bench.execution.evaluating import measure_again

    return lambda run: measure_again(run, data_root)


@click.command()
@click.argument("report_a", type=click.Path(path_type=Path))
@click.argument("report_b", type=click.Path(path_type=Path))
@click.option("--all", "every_metric", is_flag=True, help="Every metric that both have, not the primary one alone.")
@json_option
@click.pass_obj
def compare(roots: Roots, report_a: Path, report_b: Path, every_metric: bool, as_json: bool) -> int:
    """Say what changed from REPORT_A to REPORT_B, and whether by more than the seeds' noise.

    Each is a folder that `bench report` wrote, or a study's name. Reads what ships with a report; no runs are needed.
    The exit code is 0 whatever is found, 2 where a report cannot be read.
    """
    from dataclasses import asdict

    from bench.review import compare as comparing

    shipped = [comparing.read_shipped(_report_folder(roots, given)) for given in (report_a, report_b)]
    found = comparing.compare(*shipped, every_metric=every_metric)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(comparing.in_words(found), nl=False)
    return EXIT_DONE


def _report_folder(roots: Roots, given: Path) -> Path:
    """Return the folder that is meant: the one given, else the report of the study of that name."""
    if given.is_dir():
        return given
    named = roots.reports / given
    if len(given.parts) == 1 and named.is_dir():
        return named
    raise BenchError(
        f"There is no report {given}, neither a folder of that name nor {named}",
        hint="Name two folders that `bench report` wrote, or two studies that have a report.",
    )
