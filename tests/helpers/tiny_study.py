"""The smallest study that really trains, as a bench.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TINY: dict[str, Any] = {
    "title": "Tiny",
    "objectives": ["nsgan"],
    "seeds": "0",
    "data": {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 100},
    "backbone": {"width": 4, "latent": 8},
    "budget": {"generator_steps": 12, "batch": 8, "halve_every": 6},
    "training": {"snapshots": 2, "log_every": 4},
    "evaluation": {"extractors": ["judge"], "samples": 50, "snapshot_samples": 50, "kid_subset_size": 20},
}


def write_tiny_study(folder: Path, **changes: Any) -> Path:
    """Write folder/bench.toml with the study `tiny` and return it.

    `changes` replace its keys, tables key by key; a key of None is left out.
    """
    keys = dict(TINY)
    for key, value in changes.items():
        keys[key] = {**TINY[key], **value} if isinstance(value, dict) else value
    lines = ['default_study = "tiny"', "[study.tiny]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    file = folder / "bench.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def on_cpu(words: Sequence[str]) -> list[str]:
    """Return the words of a `bench` command with the CPU named, where it takes devices and none is: `auto` is a GPU."""
    takes_devices = {"run", "evaluate", "replay", "plan"} & set(words)
    return [*words, "--devices", "cpu"] if takes_devices and "--devices" not in words else list(words)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items() if item is not None) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # strings, numbers and truth values are written alike
