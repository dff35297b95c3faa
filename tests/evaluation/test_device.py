"""Distances, eigenvalues and kernels are computed where the features are, and mean the same there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.feature_sets import feature_sets
from helpers.pretended_device import PRETENDED, PretendedDevice
from torch import Tensor

from bench.data import DataRequest, prepare
from bench.evaluation.diversity import vendi_score
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.frechet import extrapolated_distance, fit, frechet_distance
from bench.evaluation.metrics import final_values, floors, sample_of_generated, snapshot_values
from bench.evaluation.reference import Reference
from bench.metrics.settings import EvaluationSettings

CPU = torch.device("cpu")
SETTINGS = EvaluationSettings(extractors=("judge",), samples=60, snapshot_samples=50, kid_subsets=5, kid_subset_size=40)


def test_the_pretended_card_refuses_what_a_real_one_does() -> None:
    with PretendedDevice():
        card = torch.ones(3, device=PRETENDED)
        assert card.device == card.new_zeros(2).device == (card + 1).sum().device == PRETENDED
        assert card.cpu().device == torch.zeros(3).device == CPU
        with pytest.raises(RuntimeError, match="two devices"):
            card + torch.ones(3)
        with pytest.raises(TypeError, match="numpy"):
            card.numpy()


@pytest.mark.parametrize(("generated", "real", "dimension"), [(700, 500, 30), (60, 50, 80)])
def test_metrics_of_features_on_a_card(generated: int, real: int, dimension: int) -> None:
    def measured(first: Tensor, second: Tensor) -> list[float]:
        reference = fit(second)
        distances = [frechet_distance(first, reference), vendi_score(first)]
        return [*distances, extrapolated_distance(first, reference)] if not reference.singular else distances

    sets = feature_sets(generated, real, dimension)
    here = measured(*sets)
    with PretendedDevice():
        assert measured(*(features.to(PRETENDED) for features in sets)) == here


def test_a_whole_sample_on_a_card_gives_the_same_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features come from the CPU: the card stands in from there on."""
    request = DataRequest(source="faces", resolution=32, train_count=150, heldout_count=130)
    data = prepare(request, tmp_path / "data", workers=1)
    images = torch.from_numpy(np.array(data.train.images()[:60])).flip(3)
    where: set[torch.device] = set()

    def measured(name: str, device: torch.device) -> dict[str, float]:
        reference = Evaluator(SETTINGS, data, tmp_path / name, CPU).reference  # each with a cache of its own
        assert reference.device == CPU
        reference.device = device
        sample = sample_of_generated(images, reference, final=True, progress=None)
        where.update(features.pool.device for features in sample.features.values())
        values = [*final_values(sample, reference), *snapshot_values(sample, reference)]
        return {value.metric: value.value for value in values} | {
            f"floor {metric}": value for metric, value in floors(reference, 60, final=True).items()
        }

    here = measured("here", CPU)
    with PretendedDevice():
        assert measured("there", PRETENDED) == here
    assert where == {CPU, PRETENDED}
    assert {"fd_judge", "kid_judge", "precision_judge", "vendi_judge", "ms_ssim", "nearest_train"} <= here.keys()


def test_a_device_without_float64_leaves_the_distances_to_the_cpu(tmp_path: Path) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=60, heldout_count=60)
    data = prepare(request, tmp_path, workers=1)
    judge = JudgeExtractor("faces", CPU)

    def computes_on(name: str) -> torch.device:
        judge.device = torch.device(name)
        return Reference(SETTINGS, data, (judge,), tmp_path).device

    assert computes_on("cuda:1") == torch.device("cuda:1")
    assert computes_on("mps") == computes_on("cpu") == CPU
