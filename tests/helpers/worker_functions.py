"""What workers are told to do in tests; a module of its own, since workers import it by name."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from bench.errors import BenchError
from bench.runs.folder import RunFolder


def slow_pid(value: int) -> tuple[int, int]:
    time.sleep(0.05 * (value % 3))
    return value, os.getpid()


def divide(value: int) -> int:
    return 1 // value


def refuse(value: int) -> None:
    raise BenchError("the message", hint="the hint", exit_code=7)


def die_at_five(value: int) -> int:
    if value == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die_while_sending(size: int) -> bytes:
    """Kill this process once it has begun to write its result, which is larger than a pipe holds."""

    def kill() -> None:
        while "_send" not in {frame.f_code.co_name for frame in sys._current_frames().values()}:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return b"x" * size


def lambda_of(value: int) -> object:
    return lambda: value


def prepared_value(_: int) -> str | None:
    return os.environ.get("PREPARED")


def prepare() -> None:
    os.environ["PREPARED"] = "yes"


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def own_run(folder: Path, ready: Path) -> None:
    with RunFolder(folder).owned():
        ready.touch()
        time.sleep(60)


def exit_early(value: int) -> int:
    sys.exit(value)
