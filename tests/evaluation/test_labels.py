"""Samples with labels: those of the reference images, one by one, and what the judge answers beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.data import DataRequest, PreparedData, faces, prepare
from bench.evaluation.extractors import JudgeExtractor
from bench.evaluation.features import Features, extract
from bench.evaluation.reference import Reference
from bench.evaluation.samples import Conditions, conditions_of, generate
from bench.metrics.settings import EvaluationSettings
from bench.networks.backbone import Generator, build_networks

CPU = torch.device("cpu")
SIZES = (3, 6)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    asked = {"source": "faces", "resolution": 32, "train_count": 70, "heldout_count": 110}
    request = DataRequest.model_validate({**asked, "labels": ("hat", "background")})
    return prepare(request, tmp_path_factory.mktemp("data"), workers=1)


def generator() -> Generator:
    G, _ = build_networks(
        resolution=32, width=4, latent=10, head="score", norm="layer", seed=0, factor_sizes=SIZES, conditioning="none"
    )
    return G


def samples(count: int, conditions: Conditions) -> torch.Tensor:
    return generate(generator(), count, 0, latent=10, law="normal", device=CPU, conditions=conditions)


def test_a_sample_is_a_function_of_its_latent_and_its_condition(data: PreparedData) -> None:
    conditions = conditions_of(data)
    assert conditions is not None
    many = samples(240, conditions)
    assert torch.equal(many[:130], samples(130, conditions))
    other = conditions.samples.clone()
    other[7] = other[7].roll(1)
    changed = (samples(240, conditions._replace(samples=other)) != many).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == [7, 117, 227]  # they begin anew after the 110th
    calibrated = conditions._replace(calibration=conditions.calibration[:1])
    assert not torch.equal(samples(10, calibrated), many[:10])


def test_samples_have_the_labels_of_the_reference_in_its_order(data: PreparedData, tmp_path: Path) -> None:
    settings = EvaluationSettings(extractors=("judge",), samples=55, snapshot_samples=55)
    reference = Reference(settings, data, (JudgeExtractor("faces", CPU),), tmp_path)
    labels = reference.labels(reference.heldout_part(55))
    conditions = conditions_of(data)
    assert conditions is not None
    assert list(reference.factors) == ["hat", "background"]
    assert (conditions.samples[:55, :3].argmax(1).numpy() == labels[:, 0]).all()
    assert (conditions.samples[:55, 3:].argmax(1).numpy() == labels[:, 1]).all()
    # The judge reads the reference images' labels off them.
    features = reference.features(reference.extractors[0], reference.heldout_part(55))
    assert features.answers is not None
    assert features.certainty is not None
    columns = [list(faces.FACTORS).index(name) for name in reference.factors]
    assert (features.answers[:, columns].cpu().numpy() == labels).all()
    assert float(features.certainty[:, columns].min()) > 0.5


def test_without_labels_nothing_is_told(tmp_path: Path) -> None:
    plain = DataRequest.model_validate({"source": "faces", "resolution": 32, "train_count": 60, "heldout_count": 60})
    assert conditions_of(prepare(plain, tmp_path, workers=1)) is None


def test_the_judge_s_answers_survive_the_cache() -> None:
    images = torch.from_numpy(faces.draw_faces(0, range(20), 32))
    found = extract(JudgeExtractor("faces", CPU), images)
    again = Features.from_arrays(found.arrays())
    assert again.answers is not None
    assert found.answers is not None
    assert torch.equal(again.answers, found.answers)
    assert found.answers.shape == (20, len(faces.FACTORS))
    assert torch.equal(found.part(3, 5).answers, found.answers[3:5])  # type: ignore[arg-type]
