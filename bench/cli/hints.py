"""Commands to type next. They keep the folders, the file and the study that were typed with this one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container

import click
from click.core import ParameterSource

TYPED_STUDY = "bench.study"  # in a context's meta: what --study was given as

_COMMAND = re.compile(r"(?:^|(?<=`))bench ([a-z][^`\n]*)")
_WITHOUT_FOLDERS = ("init", "new", "check")  # they read and write no study


def command_line(*words: str) -> str:
    """Return a command to type: the program's name, the global options as they were typed, these words, the study."""
    return _completed(shlex.join(words), click.get_current_context().find_root())


def with_typed_options(text: str, context: click.Context) -> str:
    """Return a text whose commands (`bench verb ...` in backticks, or at its beginning) can be typed as they stand.

    The packages below write these texts, and know neither the folders nor the study that were typed.
    """
    return _COMMAND.sub(lambda found: _completed(found[1], context.find_root()), text)


def typed_options(context: click.Context, leave_out: Container[str] = ()) -> list[str]:
    """Return the options that were typed at this level of the command line, as words to type again."""
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not (typed and isinstance(option, click.Option)) or name in leave_out:
            continue
        values = context.params[name] if option.multiple else [context.params[name]]
        for value in values:
            words += [option.opts[0]] if option.is_flag else [option.opts[0], str(value)]
    return words


def _completed(command: str, root: click.Context) -> str:
    program = root.info_name or "bench"
    verb = _verb(command.split(), root)
    if verb is None:
        return f"{program} {command}"
    parts = [program]
    if verb.name not in _WITHOUT_FOLDERS and (typed := typed_options(root)):
        parts.append(shlex.join(typed))
    parts.append(command)
    study = root.meta.get(TYPED_STUDY)
    if study is not None and "--study" not in command and any("--study" in option.opts for option in verb.params):
        parts.append(shlex.join(["--study", study]))
    return " ".join(parts)


def _verb(words: list[str], root: click.Context) -> click.Command | None:
    """Return the command that these words name, None where they name none."""
    command = root.command
    for word in words:
        if not isinstance(command, click.Group):
            break
        below = command.get_command(root, word)
        if below is None:
            return None
        command = below
    return None if command is root.command else command
