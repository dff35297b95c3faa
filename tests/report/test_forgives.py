"""What the metric forgives, and samples from elsewhere, as a report shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.study_fixture import realistic

from bench.errors import BenchError
from bench.files import read_json, write_record
from bench.report.model import Row, Table
from bench.report.sections.external import external_frame, external_table
from bench.report.sections.forgives import forgives_frame, forgives_table
from bench.report.study import Study, load_study
from bench.runs.extras import external_file

SHOWN = ("nsgan", "wgan", "vae")  # about 31, 96 and 49


def record(study: Path, **values: float) -> dict[str, Any]:
    """What a panel says: FD by what was done, coverage the other way round."""
    both = {name: {"fd_lite0": value, "coverage_lite0": 1 / value} for name, value in values.items()}
    return {
        "schema": 1,
        "evaluation_id": read_json(study / "plan.json")["evaluation_id"],
        "data_sha256": next(read_json(file) for file in study.glob("*/seed-*/status.json"))["data_sha256"]["heldout"],
        "extractor": "lite0",
        "samples": 1000,
        "floor_source": "heldout",
        "floor": {"coverage_lite0": 0.95, "fd_lite0": 20.0},
        "rows": [{"name": name, "words": f"made {name}", "values": both[name]} for name in values],
    }


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return realistic("quick", objectives=SHOWN).write(tmp_path)


def loaded(study: Path) -> Study:
    return load_study(study.parent, study.name)


def texts(row: Row) -> list[str]:
    return [cell.text for cell in row.cells]


def table_of(study: Path) -> Table:
    found = forgives_table(loaded(study))
    assert found is not None
    return found


def test_the_panel_is_ordered_by_what_is_forgiven_and_names_the_rows_beyond(study: Path) -> None:
    assert forgives_table(loaded(study)) is None
    write_record(study / "forgives.json", record(study, grid=500.0, blurred=60.0, dropped=22.0))
    table = table_of(study)
    assert [heading.code for heading in table.headings[1:4]] == ["fd_lite0", "fd_lite0", "coverage_lite0"]
    rows = [texts(row) for row in table.rows]
    assert [row[0] for row in rows] == ["untouched", "made dropped", "made blurred", "made grid"]
    assert [row[2] for row in rows] == ["1.00", "1.10", "3.00", "25.00"]
    assert [row[-1] for row in rows[1:]] == ["all", "wgan", "none"]
    frame = forgives_frame(loaded(study))
    assert frame is not None
    assert len(frame) == 8
    assert set(frame[frame["images"] == "untouched"]["value"]) == {20.0, 0.95}


def test_a_panel_of_other_settings_is_not_shown(study: Path) -> None:
    write_record(study / "forgives.json", record(study, blurred=60.0) | {"evaluation_id": "0" * 12})
    assert forgives_table(loaded(study)) is None


def elsewhere(study: Path, values: list[float], seeds: bool, label: str = "theirs", **more: Any) -> None:
    lines = [
        {
            "metric": "fd_lite0",
            "value": value,
            "floor": 20.0,
            "samples": 1000,
            "reference": "heldout",
            "reference_samples": 1000,
            "floor_source": "heldout",
            "floor_samples": 1000,
        }
        for value in values
    ]
    record = {
        "schema": 1,
        "label": label,
        "source": "by hand",
        "seeds": seeds,
        "evaluation_id": read_json(study / "plan.json")["evaluation_id"],
        "data_sha256": next(read_json(file) for file in study.glob("*/seed-*/status.json"))["data_sha256"]["heldout"],
        "sets": [{"images_sha256": str(at), "lines": [line]} for at, line in enumerate(lines)],
    }
    write_record(external_file(study, label), record | more)


def test_rows_from_elsewhere_are_marked_and_have_an_interval_with_seeds_alone(study: Path) -> None:
    assert external_table(loaded(study)) is None
    elsewhere(study, [30.0, 32.0, 34.0], seeds=True)
    elsewhere(study, [30.0, 32.0, 34.0], seeds=False, label="unlike")
    elsewhere(study, [30.0], seeds=False, label="old", evaluation_id="0" * 12)
    elsewhere(study, [30.0], seeds=False, label="other", data_sha256="0" * 64)
    table = external_table(loaded(study))
    assert table is not None
    old, other, theirs, unlike, floor = table.rows
    assert other.cells[0].badges == old.cells[0].badges != theirs.cells[0].badges
    assert other.cells[1].text == "–"
    assert theirs.cells[0].badges == ("external",)
    assert theirs.cells[1].text == "32.0"
    assert theirs.cells[1].detail.startswith("[27.0, 37.0")
    assert (unlike.cells[1].text, unlike.cells[1].detail) == ("30.0 · 32.0 · 34.0", "")
    assert len(old.cells[0].badges) == 2
    assert floor.cells[1].text == "20.0"
    frame = external_frame(loaded(study))
    assert frame is not None
    assert list(frame[frame["label"] == "theirs"]["value"]) == [30.0, 32.0, 34.0]
    assert not {"theirs", "unlike"} & set(loaded(study).results["label"])


def test_a_record_under_another_name_is_refused(study: Path) -> None:
    elsewhere(study, [30.0], seeds=False)
    external_file(study, "theirs").rename(external_file(study, "better"))
    with pytest.raises(BenchError, match="better"):
        loaded(study)
