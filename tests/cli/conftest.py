"""`bench` as a user types it, in a folder of its own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Protocol

import pytest
from helpers.tiny_study import on_cpu, write_tiny_study

from bench.__main__ import run


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    write_tiny_study(
        tmp_path,
        objectives=["nsgan", "vae"],
        primary_metric="coverage_lite0",
        data={"train_count": 120, "heldout_count": 120},
    )
    return tmp_path


@pytest.fixture
def bench(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Type `bench ...` in the workplace; returns stdout and stderr together. In this process: torch loads once."""
    monkeypatch.chdir(workplace)

    def type_(*words: str, code: int = 0) -> str:
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        returned = run(on_cpu(words))
        signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        output = printed.out + printed.err
        assert returned == code, output
        assert "Traceback" not in output
        return output

    return type_
