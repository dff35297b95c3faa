"""`bench replay`: the same bits from the same seed, and where another seed falls."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers.study_fixture import realistic
from helpers.tiny_study import on_cpu, write_tiny_study
from safetensors.numpy import load_file, save_file

from bench.cli import bench
from bench.errors import BenchError
from bench.evaluation.units import missing_evaluations
from bench.execution.evaluating import device_like, measure_again
from bench.files import read_json, read_jsonl, write_json, write_jsonl
from bench.review.replay import compare, predict, present_code, sameness_in_words, spec_of, verdict_in_words
from bench.runs.folder import RunFolder
from bench.runs.identity import code_hash
from bench.runs.plan import RunSpec
from bench.statistics.results import evaluation_codes


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, and its replay."""
    folder = tmp_path_factory.mktemp("place")
    write_tiny_study(
        folder,
        objectives=["wgan-gp"],
        baseline="wgan-gp",
        training={"log_every": 3},
        evaluation={"extractors": ["lite0"]},
    )
    assert CliRunner().invoke(bench, [*roots(folder), *on_cpu(["run", "--all"])]).exit_code == 0
    result = CliRunner().invoke(bench, [*roots(folder), *on_cpu(["replay", "wgan-gp/0"])])
    assert result.exit_code == 0, result.output
    assert "bit-identical at 2 snapshots" in result.output
    assert "the same, bit for bit" in result.output
    return folder


def roots(folder: Path) -> list[str]:
    paths = {"config": "bench.toml", "runs": "runs", "data": "data"}
    return [word for name, path in paths.items() for word in (f"--{name}", str(folder / path))]


def runs_of(place: Path) -> tuple[RunFolder, RunFolder]:
    (original,) = (place / "runs" / "tiny").glob("*/seed-0-*")
    (again,) = (place / "runs" / ".replays" / "tiny").glob("*/seed-0-*")
    return RunFolder(original), RunFolder(again)


def test_every_metric_is_compared(place: Path) -> None:
    same = compare(*runs_of(place))
    assert same.identical
    assert same.metrics_compared > 10


def test_a_measured_line_says_by_which_code(place: Path, tmp_path: Path) -> None:
    original, _ = runs_of(place)
    settings = RunSpec.read(original.spec_file).evaluation
    assert evaluation_codes([original], settings.id()) == {code_hash("evaluation")}
    older = RunFolder(Path(shutil.copytree(original.path, tmp_path / "older")))
    lines = read_jsonl(older.metrics_file)
    for line in lines:
        del line["evaluation_code"]
    write_jsonl(older.metrics_file, lines)
    assert not missing_evaluations(older.path, settings)  # nothing is measured again for that


def test_a_run_is_measured_again_with_the_threads_that_measured_it(place: Path, tmp_path: Path) -> None:
    original, _ = runs_of(place)
    held = read_jsonl(original.metrics_file)
    assert [line["measured_on"]["threads"] for line in held] == [1] * len(held)
    other = RunFolder(Path(shutil.copytree(original.path, tmp_path / "other")))
    lines = [line | {"measured_on": line["measured_on"] | {"threads": 2}} for line in held]
    write_jsonl(other.metrics_file, lines)
    try:
        again = measure_again(other.path, place / "data")
    finally:
        torch.set_num_threads(1)
    assert [line["measured_on"] for line in again] == [line["measured_on"] for line in lines]


def test_the_model_that_measured_a_run_measures_it_again_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    was = {"device_type": "cuda", "device": "Card B"}
    assert device_like(was | {"device_type": "cpu"}) == device_like(None) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", ["Card A", "Card B"].__getitem__)
    assert device_like(was) == torch.device("cuda:1")
    assert device_like(was | {"device": "Card C"}) == torch.device("cpu")


def test_one_changed_weight_is_a_difference_without_excuse(place: Path, tmp_path: Path) -> None:
    original, again = runs_of(place)
    forged = RunFolder(Path(shutil.copytree(original.path, tmp_path / "forged")))
    tensors = load_file(forged.snapshot_file(12))
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name].flat[0] += 1e-7
    save_file(tensors, forged.snapshot_file(12))
    same = compare(forged, again)
    assert (same.first_step, same.logged, same.excused) == (12, None, False)
    assert not same.identical
    assert any("differ from the snapshot at step 12 on" in line for line in sameness_in_words(same))


def test_without_snapshots_nothing_is_called_bit_identical(place: Path, tmp_path: Path) -> None:
    original, again = runs_of(place)
    bare = RunFolder(Path(shutil.copytree(original.path, tmp_path / "bare")))
    bare.snapshot_file(6).unlink()
    some = compare(bare, again)
    assert (some.identical, some.snapshots) == (True, 1)
    (weights,) = (line for line in sameness_in_words(some) if line.startswith("weights"))
    assert re.findall(r"identical at (\d)|(\d) more not", weights) == [("1", ""), ("", "1")]
    shutil.rmtree(bare.snapshots)  # as after an import without weights
    same = compare(bare, again)
    assert (same.identical, same.snapshots, same.metrics_compared > 10) == (True, 0, True)
    words = [*sameness_in_words(same), verdict_in_words(same)]
    assert not [line for line in words if "bit" in line]
    assert any(line.startswith("weights  not compared") for line in words)
    assert "weights were not compared" in words[-1]
    write_jsonl(bare.metrics_file, [line | {"value": line["value"] + 1} for line in read_jsonl(bare.metrics_file)])
    assert verdict_in_words(compare(bare, again)).startswith("DIFFERS")


def test_the_command_never_calls_a_run_without_weights_the_same(place: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place, tmp_path / "copy"))
    shutil.rmtree(runs_of(copy)[0].snapshots)
    result = CliRunner().invoke(bench, [*roots(copy), *on_cpu(["replay", "wgan-gp/0"])])
    assert result.exit_code == 0, result.output
    assert "weights were not compared" in result.output
    assert "bit" not in result.output


def test_the_command_names_a_new_seed_outside_of_the_prediction(place: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(place, tmp_path / "copy"))
    original, again = runs_of(copy)
    plan_file = copy / "runs" / "tiny" / "plan.json"
    plan = read_json(plan_file)
    (planned,) = plan["runs"]
    for seed in (1, 2, 3):
        other = Path(shutil.copytree(original.path, original.path.parent / f"seed-{seed}"))
        scale_metrics(RunFolder(other), 1 + seed / 100)
        plan["runs"].append(planned | {"seed": seed, "path": f"{other.parent.name}/{other.name}"})
    write_json(plan_file, plan)
    asked = spec_of(original, 99, present_code(RunSpec.read(original.spec_file)))
    replayed = RunFolder(again.path.parent / asked.folder.name)  # trained already, so nothing is trained here
    shutil.copytree(again.path, replayed.path)
    for factor, where, exit_code in ((1.02, "inside", 0), (0.5, "OUTSIDE", 1)):
        shutil.copy(again.metrics_file, replayed.metrics_file)
        scale_metrics(replayed, factor)
        words = on_cpu(["replay", "wgan-gp/0", "--seed", "99"])
        result = CliRunner().invoke(bench, [*roots(copy), *words], standalone_mode=False)
        assert f"{where} the 95 % prediction interval" in " ".join(result.output.split())
        assert result.return_value == exit_code


def scale_metrics(run: RunFolder, factor: float) -> None:
    write_jsonl(run.metrics_file, [line | {"value": factor * line["value"]} for line in read_jsonl(run.metrics_file)])


def test_a_changed_log_and_another_machine_are_named(place: Path, tmp_path: Path) -> None:
    original, again = runs_of(place)
    other = RunFolder(Path(shutil.copytree(original.path, tmp_path / "other")))
    write_json(other.environment_file, read_json(other.environment_file) | {"device": "Another processor"})
    lines = read_jsonl(other.log_file)
    lines[1]["generator"]["fake"] += 1.0
    write_jsonl(other.log_file, lines)
    same = compare(other, again)
    assert same.logged == 6
    assert same.excused
    assert same.machine[0].startswith("device was Another processor")


def test_what_only_one_version_observes_is_no_difference(place: Path, tmp_path: Path) -> None:
    original, again = runs_of(place)
    older = RunFolder(Path(shutil.copytree(original.path, tmp_path / "older")))
    lines = read_jsonl(older.log_file)
    for line in lines:
        del line["observed"]["weights_at_edge"]
    write_jsonl(older.log_file, lines)
    assert compare(older, again).logged is None
    lines[1]["observed"]["gradient_norm"] += 1.0
    write_jsonl(older.log_file, lines)
    assert compare(older, again).logged == 6


def test_a_new_seed_is_held_against_the_prediction_interval(tmp_path: Path) -> None:
    study = realistic(seeds=(0, 1, 2, 3)).write(tmp_path)
    (path,) = study.glob("nsgan-controlled/seed-0-*")
    row = {"label": "nsgan", "protocol": "controlled", "seed": 99}
    found = predict(tmp_path, "quick", RunFolder(path), **row)  # type: ignore[arg-type]
    assert found.seeds == 4
    assert found.low < found.mean < found.high
    # Four normal scores: mean +- t(.975, 3) s sqrt(1 + 1/4).
    assert found.high - found.mean == pytest.approx(found.mean - found.low)
    assert found.inside
    few = realistic("few", seeds=(0, 1)).write(tmp_path)
    with pytest.raises(BenchError, match="a prediction needs 3"):
        predict(tmp_path, "few", RunFolder(next(few.glob("nsgan-controlled/seed-0-*"))), **row)  # type: ignore[arg-type]
