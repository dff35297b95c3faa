"""The newest of a run that goes: only what was added is read, and a log that was cut back is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.study_fixture import realistic

from bench.files import append_jsonl, read_jsonl, write_jsonl
from bench.runs.folder import RunFolder
from bench.runs.latest import Follower, JsonLines
from bench.statistics.results import collect
from bench.statistics.summary import run_scores


def line(step: int, loss: float = 0.5) -> dict[str, object]:
    return {"generator_steps": step, "discriminator": {"real": loss}, "generator": {"fake": None}}


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = JsonLines(log)
    assert lines.added() == (False, [])
    append_jsonl(log, [line(10), line(20)])
    assert lines.added() == (False, [line(10), line(20)])
    assert lines.added() == (False, [])
    append_jsonl(log, [line(30)])
    assert lines.added() == (False, [line(30)])
    with log.open("a") as file:
        file.write('{"generator_steps": 40, "torn')
    assert lines.added() == (False, [])
    append_jsonl(log, [line(40)])  # cuts the torn line off
    assert lines.added() == (False, [line(40)])


@pytest.mark.parametrize("goes_on_to", [20, 60], ids=["shorter", "longer than before"])
def test_a_log_that_was_cut_back_is_read_again(tmp_path: Path, goes_on_to: int) -> None:
    """As a run does that is continued from a checkpoint; the file may be longer by the time somebody looks."""
    log = tmp_path / "log.jsonl"
    lines = JsonLines(log)
    append_jsonl(log, [line(10), line(20), line(30)])
    lines.added()
    write_jsonl(log, [line(10)])
    append_jsonl(log, [line(step, loss=0.25) for step in range(20, goes_on_to + 1, 10)])
    replaced, added = lines.added()
    assert replaced
    assert added == read_jsonl(log)
    log.unlink()
    assert lines.added() == (True, [])


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write_jsonl(log, [line(step) for step in range(1, 1001)])
    lines = JsonLines(log, from_end=1000)
    _, added = lines.added()
    assert 3 < len(added) < 20
    assert added[-1] == line(1000)
    append_jsonl(log, [line(1001)])
    assert lines.added() == (False, [line(1001)])


def test_the_newest_loss_score_and_grid(tmp_path: Path) -> None:
    fixture = realistic(objectives=("wgan-gp",), seeds=(0,))
    study = fixture.write(tmp_path)
    folder = RunFolder(next(study.glob("*/seed-0-*")))
    newest = Follower(folder, "fd_lite0", "raw", fixture.evaluation.id()).latest()
    assert (newest.logged_step, newest.grid_step) == (900, 900)
    assert newest.grid == folder.sample_file(900)
    assert list(newest.losses) == ["discriminator", "generator"]
    assert newest.losses_in_words().startswith("D real 0.")
    assert "penalty 0." in newest.losses_in_words()
    # Curves are of one number of samples; the score is the one on most.
    assert newest.score is not None
    assert (newest.score.metric, newest.score.samples, newest.score.generator_steps) == ("fd_lite0", 1000, 900)
    assert [(score.metric, score.generator_steps) for score in newest.curve] == [
        ("fd_lite0@500", step) for step in fixture.snapshots
    ]
    assert Follower(folder, "fd_lite0", "raw", "other settings").latest().score is None
    assert Follower(RunFolder(tmp_path / "none"), "fd_lite0", "raw", None).latest().losses_in_words() == ""


def test_a_score_is_the_reports_mean_over_sample_seeds(tmp_path: Path) -> None:
    fixture = realistic(objectives=("wgan-gp",), seeds=(0,), sample_seeds=3)
    study = fixture.write(tmp_path)
    score = (
        Follower(RunFolder(next(study.glob("*/seed-0-*"))), "fd_lite0", "raw", fixture.evaluation.id()).latest().score
    )
    reported = run_scores(collect(tmp_path, "quick"), "raw").query("metric == 'fd_lite0'")
    assert score is not None
    assert score.value == pytest.approx(reported["score"].item(), rel=1e-12)


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    append_jsonl(tmp_path / "log.jsonl", [line(10)])
    assert Follower(RunFolder(tmp_path), "fd_lite0", "raw", None).latest().losses_in_words() == (
        "D real 0.500; G fake not finite"
    )
