"""The verb that writes a bench.toml."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from bench.cli.text import say
from bench.errors import EXIT_DONE, BenchError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("bench.toml"))
def init(path: Path) -> int:
    """Write a bench.toml to start from. It is a copy of the packaged studies."""
    from bench.config.reading import packaged_config
    from bench.files import write_atomic

    if path.exists():
        raise BenchError(f"{path} exists already", hint="Name another file, or move it away.")
    write_atomic(path, packaged_config().read_bytes())
    option = [] if path == Path("bench.toml") else ["--config", str(path)]
    program = click.get_current_context().find_root().info_name or "bench"
    say(f"Wrote {path}. `{program} {shlex.join([*option, 'plan'])}` shows the runs of its default study.")
    return EXIT_DONE
