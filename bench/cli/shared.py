"""What the verbs share: where things lie, which study is meant, and options that several of them take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cli import completing
from bench.cli.hints import TYPED_STUDY
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.cli.console import Console
    from bench.config.models import Config, Study
    from bench.execution.clustered import Destination
    from bench.metrics.own import OwnExtractor
    from bench.runs.plan import Plan, RunSpec
    from bench.statistics.shipped import StudyTables

WAIT_SECONDS = 0.5
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Roots:
    """The folders and the file that the global options name."""

    config: Path | None
    runs: Path
    reports: Path
    data: Path

    def read_config(self, study: str | None = None, overrides: dict[str, Any] | None = None) -> Config:
        from bench.config.reading import load_config

        return load_config(self.config, overrides, study)

    def read_study(self, study: str | None, steps: int | None = None, images: str | None = None) -> Study:
        """Read a study, at other generator steps (which make it another study) or with its images elsewhere."""
        from bench.config.models import at_steps, defined_name

        config = self.read_config(study, {"data": {"path": images}} if images is not None else None)
        if steps is None:
            return config.study(study)
        return at_steps(config.study(defined_name(study or config.default_study, config.studies)), steps)

    def own_extractors(self) -> dict[str, OwnExtractor]:
        """Return the extractors that any study of the file declares, by name; none where there is no valid file."""
        try:
            studies = self.read_config().studies.values()
        except BenchError:
            return {}
        return {name: own for study in studies for name, own in study.evaluation.extractor.items()}

    def planned_study(self, study: str | None) -> str:
        """Return the name of the study meant where only runs are read: the one named, else the file's default.

        Without a valid file it is the only study in the runs folder, so that results outlive their bench.toml.
        """
        if study is not None:
            return study
        try:
            return self.read_config().default_study
        except BenchError:
            planned = sorted(path.parent.name for path in self.runs.glob("*/plan.json"))
            if len(planned) == 1:
                return planned[0]
            raise

    def study_tables(self, study: str | None, source: Path | None) -> StudyTables:
        """Read a study's plan and results: from the report at `source`, else from its runs, else from its own report.

        Raises BenchError where there is none of them.
        """
        from bench.cli.text import say
        from bench.runs.folder import PLAN_FILE
        from bench.statistics.shipped import read_report, read_runs

        if source is not None:
            return read_report(source)
        name = self.planned_study(study)
        own = self.reports / name
        if not (self.runs / name / PLAN_FILE).exists() and (own / PLAN_FILE).exists():
            say(f"{name} has no runs in {self.runs}; read from its report, {own}", err=True)
            return read_report(own)
        return read_runs(self.runs, name)


def wait_for_study(roots: Roots, name: str, console: Console) -> None:
    """Wait until the study's first run has been planned. Raises BenchError for a name that no file knows either."""
    from bench.runs.folder import PLAN_FILE

    plan = roots.runs / name / PLAN_FILE
    if plan.is_file():
        return
    roots.read_config().study(name)
    console.print(f'Waiting for the first run of "{name}" in {roots.runs}; Ctrl-C ends this.', soft_wrap=True)
    while not plan.is_file():
        time.sleep(WAIT_SECONDS)


class Seconds(click.FloatRange):
    """A length of time on the command line: of those that click takes for numbers, neither nan nor infinity is one."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


def _remember_study(context: click.Context, parameter: click.Parameter, study: str | None) -> str | None:
    context.meta[TYPED_STUDY] = study
    return study


study_option = click.option(
    "--study",
    metavar="NAME",
    callback=_remember_study,
    shell_complete=completing.studies,
    help="The study [the file's default_study].",
)
log_folder_option = click.option(
    "--log-folder",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Where trackers' files lie, and what was sent to them is kept.",
)
source_option = click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="REPORT",
    help="Read a report in place of runs: a folder that `bench report` wrote, or a zip of it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


def label_argument(*, required: bool = False) -> Callable[[Function], Function]:
    """Add the argument that names rows of a study."""
    return click.argument(
        "names",
        nargs=-1,
        required=required,
        metavar="NAME..." if required else "[NAME]...",
        shell_complete=completing.labels,
    )


def selection_options(*, adds: bool = False) -> Callable[[Function], Function]:
    """Add the options that select runs of a study. `adds`: seeds that the study lacks are added to it."""
    only_seeds = click.option(
        "--only-seeds",
        metavar="SEEDS",
        help="Only these of the study's seeds, and none is added: to divide a study over machines.",
    )
    more = " Those that the study lacks are added to these rows." if adds else ""
    options = [
        click.option("--seeds", metavar="SEEDS", help=f'Only these seeds, such as "0-4" or "0,3".{more}'),
        *([only_seeds] if adds else []),
        click.option(
            "--protocol",
            "protocols",
            multiple=True,
            type=click.Choice(["controlled", "published", "custom"]),
            help="Only this protocol; may be repeated.",
        ),
        click.option(
            "--steps",
            type=click.IntRange(min=1, max=999_999_999),
            help="Generator steps in place of the study's: a study of its own, called NAME.steps-N.",
        ),
        click.option("--images", metavar="PATH", help="Where the study's images lie, in place of data.path."),
    ]

    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@dataclass(frozen=True)
class Asked:
    """What a command is about: a study's plan, and which of its runs. `new` is what the command adds, in words."""

    plan: Plan
    labels: tuple[str, ...]
    seeds: tuple[int, ...] | None
    protocols: tuple[str, ...]
    new: tuple[str, ...] = ()

    def runs(self) -> list[RunSpec]:
        return self.plan.select(self.labels, self.seeds, self.protocols)


def asked_for(
    roots: Roots,
    study: str | None,
    names: tuple[str, ...],
    *,
    seeds: str | None,
    protocols: tuple[str, ...],
    steps: int | None,
    images: str | None,
    adds: bool = False,
    only_seeds: str | None = None,
) -> Asked:
    """Plan the study that is meant, with all that was added to it, and say which runs are; writes nothing.

    Names, seeds and protocols select. Where `adds`, files of one's own and seeds that the study lacks are added to it;
    `only_seeds` add none.
    Raises BenchError for what the study has not.
    """
    from bench.objectives import is_file, load
    from bench.runs.added import Additions, read_additions
    from bench.runs.plan import make_plan

    meant = roots.read_study(study, steps, images)
    if steps is not None:
        click.get_current_context().meta[TYPED_STUDY] = meant.name
    known = read_additions(roots.runs, meant.name)
    rows = {name: own_rows(meant, name) for name in names if is_file(name)}
    files = [str(Path(name).expanduser().resolve()) for name, labels in rows.items() if not labels]
    labels = [label for name in names for label in (rows.get(name) or [label_of(meant, name)])]
    for file in files if adds else ():
        load(file)  # what is wrong with a file is told before it is a row
    plan = make_plan(meant, known.joined(Additions(files=tuple(files))) if adds else known)
    if seeds is not None and only_seeds is not None:
        raise BenchError("--seeds and --only-seeds were both typed", hint="Leave out one of them.")
    option, text = ("--seeds", seeds) if only_seeds is None else ("--only-seeds", only_seeds)
    chosen = None if text is None else read_seeds(text, option)
    if adds and chosen is not None and only_seeds is None:
        plan = plan.with_seeds(chosen, labels, protocols)
    return Asked(plan, tuple(labels), chosen, protocols, tuple(plan.added.beyond(known)))


def own_rows(study: Study, file: str) -> list[str]:
    """Return the labels under which the study's own entries have this file."""
    path = str(Path(file).expanduser().resolve())
    return [label_in(study, entry.label) for entry in study.objectives if entry.objective == path]


def label_of(study: Study, name: str) -> str:
    """Return the label, or glob, of the rows that a label or a file of one's own names."""
    from bench.objectives import is_file, label_of_file

    return label_in(study, label_of_file(name)) if is_file(name) else name


def label_in(study: Study, label: str) -> str:
    """Return the glob of an entry's rows where the study has one for each learning rate."""
    return f"{label}@*" if study.learning_rates else label


def device_options(function: Function) -> Function:
    """Add the options that say where runs go, and how many at a time."""
    options = [
        click.option(
            "--devices",
            default="auto",
            show_default=True,
            help="auto (GPUs, else the CPU), all (both), or names: cpu, cuda:0,cuda:1, mps (untried).",
        ),
        click.option(
            "--per-device",
            type=click.IntRange(min=1),
            metavar="K",
            help="Runs that share a device, each in a process of its own [1 on a GPU; on the CPU one per core and "
            "thread of a run].",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def cluster_options(function: Function) -> Function:
    """Add the options that send runs to a cluster."""
    options = [
        click.option(
            "--on",
            metavar="CLUSTER",
            help="Send the runs to a cluster: slurm, ray, ray://HOST:PORT, or a [cluster.NAME] of the file.",
        ),
        click.option(
            "--at-a-time",
            type=click.IntRange(min=1),
            metavar="K",
            help="With --on: jobs that may go at a time [the cluster's at_a_time].",
        ),
        click.option("--detach", is_flag=True, help="With --on: do not stay to watch."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def destination(
    roots: Roots, study: str | None, on: str | None, at_a_time: int | None, detach: bool
) -> Destination | None:
    """Return the cluster that was typed, with what else was typed in the place of its table's; None without one.

    Raises BenchError for a cluster that nobody knows, and where it is typed together with what means this machine.
    """
    from bench.config.clusters import find_cluster
    from bench.execution.clustered import Destination

    context = click.get_current_context()
    typed = {
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if on is None:
        if alone := {"at_a_time", "detach"} & typed:
            raise BenchError(f"--{min(alone).replace('_', '-')} needs a cluster", hint="Add --on slurm, say.")
        return None
    if "devices" in typed:
        raise BenchError("--devices names this machine's devices, and --on a cluster", hint="Leave out one of them.")
    settings = find_cluster(on, roots.read_config(study).clusters)
    changes: dict[str, Any] = {}
    for name in ("at_a_time", "per_device", "checkpoint_seconds"):
        if name in typed:
            changes[name] = context.params[name]
    return Destination(on, settings.model_copy(update=changes), detach)


def read_seeds(text: str, option: str = "--seeds") -> tuple[int, ...]:
    """Read what was typed after an option. Raises BenchError where it is not a list of seeds."""
    from bench.config.parsing import parse_seeds

    try:
        return parse_seeds(text)
    except ValueError as error:
        raise BenchError(f'{option} "{text}" {error}', hint=f"For example: {option} 0-4") from error
