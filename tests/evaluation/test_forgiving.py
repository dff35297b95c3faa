"""What a metric forgives: the degradations, and the panel that a study keeps of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import DataRequest, prepare
from bench.data.faces import draw_faces
from bench.evaluation.degrading import (
    DEGRADATIONS,
    Degradation,
    Degraded,
    clusters_of,
    mean_image,
    without_clusters,
)
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.forgiving import SHOWN, what_is_forgiven
from bench.evaluation.metrics import floors
from bench.metrics.settings import EvaluationSettings

FACES = draw_faces(9, range(30), 32)
PLACES = np.arange(29, -1, -1)
MEAN = mean_image(FACES, PLACES)


@pytest.mark.parametrize("degradation", DEGRADATIONS.values(), ids=DEGRADATIONS)
def test_an_image_is_degraded_alike_in_whatever_slice(degradation: Degradation) -> None:
    degraded = Degraded(FACES, PLACES, MEAN, degradation)
    whole = degraded[0:30]
    assert whole.shape == FACES.shape
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate([degraded[0:16], degraded[16:30]]), whole)
    assert not np.array_equal(whole, FACES[PLACES])


def test_degradations_do_what_they_say() -> None:
    real = FACES[PLACES].astype(float)

    def apart(name: str) -> float:
        return float(np.abs(Degraded(FACES, PLACES, MEAN, DEGRADATIONS[name])[0:30] - real).mean())

    half = Degraded(FACES, PLACES, MEAN, DEGRADATIONS["average-50"])[0:30]
    assert np.abs(half - (real + MEAN) / 2).max() <= 0.5
    assert apart("checkerboard-10") == pytest.approx(10, abs=0.5)
    assert apart("noise-16") == pytest.approx(16 * (2 / np.pi) ** 0.5, rel=0.1)
    assert apart("blur-4") > apart("blur-2") > apart("blur-1")
    moved = Degraded(FACES, PLACES, MEAN, DEGRADATIONS["shift-8"])[0:30]
    np.testing.assert_array_equal(moved[..., 4:], FACES[PLACES][..., :-4])
    halves = Degraded(FACES, PLACES, MEAN, DEGRADATIONS["halves"])[0:30]
    np.testing.assert_array_equal(halves[0, ..., 16:], FACES[PLACES[1]][..., 16:])


def test_left_out_clusters_are_left_out() -> None:
    clusters = np.arange(300) % 10
    kept = without_clusters(clusters, 100, 3)
    assert len(kept) == 100
    assert len(set(clusters[kept])) == 7
    assert len(set(without_clusters(clusters[:100], 100, 3))) == 70  # too few: they repeat
    points = np.repeat(np.arange(10, dtype=np.uint8) * 25, 20)[:, None].repeat(768, axis=1)
    points[::2] += 1
    for shown in (points, points[::20]):  # the second ones are too few for so many centres
        found = clusters_of(shown)
        group = len(shown) // 10
        assert all(len(set(found[at : at + group])) == 1 for at in range(0, len(shown), group))
        assert len(set(found)) == 10


def test_the_panel_stands_beside_the_floor_and_is_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=80, heldout_count=120)
    settings = EvaluationSettings(extractors=("judge",), samples=60, snapshot_samples=50, kid_subset_size=20)
    data = prepare(request, tmp_path, workers=1)
    reference = Evaluator(settings, data, tmp_path, torch.device("cpu")).reference
    record = what_is_forgiven(reference, settings, "judge")
    assert (record["samples"], record["floor_source"], record["evaluation_id"]) == (60, "heldout", settings.id())
    assert record["floor"]["fd_judge"] == floors(reference, 60, final=True)["fd_judge"]
    rows = {row["name"]: row["values"] for row in record["rows"]}
    assert set(rows) == {*SHOWN, "dropped", "repeated"}
    assert rows["noise-16"]["fd_judge"] > rows["dropped"]["fd_judge"]
    assert rows["repeated"]["recall_judge"] == 0
    assert all(set(values) == set(record["floor"]) for values in rows.values())
    monkeypatch.setattr("bench.evaluation.forgiving.extract", None)
    again = Evaluator(settings, data, tmp_path, torch.device("cpu")).reference
    assert what_is_forgiven(again, settings, "judge") == record
