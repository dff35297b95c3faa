"""The table of metrics, and the verdict "collapsed"."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from bench.errors import BenchError
from bench.metrics import catalogue
from bench.metrics.catalogue import (
    METRICS,
    collapsed,
    extractor_of,
    extractor_title,
    frechet_name,
    inception_score_name,
    metric_info,
)
from bench.metrics.settings import EvaluationSettings, ExtractorName


def test_every_metric_is_described() -> None:
    for name, info in METRICS.items():
        assert info.name == name
        assert info.title
        assert info.description.endswith(".")
        assert info.source
        assert info.better in ("lower", "higher", None)
        assert info.better is not None or not info.ranks, f"{name} ranks without a direction"
    assert len({info.title for info in METRICS.values()}) == len(METRICS)


def test_the_table_says_what_the_names_say() -> None:
    table = tomllib.loads((Path(catalogue.__file__).parent / "catalogue.toml").read_text("utf-8"))
    for extractor, keys in table["extractor"].items():
        assert keys["frechet"] == frechet_name(extractor)
        assert keys.get("inception_score", inception_score_name(extractor)) == inception_score_name(extractor)
        assert extractor_title(extractor) == keys["network"]
    known = {
        "name",
        "extractors",
        "labels",
        "codes",
        "pairs",
        "ranks",
        "title",
        "unit",
        "better",
        "low",
        "high",
        "description",
        "source",
    }
    for row in (*table["of_extractor"], *table["metric"]):
        assert set(row) <= known, row["name"]
        assert set(row.get("extractors", ())) <= set(table["extractor"])
    assert not any("{" in info.name + info.title + info.description for info in METRICS.values())
    assert list(table["extractor"]) == list(get_args(ExtractorName))
    assert METRICS["is"].title == "Inception score"
    assert "is_judge" not in METRICS
    assert "ball of 5 nearest" in METRICS["coverage_judge"].description


def test_diagnostics_never_rank() -> None:
    ranking = {name for name, info in METRICS.items() if info.ranks}
    kinds = ("fd", "fjd", "kid", "coverage")
    others = {f"{kind}_{extractor}" for kind in kinds for extractor in ("inception", "lite0", "lite0-96-stage7")}
    assert ranking == others - {"fd_inception"} | {"fid"}


def test_only_the_tf_weights_make_a_fid() -> None:
    assert METRICS["fid"].title == "FID"
    assert not any("FID" in info.title for name, info in METRICS.items() if not name.startswith("fid"))
    other = metric_info("fd_inception-1a2b3c4d")
    assert "FID" not in other.title
    assert "1a2b3c4d" in other.title
    assert not other.ranks
    assert metric_info("fd_inception-1a2b3c4d_train").better == "lower"
    assert metric_info("fd_inception-1a2b3c4d_inf").source == METRICS["fid_inf"].source
    assert "FID" not in metric_info("fd_inception-1a2b3c4d_inf").title
    assert metric_info("nearest_train_inception-1a2b3c4d").better is None
    assert metric_info("is_inception-1a2b3c4d").better == "higher"
    assert metric_info("kid_inception-1a2b3c4d").source == METRICS["kid_inception"].source


def test_a_count_in_the_name_is_said_and_does_not_rank() -> None:
    info = metric_info("fd_lite0@1000")
    assert info.title.endswith("on 1,000 samples")
    assert not info.ranks


def test_a_class_or_a_factor_in_the_name_is_said_and_does_not_rank() -> None:
    info = metric_info("kid_lite0+3.cat")
    assert info.title.endswith("class 3: cat")
    assert not info.ranks
    assert metric_info("label_accuracy_judge+hat").title.endswith(", hat")
    assert extractor_of("coverage_lite0-96-stage7+1.a.b") == "lite0-96-stage7"


@pytest.mark.parametrize(
    "name", ["kid_lite0+", "fd_lite+3.cat", "fd_lite", "fd_lite0@many", "kid_inception-xyz", "", "fd_lite0@"]
)
def test_unknown_names_are_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(BenchError, match="There is no metric"):
        metric_info(name)


def lines(extractor: str, coverage: list[float], unique: list[float], ceiling: float = 0.9) -> list[dict[str, Any]]:
    return [
        *({"metric": f"coverage_{extractor}", "value": value, "floor": ceiling} for value in coverage),
        *({"metric": f"unique_{extractor}", "value": value, "floor": 1.0} for value in unique),
        {"metric": "fd_lite0", "value": 3.0, "floor": 1.0},
    ]


def test_collapse_is_coverage_against_its_ceiling_or_few_unique_images() -> None:
    settings = EvaluationSettings()
    assert collapsed(lines("lite0", [0.5], [0.9]), settings) is False
    assert collapsed(lines("lite0", [0.08], [0.9]), settings) is True
    assert collapsed(lines("lite0", [0.08], [0.9], ceiling=0.5), settings) is False
    assert collapsed(lines("lite0", [0.5], [0.05]), settings) is True
    assert collapsed(lines("lite0", [0.5], [0.05]), settings.model_copy(update={"collapse_unique": 0.01})) is False
    assert collapsed(lines("lite0", [0.02, 0.3], [0.05, 0.3]), settings) is False  # means over the sample seeds
    assert collapsed([], settings) is None
    assert collapsed(lines("lite0", [], []), settings) is None


def test_collapse_is_the_first_extractors_verdict_where_it_measured() -> None:
    settings = EvaluationSettings(extractors=("judge", "lite0"))
    both = lines("judge", [0.5], [0.9]) + lines("lite0", [0.01], [0.01])
    assert collapsed(both, settings) is False
    assert collapsed(lines("lite0", [0.01], [0.01]), settings) is True  # no faces: the judge was left out
    inception = EvaluationSettings(extractors=("inception",))
    assert collapsed(lines("inception-1a2b3c4d", [0.01], [0.9]), inception) is True


def test_only_what_can_be_outside_has_no_bound() -> None:
    unbounded = {name for name, info in METRICS.items() if info.low is None}
    kinds = {re.sub("_(lite0-96-stage7|lite0|judge|inception|pixels)", "", name) for name in unbounded}
    of_codes = {"codes_used", "code_information", "code_information_recogniser"}  # less a bias
    assert kinds == {"kid", "intra_kid", "ct", "fd_inf", "fid_inf", *of_codes}
    shares = {name for name, info in METRICS.items() if (info.low, info.high) == (0.0, 1.0)}
    assert {"coverage_lite0", "precision_judge", "recall_inception", "unique_lite0", "judge_confident"} <= shares
    assert metric_info("fd_lite0@1000").low == 0.0
