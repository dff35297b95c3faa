"""What a study may ask of its evaluation, and what tells two evaluations apart."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.metrics.settings import EvaluationSettings


def test_the_id_changes_with_what_changes_a_value_and_with_nothing_else() -> None:
    base = EvaluationSettings()
    assert base.id() == EvaluationSettings().id()
    assert EvaluationSettings.model_validate_json(base.model_dump_json()) == base
    for change in (
        {"samples": 5_000},
        {"snapshot_samples": 500},
        {"extractors": ("lite0",)},
        {"extractors": ("judge", "lite0")},
        {"sample_seeds": 2},
        {"kid_subsets": 50},
        {"inception_splits": 5},
        {"inception_weights_sha256": "a" * 64},
    ):
        assert base.model_copy(update=change).id() != base.id(), change
    for change in ({"inception_weights": "/x.pth"}, {"collapse_coverage": 0.2}, {"collapse_unique": 0.2}):
        assert base.model_copy(update=change).id() == base.id(), change


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"samples": 100, "snapshot_samples": 200}, "more than samples 100"),
        ({"samples": 100, "snapshot_samples": 50, "inception_splits": 200}, "more than samples 100"),
        ({"extractors": ()}, "at least 1"),
        ({"extractors": ("lite0", "lite0")}, "names one twice"),
        ({"extractors": ("vgg",)}, "inception, lite0, lite0-96-stage7, judge"),
        ({"inception_weights_sha256": "6726825d"}, "64 hexadecimal digits"),
        ({"sample": 5}, "Extra inputs are not permitted"),
        ({"samples": "many"}, "valid integer"),
    ],
)
def test_mistakes_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EvaluationSettings.model_validate(values)
    assert told in str(caught.value)


def test_a_snapshot_metric_on_other_counts_has_another_name() -> None:
    assert EvaluationSettings(samples=1_000).snapshot_metric("fd_lite0") == "fd_lite0"
    assert EvaluationSettings(samples=10_000).snapshot_metric("fd_lite0") == "fd_lite0@1000"
