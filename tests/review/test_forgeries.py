"""Forgeries of a study's plan and runs, each careful: every checksum, and where it says so every id, is made to fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.sharing_fixture import snapshot
from helpers.study_fixture import plan_of, realistic, sum_records

from bench.files import read_json, read_jsonl, write_jsonl, write_record
from bench.review.identities import plan_problems, result_problems, run_problems, unsummed
from bench.runs.portable import training_id
from bench.statistics.results import collect

Plan = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    study = realistic(seeds=(0, 1, 2), objectives=("nsgan", "wgan-gp")).write(folder)
    for run in plan_of(study)["runs"]:
        (study / run["path"] / "snapshots").mkdir()
        (study / run["path"] / "snapshots" / "step-00000900.safetensors").write_bytes(snapshot(run["seed"]))
    sum_records(study)
    return study


@pytest.fixture
def study(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "runs" / written.name))


def problems(study: Path, results: pd.DataFrame | None = None) -> list[str]:
    plan = plan_of(study)
    if results is None:
        results = collect(study.parent, study.name)
    return [*plan_problems(plan), *result_problems(plan, results), *run_problems(study, plan)]


def run_of(study: Path, label: str, seed: int) -> Path:
    found = next(run for run in plan_of(study)["runs"] if (run["label"], run["seed"]) == (label, seed))
    return Path(study / found["path"])


def forge_plan(study: Path, change: Callable[[Plan], None]) -> None:
    plan = plan_of(study)
    change(plan)
    write_record(study / "plan.json", plan)


def forge_everything(study: Path, table: str, **values: Any) -> None:
    """Change settings in the plan and in every spec, and give all runs the ids and folders that these settings give."""
    plan = plan_of(study)
    rates = {"learning_rate_generator": "learning_rate"}
    name = {"budget": "schedule"}.get(table, table)
    plan[name] |= values
    plan["schedule"] |= {rates[key]: value for key, value in values.items() if key in rates}
    for entry in plan["entries"]:
        entry["recipe"] |= values if table == "recipe" else {}
    for run in plan["runs"]:
        spec = read_json(study / run["path"] / "spec.json")
        spec["training"][table] |= values
        run["id"] = spec["id"] = training_id(spec["training"])
        write_record(study / run["path"] / "spec.json", spec)
        path = f"{run['label']}-{run['protocol']}/seed-{run['seed']}-{run['id']}"
        (study / run["path"]).rename(study / path)
        run["path"] = path
    write_record(study / "plan.json", plan)


def test_an_honest_study_has_no_problems_and_its_records_are_summed(study: Path) -> None:
    assert problems(study) == []
    assert unsummed(study, plan_of(study)) == []


def swap_rows(plan: Plan) -> None:
    for entry in plan["entries"]:
        entry["label"] = {"nsgan": "wgan-gp", "wgan-gp": "nsgan"}[entry["label"]]


def swap_runs(plan: Plan) -> None:
    for run in plan["runs"]:
        run["label"] = {"nsgan": "wgan-gp", "wgan-gp": "nsgan"}[run["label"]]


def one_as_three(plan: Plan) -> None:
    runs = [run for run in plan["runs"] if run["label"] == "nsgan"]
    for run in runs[1:]:
        run |= {"path": runs[0]["path"], "id": runs[0]["id"]}


def other_seed(plan: Plan) -> None:
    run = plan["runs"][0]
    run |= {"seed": 7, "path": run["path"].replace("seed-0", "seed-7")}


def lost_seed(plan: Plan) -> None:
    del plan["runs"][-1]


def twice(plan: Plan) -> None:
    plan["entries"].append(plan["entries"][0])


CLAIMS: dict[str, Callable[[Plan], Any]] = {
    "labels of two rows swapped": swap_rows,
    "labels of two rows' runs swapped": swap_runs,
    "one run listed as three seeds": one_as_three,
    "another width": lambda plan: plan["backbone"].update(width=64),
    "another batch": lambda plan: plan["schedule"].update(batch=64),
    "another rate": lambda plan: plan["schedule"].update(learning_rate=2e-4),
    "another rate of a row": lambda plan: plan["entries"][0]["recipe"].update(learning_rate_generator=2e-4),
    "another penalty": lambda plan: plan["entries"][1]["settings"].update(penalty=1.0),
    "another precision": lambda plan: plan["training"].update(precision="bf16"),
    "fewer training images": lambda plan: plan["data"].update(train_count=100),
    "a seed of another number": other_seed,
    "a bad seed left out": lost_seed,
    "an earlier, better final step": lambda plan: plan.update(final_step=450),
    "two rows of one name": twice,
    "ten times the samples": lambda plan: plan["evaluation"].update(samples=10_000),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_plan_that_claims_what_its_runs_are_not_is_named(study: Path, claim: str) -> None:
    results = collect(study.parent, study.name)
    forge_plan(study, CLAIMS[claim])
    plan = plan_of(study)
    assert [*plan_problems(plan), *result_problems(plan, results)]  # by the report alone
    if claim == "another width":
        assert len(list(plan_problems(plan))) == len(plan["runs"])  # not one id is right


@pytest.mark.parametrize(
    ("table", "values"),
    [("budget", {"batch": 64}), ("recipe", {"learning_rate_generator": 2e-4}), ("backbone", {"width": 64})],
)
def test_settings_forged_with_all_ids_do_not_fit_what_the_runs_wrote(
    study: Path, table: str, values: dict[str, Any]
) -> None:
    forge_everything(study, table, **values)
    plan = plan_of(study)
    assert list(plan_problems(plan)) == []  # the plan is sound in itself
    assert len(problems(study)) >= len(plan["runs"])


def copy_as_another_seed(study: Path) -> None:
    """Let seed 1 be a copy of seed 0, with seed and id of its own in its spec."""
    spec = read_json(run_of(study, "nsgan", 1) / "spec.json")
    target = run_of(study, "nsgan", 1)
    shutil.rmtree(target)
    shutil.copytree(run_of(study, "nsgan", 0), target)
    write_record(target / "spec.json", spec)


def copy_metrics(study: Path) -> None:
    shutil.copy(run_of(study, "nsgan", 0) / "metrics.jsonl", run_of(study, "nsgan", 2) / "metrics.jsonl")


def copy_log(study: Path) -> None:
    shutil.copy(run_of(study, "nsgan", 0) / "log.jsonl", run_of(study, "nsgan", 2) / "log.jsonl")


def better_line_behind(study: Path) -> None:
    file = run_of(study, "nsgan", 0) / "metrics.jsonl"
    lines = read_jsonl(file)
    write_jsonl(file, [*lines, lines[-1] | {"value": 0.5}])


def other_spec(study: Path) -> None:
    shutil.copy(run_of(study, "wgan-gp", 0) / "spec.json", run_of(study, "nsgan", 0) / "spec.json")


def other_seed_in_spec(study: Path) -> None:
    file = run_of(study, "nsgan", 0) / "spec.json"
    spec = read_json(file)
    spec["training"]["seed"] = 9
    write_record(file, spec)


def stopped_early(study: Path) -> None:
    run = run_of(study, "nsgan", 0)
    write_record(run / "status.json", read_json(run / "status.json") | {"generator_steps": 450})
    write_jsonl(run / "log.jsonl", [line for line in read_jsonl(run / "log.jsonl") if line["generator_steps"] <= 450])


def other_weights(study: Path) -> None:
    file = run_of(study, "nsgan", 0) / "snapshots" / "step-00000900.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


RUNS = {
    function.__name__.replace("_", " "): function
    for function in (
        copy_as_another_seed,
        copy_metrics,
        copy_log,
        better_line_behind,
        other_spec,
        other_seed_in_spec,
        stopped_early,
        other_weights,
    )
}


@pytest.mark.parametrize("forgery", RUNS)
def test_a_forged_run_is_named(study: Path, forgery: str) -> None:
    results = collect(study.parent, study.name)
    RUNS[forgery](study)
    if forgery.startswith("copy"):
        results = collect(study.parent, study.name)  # a report made from the forged runs says the same as they do
    found = problems(study, results)
    assert any("nsgan-controlled/seed-" in text for text in found)
    assert not any("wgan-gp-controlled/seed-" in text for text in found)


def test_labels_swapped_in_the_results_alone_are_named(study: Path) -> None:
    results = collect(study.parent, study.name)
    results["label"] = results["label"].replace({"nsgan": "wgan-gp", "wgan-gp": "nsgan"})
    assert len(problems(study, results)) == 2 * len(plan_of(study)["runs"])


def test_equal_bits_of_two_collapsed_seeds_are_no_forgery(study: Path) -> None:
    copy_metrics(study)
    results = collect(study.parent, study.name)
    assert list(result_problems(plan_of(study), results))
    results["collapsed"] = True  # a generator of one image gives every seed the same values
    assert not list(result_problems(plan_of(study), results))


def test_records_of_before_the_checksums_stay_readable_and_are_said_to_be(study: Path) -> None:
    file = run_of(study, "nsgan", 0) / "log.jsonl"
    file.write_text("".join(f"{line}\n" for line in map(json.dumps, read_jsonl(file))))
    assert problems(study) == []
    assert unsummed(study, plan_of(study)) == [file.relative_to(study).as_posix()]
