"""What a report says of how it was done: what rows share, collapse, runs, environments, and commands that work."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.study_fixture import ENVIRONMENT, Fate, StudyFixture, plan_of

from bench.cli.showing import find_run
from bench.files import read_json, write_json
from bench.report.model import ReportOptions
from bench.report.page import declared
from bench.report.sections.collapse import collapse_rule
from bench.report.sections.costs import repeat_table
from bench.report.sections.glossary import glossary
from bench.report.sections.run_tables import repeat_commands, runs_table, seed_ranges, troubles_table
from bench.report.sections.setup import code_alert, environments_table, equal_table, evaluation_alert
from bench.report.study import Study, load_study
from bench.report.subject import Subject
from bench.runs.folder import RunFolder

CAPTION = "Controlled rows share learning rate 1e-3."


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("setup")


@pytest.fixture(scope="module")
def study(root: Path) -> Study:
    """Two objectives under both protocols, of which some runs are missing, moved or collapsed."""
    fates = {
        ("nsgan", "controlled", 0): None,
        ("nsgan", "controlled", 1): Fate(continued_on=("torch 2.12.0, Other CPU, AVX2",)),
        ("began", "controlled", 0): Fate(collapsed=True),
        **{("began", "published", seed): None for seed in (0, 1, 2, 4)},
    }
    fixture = StudyFixture(
        objectives=("nsgan", "began"), protocols=("controlled", "published"), seeds=(0, 1, 2, 3, 4), fates=fates
    )
    fixture.write(root)
    return load_study(root, "example")


def test_every_command_names_one_run(study: Study, root: Path) -> None:
    cells = [cell.text for row in repeat_table(study).rows for cell in row.cells]
    commands = [text for text in (*repeat_commands(study), *cells) if text.startswith(("bench replay", "bench show"))]
    assert len(commands) == 9
    for command in commands:
        _, _, asked, option, name = shlex.split(command)
        assert option == "--study"
        assert find_run(Path(asked), root, name).path.is_relative_to(root / name)


def test_the_command_that_replays_names_a_run_that_can_come_out(study: Study) -> None:
    assert repeat_commands(study)[1] == "bench replay nsgan-controlled/2 --study example"


def test_collapse_is_told_by_metric_value_and_threshold(study: Study) -> None:
    rule = next(row.cells[1].text for row in equal_table(study).rows if row.cells[0].text == "a run has collapsed when")
    limit = r"(\w+) \(EfficientNet-Lite0\) is below (\d+)\u00a0%"
    assert re.findall(limit, rule) == [("coverage", "10"), ("share", "10")]
    (row,) = (row for row in _troubles(study) if row[2] == "collapsed")
    assert re.findall(r"\b0\.\d+", row[3]) == ["0.004", "0.1", "0.968", "0.020", "0.1"]


def test_a_threshold_that_is_off_is_not_named_as_a_reason(study: Study) -> None:
    off = replace(study, settings=study.settings.model_copy(update={"collapse_coverage": 0.0}))
    assert "coverage does not count" in collapse_rule(off)
    (row,) = (row for row in _troubles(off) if row[2] == "collapsed")
    assert re.findall(r"\b0\.\d+", row[3]) == ["0.020", "0.1"]
    both = off.settings.model_copy(update={"collapse_unique": 0.0})
    assert collapse_rule(replace(off, settings=both)).startswith("never")


def test_runs_that_have_not_begun_share_a_line(study: Study) -> None:
    told = {(label, seeds): state for label, seeds, state, _ in _troubles(study)}
    assert told == {
        ("nsgan controlled", "0"): "not begun",
        ("began controlled", "0"): "collapsed",
        ("began published", "0–2, 4"): "not begun",
    }
    first = [row.cells[0].text for row in runs_table(study).rows]
    assert len(first) == 17
    assert {"nsgan, controlled: seed 0", "began, published: seeds 0–2, 4"} <= set(first)


@pytest.mark.parametrize(
    ("seeds", "told"), [((0, 1, 2, 3, 4), "0–4"), ((3, 1), "1, 3"), ((7, 0, 1), "0, 1, 7"), ((), "")]
)
def test_seeds_are_written_shortly(seeds: tuple[int, ...], told: str) -> None:
    assert seed_ranges(seeds) == told


def test_what_some_rows_share_says_which(study: Study) -> None:
    scopes = {row.cells[0].text: row.cells[0].detail for row in equal_table(study).rows}
    assert scopes.pop("recipe") == "controlled rows only"
    assert set(scopes.values()) == {""}


def test_what_was_declared_is_said_with_the_studys_words(study: Study) -> None:
    words, plan = declared(study)
    assert words == CAPTION
    assert "(plan.json): the primary metric is FD" in plan


def test_the_judge_is_explained_where_it_measured(study: Study) -> None:
    def words(of: Study) -> set[str]:
        (terms,) = glossary(Subject(of, ReportOptions()))
        return {term.word for term in terms.terms}

    without = replace(study, results=study.results[~study.results["metric"].str.contains("judge", na=False)])
    assert words(study) - words(without) == {"judge"}


def test_environments_that_differ_in_the_commit_alone_are_one(tmp_path: Path) -> None:
    folder = StudyFixture(objectives=("nsgan",), seeds=(0, 1, 2)).write(tmp_path)
    paths = [folder / run["path"] for run in plan_of(folder)["runs"]]
    (one,) = environments_table(load_study(tmp_path, "example")).rows
    assert (one.cells[0].text, one.cells[4].text) == ("3 runs", "0123456789ab")

    (paths[2] / "environment.json").write_text(json.dumps(ENVIRONMENT | {"commit": "ba9876543210"}), encoding="utf-8")
    table = environments_table(load_study(tmp_path, "example"))
    assert [row.cells[4].text for row in table.rows] == ["0123456789ab (2 runs), ba9876543210 (1 run)"]
    assert "were the same in all runs" in table.caption

    (paths[2] / "spec.json").write_text(json.dumps({"schema": 1}), encoding="utf-8")
    assert "not every run says" in environments_table(load_study(tmp_path, "example")).caption
    other = {"schema": 1, "code": {"objective": "0bnsgan", "training": "other"}}
    (paths[2] / "spec.json").write_text(json.dumps(other), encoding="utf-8")
    assert "so does code that trains" in environments_table(load_study(tmp_path, "example")).caption
    # A version that was proved to give the same bits counts as the one that trained the run.
    first = load_study(tmp_path, "example").runs[0].code
    RunFolder(paths[2]).accept_code(first | {"training": "a third"}, "fingerprint")
    assert code_alert(load_study(tmp_path, "example")) is not None
    RunFolder(paths[2]).accept_code(first, "name")
    assert code_alert(load_study(tmp_path, "example")) is not None
    RunFolder(paths[2]).accept_code(first, "fingerprint")
    assert code_alert(load_study(tmp_path, "example")) is None
    assert "proved to give the same bits" in environments_table(load_study(tmp_path, "example")).caption

    (paths[1] / "environment.json").write_text(json.dumps(ENVIRONMENT | {"python": "3.12.0"}), encoding="utf-8")
    assert len(environments_table(load_study(tmp_path, "example")).rows) == 2


def test_rows_of_one_objective_over_other_bases_have_files_of_their_own(tmp_path: Path) -> None:
    folder = StudyFixture(objectives=("nsgan", "lsgan"), seeds=(0, 1)).write(tmp_path)
    plan = plan_of(folder)
    for one in (*plan["entries"], *plan["runs"]):
        one["objective"] = "acgan"  # whose hash has the base in it
    write_json(folder / "plan.json", plan)
    assert code_alert(load_study(tmp_path, "example")) is None
    spec = folder / plan["runs"][0]["path"] / "spec.json"
    code = read_json(spec)["code"] | {"objective": "another"}
    write_json(spec, read_json(spec) | {"code": code})
    assert "different versions of the objective" in str(code_alert(load_study(tmp_path, "example")))


def test_environments_say_what_a_gpu_computed_with(tmp_path: Path) -> None:
    folder = StudyFixture(objectives=("nsgan",), seeds=(0,)).write(tmp_path)
    (run,) = plan_of(folder)["runs"]
    gpu = {"cuda": "13.0", "cudnn": 92400, "nccl": None, "driver": "580.65.06", "cublas_workspace": ":4096:8"}
    (folder / run["path"] / "environment.json").write_text(json.dumps(ENVIRONMENT | {"gpu": gpu}), encoding="utf-8")
    (row,) = environments_table(load_study(tmp_path, "example")).rows
    assert row.cells[3].text.endswith("CUDA 13.0, cuDNN 92400, driver 580.65.06")


def _troubles(study: Study) -> list[tuple[str, str, str, str]]:
    """Return label and protocol, seeds, state and reason of every row."""
    table = troubles_table(study)
    assert table is not None
    return [
        (f"{label.text} {protocol.text}", seeds.text, state.badges[0], reason.text)
        for label, protocol, seeds, state, _, reason in (row.cells for row in table.rows)
    ]


def test_scores_by_different_code_are_warned_of(tmp_path: Path) -> None:
    folder = StudyFixture(objectives=("nsgan",), seeds=(0, 1)).write(tmp_path)
    files = sorted(folder.glob("*/seed-*/metrics.jsonl"))
    said = []
    for codes in (("one", "one"), ("one", "two")):
        for file, code in zip(files, codes, strict=True):
            lines = [json.loads(text) | {"evaluation_code": code} for text in file.read_text().splitlines()]
            file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        said.append(evaluation_alert(load_study(tmp_path, "example")))
    assert said[0] is None
    assert "measured by 2 versions" in str(said[1])


def test_the_evaluation_says_of_which_images_its_floors_are(tmp_path: Path) -> None:
    for split, told in (("heldout", "1,000 held-out images"), ("train", "1,000 training images")):
        StudyFixture(name=split, floor_source=split).write(tmp_path)
        values = {row.cells[0].text: row.cells[1].text for row in equal_table(load_study(tmp_path, split)).rows}
        assert told in values["evaluation"]


def test_a_folder_of_images_is_called_by_its_name(tmp_path: Path) -> None:
    study = StudyFixture().write(tmp_path)
    plan = plan_of(study)
    plan["data"] |= {"source": "folder"}
    (study / "plan.json").write_text(json.dumps(plan | {"data_title": 'folder "cats"'}), encoding="utf-8")
    values = {row.cells[0].text: row.cells[1].text for row in equal_table(load_study(tmp_path, "example")).rows}
    assert values["data"].startswith('folder "cats" at 32×32')
