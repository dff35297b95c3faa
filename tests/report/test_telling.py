"""What losses and fixed latents tell, as a report shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.study_fixture import realistic

from bench.files import read_jsonl, write_jsonl, write_record
from bench.report.model import ReportOptions, Table
from bench.report.sections.fixed_latents import fixed_latents
from bench.report.sections.telling import telling
from bench.report.study import load_study
from bench.report.subject import Subject
from bench.review.archive.members import is_beside_the_plan
from bench.review.archive.records import record_problems
from bench.runs.extras import GRIDS


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return realistic("quick", objectives=("nsgan", "wgan")).write(tmp_path)


def tables(make: Any, study: Path) -> dict[str, Table]:
    blocks = make(Subject(load_study(study.parent, study.name), ReportOptions()))
    found = [inner for block in blocks for inner in getattr(block, "blocks", (block,))]
    return {block.name: block for block in found if isinstance(block, Table)}


def test_snapshots_of_fewer_samples_than_the_end_are_followed_too(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.losses.FEWEST_SNAPSHOTS", 3)
    table = tables(telling, study)["following-controlled"]
    assert [row.cells[0].text for row in table.rows] == ["nsgan", "wgan"]
    assert [row.cells[1].text for row in table.rows] == ["+1.00", "+1.00"]  # losses and FD both fall


def test_weights_at_the_limit_are_shown_where_a_row_is_clipped(study: Path, tmp_path: Path) -> None:
    for file in study.glob("*/seed-*/log.jsonl"):
        share = 0.75 if "wgan" in str(file) else 0.001
        lines = read_jsonl(file)
        write_jsonl(file, [line | {"observed": {"weights_at_edge": share}} for line in lines])
    table = tables(telling, study)["weights-at-edge"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["nsgan", "controlled", "–", "0.001"],
        ["wgan", "controlled", "0.010", "0.750"],
    ]
    other = realistic("plain", objectives=("nsgan", "lsgan")).write(tmp_path)
    assert "weights-at-edge" not in tables(telling, other)


def test_grids_stand_beside_real_images_and_travel_with_the_study(study: Path) -> None:
    assert fixed_latents(Subject(load_study(study.parent, study.name), ReportOptions())) == ()
    paths = [path.relative_to(study).as_posix() for path in sorted(study.glob("*/seed-*"))]
    shown = {"border_mean": [0.1, 0.2], "border_between": [0.5, 0.6], "border_amplitude": [0.3, 0.4]}
    runs = {path: {"grid": "a" * 64, "steps": [1, 2], **shown, "same_mode": [None, 0.25]} for path in paths}
    real = dict.fromkeys(shown, 0.7)
    write_record(study / GRIDS, {"schema": 1, "data_sha256": "b" * 64, "real": real, "runs": runs})
    table = tables(fixed_latents, study)["fixed-latents-controlled"]
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows[0] == ["nsgan", "0.20", "0.60", "0.40", "0.25"]
    assert rows[-1][:4] == ["real images", "0.70", "0.70", "0.70"]
    assert is_beside_the_plan(GRIDS)
    assert list(record_problems(f"runs/quick/{GRIDS}", (study / GRIDS).read_bytes())) == []
    assert list(record_problems(f"runs/quick/{GRIDS}", b'{"schema": 1, "runs": {}}'))
