"""Which objectives survive which backbone, as a report shows it, and the counts of a paper as they were published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers.study_fixture import realistic

from bench.files import read_json, write_record
from bench.report.literature.architectures import SEVEN, SUCCESSES
from bench.report.model import Fold, Prose, ReportOptions, Table
from bench.report.sections.backbones import backbones_section
from bench.report.study import load_study
from bench.report.subject import Subject
from bench.runs.extras import BACKBONES


def record(evaluation_id: str, untrained: float | None = 100.0) -> dict[str, Any]:
    def runs(**values: float) -> list[dict[str, Any]]:
        row = {"protocol": "controlled", "state": "done", "collapsed": False}
        return [
            row | {"label": name, "seed": seed, "value": value} for name, value in values.items() for seed in (0, 1)
        ]

    own = {
        "name": "own",
        "study": "quick",
        "title": "DCGAN, width 16",
        "untrained": 300.0,
        "runs": runs(nsgan=30, wgan=60),
    }
    mlp = {"name": "mlp", "study": "quick.on-mlp", "title": "MLP, width 8", "untrained": untrained}
    mlp["runs"] = runs(nsgan=60, wgan=40)
    return {"schema": 1, "evaluation_id": evaluation_id, "metric": "fd_lite0", "backbones": [own, mlp]}


def blocks(folder: Path, **values: Any) -> list[Any]:
    plan = read_json(folder / "plan.json")
    if values:
        write_record(folder / BACKBONES, record(plan["evaluation_id"]) | values)
    return list(backbones_section(Subject(load_study(folder.parent, folder.name), ReportOptions())))


def test_the_section_counts_what_trains_and_compares_rankings(tmp_path: Path) -> None:
    study = realistic("quick", objectives=("nsgan", "wgan")).write(tmp_path)
    assert blocks(study) == []
    assert blocks(study, evaluation_id="f" * 10) == []
    found = blocks(study, schema=1)
    tables = {block.name: block for block in found if isinstance(block, Table)}
    survival = tables["backbones-controlled"]
    texts = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in survival.rows}
    assert texts == {"wgan": ["2 of 2", "2 of 2", "4 of 4"], "nsgan": ["2 of 2", "0 of 2", "2 of 4"]}
    assert "2.00" in next(row for row in survival.rows if row.cells[0].text == "nsgan").cells[2].detail
    assert [row.cells[1].text for row in tables["backbones-networks"].rows] == ["DCGAN, width 16", "MLP, width 8"]
    (ranks,) = tables["backbones-ranks"].rows
    assert ranks.cells[-1].text == "−1.00"
    assert isinstance(found[-1], Fold)


def test_an_unmeasured_untrained_generator_leaves_runs_unjudged_and_is_named(tmp_path: Path) -> None:
    study = realistic("quick", objectives=("nsgan", "wgan")).write(tmp_path)
    write_record(study / BACKBONES, record(read_json(study / "plan.json")["evaluation_id"], untrained=None))
    found = blocks(study)
    assert isinstance(found[0], Prose)
    assert "not measured on mlp" in found[0].text
    table = next(block for block in found if isinstance(block, Table))
    assert [cell.text for cell in table.rows[0].cells[1:]] == ["2 of 2", "–", "2 of 2"]


def test_published_counts_are_of_200_architectures_each() -> None:
    assert all(sum(row[1:]) == 200 for row in SUCCESSES)
    assert [row.minimum for row in SUCCESSES] == [1 + 0.5 * index for index in range(17)]
    assert len(SEVEN) == 7
