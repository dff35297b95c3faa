"""Errors that are meant for the user: what is wrong, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_RUNS_FAILED = 1
EXIT_WRONG_USAGE = 2
EXIT_TAKEN = 75  # another process is at it (the system's EX_TEMPFAIL)
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class BenchError(Exception):
    """A mistake or a missing thing, told to the user without a traceback.

    `message` says what is wrong and where; `hint` says what to type or do next; `exit_code` is what the process
    returns.
    """

    def __init__(self, message: str, hint: str | None = None, exit_code: int = EXIT_WRONG_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean "x"?)' for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""
