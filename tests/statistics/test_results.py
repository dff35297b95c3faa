"""results.csv: what is read from run folders, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from helpers.study_fixture import HELDOUT, TRAIN, Fate, StudyFixture, plan_of, realistic, troubled

from bench.errors import BenchError
from bench.runs.folder import Failure, FailureKind, RunFolder
from bench.statistics import summarise
from bench.statistics.results import COLUMNS, collect, evaluation_codes, matching, read_results, write_results

ROOT = Path(__file__).parents[2]
SMALL = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1))


def _run(study: Path, label: str, seed: int) -> Path:
    (path,) = (study / run["path"] for run in plan_of(study)["runs"] if (run["label"], run["seed"]) == (label, seed))
    return path


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_rows_and_columns(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    table = collect(tmp_path, "example")
    assert list(table.columns) == [column.name for column in COLUMNS]
    assert {name: str(table[name].dtype) for name in ("seed", "value", "final")} == {
        "seed": "Int64",
        "value": "Float64",
        "final": "boolean",
    }
    # 3 snapshots of one metric, then 19 metrics of two generators at the end, for each of four runs.
    assert len(table) == 4 * (3 + 2 * 19)
    assert list(table["run"].drop_duplicates()) == [run["path"] for run in plan_of(study)["runs"]]
    line = matching(table, label="nsgan", seed=1, generator="raw", metric="fd_lite0").iloc[0]
    written = [json.loads(text) for text in (_run(study, "nsgan", 1) / "metrics.jsonl").read_text().splitlines()]
    (expected,) = (w for w in written if (w["metric"], w["generator"]) == ("fd_lite0", "raw"))
    assert line["value"] == expected["value"]
    assert line["floor"] == expected["floor"]
    assert bool(line["final"])
    assert not bool(line["collapsed"])


def test_what_was_spent_is_that_of_the_snapshot(tmp_path: Path) -> None:
    SMALL.write(tmp_path)
    table = matching(collect(tmp_path, "example"), label="wgan", seed=0, metric="fd_lite0@500")
    assert list(table["generator_steps"]) == [225, 450, 900]
    assert list(table["images_seen"]) == [225 * 16, 450 * 16, 900 * 16]
    assert list(table["final"]) == [False, False, True]
    assert table["device_seconds"].is_monotonic_increasing


def test_every_planned_run_has_a_row_whatever_became_of_it(tmp_path: Path) -> None:
    troubled(3).write(tmp_path)
    table = collect(tmp_path, "troubled")
    assert len(table["run"].drop_duplicates()) == 24
    states = table.drop_duplicates("run").set_index(["label", "seed"])["state"]
    assert states["minimax", 2] == "diverged"
    assert states["wgan", 2] == "failed"
    assert states["vae", 2] == "interrupted"
    assert states["lsgan", 2] == "planned"
    assert states["ebgan", 2] == "done"
    for label in ("wgan", "lsgan", "ebgan"):
        (row,) = matching(table, label=label, seed=2).to_dict("records")
        assert pd.isna(row["metric"])
        assert pd.isna(row["value"])
    assert matching(table, label="wgan", seed=2).iloc[0]["generator_steps"] == 230
    assert pd.isna(matching(table, label="lsgan", seed=2).iloc[0]["generator_steps"])
    assert "<script>" in matching(table, label="wgan", seed=2).iloc[0]["reason"]
    assert matching(table, label="began", seed=0)["collapsed"].all()
    assert not matching(table, label="began", seed=1)["collapsed"].any()


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        (["memory"], "interrupted"),
        (["device"], "interrupted"),
        (["code", "process"], "interrupted"),
        (["process", "code"], "failed"),
        (["input"], "failed"),
        (["other"], "failed"),
        ([], "failed"),
    ],
)
def test_a_failure_of_the_machine_is_missing_and_not_lost(kinds: list[FailureKind], state: str, tmp_path: Path) -> None:
    fates = {("wgan", "controlled", 1): Fate("failed", 230, "why")}
    study = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1), fates=fates).write(tmp_path)
    _edit(_run(study, "wgan", 1) / "status.json", failures=[asdict(Failure("cpu", kind, "why")) for kind in kinds])
    table = collect(tmp_path, "example")
    (row,) = matching(table, label="wgan", seed=1).to_dict("records")
    assert (row["state"], row["reason"], row["generator_steps"]) == (state, "why", 230)
    summary = next(s for s in summarise(table, plan_of(study)) if s.label == "wgan")
    assert (summary.failed, summary.missing, summary.arm.lost) == ((1, 0, 1) if state == "failed" else (0, 1, 0))


def test_a_run_that_somebody_holds_is_running(tmp_path: Path) -> None:
    fates = {("nsgan", "controlled", 0): Fate("running", 300)}
    study = StudyFixture(objectives=("nsgan",), seeds=(0,), fates=fates).write(tmp_path)
    assert set(collect(tmp_path, "example")["state"]) == {"interrupted"}
    with RunFolder(_run(study, "nsgan", 0)).owned():
        assert set(collect(tmp_path, "example")["state"]) == {"running"}


def test_only_the_plans_evaluation_counts_and_the_last_of_equal_lines(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    metrics = _run(study, "nsgan", 0) / "metrics.jsonl"
    lines = [json.loads(text) for text in metrics.read_text().splitlines()]
    (line,) = (line for line in lines if (line["metric"], line["generator"]) == ("fd_lite0", "raw"))
    with metrics.open("a") as file:
        file.write(json.dumps(line | {"value": 12.5}) + "\n")
        file.write(json.dumps(line | {"value": 99.0, "evaluation_id": "other"}) + "\n")
    found = matching(collect(tmp_path, "example"), label="nsgan", seed=0, generator="raw", metric="fd_lite0")
    assert list(found["value"]) == [12.5]


def test_which_code_measured_is_read_from_lines_that_say_so(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    plan = plan_of(study)
    runs = [RunFolder(study / run["path"]) for run in plan["runs"]]
    assert evaluation_codes(runs, plan["evaluation_id"]) == set()  # as older versions wrote them
    for run, code in zip(runs, ("one", "one", "two"), strict=False):
        lines = [json.loads(text) for text in run.metrics_file.read_text().splitlines()]
        lines += [line | {"evaluation_id": "other", "evaluation_code": "three"} for line in lines]
        lines = [{"evaluation_code": code} | line for line in lines]
        run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert evaluation_codes(runs[:2], plan["evaluation_id"]) == {"one"}
    assert evaluation_codes(runs, plan["evaluation_id"]) == {"one", "two"}
    assert list(collect(tmp_path, "example").columns) == [column.name for column in COLUMNS]


def test_runs_on_other_images_share_no_table(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    _edit(_run(study, "wgan", 1) / "status.json", data_sha256={"train": "c3" * 32, "heldout": HELDOUT})
    with pytest.raises(BenchError, match="saw different images") as caught:
        collect(tmp_path, "example")
    assert "wgan-controlled/seed-1" in caught.value.message
    assert "c3c3c3c3c3c3" in caught.value.message
    assert TRAIN[:12] in caught.value.message


def test_a_run_measured_on_other_images_shares_no_table(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    metrics = _run(study, "wgan", 0) / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace(HELDOUT, "d4" * 32))
    with pytest.raises(BenchError, match="d4d4d4d4d4d4"):
        collect(tmp_path, "example")


def test_a_run_outside_of_the_study_is_refused(tmp_path: Path) -> None:
    study = SMALL.write(tmp_path)
    plan = plan_of(study)
    plan["runs"][0]["path"] = "../elsewhere/seed-0"
    (study / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(BenchError, match="outside of its folder"):
        collect(tmp_path, "example")


def test_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    troubled(2).write(tmp_path)
    table = write_results(tmp_path, "troubled", tmp_path / "results.csv")
    pd.testing.assert_frame_equal(read_results(tmp_path / "results.csv"), table)


def test_a_csv_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("study,label\na,b\n")
    with pytest.raises(BenchError, match="lacks the columns objective"):
        read_results(tmp_path / "results.csv")


def test_the_documented_schema_is_the_schema() -> None:
    section = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("## summary.csv")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in COLUMNS]


def test_floors_name_their_split_and_older_tables_do_not(tmp_path: Path) -> None:
    SMALL.write(tmp_path)
    table = write_results(tmp_path, "example", tmp_path / "results.csv")
    assert set(table["floor_source"].dropna()) == {"heldout"}
    assert set(table["floor_samples"].dropna() - table["samples"].dropna()) == {0}
    older = table.drop(columns=["floor_source", "floor_samples"])
    older.to_csv(tmp_path / "older.csv", index=False)
    again = read_results(tmp_path / "older.csv")
    assert list(again.columns) == [column.name for column in COLUMNS]
    assert again["floor_source"].isna().all()
    assert again["floor_samples"].isna().all()
    pd.testing.assert_frame_equal(again[older.columns], read_results(tmp_path / "results.csv")[older.columns])


def test_lines_cut_from_the_end_of_a_record_are_named(tmp_path: Path) -> None:
    study = realistic(objectives=("nsgan",), seeds=(0,)).write(tmp_path)
    run = _run(study, "nsgan", 0)
    whole = {name: (run / name).read_text() for name in ("log.jsonl", "metrics.jsonl", "status.json")}
    lines = whole["log.jsonl"].splitlines(keepends=True)
    (run / "log.jsonl").write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(BenchError, match=r"log\.jsonl ends at step"):
        collect(tmp_path, "quick")
    (run / "log.jsonl").write_text(whole["log.jsonl"])
    lines = whole["metrics.jsonl"].splitlines(keepends=True)
    (run / "status.json").write_text(json.dumps(json.loads(whole["status.json"]) | {"metric_lines": len(lines)}))
    collect(tmp_path, "quick")
    (run / "metrics.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(BenchError, match=rf"metrics\.jsonl has {len(lines) - 1} lines"):
        collect(tmp_path, "quick")
    (run / "metrics.jsonl").unlink()  # deleted as a whole, it is measured again
    assert collect(tmp_path, "quick")["metric"].isna().all()


def test_one_seed_of_a_row_counts_once(tmp_path: Path) -> None:
    study = realistic(objectives=("nsgan",)).write(tmp_path)
    table = write_results(tmp_path, "quick", tmp_path / "results.csv")
    plan = plan_of(study)
    plan["runs"][1]["seed"] = 0
    (study / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(BenchError, match="nsgan controlled 0 more than once"):
        collect(tmp_path, "quick")
    table["seed"] = 0
    table.to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(BenchError, match="more than once"):
        read_results(tmp_path / "results.csv")
