"""Sending while runs go, in a process of its own: whatever a tracker does, it cannot hold up or break a training.

    python -m bench.trackers.following --runs FOLDER --study NAME --to wandb,mlflow --folder FOLDER

It sends what is new every few seconds, once more when its standard input ends, and then ends too. Each line that it
prints is for the user. A tracker that fails is named once and left alone from then on; so is a damaged run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError
from bench.processes import python_command, python_environment
from bench.trackers.sending import Sender

SEND_SECONDS = 5.0
LAST_SECONDS = 90.0  # what a tracker may take for the rest when all runs are through


def main(arguments: list[str] | None = None) -> int:
    """Send until standard input ends; see the module's text."""
    parser = argparse.ArgumentParser(prog="bench.trackers.following")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--study", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(arguments)
    senders = [Sender(name, options.runs, options.study, options.folder) for name in options.to.split(",")]
    asked_to_end = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(asked_to_end,), daemon=True).start()
    told: set[str] = set()
    while senders:
        over = asked_to_end.wait(SEND_SECONDS)
        senders = [sender for sender in senders if _tried(sender, sender.send)]
        for path, reason in (item for sender in senders for item in sender.left_out.items()):
            if path not in told:
                print(f"{path} is not sent: {reason}", flush=True)
                told.add(path)
        if over:
            senders = [sender for sender in senders if _tried(sender, sender.close)]
            break
    return 0


def _wait_for_the_end(asked_to_end: threading.Event) -> None:
    while os.read(0, 1):
        continue
    asked_to_end.set()


def _tried(sender: Sender, step: Callable[[], object]) -> bool:
    """Do one step of a sender; where it fails, say so, once, and return False."""
    try:
        step()
    except Exception as error:  # a tracker may raise anything
        print(f"{sender.tracker} is left out from here on: {in_a_line(error)}", flush=True)
        return False
    return True


def in_a_line(error: Exception) -> str:
    """Return what went wrong with a tracker as one line."""
    if isinstance(error, BenchError):
        return error.message
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def where(tracker: str, folder: Path) -> str:
    """Return what to type, or where to look, to see what a tracker was sent."""
    place = folder / tracker
    if tracker == "tensorboard":
        return f"tensorboard --logdir {place}"
    if tracker == "mlflow":
        server = os.environ.get("MLFLOW_TRACKING_URI")
        return server or f"mlflow ui --backend-store-uri sqlite:///{place / 'mlflow.db'}"
    return f"wandb sync {Path(os.environ.get('WANDB_DIR', place)) / 'wandb'}/offline-run-* where it was not online"


@contextmanager
def following(
    trackers: Sequence[str], runs_root: Path, study: str, folder: Path, tell: Callable[[str], None]
) -> Iterator[None]:
    """Send a study's runs to `trackers` as long as the block lasts; `tell` hears what the user should know."""
    if not trackers:
        yield
        return
    words = ("--runs", str(runs_root), "--study", study, "--to", ",".join(trackers), "--folder", str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "following.log").open("ab") as log:
            process = subprocess.Popen(
                [*python_command("bench.trackers.following"), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,  # what the libraries say
                env=python_environment(),
                start_new_session=True,  # Ctrl-C is for the runs; the rest is sent when they have stopped
            )
    except OSError as error:
        tell(f"nothing is sent to {', '.join(trackers)}: {error}")
        yield
        return
    assert process.stdin is not None
    assert process.stdout is not None
    told: list[str] = []

    def listen() -> None:
        for line in process.stdout or ():
            told.append(line.decode(errors="replace").strip())
            tell(told[-1])

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            tell(f"{', '.join(trackers)} took too long for the rest; `bench export-logs` sends it")
        listener.join(2)
        if not listener.is_alive():
            process.stdout.close()
        if process.returncode > 0:
            tell(f"not everything was sent to {', '.join(trackers)}: {folder / 'following.log'} says why")
        for name in trackers:
            if process.returncode == 0 and not any(line.startswith(name) for line in told):
                tell(f"{name}: {where(name, folder)}")


if __name__ == "__main__":
    sys.exit(main())
