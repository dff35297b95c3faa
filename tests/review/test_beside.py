"""An archive's records beside the plan, and the own files that its settings name: held to one's own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench.review.archive.members import unexpected
from bench.review.archive.records import own_file_problems, record_problems

PLAN: dict[str, Any] = {"runs": [], "data": {"source": "faces"}}
LINE: dict[str, Any] = {
    "metric": "fd_lite0",
    "value": 1.5,
    "floor": None,
    "samples": 60,
    "reference": "heldout",
    "reference_samples": 60,
    "floor_source": None,
    "floor_samples": 0,
}
EXTERNAL: dict[str, Any] = {
    "schema": 1,
    "label": "theirs",
    "source": "",
    "seeds": False,
    "evaluation_id": "0123456789ab",
    "samples": 60,
    "sets": [{"images_sha256": "a" * 64, "lines": [LINE]}],
}
FORGIVES: dict[str, Any] = {
    "schema": 1,
    "evaluation_id": "0123456789ab",
    "extractor": "lite0",
    "samples": 60,
    "floor_source": "heldout",
    "floor": {"fd_lite0": 1.0},
    "rows": [{"name": "blur-2", "words": "blurred", "values": {"fd_lite0": 2.0}}],
}


def problems(member: str, record: dict[str, Any]) -> list[str]:
    return list(record_problems(member, json.dumps(record).encode()))


def test_honest_records_are_taken() -> None:
    assert problems("runs/s/external/theirs.json", EXTERNAL) == []
    assert problems("runs/s/forgives.json", FORGIVES) == []
    names = ["runs/s/plan.json", "runs/s/forgives.json", "runs/s/external/theirs.json"]
    assert unexpected(names, "s", PLAN) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"label": "=1+1"}, "label"),
        ({"schema": 2}, "schema"),
        ({"sets": []}, "sets"),
        ({"seeds": "yes"}, "seeds"),
        ({"sets": [{"images_sha256": "a" * 64, "lines": [LINE | {"metric": "fd_nothing"}]}]}, "metric"),
        ({"sets": [{"images_sha256": "b", "lines": [LINE]}]}, "images_sha256"),
    ],
)
def test_a_record_that_nobody_wrote_is_named(change: dict[str, Any], named: str) -> None:
    assert named in problems("runs/s/external/theirs.json", EXTERNAL | change)[0]


def test_names_outside_of_the_folder_are_strange() -> None:
    names = ["runs/s/external/deep/er.json", "runs/s/external/run.sh", "runs/s/other.json", "runs/s/external/=1.json"]
    assert unexpected(names, "s", PLAN) == names


@pytest.mark.parametrize("place", ["/home/me.py", "../me.py", "C:\\me.py"])
@pytest.mark.parametrize("key", ["file", "weights"])
def test_own_files_are_known_by_name_alone(place: str, key: str) -> None:
    assert list(own_file_problems({"extractor": {"mine": {key: "me.py"}}, "metric": {}})) == []
    assert key in next(own_file_problems({"extractor": {"mine": {key: place}}}))
