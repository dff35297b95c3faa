"""What the verbs share: where things lie, which study is meant, and options that several of them take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.cli.hints import TYPED_STUDY
from bench.errors import BenchError
from bench.runs.folder import PLAN_FILE

if TYPE_CHECKING:
    from bench.cli.console import Console
    from bench.config.models import Config, Study

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
        from bench.config.models import load_config

        return load_config(self.config, overrides, study)

    def read_study(self, study: str | None, overrides: dict[str, Any] | None = None) -> Study:
        from bench.config.models import load_study

        return load_study(study, config=self.config, overrides=overrides)

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


def wait_for_study(roots: Roots, name: str, console: Console) -> None:
    """Wait until the study's first run has been planned. Raises BenchError for a name that no file knows either."""
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
    "--study", metavar="NAME", callback=_remember_study, help="The study [the file's default_study]."
)
log_folder_option = click.option(
    "--log-folder",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Where trackers' files lie, and what was sent to them is kept.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


def override_options(function: Function) -> Function:
    """Add the options that override the study's values for this command."""
    options = [
        click.option("--seeds", metavar="SEEDS", help='Seeds in place of the study\'s, such as "0-4" or "0,3".'),
        click.option(
            "--protocol",
            "protocols",
            multiple=True,
            type=click.Choice(["controlled", "published"]),
            help="Protocol in place of the study's; may be repeated.",
        ),
        click.option("--steps", type=click.IntRange(min=1), help="Generator steps in place of the study's."),
        click.option("--images", metavar="PATH", help="Where the study's images lie, in place of data.path."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def overrides(seeds: str | None, protocols: tuple[str, ...], steps: int | None, images: str | None) -> dict[str, Any]:
    """Return the options as a table that goes on top of the study's. Raises BenchError for seeds it cannot read."""
    values: dict[str, Any] = {}
    if seeds is not None:
        values["seeds"] = list(read_seeds(seeds))
    if protocols:
        values["protocols"] = list(dict.fromkeys(protocols))
    if steps is not None:
        values["budget"] = {"generator_steps": steps}
    if images is not None:
        values["data"] = {"path": images}
    return values


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


def read_seeds(text: str) -> tuple[int, ...]:
    """Read what was typed after --seeds. Raises BenchError where it is not a list of seeds."""
    from bench.config.parsing import parse_seeds

    try:
        return parse_seeds(text)
    except ValueError as error:
        raise BenchError(f'--seeds "{text}" {error}', hint="For example: --seeds 0-4") from error
