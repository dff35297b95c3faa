"""A command in a real terminal of a given width: a pty, whose output is read as it comes."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Movements of the cursor, colours, and links (OSC 8), which a terminal does not show.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b\x07]*(?:\x1b\\|\x07)")
ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs Python with these arguments in a pty of `columns` by `lines`."""

    def __init__(self, arguments: Sequence[str], cwd: Path, columns: int, lines: int = 24) -> None:
        import fcntl
        import pty
        import termios

        self._from, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=cwd, stdin=inner, stdout=inner, stderr=inner, env=environment
        )
        os.close(inner)
        self._written = b""

    def read_until(self, text: str, seconds: float = 120.0) -> str:
        """Return everything that was shown so far, once `text` is in it."""
        end = time.monotonic() + seconds
        while text not in (shown := self.shown()):
            assert time.monotonic() < end, shown
            assert self._read(1.0) or self.process.poll() is None or text in self.shown(), self.shown()
        return self.shown()

    def end(self, seconds: float = 120.0) -> int:
        """Read the rest and return the exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None or self._read(0.1):
            assert time.monotonic() < deadline, self.shown()
            self._read(0.2)
        os.close(self._from)
        return self.process.returncode

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def shown(self) -> str:
        """Return what the terminal was told to show, line by line, without control sequences."""
        text = self._written.decode(errors="replace")
        return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")

    def lines(self) -> list[str]:
        return self.shown().splitlines()

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._from], [], [], seconds)
        if not ready:
            return False
        try:
            part = os.read(self._from, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self._written += part
        return bool(part)
