"""The command line: verbs, no logic. `--help`, `status`, `show` and `report` never import torch."""

from __future__ import annotations

from pathlib import Path

import click

from bench import __version__
from bench.cli.data import data
from bench.cli.dirac import theory
from bench.cli.making import clean, evaluate, init, run
from bench.cli.modes import modes
from bench.cli.planning import plan
from bench.cli.proving import check, new
from bench.cli.reading import doctor, list_, report, show, status
from bench.cli.reviewing import compare, replay, verify
from bench.cli.shared import Roots
from bench.cli.sharing import export, import_


class Grouped(click.Group):
    """A group whose help lists its verbs under headings, in the order in which a study goes through them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in VERBS.items():
            width = formatter.width - 6 - max(len(str(command.name)) for command in commands)
            with formatter.section(heading):
                formatter.write_dl([(str(command.name), command.get_short_help_str(width)) for command in commands])


@click.group(cls=Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", type=click.Path(path_type=Path), help="The studies' file [./bench.toml, else the packaged one]."
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs lie."
)
@click.option(
    "--reports", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Where reports go."
)
@click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Where prepared images, weights and caches lie.",
)
@click.version_option(__version__, prog_name="bench")
@click.pass_context
def bench(context: click.Context, config: Path | None, runs: Path, reports: Path, data_root: Path) -> None:
    """Compare GAN objectives under one identical architecture.

    \b
    bench run --all      train and evaluate the default study (what is missing of it)
    bench report         write its report as Markdown and HTML
    bench list           objectives, studies, datasets and metrics
    bench new NAME       write an objective of your own, with its test
    bench check          prove that an objective is what it says
    """
    context.obj = Roots(config=config, runs=runs, reports=reports, data=data_root)


VERBS: dict[str, tuple[click.Command, ...]] = {
    "Studies": (init, plan, run, status, evaluate, report, clean),
    "What there is": (list_, data, doctor, show),
    "Objectives": (new, check, theory, modes),
    "Reviewing": (verify, replay, compare, export, import_),
}
for command in (command for commands in VERBS.values() for command in commands):
    bench.add_command(command)
