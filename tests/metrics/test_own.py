"""Own extractors and metrics in words: names that say everything, identities, and what a declaration must hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.config.reading import load_config
from bench.errors import BenchError
from bench.metrics.catalogue import extractor_of, extractor_title, metric_info
from bench.metrics.own import OwnExtractor, metric_name, read_label, read_metric_name, spelled_out
from bench.metrics.settings import EvaluationSettings

WEIGHTS = {"package": "timm", "model": "vit", "weights": "w.safetensors", "sha256": "a" * 64}
VIT: dict[str, Any] = {**WEIGHTS, "size": 224, "normalise": "imagenet"}


def settings(**changes: Any) -> EvaluationSettings:
    return EvaluationSettings.model_validate({"extractors": ("vit",), "extractor": {"vit": VIT | changes}})


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "b" * 64},
        {"size": 196},
        {"resize": "bilinear"},
        {"normalise": "clip"},
        {"layer": "blocks.5"},
        {"tokens": "mean"},
        {"model": "vit2"},
        {"package": "open_clip"},
    ],
)
def test_whatever_decides_features_is_in_the_name_and_in_the_identity(change: dict[str, Any]) -> None:
    assert settings(**change).labels != settings().labels
    assert settings(**change).id() != settings().id()


def test_where_weights_lie_is_in_neither() -> None:
    moved = settings(weights="/elsewhere/w.safetensors")
    assert (moved.labels, moved.id()) == (settings().labels, settings().id())
    assert moved.portable().extractor["vit"].weights == "w.safetensors"


def test_studies_without_own_extractors_stay_what_they_were() -> None:
    assert EvaluationSettings().id() == "01b8fb7c247c"
    assert not {"extractor", "metric"} & EvaluationSettings().model_dump().keys()
    unused = EvaluationSettings.model_validate({"extractor": {"vit": VIT}})
    assert unused.id() == EvaluationSettings().id()
    assert unused.used() == EvaluationSettings()


def test_settings_come_back_from_a_record() -> None:
    own = EvaluationSettings.model_validate(
        {"extractors": ("mine",), "extractor": {"mine": {"file": "mine.py", "source_sha256": "c" * 64}}}
    )
    for one in (own, settings(layer="norm")):
        assert EvaluationSettings.model_validate_json(json.dumps(one.model_dump(mode="json"))) == one


def test_a_name_says_all_that_is_known_of_a_metric() -> None:
    label = settings(layer="blocks.5").labels[0]
    said = read_label(label)
    assert said is not None
    assert (said.name, said.law, said.layer) == ("vit", "bicubic224", "blocks.5")
    info = metric_info(f"fd_{label}")
    assert (info.better, info.ranks, info.low) == ("lower", True, 0.0)
    assert metric_info(f"fd_{label}_train").ranks is False
    assert metric_info(f"fd_{label}@1000").ranks is False
    assert metric_info(f"coverage_{label}").better == "higher"
    assert extractor_of(f"fd_{label}_inf") == label
    assert extractor_title(label) in info.title
    for wrong in (f"fid_{label}", f"is_{label}", f"fd_{label}x", "fd_vit-bicubic224"):
        with pytest.raises(BenchError):
            metric_info(wrong)


@pytest.mark.parametrize(("better", "of"), [("higher", "pixels"), ("lower", "lite0"), (None, "lite0-96-stage7")])
def test_an_own_metric_says_which_way_is_better_and_never_ranks(better: str | None, of: str) -> None:
    name = metric_name("my-metric", better, "1a2b3c4d" * 8, of)
    said = read_metric_name(name)
    assert said is not None
    assert (said.name, said.better, said.digest, said.of) == ("my-metric", better, "1a2b3c4d", of)
    assert (metric_info(name).better, metric_info(name).ranks) == (better, False)


def test_short_names_are_spelled_out() -> None:
    labels = {"vit": "vit-bicubic224-1a2b3c4d"}
    assert spelled_out("fd_vit", labels) == "fd_vit-bicubic224-1a2b3c4d"
    assert spelled_out("fd_vit_train", labels) == "fd_vit-bicubic224-1a2b3c4d_train"
    assert spelled_out("fd_lite0", labels) == "fd_lite0"


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({}, "file"),
        ({**VIT, "file": "a.pt"}, "file"),
        ({"file": "a.pth2"}, "pt"),
        ({"file": "a.onnx", "size": 64, "normalise": "unit"}, "sha256"),
        ({"package": "timm", "model": "vit", "sha256": "a" * 64}, "weights"),
        ({**WEIGHTS, "size": 224}, "normalise"),
        ({**WEIGHTS, "normalise": "unit"}, "size"),
        ({**VIT, "resize": "asis"}, "size"),
        ({**VIT, "mean": (0.5, 0.5, 0.5)}, "mean"),
        ({**VIT, "sha256": "A" * 64}, "hexadecimal"),
        ({**VIT, "model": "hf-hub:timm/vit"}, "hub"),
        ({"file": "mine.py", "size": 64}, "size"),
        ({"file": "mine.py", "weights": "w.pth"}, "sha256"),
    ],
)
def test_a_declaration_that_leaves_something_open_is_refused(declared: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        OwnExtractor.model_validate(declared)


def test_bench_toml_declares_them_and_metrics_follow(tmp_path: Path) -> None:
    study = """[study.s]
title = "S"
objectives = ["nsgan"]
seeds = "0"
primary_metric = "fd_vit"
secondary_metrics = ["coverage_vit"]
data = {source = "faces"}
budget = {generator_steps = 10, halve_every = 10}
[study.s.evaluation]
extractors = ["vit", "mine"]
[study.s.evaluation.extractor.vit]
package = "timm"
model = "vit"
weights = "w.safetensors"
sha256 = "%s"
size = 224
normalise = "imagenet"
[study.s.evaluation.extractor.mine]
file = "mine.py"
""" % ("a" * 64)
    file = tmp_path / "bench.toml"
    file.write_text(study)
    with pytest.raises(BenchError, match=r"mine\.py"):
        load_config(file)
    (tmp_path / "mine.py").write_text("")
    read = load_config(file).study("s")
    vit, mine = read.evaluation.labels
    assert (read.primary_metric, read.secondary_metrics) == (f"fd_{vit}", (f"coverage_{vit}",))
    assert read.evaluation.extractor["vit"].weights == str(tmp_path / "w.safetensors")
    (tmp_path / "mine.py").write_text("# another\n")
    assert load_config(file).study("s").evaluation.labels[1] != mine
    file.write_text(study.replace('"fd_vit"', '"fd_vot"'))
    with pytest.raises(BenchError, match="fd_vot"):
        load_config(file)
