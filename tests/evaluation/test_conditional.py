"""Metrics of images that were told labels: closed cases, the field's libraries, and real faces under wrong labels."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.feature_sets import feature_sets
from prdc import compute_prdc
from scipy.linalg import null_space
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.data import DataRequest, PreparedData, prepare
from bench.evaluation.conditional import (
    FEWEST_OF_CLASS,
    class_name,
    classes_of,
    label_weight,
    measured_classes,
    with_labels,
    within_classes,
)
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.metrics import final_values, floor_part, floors, sample_of_generated, snapshot_values
from bench.evaluation.reference import Reference
from bench.evaluation.units import Unit
from bench.metrics.catalogue import METRICS, metric_info, of_a_part
from bench.metrics.settings import EvaluationSettings
from bench.networks.backbone import build_networks

CPU = torch.device("cpu")
FACTORS = {"glasses": ("none", "glasses", "sunglasses"), "hat": ("none", "cap", "beanie")}
SETTINGS = EvaluationSettings(
    extractors=("judge",), samples=240, snapshot_samples=100, kid_subsets=3, kid_subset_size=100, generators=("raw",)
)
Labels = npt.NDArray[np.uint8]


def column(*values: int) -> Labels:
    return np.array(values, np.uint8)[:, None]


# --- closed cases


def test_the_joint_distance_of_four_points_on_a_line() -> None:
    features = torch.arange(4.0)[:, None]
    weight = label_weight(features, 1)
    assert weight == 1.5
    told = with_labels(features, column(0, 0, 1, 1), [2], weight)
    swapped = with_labels(features, column(1, 1, 0, 0), [2], weight)
    assert frechet_distance(features, fit(features)) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(told, fit(told)) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(swapped, fit(told)) == pytest.approx(3.485332, abs=1e-6)


def test_labels_weigh_as_much_as_features() -> None:
    features, _ = feature_sets(60, 2, 20)
    labels = np.random.default_rng(0).integers(0, 3, (60, 2)).astype(np.uint8)
    beside = with_labels(features, labels, [3, 3], label_weight(features, 2))
    assert beside.shape == (60, 26)
    assert torch.equal(beside[:, :20], features)
    assert float(beside[:, 20:].norm(dim=1).mean()) == pytest.approx(float(features.norm(dim=1).mean()), rel=1e-6)
    assert (beside[:, 20:23].argmax(1).numpy() == labels[:, 0]).all()
    assert (beside[:, 23:].argmax(1).numpy() == labels[:, 1]).all()


def test_a_class_is_a_combination_of_values() -> None:
    labels = np.array([[0, 0], [1, 2], [2, 2]], np.uint8)
    assert classes_of(labels, FACTORS).tolist() == [0, 5, 8]
    assert class_name(5, FACTORS) == "5.glasses-beanie"
    assert metric_info("kid_lite0+5.glasses-beanie").title.endswith("class 5: glasses, beanie")
    hostile = {"class": ("<b>|_+@/ü" * 9, "a", "a ")}
    names = [class_name(number, hostile) for number in range(3)]
    assert len(set(names)) == 3
    for name in names:
        assert set(f"kid_lite0+{name}") <= set("abcdefghijklmnopqrstuvwxyz0123456789.+_-")
        assert metric_info(f"coverage_lite0+{name}").ranks is False


def test_a_class_with_few_images_in_either_set_is_left_out() -> None:
    enough, few = np.repeat([0, 4, 7], FEWEST_OF_CLASS), np.repeat([4, 7], [FEWEST_OF_CLASS, FEWEST_OF_CLASS - 1])
    assert measured_classes(enough, few) == [4]


def test_a_class_that_was_dropped_is_not_covered() -> None:
    generated, real = feature_sets(120, 90, 30)
    told, shown = np.arange(120) % 3, np.arange(90) % 3
    generated[told == 1] += 100.0
    found = within_classes(generated, told, real, shown, [0, 1, 2])
    assert found[1].coverage == 0
    assert min(found[0].coverage, found[2].coverage) > 0.3
    assert found[1].kid > 10 * max(abs(found[0].kid), abs(found[2].kid))


# --- second implementations


def fid(first: Tensor, second: Tensor) -> float:
    statistics = [fid_features_to_statistics(features) for features in (first, second)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def test_the_joint_distance_is_torch_fidelity_s_fid_of_features_beside_labels() -> None:
    generated, real = feature_sets(700, 600, 50)
    random = np.random.default_rng(1)
    told, shown = (random.integers(0, [2, 5], (count, 2)) for count in (700, 600))
    weight = float(np.linalg.norm(real.double().numpy(), axis=1).mean() / np.sqrt(2))

    def beside(features: Tensor, labels: npt.NDArray[np.int64]) -> Tensor:
        # The one-hots of a factor sum to 1: in an orthonormal basis of K - 1 vectors all distances are the same, and no
        # covariance is singular, where torch-fidelity is off by up to 4e-5.
        hot = [np.eye(size)[labels[:, place]] @ null_space(np.ones((1, size))) for place, size in enumerate((2, 5))]
        hot = [weight * one for one in hot]
        return torch.from_numpy(np.concatenate([features.double().numpy(), *hot], axis=1))

    alpha = label_weight(real, 2)
    ours = frechet_distance(
        with_labels(generated, told.astype(np.uint8), [2, 5], alpha),
        fit(with_labels(real, shown.astype(np.uint8), [2, 5], alpha)),
    )
    assert ours == pytest.approx(fid(beside(generated, told), beside(real, shown)), rel=1e-6)


def test_kid_and_coverage_within_a_class_are_those_of_the_libraries() -> None:
    generated, real = feature_sets(150, 150, 40)
    classes = np.repeat([3, 8], [60, 90])
    found = within_classes(generated, classes, real, classes, [3, 8])
    for number in (3, 8):
        own, others = (features[torch.from_numpy(classes == number)].double() for features in (generated, real))
        kid = kid_features_to_metric(own, others, kid_subsets=1, kid_subset_size=len(own), verbose=False)
        assert found[number].kid == pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-10)
        with contextlib.redirect_stdout(io.StringIO()):
            expected = compute_prdc(others.numpy(), own.numpy(), nearest_k=5)
        assert found[number].coverage == expected["coverage"]


# --- drawn faces


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def plain(data_root: Path) -> PreparedData:
    asked = {"source": "faces", "resolution": 32, "train_count": 260, "heldout_count": 500}
    return prepare(DataRequest.model_validate(asked), data_root, workers=1)


@pytest.fixture(scope="module")
def data(data_root: Path) -> PreparedData:
    asked = {"source": "faces", "resolution": 32, "train_count": 260, "heldout_count": 500}
    return prepare(DataRequest.model_validate({**asked, "labels": ("glasses", "hat")}), data_root, workers=1)


def reference_of(data: PreparedData, data_root: Path) -> Reference:
    return Evaluator(SETTINGS, data, data_root, CPU).reference


def test_an_evaluation_adds_them_to_a_study_with_labels_alone(
    plain: PreparedData, data: PreparedData, data_root: Path
) -> None:
    G, _ = build_networks(resolution=32, width=4, latent=10, head="score", norm="layer", seed=0)
    unit = Unit(20, "raw", 0, final=True)
    untold = Evaluator(SETTINGS, plain, data_root, CPU).evaluate_generator(G, unit, latent=10, latent_law="normal")
    assert not any(metric_info(line["metric"]).labels or of_a_part(line["metric"]) for line in untold)

    G, _ = build_networks(
        resolution=32, width=4, latent=10, head="score", norm="layer", seed=0, factor_sizes=(3, 3), conditioning="none"
    )
    # The same images in the same cache: what is kept of those without labels is not taken for theirs.
    lines = Evaluator(SETTINGS, data, data_root, CPU).evaluate_generator(G, unit, latent=10, latent_law="normal")
    by_name = {line["metric"]: line for line in lines}
    expected = {name for name, info in METRICS.items() if info.labels and name.endswith("_judge")}
    added = by_name.keys() - {line["metric"] for line in untold}
    assert expected <= added
    assert {"fjd_judge@100", "label_accuracy_judge@100", "label_accuracy_gated_judge@100"} <= added
    assert {"label_accuracy_judge+glasses", "label_accuracy_judge+hat"} <= added
    for kind in ("label_accuracy", "kid", "coverage"):
        assert len([name for name in added if name.startswith(f"{kind}_judge+") and "." in name]) == 9
    assert all(np.isfinite([line["value"], line["floor"]]).all() for line in lines)
    assert {line["evaluation_id"] for line in [*lines, *untold]} == {SETTINGS.id()}
    untold_floors = {line["metric"]: line["floor"] for line in untold}
    assert {name: by_name[name]["floor"] for name in untold_floors} == untold_floors
    assert by_name["label_accuracy_judge"]["value"] < 0.4
    assert by_name["fjd_judge"]["value"] > by_name["fjd_judge"]["floor"]


def test_real_faces_reach_the_floor_and_shuffled_labels_do_not(data: PreparedData, data_root: Path) -> None:
    reference = reference_of(data, data_root)
    part = reference.floor_part(SETTINGS.samples)
    images, places = reference.images(part)
    right, shuffled = reference.labels(part), np.random.default_rng(0).permutation(reference.labels(part))
    half = np.where(np.arange(len(part))[:, None] % 2, right, shuffled)

    def measured(labels: Labels | None) -> dict[str, float]:
        sample = sample_of_generated(np.asarray(images[places]), reference, final=True, progress=None, labels=labels)
        values = [*final_values(sample, reference), *snapshot_values(sample, reference)]
        return {value.metric: value.value for value in values}

    floor = floors(reference, SETTINGS.samples, final=True)
    real, halves, wrong, untold = (measured(labels) for labels in (right, half, shuffled, None))
    for metric in ("fjd_judge", "label_accuracy_judge", "intra_kid_judge", "worst_class_coverage_judge"):
        assert real[metric] == pytest.approx(floor[metric], rel=1e-9)
        assert metric not in untold
    # Both probes' floor is what training images teach of the held-out reference.
    assert floor["gan_test_judge"] == floor["gan_train_judge"] > 0.9
    assert floor_part(reference, "gan_train_judge", SETTINGS.samples).split == "train"
    assert floor_part(reference, "gan_test_judge", SETTINGS.samples) == reference.heldout_part(SETTINGS.samples)
    for metric in ("gan_test_judge", "gan_train_judge"):
        assert real[metric] > 0.9
        assert wrong[metric] == pytest.approx(1 / 9, abs=0.08)
        assert wrong[metric] < halves[metric] < real[metric] + 1e-9
        assert metric not in untold
    assert halves["gan_train_judge"] > halves["gan_test_judge"]  # half the labels still teach most of them
    assert real["label_accuracy_judge"] > 0.98
    assert 0.9 < real["label_accuracy_gated_judge"] <= real["label_accuracy_judge"]
    assert wrong["label_accuracy_judge"] == pytest.approx(1 / 9, abs=0.07)
    assert wrong["label_accuracy_judge+hat"] == pytest.approx(1 / 3, abs=0.1)
    assert wrong["fjd_judge"] > 3 * real["fjd_judge"]
    assert real["fjd_judge"] < halves["fjd_judge"] < wrong["fjd_judge"]
    assert wrong["fd_judge"] == real["fd_judge"]  # which does not see a wrong label
    assert wrong["intra_kid_judge"] > 0.05 > abs(real["intra_kid_judge"])
    assert wrong["worst_class_coverage_judge"] < real["worst_class_coverage_judge"]


def test_samples_are_told_the_labels_of_the_reference_in_turn(data: PreparedData, data_root: Path) -> None:
    reference = reference_of(data, data_root)
    told = reference.told(520)
    assert told is not None
    assert (told[:240] == reference.labels(reference.heldout_part(240))).all()
    assert (told[500:] == told[:20]).all()  # they begin anew after the last


def test_without_labels_nothing_is_told(plain: PreparedData, data_root: Path) -> None:
    assert reference_of(plain, data_root).told(50) is None
