"""Codes: metrics on cases with closed answers and against other implementations, and a run measured whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.extras import needed
from helpers.training_fixture import CPU, study
from scipy.stats import spearmanr
from torch import Tensor, nn

from bench.data import PreparedData, faces, prepare
from bench.evaluation.codes import (
    changed_alone,
    entropy_used,
    information,
    information_matrix,
    mean_of_best,
    mutual_information_gap,
    of_factors,
    rank_correlations,
    seen_factors,
    truth_of_part,
    values_of_none,
    values_of_reading,
    values_of_samples,
)
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.features import Features
from bench.evaluation.pictures import columns_of, traversal
from bench.evaluation.reference import Reference
from bench.evaluation.samples import drawn_conditions, generate
from bench.execution.evaluating import evaluate_folder, load_recogniser, load_snapshot
from bench.files import read_jsonl
from bench.metrics.catalogue import METRICS, metric_info
from bench.metrics.settings import EvaluationSettings
from bench.networks.codes import Codes
from bench.networks.sampling import draw_codes
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan
from bench.training.loop import train

LAW = Codes((6, 5), 2)
SIZES = [len(faces.FACTORS[name]) for name in faces.MODE_FACTORS]


def pairs(table: list[list[int]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return two values of as many images as a table of counts says."""
    rows, columns = np.indices(np.shape(table))
    counts = np.ravel(table)
    return np.repeat(rows.ravel(), counts), np.repeat(columns.ravel(), counts)


def test_information_has_the_closed_value_less_the_bias() -> None:
    assert information(*pairs([[400, 100], [100, 400]])) == pytest.approx(0.192745 - 1 / 2000, abs=6e-7)
    shares = of_factors(np.array([[0.192745], [0.0]]), [2])
    assert mutual_information_gap(shares) == pytest.approx(0.278072, abs=1e-6)


def test_information_against_scikit_learn_and_without_bias_where_there_is_none() -> None:
    metrics = needed("sklearn.metrics")
    random = np.random.default_rng(0)
    first, second = random.integers(20, size=2000), random.integers(6, size=2000)
    mixed = np.where(random.random(2000) < 0.4, first % 6, second)
    bias = 19 * 5 / 4000
    assert information(first, mixed) + bias == pytest.approx(metrics.mutual_info_score(first, mixed))
    plain = np.mean([information(random.integers(20, size=2000), second) for _ in range(40)])
    assert abs(plain) < 0.001  # of independent values; without the correction 0.024


def test_a_code_for_each_factor_and_a_factor_with_two_codes() -> None:
    random = np.random.default_rng(1)
    factors = np.stack([random.integers(size, size=20_000) for size in SIZES], axis=1)
    law = Codes(tuple(SIZES))
    one_each = information_matrix(factors, factors)
    shares = of_factors(one_each)
    assert mean_of_best(shares) == pytest.approx(1, abs=0.01)
    assert mutual_information_gap(shares) == pytest.approx(1, abs=0.01)
    assert entropy_used(one_each, law) == pytest.approx(1, abs=0.01)
    twice = of_factors(information_matrix(factors[:, [0, 0, 1]], factors[:, :2]), SIZES[:2])
    assert mutual_information_gap(twice) == pytest.approx(0.5, abs=0.01)  # of the first factor there are two codes
    assert mutual_information_gap(shares[:1, :1]) == pytest.approx(1, abs=0.01)  # a second best there is not


def test_rank_correlation_against_scipy() -> None:
    random = np.random.default_rng(2)
    first, second = random.normal(size=(200, 3)), random.normal(size=(200, 4))
    second[:, 0] = np.exp(first[:, 1])
    first[:, 2] = 5  # answers that never change
    found = rank_correlations(first, second)
    for row in range(2):
        for column in range(4):
            expected = abs(spearmanr(first[:, row], second[:, column]).statistic)
            assert found[row, column] == pytest.approx(expected)
    assert found[1, 0] == pytest.approx(1)
    assert (found[2] == 0).all()


def test_each_code_is_changed_alone_and_always() -> None:
    numbers = draw_codes(LAW, 300, "test")
    parts = [range(6), range(6, 11), [11], [12]]
    changed = list(changed_alone(LAW, numbers, 0))
    assert len(changed) == 4
    for own, other in zip(parts, changed, strict=True):
        same = [place for place in range(13) if place not in own]
        assert torch.equal(other[:, same], numbers[:, same])
        assert (other[:, list(own)] != numbers[:, list(own)]).any(1).all()
    assert torch.allclose((changed[2] - numbers)[:, 11].abs(), torch.ones(300))
    assert changed[3][:, 12].abs().max() <= 1
    assert (changed[0][:, :6].sum(1) == 1).all()
    assert len({tuple(row) for row in (changed[0] - numbers)[:, :6].tolist()}) == 30  # from any value to any other


def judged(answers: np.ndarray[Any, Any], certainty: float = 1.0) -> Features:
    """Return what the judge would say of images with these mode factors."""
    every = torch.zeros(len(answers), len(faces.FACTORS), dtype=torch.uint8)
    for place, name in enumerate(faces.MODE_FACTORS):
        every[:, list(faces.FACTORS).index(name)] = torch.from_numpy(answers[:, place].astype(np.uint8))
    return Features(torch.zeros(len(answers), 1), answers=every, certainty=torch.full(every.shape, certainty))


def test_images_of_which_the_judge_is_unsure_create_no_information() -> None:
    random = np.random.default_rng(3)
    answers = np.stack([random.integers(size, size=500) for size in SIZES], axis=1)
    assert (seen_factors(judged(answers)) == answers).all()
    unsure = seen_factors(judged(answers, 0.5))
    assert (unsure == SIZES).all()
    numbers, effect = draw_codes(LAW, 500, "test"), np.zeros((4, 5))
    assert values_of_samples(LAW, numbers, unsure, effect)["codes_used_judge"] == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    asked = {"source": "faces", "resolution": 32, "train_count": 70, "heldout_count": 130}
    return prepare(study(data=asked).data, tmp_path_factory.mktemp("data"), workers=1)


@pytest.fixture(scope="module")
def reference(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    settings = EvaluationSettings(extractors=("judge",), samples=60, snapshot_samples=60, kid_subset_size=20)
    return Reference(settings, data, (JudgeExtractor("faces", CPU),), tmp_path_factory.mktemp("cache"))


def test_the_truth_of_held_out_faces_is_what_was_drawn_and_what_the_judge_sees(reference: Reference) -> None:
    truth = truth_of_part(reference, 60)
    part = reference.heldout_part(60)
    assert (seen_factors(reference.features(reference.extractors[0], part)) == truth.factors).mean() > 0.95
    images, places = reference.images(part)
    face = faces.face(0, faces.HELDOUT_START + int(places[7]))
    assert (faces.draw(face, 32).transpose(2, 0, 1) == images[places[7]]).all()
    assert list(face.traits.values()) == truth.traits[7].tolist()


def test_a_d_that_reads_factors_and_a_trait_reaches_the_top_and_one_that_guesses_the_floor(
    reference: Reference,
) -> None:
    truth = truth_of_part(reference, 60)
    law = Codes(tuple(SIZES), 1)
    hot = [torch.eye(size)[torch.from_numpy(truth.factors[:, place])] for place, size in enumerate(SIZES)]
    yaw = torch.from_numpy(truth.traits[:, :1]).float()
    values = values_of_reading(law, torch.cat([*hot, -2 * yaw], dim=1), truth)
    assert values["trait_correlation_recogniser+continuous1.yaw"] == pytest.approx(1)
    assert values["mig_recogniser"] > 0.6
    none = values_of_none(law, truth.factors, truth)
    assert abs(none["mig_recogniser"]) < 0.1
    assert none["code_effect_judge"] == 0
    assert none["trait_correlation_recogniser"] < 0.6  # the largest of 43, of 60 images


def test_codes_of_samples_do_not_depend_on_how_many_there_are() -> None:
    many, few = drawn_conditions(LAW, 250, 1), drawn_conditions(LAW, 110, 1)
    assert torch.equal(many.samples[:110], few.samples)
    assert torch.equal(many.calibration, few.calibration)
    assert not torch.equal(many.samples, drawn_conditions(LAW, 250, 2).samples)


def test_a_traversal_changes_one_code_along_a_row() -> None:
    latents, numbers = traversal("normal", 4, Codes((12, 3), 1))
    columns = columns_of(Codes((12, 3), 1))
    rows, told = latents.reshape(6, columns, 4), numbers.reshape(6, columns, 16)
    assert columns == 10
    assert all(torch.equal(row, row[:1].expand_as(row)) for row in rows)
    assert torch.equal(rows[0], rows[2])
    assert told[0, :, :12].argmax(1).tolist() == [*range(10)]
    assert told[3, :, 12:15].argmax(1).tolist() == [0, 1, 2] * 3 + [0]
    assert told[5, :, 15].tolist() == pytest.approx(np.linspace(-1, 1, 10).tolist())
    for index, own in enumerate((slice(0, 12), slice(12, 15), slice(15, 16))):
        for row in told[2 * index : 2 * index + 2]:
            rest = row.clone()
            rest[:, own] = 0
            assert torch.equal(rest, rest[:1].expand_as(rest))
    assert columns_of(Codes((3,))) == 8


class Painter(nn.Module):
    """Paints each image in one grey, that of its first code's value, whatever the latent."""

    def forward(self, z: Tensor, codes: Tensor) -> Tensor:
        level = codes[:, :6].argmax(1) / 5 * 2 - 1
        return level[:, None, None, None].expand(-1, 3, 32, 32)


def test_samples_are_functions_of_their_codes() -> None:
    conditions = drawn_conditions(LAW, 130, 0)
    images = generate(Painter(), 130, 0, latent=4, law="normal", device=CPU, conditions=conditions)
    assert (images[:, 0, 0, 0] == (conditions.samples[:, :6].argmax(1) * 51)).all()


def test_a_run_with_codes_from_training_to_metrics_and_pictures(tmp_path: Path, data: PreparedData) -> None:
    evaluation = {"extractors": ("judge",), "samples": 60, "snapshot_samples": 60, "kid_subset_size": 20}
    backbone = {"width": 4, "latent": 8, "codes": {"categorical": (6, 3), "continuous": 1}}
    entries = ({"objective": "infogan", "label": "row"}, {"objective": "nsgan", "label": "control"})
    asked = {"source": "faces", "resolution": 32, "train_count": 70, "heldout_count": 130}
    lines: dict[str, set[str]] = {}
    for run in make_plan(study(objectives=entries, backbone=backbone, evaluation=evaluation, data=asked)).runs:
        folder = RunFolder(tmp_path / run.label)
        run.write(folder.spec_file)
        assert train(folder, run, data, CPU).state == "done"
        evaluate_folder(folder, run, data, tmp_path / "cache", CPU, lambda: False)
        found = {line["metric"]: line for line in read_jsonl(folder.metrics_file) if line["generator"] == "raw"}
        lines[run.label] = set(found)
        for name, line in found.items():
            info = metric_info(name)
            assert math.isfinite(line["value"])
            if info.codes:
                assert line["floor"] is not None or name.count(".") == 1
                assert info.high is None or line["value"] <= info.high
        assert (folder.path / "samples" / "traversals.png").exists()
        check_recogniser(run, folder)
    coded = {name for name, info in METRICS.items() if info.codes}
    assert lines["row"] & coded == coded
    assert lines["control"] & coded == {name for name in coded if name.endswith("_judge")}
    assert "code_effect_judge+continuous1.hat" in lines["control"]
    assert "code_information_judge+categorical2.background" in lines["row"]


def check_recogniser(run: RunSpec, folder: RunFolder) -> None:
    """The D that a run kept is the one that it ended with: it answers of its own G's images as training left it."""
    D = load_recogniser(folder.snapshot_file(8), run)
    if run.label == "control":
        assert D is None
        return
    assert D is not None
    G = load_snapshot(folder.snapshot_file(8), "raw", run).train()
    codes = draw_codes(Codes((6, 3), 1), 4, "test")
    assert D(G(torch.zeros(4, 8), codes)).classes.shape == (4, 10)
