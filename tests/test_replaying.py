"""`bench replay`: the same bits from the same seed, and where another seed falls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file
from study_fixture import realistic
from tiny_study import write_tiny_study

from bench.cli import bench
from bench.errors import BenchError
from bench.files import read_json, write_json
from bench.replaying import compare, predict, sameness_in_words
from bench.runs import RunFolder


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
    assert CliRunner().invoke(bench, [*roots(folder), "run", "--all"]).exit_code == 0
    result = CliRunner().invoke(bench, [*roots(folder), "replay", "wgan-gp/0"])
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


def test_a_changed_log_and_another_machine_are_named(place: Path, tmp_path: Path) -> None:
    original, again = runs_of(place)
    other = RunFolder(Path(shutil.copytree(original.path, tmp_path / "other")))
    write_json(other.environment_file, read_json(other.environment_file) | {"device": "Another processor"})
    lines = other.log_file.read_text().splitlines()
    changed = json.loads(lines[1])
    changed["generator"]["fake"] += 1.0
    other.log_file.write_text("\n".join([lines[0], json.dumps(changed), *lines[2:]]) + "\n")
    same = compare(other, again)
    assert same.logged == 6
    assert same.excused
    assert same.machine[0].startswith("device was Another processor")


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
