"""`bench clean`: no is an answer, and a call that is killed leaves nothing that passes for a finished run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

import pytest
from helpers.study_fixture import realistic


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


def test_clean_asks_and_no_is_an_answer(workplace: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    study = realistic("tiny", objectives=("nsgan",)).write(workplace / "runs")
    folders = sorted(study.glob("*/seed-*"))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    bench("clean", "--everything")
    assert sorted(study.glob("*/seed-*")) == folders
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "y")
    bench("clean", "--everything")
    assert [path.name for path in study.iterdir()] == ["plan.json"]


def test_a_clean_that_is_killed_leaves_no_run_that_says_done(
    workplace: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = realistic("tiny", objectives=("nsgan",)).write(workplace / "runs")
    unlink = os.unlink
    deleted = []

    def killed(path: str, **options: int) -> None:
        if len(deleted) == 2:
            raise KeyboardInterrupt
        deleted.append(path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", killed)
    bench("clean", "--everything", "--yes", code=130)
    assert len(deleted) == 2
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    assert set(re.findall(r" (done|planned) ", bench("status"))) == {"planned"}
    bench("clean", "--yes")  # what is left over goes, planned or not
    assert [path.name for path in study.iterdir()] == ["plan.json"]
