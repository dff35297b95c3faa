"""Ctrl-C and SIGTERM as a question that a loop asks, so that it can end in order."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from bench.errors import EXIT_INTERRUPTED, EXIT_TERMINATED


class StopOnSignals:
    """While entered, notes SIGINT and SIGTERM instead of raising; a second one raises KeyboardInterrupt.

    Call it to ask whether to stop; `exit_code` is 130 or 143 then, 0 before.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopOnSignals:
        for name in (signal.SIGINT, signal.SIGTERM):
            self._before[name] = signal.signal(name, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)  # type: ignore[arg-type]

    def __call__(self) -> bool:
        return self.exit_code != 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.exit_code:
            raise KeyboardInterrupt
        self.exit_code = EXIT_TERMINATED if number == signal.SIGTERM else EXIT_INTERRUPTED
