"""Pairs: metrics on cases with closed answers and against other implementations, and a run measured whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.extras import needed
from helpers.training_fixture import CPU, study
from PIL import Image
from torch import Tensor, nn

from bench.data import DataRequest, PreparedData, faces, prepare
from bench.data.faces.drawing import draw_pixels
from bench.evaluation.codes import seen_factors
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.features import Features, extract
from bench.evaluation.paired import (
    HIDDEN,
    HIDDEN_SIZES,
    distance_to_targets,
    distance_within_inputs,
    divergence_from_law,
    entropies,
    expected_entropy,
    floors_of_pairs,
    kept,
    measured_at_snapshots,
    nearness,
    recolourings,
)
from bench.evaluation.reference import Reference
from bench.evaluation.similarity import ssim
from bench.evaluation.units import Unit
from bench.execution.evaluating import evaluate_folder
from bench.files import read_jsonl
from bench.metrics.catalogue import METRICS
from bench.metrics.settings import EvaluationSettings
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.loop import train

ASKED = {"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 130}
SETTINGS = {
    "extractors": ("judge",),
    "samples": 60,
    "snapshot_samples": 50,
    "kid_subset_size": 20,
    "generators": ("raw",),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    request = DataRequest.model_validate({**ASKED, "input": "parts"})
    return prepare(request, tmp_path_factory.mktemp("data"), workers=1)


@pytest.fixture(scope="module")
def reference(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    judge = JudgeExtractor("faces", CPU)
    return Reference(EvaluationSettings.model_validate(SETTINGS), data, (judge,), tmp_path_factory.mktemp("cache"))


# Closed cases


def test_nearness_has_the_closed_values() -> None:
    images = np.full((3, 3, 16, 16), 100, np.uint8)
    targets = np.full((3, 3, 16, 16), 151, np.uint8)
    found = nearness(images, lambda start, stop: targets[start:stop])
    assert found["l1"] == pytest.approx(0.2)
    assert found["psnr"] == pytest.approx(-10 * math.log10(0.04))
    one, other = 100 / 255, 151 / 255
    assert found["ssim"] == pytest.approx((2 * one * other + 1e-4) / (one**2 + other**2 + 1e-4), abs=1e-6)
    equal = nearness(images, lambda start, stop: images[start:stop])
    assert equal == {"l1": 0.0, "psnr": pytest.approx(100.0), "ssim": pytest.approx(1.0)}


def test_psnr_and_ssim_have_the_golden_values() -> None:
    constant = torch.full((1, 3, 16, 16), 0.5 * 255, dtype=torch.float64)
    assert float(ssim(constant, constant + 0.1 * 255)) == pytest.approx(0.983609, abs=1e-6)
    images = np.zeros((1, 3, 16, 16), np.uint8)
    shown = images + np.uint8(51)  # a squared error of 0.04
    assert nearness(images, lambda *_: shown)["psnr"] == pytest.approx(13.9794, abs=1e-4)


def test_ssim_and_psnr_are_those_of_scikit_image() -> None:
    metrics = needed("skimage.metrics")
    first, second = faces.draw_faces(0, range(4), 64), faces.draw_faces(1, range(4), 64)
    found = ssim(torch.from_numpy(first).double(), torch.from_numpy(second).double())
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [
        metrics.structural_similarity(one, other, channel_axis=0, **settings)
        for one, other in zip(first, second, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    errors = [metrics.peak_signal_noise_ratio(*pair, data_range=255) for pair in zip(first, second, strict=True)]
    assert nearness(first, lambda start, stop: second[start:stop])["psnr"] == pytest.approx(np.mean(errors))


def test_distances_are_taken_to_the_target_and_within_an_input() -> None:
    outputs = torch.tensor([[0.0, 0], [3, 4], [1, 1], [1, 1]])
    assert distance_to_targets(outputs, torch.zeros(4, 2)) == pytest.approx((0 + 5 + 2 * math.sqrt(2)) / 4)
    assert distance_within_inputs(outputs, 2) == pytest.approx((5 + 0) / 2)
    assert distance_within_inputs(outputs, 4) == pytest.approx((5 + 2 * (math.sqrt(2) + math.sqrt(13))) / 6)


def test_the_entropy_of_few_draws_is_known() -> None:
    assert expected_entropy(2, 4) == pytest.approx(0.75 * math.log(2))
    # simulated, 20,000 times
    assert [expected_entropy(8, size) for size in (5, 6, 4)] == pytest.approx([1.3105, 1.4148, 1.1671], abs=2e-3)
    assert [expected_entropy(16, size) for size in (5, 6, 4)] == pytest.approx([1.4716, 1.6180, 1.2864], abs=2e-3)


def test_entropy_is_0_of_ignored_latents_and_1_of_the_law() -> None:
    random = np.random.default_rng(0)
    drawn = np.stack([random.integers(0, size, 8 * 2000) for size in HIDDEN_SIZES], axis=1)
    assert entropies(drawn, 8) == pytest.approx([1, 1, 1], abs=0.01)
    assert entropies(drawn[::8].repeat(8, axis=0), 8) == [0, 0, 0]
    unsure = np.broadcast_to(np.array(HIDDEN_SIZES), (80, 3))
    assert entropies(unsure, 8) == [0, 0, 0]
    one = drawn.copy()
    one[:, 1:] = 0
    assert entropies(one, 8) == [pytest.approx(1, abs=0.01), 0, 0]


def test_divergence_is_of_all_combinations_together() -> None:
    every = np.stack(np.unravel_index(np.arange(120), HIDDEN_SIZES), axis=1)
    assert divergence_from_law(every) == pytest.approx(0, abs=1e-12)
    assert divergence_from_law(every[every[:, 0] == 2]) == pytest.approx(math.log(5))
    together = every[every.sum(axis=1) % 2 == 0]  # each factor as it should be, and half of the combinations
    assert divergence_from_law(together) == pytest.approx(math.log(2))
    assert divergence_from_law(np.broadcast_to(np.array(HIDDEN_SIZES), (9, 3))) == pytest.approx(math.log(120))


def test_unsure_answers_are_one_more_value_and_count_as_not_kept() -> None:
    answers = torch.zeros(2, len(faces.FACTORS), dtype=torch.uint8)
    certainty = torch.ones(2, len(faces.FACTORS))
    certainty[1, 0] = 0.5
    features = Features(torch.zeros(2, 1), answers=answers, certainty=certainty)
    assert seen_factors(features, HIDDEN).tolist() == [[0, 0, 0], [5, 0, 0]]
    assert kept(features, np.array([[0, 0], [0, 1]])) == 0.5


# The exact law of drawn faces


@pytest.mark.parametrize("resolution", [32, 64])
def test_faces_in_other_colours_have_the_same_map(resolution: int) -> None:
    for index in range(40):
        who, other = faces.face(0, index), faces.face(9, index)
        again = faces.recoloured(who, other)
        shares = [draw_pixels(face, max(resolution, 64), parts=True)[3:] for face in (who, again)]
        assert np.array_equal(shares[0].argmax(0), shares[1].argmax(0))
        kept_factors = set(faces.FACTORS) - {"skin", "background", "shirt", "hair_colour", "eyes"}
        assert all(again.factors[name] == who.factors[name] for name in kept_factors)
        assert again.factors["skin"] == other.factors["skin"]


def test_the_floor_is_what_a_perfect_generator_reaches(reference: Reference) -> None:
    floor = floors_of_pairs(reference, 60, final=True)
    assert floor["kept_judge"] > 0.95
    assert floor["hidden_entropy"] == pytest.approx(1, abs=0.05)
    assert 0.18 < floor["l1"] < 0.26
    assert 0.5 < floor["intra_diversity_judge"] < 1
    assert floor["hidden_law"] < math.log(120) / 2 + 0.5  # 60 images of 120 combinations
    assert set(floors_of_pairs(reference, 50, final=False)) == {"l1", "kept_judge"}


def test_an_average_is_nearer_to_the_target_than_a_right_drawing_is(reference: Reference) -> None:
    images, order = reference.images(reference.heldout_part(30))
    drawn = np.stack([recolourings(reference, order, skip=30 * time) for time in range(12)])
    average = np.rint(drawn.mean(axis=0)).astype(np.uint8)

    def targets(start: int, stop: int) -> Any:
        return np.asarray(images[order[start:stop]])

    right, blurred = nearness(drawn[0], targets), nearness(average, targets)
    assert blurred["l1"] < 0.9 * right["l1"]
    assert blurred["psnr"] > right["psnr"] + 1


# Whole generators


class Mirror(nn.Module):
    """Returns its input, whatever the latent; where there is one, in a colour of the latent's."""

    def __init__(self, coloured: bool = False) -> None:
        super().__init__()
        self.coloured = coloured

    def forward(self, z: Tensor, inputs: Tensor) -> Tensor:
        return inputs * z[:, :3, None, None].sigmoid() if self.coloured else inputs


def lines_of(G: nn.Module, data: PreparedData, root: Path, **unit: Any) -> dict[str, dict[str, Any]]:
    evaluator = Evaluator(EvaluationSettings.model_validate(SETTINGS), data, root, CPU)
    asked = Unit(**{"generator_steps": 8, "generator": "raw", "sample_seed": 0, "final": True, **unit})
    lines = evaluator.evaluate_generator(G, asked, latent=4, latent_law="normal")
    return {line["metric"]: line for line in lines}


def test_samples_are_held_against_the_targets_of_their_own_inputs(data: PreparedData, tmp_path: Path) -> None:
    lines = lines_of(Mirror(), data, tmp_path)
    inputs = data.heldout.inputs()
    assert inputs is not None
    order = Reference(
        EvaluationSettings.model_validate(SETTINGS), data, (JudgeExtractor("faces", CPU),), tmp_path
    )._order("heldout")[:60]
    shown, targets = np.asarray(inputs[order]), np.asarray(data.heldout.images()[order])
    expected = np.abs(shown.astype(float) - targets).mean() / 255
    assert lines["l1"]["value"] == pytest.approx(expected)
    assert lines["l1@50"]["value"] == pytest.approx(np.abs(shown[:50].astype(float) - targets[:50]).mean() / 255)
    assert lines["intra_diversity_judge"]["value"] == pytest.approx(0, abs=1e-6)
    assert lines["hidden_entropy"]["value"] == 0
    assert lines_of(Mirror(coloured=True), data, tmp_path)["intra_diversity_judge"]["value"] > 0.05
    assert lines["kept_judge"]["floor"] > 0.95
    assert (lines["l1"]["extractor"], lines["hidden_law"]["extractor"]) == ("pixels", "judge")
    assert (lines["l1"]["floor_source"], lines["l1"]["floor_samples"]) == ("heldout", 60)
    early = lines_of(Mirror(), data, tmp_path, generator_steps=4, final=False)
    assert {name for name in early if name.startswith(("l1", "kept"))} == {"l1@50", "kept_judge@50"}


@pytest.mark.parametrize("kind", ["parts", "edges"])
def test_a_run_of_pairs_from_training_to_metrics_and_pictures(tmp_path: Path, kind: str) -> None:
    asked = {**ASKED, "input": kind}
    entries = ({"objective": "pix2pix", "label": "row"},)
    run = make_plan(study(objectives=entries, data=asked, evaluation=SETTINGS)).runs[0]
    data = prepare(run.training.data, tmp_path / "data", workers=1)
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    assert train(folder, run, data, CPU).state == "done"
    evaluate_folder(folder, run, data, tmp_path / "cache", CPU, lambda: False)
    found = {line["metric"]: line for line in read_jsonl(folder.metrics_file) if line["generator"] == "raw"}
    paired = {name: info for name, info in METRICS.items() if info.pairs and name.rpartition("_")[2] != "lite0"}
    there = {name for name, info in paired.items() if kind == "parts" or info.pairs != "parts"}
    there -= {name for name in there if name.startswith(("pair_", "intra_")) and not name.endswith("_judge")}
    assert set(found) & set(paired) == there
    for name in there:
        line, info = found[name], paired[name]
        assert info.low is None or line["value"] >= info.low
        assert info.high is None or line["value"] <= info.high
        assert (line["floor"] is not None) == (kind == "parts" or name == "kept_judge")
    assert ("hidden_entropy+skin" in found) == (kind == "parts")


def test_other_sources_have_nothing_of_the_judge(tmp_path: Path) -> None:
    for place, image in enumerate(faces.draw_faces(0, range(120), 32)):
        path = tmp_path / "set" / ("test" if place % 2 else "train") / f"{place:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    asked = {"source": "folder", "path": str(tmp_path / "set"), "resolution": 32, "input": "grey"}
    data = prepare(DataRequest.model_validate(asked), tmp_path / "data", workers=1)
    settings = EvaluationSettings.model_validate({**SETTINGS, "extractors": ("judge",)})
    reference = Reference(settings, data, (JudgeExtractor("faces", CPU),), tmp_path)
    assert floors_of_pairs(reference, 60, final=True) == {}
    images = np.array(data.heldout.images())
    features = {"judge": extract(reference.extractors[0], images)}
    assert set(measured_at_snapshots(images, features, reference)) == {"l1"}
