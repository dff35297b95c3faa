"""Checkpoints: the full state of a run, the newest and the one before, each with its own checksum.

A file is 64 hexadecimal digits (the SHA-256 of the rest), a newline, and torch's format, which is read with
`weights_only`: nothing that is read back can run code.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError
from bench.files import write_atomic

SCHEMA = 2


def save_checkpoint(folder: Path, generator_steps: int, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically, then drop all but the newest two."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, "generator_steps": generator_steps, **state}, buffer)
    payload = buffer.getbuffer()
    digest = hashlib.sha256(payload).hexdigest()
    write_atomic(folder / f"checkpoint-{generator_steps:08d}.ckpt", f"{digest}\n".encode() + payload)
    for old in _checkpoints(folder)[:-2]:
        old.unlink(missing_ok=True)


def load_checkpoint(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest checkpoint that is whole, on `device`; None when there is none to start from.

    A damaged newest one gives way to the one before. Raises BenchError when all there are damaged.
    """
    files = _checkpoints(folder)
    place = "cpu" if device.type == "cpu" else device  # torch does not know "cpu:0"
    for path in reversed(files):
        digest, _, payload = path.read_bytes().partition(b"\n")
        if hashlib.sha256(payload).hexdigest().encode() != digest:
            continue
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=place, weights_only=True)
        if state.get("schema") != SCHEMA:
            raise BenchError(
                f"{path} was written by another version of bench",
                hint="Use that version, or `bench clean` the run and train it again.",
            )
        return state
    if files:
        raise BenchError(
            f"Every checkpoint in {folder} is damaged", hint="`bench clean` the run, then run it again from the start."
        )
    return None


def drop_checkpoints(folder: Path) -> None:
    """Remove all checkpoints: a finished run needs only its last snapshot."""
    for path in _checkpoints(folder):
        path.unlink(missing_ok=True)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*.ckpt"))
