"""What the verbs share: where things lie, which study is meant, and options that override the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from bench.config.models import Config, Study, find_config, load_config, parse_seeds
from bench.errors import BenchError

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Roots:
    """The folders and the file that the global options name."""

    config: Path | None
    runs: Path
    reports: Path
    data: Path

    def read_config(self, study: str | None = None, overrides: dict[str, Any] | None = None) -> Config:
        return load_config(find_config(self.config), overrides, study)

    def read_study(self, study: str | None, overrides: dict[str, Any] | None = None) -> Study:
        return self.read_config(study, overrides).study(study)

    def planned_study(self, study: str | None) -> str:
        """Return the name of the study meant where only runs are read: the one named, else the file's default.

        Names what lies in the runs folder without a valid file too, so that results outlive their bench.toml.
        """
        if study is not None:
            return study
        try:
            return self.read_config().default_study
        except BenchError:
            found = sorted(path.parent.name for path in self.runs.glob("*/plan.json"))
            if len(found) == 1:
                return found[0]
            raise


study_option = click.option("--study", metavar="NAME", help="The study [the file's default_study].")
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
        try:
            values["seeds"] = list(parse_seeds(seeds))
        except ValueError as error:
            raise BenchError(f'--seeds "{seeds}" {error}', hint="For example: --seeds 0-4") from error
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
        click.option("--workers", type=click.IntRange(min=1), hidden=True, help="The old name of --per-device."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def runs_per_device(per_device: int | None, workers: int | None) -> int | None:
    """Return what --per-device says, or its old name. Raises BenchError where both are given."""
    if per_device is not None and workers is not None:
        raise BenchError(
            f"--per-device {per_device} and --workers {workers} say the same thing twice",
            hint="--workers is the old name of --per-device: leave it out.",
        )
    return workers if per_device is None else per_device


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr, where that is a terminal, and give what moves it: what is done, how much, of how much."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def print_json(value: Any) -> None:
    """Print a value as JSON, keys in order."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
