"""The verb that teaches a shell to complete this command."""

from __future__ import annotations

import click

from bench.cli.text import say
from bench.errors import EXIT_DONE

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print what a shell needs to complete commands.

    It then completes verbs, options, studies, rows, runs and objectives:

    \b
    bash   echo 'eval "$(bench completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(bench completion zsh)"' >> ~/.zshrc
    fish   bench completion fish > ~/.config/fish/completions/bench.fish
    """
    from click.shell_completion import get_completion_class

    from bench.cli import completion_variable

    root = context.find_root()
    program = root.info_name if root.info_name in ("bench", "ganbench") else "bench"
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    say(shell_class(root.command, {}, program, completion_variable(program)).source())
    return EXIT_DONE
