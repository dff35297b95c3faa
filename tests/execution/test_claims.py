"""Claims from their file to their page, really trained: planned, run, decided, written; and nothing done twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.tiny_study import write_tiny_study
from PIL import Image
from rich.console import Console

from bench.cli import bench
from bench.config.reading import load_config
from bench.execution.grids import border, persistence
from bench.execution.study import run_study
from bench.files import read_json, read_jsonl
from bench.runs.extras import GRIDS, read_grids
from bench.runs.plan import make_plan
from bench.statistics.measures import MeasuredRuns
from bench.statistics.results import collect

CLAIMS = """
[study.other]
extends = "tiny"
title = "Other"
backbone = { generator_norm = "none" }

[[claim]]
id = "clipped"
text = "Clipped weights gather at the limit."
source = "a test"
of = "wgan"
than = "nsgan"
measure = "observed.weights_at_edge"
direction = "higher"

[[claim]]
id = "grey"
text = "Without batch norm in G borders are grey."
source = "a test"
of = "other/nsgan"
than = "nsgan"
measure = "border_amplitude"
direction = "lower"

[[claim]]
id = "absent"
text = "An arm that nobody trained."
source = "a test"
of = "lsgan"
measure = "collapsed"
direction = "lower"
level = 0.5
"""


def words(folder: Path, *more: str) -> list[str]:
    places = {"config": "bench.toml", "runs": "runs", "reports": "reports", "data": "data"}
    devices = ["--devices", "cpu"] if {"run", "plan"} & set(more) else []
    return [word for name, path in places.items() for word in (f"--{name}", str(folder / path))] + [*more, *devices]


def invoke(folder: Path, *more: str) -> Any:
    return CliRunner().invoke(bench, words(folder, "claims", *more), standalone_mode=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where two of three claims were run: most of their runs in this process, the last one by the command."""
    folder = tmp_path_factory.mktemp("claims")
    file = write_tiny_study(
        folder,
        objectives=["nsgan", {"objective": "wgan", "label": "wgan", "norm": "none", "learning_rate": 0.05}, "lsgan"],
        seeds="0-4",
        data={"train_count": 60, "heldout_count": 60},
        budget={"generator_steps": 4, "batch": 4},
        training={"snapshots": 2, "log_every": 2},
        evaluation={"samples": 50},
    )
    file.write_text(file.read_text() + CLAIMS, encoding="utf-8")
    config = load_config(file)
    for name, label, seeds in (("tiny", "nsgan", None), ("tiny", "wgan", range(4)), ("other", "nsgan", None)):
        run_study(
            make_plan(config.study(name)),
            label,
            seeds=seeds,
            runs=folder / "runs",
            data=folder / "data",
            devices="cpu",
            in_process=True,
            console=Console(quiet=True),
        )
    result = invoke(folder, "run", "clipped", "grey")
    assert (result.return_value, "1 done, 14 had nothing missing" in result.output) == (0, True), result.output
    return folder


def test_only_the_arms_that_were_asked_for_are_trained_each_once(place: Path) -> None:
    table = collect(place / "runs", "tiny").drop_duplicates(["label", "seed"])
    assert dict(table.groupby("label")["state"].unique().map(list)) == {
        "nsgan": ["done"],
        "wgan": ["done"],
        "lsgan": ["planned"],
    }
    assert len(collect(place / "runs", "other").drop_duplicates(["label", "seed"])) == 15
    planned = json.loads(invoke(place, "plan", "--json").output)
    assert planned["studies"] == {
        "tiny": {"arms": ["lsgan", "nsgan", "wgan"], "runs": 15, "missing": 5},
        "other": {"arms": ["nsgan"], "runs": 5, "missing": 0},
    }
    again = invoke(place, "run", "clipped", "grey")
    assert (again.return_value, "15 had nothing missing" in again.output) == (0, True)
    unknown = CliRunner().invoke(bench, words(place, "claims", "run", "clippd"))
    assert "clipped" in str(unknown.exception)


def test_the_runs_decide_what_they_can_and_the_page_says_so(place: Path) -> None:
    told = json.loads(invoke(place, "report", "--json").output)
    verdicts = {one["id"]: one["verdict"] for one in told["claims"]}
    assert verdicts == {"clipped": "supported", "grey": "supported", "absent": "undecided"}
    table = pd.read_csv(place / "reports" / "claims" / "claims.csv").set_index("claim")
    assert table.loc["clipped", "difference"] > 0.5
    assert (table.loc["clipped", "seeds"], table.loc["clipped", "lost"], table.loc["clipped", "test"]) == (
        5,
        0,
        "paired t",
    )
    assert "5 of 5" in table.loc["absent", "open_because"]
    for name in ("html", "markdown"):
        text = Path(told[name]).read_text(encoding="utf-8")
        assert text.index("supported") < text.index("other/nsgan")
        assert "32×32" in text
        assert "4 generator steps" in text
    assert (place / "reports" / "claims" / "figures" / "claims.svg").is_file()
    before = Path(told["html"]).read_bytes()
    invoke(place, "report")
    assert Path(told["html"]).read_bytes() == before


def test_runs_of_another_file_are_named(place: Path, tmp_path: Path) -> None:
    file = place / "bench.toml"
    before, out = file.read_text(encoding="utf-8"), str(tmp_path / "page")
    assert "otherwise" not in invoke(place, "report", "--out", out).output
    file.write_text(before.replace("generator_steps = 4", "generator_steps = 8"), encoding="utf-8")
    said = invoke(place, "report", "--out", out).output
    file.write_text(before, encoding="utf-8")
    assert "generator_steps 4 → 8" in said
    assert "generator\\_steps 4 → 8" in (tmp_path / "page" / "claims.md").read_text(encoding="utf-8")


def test_logs_say_where_weights_gather(place: Path) -> None:
    runs = MeasuredRuns(place / "runs", "tiny")
    clipped, free = (
        runs.arm(*row, "observed.weights_at_edge") for row in (("wgan", "custom"), ("nsgan", "controlled"))
    )
    assert clipped.complete
    assert clipped.values.min() > 0.5 > free.values.max() > 0
    (row,) = runs._done("wgan", "custom").keys() & {3}
    log = read_jsonl(next((place / "runs" / "tiny" / "wgan-custom").glob(f"seed-{row}-*")) / "log.jsonl")
    assert dict(clipped.scores)[3] == log[-1]["observed"]["weights_at_edge"]


def test_grids_are_measured_once_and_again_when_a_run_is_another(place: Path) -> None:
    folder = place / "runs" / "tiny"
    record = read_grids(folder)
    assert record is not None
    assert len(record["runs"]) == 10
    path, grid = next(iter(record["runs"].items()))
    assert grid["steps"] == [2, 4]
    assert len(grid["border_mean"]) == len(grid["same_mode"]) == 2
    assert grid["same_mode"][0] is None
    assert 0 <= grid["same_mode"][1] <= 1
    assert 0.5 < record["real"]["border_between"] <= 1
    file = folder / path / "samples" / "step-00000004.png"
    kept = file.read_bytes()
    Image.new("RGB", (8 * 32, 8 * 32)).save(file)  # black
    invoke(place, "run", "clipped")
    changed = read_json(folder / GRIDS)["runs"]
    assert changed[path]["border_mean"][1] == -1
    assert changed[path]["border_between"][1] == 0
    assert {name: changed[name] for name in changed if name != path} == {
        name: record["runs"][name] for name in changed if name != path
    }
    file.write_bytes(kept)
    invoke(place, "run", "clipped")
    assert read_json(folder / GRIDS)["runs"] == record["runs"]


def test_a_border_is_two_pixels_wide() -> None:
    images = np.full((3, 3, 8, 8), 255, dtype=np.uint8)
    images[:, :, 2:-2, 2:-2] = 0
    assert border(images) == {"border_mean": 1.0, "border_between": 0.0, "border_amplitude": 1.0}
    images[:, :, :2] = 128  # 16 of 48 pixels, mid-grey
    found = border(images)
    assert found["border_between"] == pytest.approx(1 / 3)
    assert found["border_mean"] == pytest.approx((16 / 255 * 1 + 32 * 1) / 48, abs=1e-3)


def test_persistence_is_of_each_latent() -> None:
    judged = [np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3]), np.array([1, 2, 4, 3])]
    assert persistence(judged) == [None, 0.5, 1.0]
