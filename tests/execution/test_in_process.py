"""Runs in the caller's own process: what fails, what is left behind, and how it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_study import write_tiny_study
from rich.console import Console

import bench
from bench.errors import BenchError
from bench.execution.running import folder_of

LSGAN = (Path(bench.__file__).parent / "objectives" / "lsgan.py").read_text(encoding="utf-8")
SPOILT = LSGAN.replace('return {"fake": 0.5', 'raise RuntimeError("spoilt on purpose")\n        return {"fake": 0.5')


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {
        "runs": tmp_path / "runs",
        "data": tmp_path / "data",
        "devices": "cpu",
        "in_process": True,
        "console": Console(quiet=True),
    }


def plan_of(folder: Path, **changes: Any) -> bench.Plan:
    return bench.make_plan(bench.load_study(config=write_tiny_study(folder, **changes)))


def test_a_failure_costs_its_own_run_and_torch_is_as_it_was(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "spoilt.py").write_text(SPOILT)
    plan = plan_of(tmp_path, objectives=[str(tmp_path / "spoilt.py"), "nsgan"], baseline="nsgan")
    before = torch.are_deterministic_algorithms_enabled()  # tests that train here leave it on
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    try:
        outcomes = bench.run_study(plan, **options)
        assert torch.backends.cudnn.benchmark
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(before)
    assert (outcomes.done, outcomes.failed, outcomes.complete) == (1, 1, True)
    (failed,) = [job for job in outcomes.jobs if job.outcome == "failed"]
    assert "spoilt on purpose" in str(failed.reason)
    assert "spoilt on purpose" in (failed.folder.path / "failure.txt").read_text()
    assert [failure.kind for failure in failed.failures] == ["other"]


def test_a_stopped_run_is_saved_and_taken_up_again(tmp_path: Path, options: dict[str, Any]) -> None:
    plan = plan_of(tmp_path)
    answers: Iterator[bool] = iter([False] * 6)
    outcomes = bench.run_study(plan, stop=lambda: next(answers, True), **options)
    assert (outcomes.complete, outcomes.done, outcomes.failed) == (False, 0, 0)
    steps = folder_of(plan.runs[0], options["runs"]).status().generator_steps
    assert 0 < steps < plan.study.budget.generator_steps
    assert bench.run_study(plan, **options).done == 1


def test_a_run_that_another_process_has_is_left_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    plan = plan_of(tmp_path)
    with pytest.raises(BenchError):
        bench.evaluate_study(plan, **options)  # nothing is trained
    folder = folder_of(plan.runs[0], options["runs"])
    with folder.owned():
        outcomes = bench.run_study(plan, **options)
    assert (outcomes.done, outcomes.failed, outcomes.taken) == (0, 0, 1)
    assert folder.status().failures == []


def test_evaluate_study_measures_what_lacks_and_again(tmp_path: Path, options: dict[str, Any]) -> None:
    plan = plan_of(tmp_path)
    (run,) = plan.runs
    bench.run_study(plan, **options)
    metrics = folder_of(run, options["runs"]).metrics_file
    text = metrics.read_text()
    assert bench.evaluate_study(plan, **options).skipped == 1
    metrics.write_text("")
    assert bench.evaluate_study(plan, **options).done == 1
    assert metrics.read_text() == text
    metrics.write_text(text.replace('"value":', '"value": 7, "was":'))
    assert bench.evaluate_study(plan, again=True, **options).done == 1
    assert metrics.read_text() == text


def test_several_ranks_take_processes(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="rank"):
        bench.run_study(plan_of(tmp_path), ranks=2, **options)


def test_a_run_without_the_snapshot_says_what_it_has(tmp_path: Path, options: dict[str, Any]) -> None:
    plan = plan_of(tmp_path)
    (run,) = plan.runs
    runs = options["runs"]
    with pytest.raises(BenchError, match=run.name):
        bench.generate_images(run, 4, runs=runs)
    bench.run_study(plan, **options)
    images = bench.generate_images(run, 120, runs=runs)
    assert (images.shape, images.dtype.name) == ((120, 3, 32, 32), "uint8")
    assert (bench.generate_images(run, 4, runs=runs) == images[:4]).all()
    assert (bench.generate_images(run, 4, runs=runs, sample_seed=1) != images[:4]).any()
    assert (bench.generate_images(run, 4, runs=runs, generator="ema") != images[:4]).any()
    with pytest.raises(BenchError, match="step 5"):
        bench.generate_images(run, 4, runs=runs, generator_steps=5)


def test_a_run_that_another_process_holds_is_left_to_it(tmp_path: Path, options: dict[str, Any]) -> None:
    plan = plan_of(tmp_path, objectives=["nsgan", "vae"])
    with folder_of(plan.runs[0], options["runs"]).owned():
        outcomes = bench.run_study(plan, **options)
    assert (outcomes.taken, outcomes.done, outcomes.failed, outcomes.complete) == (1, 1, 0, True)
    assert [job.outcome for job in outcomes.jobs] == ["taken", "done"]
