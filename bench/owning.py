"""The mark of a run's owner: it decides who may write where a lock does not reach other machines, or is missing.

A lock keeps two processes of one machine apart. Shared file systems may hand the same lock to two machines (NFS
`nolock`, Lustre `localflock`) or have none, and a cluster may start a lost node's work again while it still goes there.
So whoever takes a folder writes a random word into its `.owner` file, and every write into the folder reads it first:
who finds another word has been displaced and writes nothing more. The last one to have written its word is the owner.

While it works, an owner touches its mark, so that others can leave the folder alone. The file is written in place: a
network file system asks its server about a file that is opened, but may remember for a minute which file a name means.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import EXIT_RUNS_FAILED, BenchError

MARK = ".owner"
TOUCH_SECONDS = 10.0
SILENT_SECONDS = 60.0  # an owner whose mark is as old has stopped: six touches are missing
TAKE_OVER_SECONDS = 6.0  # three intervals of status.json: by then a displaced owner has read the new mark

_owned: dict[Path, str] = {}  # the folders that this process owns, with its word in each


class TakenError(BenchError):
    """Another process works on the run."""


@dataclass(frozen=True)
class Mark:
    """What a folder's mark says: its owner's word, a hash of its machine, its process; and when it was touched."""

    word: str
    machine: str
    process: int
    touched: float  # seconds since the epoch, by the file system's clock

    @classmethod
    def read(cls, folder: Path) -> Mark | None:
        """Return the mark of `folder`; None where there is none. One that is being written has no word."""
        try:
            with (folder / MARK).open(encoding="ascii", errors="replace") as file:
                words = file.read().split()
                touched = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        if len(words) != 3 or not words[2].isdigit():
            return cls("", "", 0, touched)
        return cls(words[0], words[1], int(words[2]), touched)

    def may_live(self, now: float, *, locks_work: bool) -> bool:
        """Tell whether the owner may still be at work at `now`; call it when the folder's lock is not held.

        A lock that works tells the processes of one machine for certain. Of another machine only the mark's age tells.
        """
        if abs(now - self.touched) >= SILENT_SECONDS:
            return False
        if self.machine != this_machine():
            return True
        return not locks_work and is_alive(self.process)


class Claim:
    """This process's ownership of a folder, from `claim` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._word = secrets.token_hex(8)
        self._released = threading.Event()

    def claim(self) -> None:
        """Write the mark, over whatever there is. Raises OSError, and TakenError where another one does the same."""
        with (self._folder / MARK).open("w", encoding="ascii") as file:
            file.write(f"{self._word} {this_machine()} {os.getpid()}\n")
            file.flush()
            os.fsync(file.fileno())
        _owned[self._folder] = self._word
        check_owned(self._folder / MARK)
        threading.Thread(target=self._touch, daemon=True).start()

    def release(self) -> None:
        """Delete the mark, unless it is another owner's by now."""
        self._released.set()
        if _owned.get(self._folder) == self._word:
            del _owned[self._folder]
        with suppress(OSError):  # a mark that stays is heeded for a minute at most
            if self._is_ours():
                (self._folder / MARK).unlink(missing_ok=True)

    def _touch(self) -> None:
        while not self._released.wait(TOUCH_SECONDS):
            try:
                if not self._is_ours():
                    return
                os.utime(self._folder / MARK)  # without times: by the file system's clock
            except OSError:
                continue  # a server that is away; who writes is told

    def _is_ours(self) -> bool:
        mark = Mark.read(self._folder)
        return mark is not None and mark.word == self._word


def join_owner(folder: Path) -> None:
    """Write into `folder` as its present owner may: another rank of the run."""
    mark = Mark.read(folder)
    _owned[folder.resolve()] = mark.word if mark else ""


def check_owned(path: Path) -> None:
    """Raise TakenError where `path` lies in a folder that this process took and another one has taken since."""
    if not _owned:
        return
    for folder in path.resolve().parents:
        word = _owned.get(folder)
        if word is None:
            continue
        mark = Mark.read(folder)
        if mark is None or mark.word != word:
            raise taken(folder, "was taken over by another process")


def taken(folder: Path, how: str = "is being worked on by another process") -> TakenError:
    """Return the error for a run that is another process's."""
    return TakenError(
        f"{folder} {how}",
        hint="Wait for it, or stop it; `bench status` shows what is running.",
        exit_code=EXIT_RUNS_FAILED,
    )


def is_alive(process: int) -> bool:
    """Tell whether there is a process of this number on this machine."""
    if sys.platform == "win32":
        return True  # there is no harmless way to ask
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@cache
def this_machine() -> str:
    """Return 16 hexadecimal digits that stand for this machine since it was started; no name of it is kept."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        text = platform.node()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
