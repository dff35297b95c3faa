"""The command line. `verbs/` says what each command takes; beside it lies what they show and share.

`--help`, `status`, `show` and `report` never import torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import Roots
from bench.errors import BenchError, suggest
from bench.version import __version__

# In the order in which a study goes through them. Each is a file and a function of its name in bench.cli.verbs, with an
# underscore where Python has the word already.
VERBS = {
    "Studies": (
        "init",
        "plan",
        "run",
        "stop",
        "status",
        "watch",
        "evaluate",
        "report",
        "remove",
        "clean",
        "export-logs",
    ),
    "What there is": ("list", "data", "doctor", "show", "completion"),
    "Any images": ("measure", "add-samples"),
    "Objectives": ("new", "check", "theory", "modes", "claims"),
    "Reviewing": ("verify", "replay", "compare", "export", "import"),
}


def completion_variable(program: str) -> str:
    """Return the environment variable by which a shell asks this program for completions, as click names it."""
    return f"_{program.upper().replace('-', '_')}_COMPLETE"


class VerbGroup(click.Group):
    """A group that imports a verb when it is asked for, and whose help lists the verbs under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in VERBS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        name = f"{cmd_name}_" if cmd_name in ("list", "import") else cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"bench.cli.verbs.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"No such command '{args[0]}'{suggest(args[0], self.list_commands(ctx))}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BenchError as error:
            if error.hint is not None:
                error.hint = with_typed_options(error.hint, ctx)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in VERBS.items():
            with formatter.section(heading):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, verb.get_short_help_str(limit=100)) for name, verb in commands if verb])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", type=click.Path(path_type=Path), help="The file of studies [./bench.toml, else the packaged one]."
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="The folder of runs."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="The folder of reports.",
)
@click.option(
    "--data",
    "data_root",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The folder of prepared images, weights and caches.",
)
@click.version_option(__version__, prog_name="bench")
@click.pass_context
def bench(context: click.Context, config: Path | None, runs: Path, reports: Path, data_root: Path) -> None:
    """Compare GAN objectives under one identical architecture.

    \b
    bench run --all      train and evaluate what the default study still lacks
    bench report         write its report as Markdown and HTML
    bench list           list objectives, studies, datasets and metrics
    bench new NAME       start an objective of your own, with its test
    bench check          check that an objective does what it claims
    """
    context.obj = Roots(config=config, runs=runs, reports=reports, data=data_root)
