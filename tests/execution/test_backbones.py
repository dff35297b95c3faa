"""A study on several backbones, by one command: named, trained, gathered, reported, verified and carried away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.tiny_study import on_cpu, write_tiny_study

from bench.cli import bench
from bench.config.reading import load_config
from bench.errors import BenchError
from bench.files import read_json
from bench.runs.differences import study_changes
from bench.runs.extras import BACKBONES, UNTRAINED
from bench.runs.plan import make_plan
from bench.statistics.results import collect, matching

MLP: dict[str, Any] = {"name": "mlp", "network": "mlp", "width": 8, "depth": 1}
OTHERS = [MLP, {"name": "tanh", "activation": "tanh"}]


def invoke(folder: Path, *words: str) -> Any:
    places = ("--config", folder / "bench.toml", "--runs", folder / "runs", "--reports", folder / "reports")
    given = [*map(str, places), "--data", str(folder / "data"), *words]
    return CliRunner().invoke(bench, on_cpu(given), standalone_mode=False)


def test_a_study_on_another_backbone_is_a_study_of_its_own_by_that_name(tmp_path: Path) -> None:
    config = load_config(write_tiny_study(tmp_path, backbones=OTHERS))
    study, mlp = config.study("tiny"), config.study("tiny.on-mlp")
    assert (mlp.name, mlp.backbone.network, mlp.backbone.width, mlp.backbone.latent) == ("tiny.on-mlp", "mlp", 8, 8)
    assert (mlp.data, mlp.budget, mlp.backbones) == (study.data, study.budget, ())
    assert config.study("tiny.on-tanh").backbone.width == study.backbone.width
    steps = config.study("tiny.on-mlp.steps-5")
    assert (steps.name, steps.budget.generator_steps) == ("tiny.on-mlp.steps-5", 5)
    family = make_plan(config.study("tiny.steps-5")).on_every_backbone()
    assert [plan.study.name for plan in family] == ["tiny.steps-5", "tiny.on-mlp.steps-5", "tiny.on-tanh.steps-5"]
    assert family[1].runs[0].id == make_plan(steps).runs[0].id
    with pytest.raises(BenchError, match='no backbone "mpl"'):
        config.study("tiny.on-mpl")
    plain = load_config(write_tiny_study(tmp_path)).study("tiny")
    assert make_plan(plain).runs[0].id == make_plan(study).runs[0].id


def test_another_network_leaves_out_what_only_the_own_one_has(tmp_path: Path) -> None:
    own = {"network": "mlp", "depth": 2, "bias": False}
    file = write_tiny_study(tmp_path, backbone=own, backbones=[{"name": "dcgan", "network": "dcgan"}])
    found = load_config(file).study("tiny.on-dcgan").backbone
    assert (found.network, found.depth, found.bias, found.width) == ("dcgan", None, False, 4)


@pytest.mark.parametrize(
    ("others", "word"),
    [
        ([{"name": "x"}, {"name": "x"}], "two backbones"),
        ([{"network": "mlp"}], "name"),
        ([{"name": "a.b"}], "name"),
        ([{"name": "x", "depth": 3}], "depth"),
        ([{"name": "x", "netwrok": "mlp"}], "netwrok"),
    ],
)
def test_a_mistake_in_a_backbone_is_named(tmp_path: Path, others: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(BenchError, match=word):
        load_config(write_tiny_study(tmp_path, backbones=others))


def test_one_command_trains_a_study_on_its_backbones_and_the_report_compares_them(tmp_path: Path) -> None:
    budget, evaluation = {"generator_steps": 4}, {"extractors": ["lite0"]}
    write_tiny_study(tmp_path, backbones=[MLP], budget=budget, evaluation=evaluation)
    assert invoke(tmp_path, "run", "--all", "--dry-run").output.count("train  ") == 2
    done = invoke(tmp_path, "run", "--all")
    assert done.return_value == 0, done.output
    runs = tmp_path / "runs"
    assert sorted(path.name for path in runs.iterdir() if path.is_dir()) == ["tiny", "tiny.on-mlp"]
    plan = read_json(runs / "tiny" / "plan.json")
    assert plan["backbones"] == {"mlp": "tiny.on-mlp"}
    assert study_changes(plan, load_config(tmp_path / "bench.toml").study("tiny")) == []
    assert invoke(tmp_path, "report").return_value == 0
    report = tmp_path / "reports" / "tiny"
    frame = pd.read_csv(report / "backbones-runs.csv").set_index("backbone")
    assert set(frame["network"]) == {"DCGAN, width 4", "MLP, width 8, depth 1"}
    for name, study in {"own": "tiny", "mlp": "tiny.on-mlp"}.items():
        (value,) = matching(collect(runs, study), metric="fd_lite0", final=True, generator="raw")["value"]
        assert frame.loc[name, "value"] == pytest.approx(value)
        assert frame.loc[name, "untrained"] == pytest.approx(read_json(runs / study / UNTRAINED)["value"])
        assert frame.loc[name, "untrained"] != pytest.approx(value)
    assert "backbones-controlled" in (report / "report.html").read_text()
    verified = invoke(tmp_path, "verify", str(report))
    assert verified.return_value == 0, verified.output
    archive = tmp_path / "tiny.zip"
    assert invoke(tmp_path, "export", "tiny", "--out", str(archive)).return_value == 0
    there = tmp_path / "there"
    there.mkdir()
    assert invoke(there, "import", str(archive)).return_value == 0
    assert read_json(there / "runs" / "tiny" / BACKBONES) == read_json(runs / "tiny" / BACKBONES)
