"""What `bench plan` warns of before anything runs: floors of training images, and budgets too short for a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli import bench
from bench.config.models import Study
from bench.data import DataRequest
from bench.objectives import load
from bench.runs.cautions import cautions, too_short, training_floor
from bench.runs.plan import Plan, make_plan


def plan_of(objectives: tuple[str, ...] = ("nsgan",), steps: int = 1_000, **others: Any) -> Plan:
    data = {"source": "celeba", "path": "celeba"}
    entries = tuple({"objective": name, "label": name} for name in objectives)
    values = {"name": "study", "title": "study", "objectives": entries, "seeds": (0,), "baseline": "nsgan"}
    budget = {"generator_steps": steps, "batch": 8, "halve_every": steps}
    return make_plan(Study.model_validate({**values, "data": data, "budget": budget, **others}))


@pytest.mark.parametrize(("samples", "needed"), [(9_981, None), (9_982, 19_964), (10_000, 20_000)])
def test_celebas_test_part_gives_a_held_out_floor_up_to_half_of_it(samples: int, needed: int | None) -> None:
    found = training_floor(plan_of(evaluation={"samples": samples, "extractors": ("lite0",)}))
    assert (None if found is None else found.needed) == needed
    assert found is None or (found.samples, found.heldout) == (samples, 19_962)


@pytest.mark.parametrize(
    ("request_", "heldout"),
    [
        ({"source": "faces"}, 10_000),
        ({"source": "celeba"}, 19_962),
        ({"source": "celeba", "heldout_count": 30_000}, 19_962),
        ({"source": "celeba", "heldout_count": 500}, 500),
        ({"source": "celeba", "partial": True}, None),
        ({"source": "folder", "path": "images"}, None),
        ({"source": "fashion-mnist"}, 10_000),
    ],
)
def test_how_many_images_a_request_holds_out(request_: dict[str, Any], heldout: int | None) -> None:
    assert DataRequest.model_validate(request_).known_heldout == heldout


@pytest.mark.parametrize(
    ("name", "settings", "discriminator_steps", "least"),
    [
        ("began", {}, 1, 10_000),
        ("began", {}, 5, 2_000),
        ("began", {"lambda_k": 0.01}, 1, 1_000),
        ("began", {"lambda_k": 0.01, "gamma": 0.25}, 1, 2_000),
        ("lecam", {}, 1, 2_000),
        ("lecam", {"start": 4_000}, 4, 2_000),
    ],
)
def test_least_budgets(name: str, settings: dict[str, Any], discriminator_steps: int, least: int) -> None:
    budget = load(name).model_validate(settings).least_budget(discriminator_steps)
    assert budget is not None
    assert budget.generator_steps == least


@pytest.mark.parametrize(("name", "settings"), [("nsgan", {}), ("began", {"lambda_k": 0.0}), ("lecam", {"start": 0})])
def test_losses_that_any_budget_compares(name: str, settings: dict[str, Any]) -> None:
    assert load(name).model_validate(settings).least_budget(1) is None


def test_rows_below_their_least_budget_are_named() -> None:
    plan = plan_of(("nsgan", "began"), steps=9_999, protocols=("controlled", "published"))
    assert [(row.label, row.protocol, row.least) for row in too_short(plan)] == [
        ("began", "controlled", 10_000),
        ("began", "published", 10_000),
    ]
    assert [any("10,000" in note for note in entry.notes) for entry in plan.entries] == [False, False, True, True]
    long_enough = plan_of(("nsgan", "began"), steps=10_000)
    assert too_short(long_enough) == []
    assert not any("10,000" in note for entry in long_enough.entries for note in entry.notes)


def test_began_cannot_cross_its_range_faster() -> None:
    """With an error of 0.2 and images that reconstruct perfectly, k needs the steps that its least budget names."""
    objective = load("began")()
    budget = objective.least_budget(1)
    assert budget is not None
    assert budget.generator_steps * 0.001 * 0.5 * 0.2 == pytest.approx(1.0)


def test_plan_prints_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "bench.toml"
    config.write_text(
        """
[study.short]
title = "short"
objectives = ["nsgan", "began"]
baseline = "nsgan"
seeds = "0"
[study.short.data]
source = "celeba"
path = "celeba"
[study.short.budget]
generator_steps = 50
batch = 8
halve_every = 50
[study.short.evaluation]
samples = 10000
extractors = ["lite0"]
""",
        encoding="utf-8",
    )
    command = ["--config", str(config), "--runs", str(tmp_path), "plan", "--study", "short"]
    assert bench.main(command, prog_name="bench", standalone_mode=False) == 0
    printed = capsys.readouterr().out
    assert "At most 9,981 samples" in printed
    assert printed.count("began, controlled:") == 1
    assert bench.main([*command, "--json"], prog_name="bench", standalone_mode=False) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["training_floor"] == {"samples": 10_000, "heldout": 19_962}
    assert [(row["label"], row["least"]) for row in found["too_short"]] == [("began", 10_000)]


def test_nothing_is_said_where_nothing_is_amiss() -> None:
    assert list(cautions(plan_of(evaluation={"samples": 1_000, "extractors": ("lite0",)}))) == []
