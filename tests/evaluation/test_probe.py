"""The classifier of labels on features, against scikit-learn's, and what it says of real faces under wrong labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from bench.evaluation.probe import WEIGHT_DECAY, fit_probe


def labelled(count: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return features of overlapping classes, of two factors with 3 and 2 values; the last feature never varies."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, (3, 2), (count, 2)).astype(np.uint8)
    centres = np.random.default_rng(0).normal(0, 0.5, (3, 2, 12))
    features = random.normal(centres[labels[:, 0], labels[:, 1]], np.linspace(0.2, 3, 12))
    return torch.from_numpy(np.c_[features, np.full(count, 7.0)]).float(), labels


def test_it_is_scikit_learn_s_logistic_regression() -> None:
    (features, labels), (others, _) = labelled(300, 1), labelled(200, 2)
    probe = fit_probe(features, labels, (3, 2))
    scaler = StandardScaler().fit(features.double().numpy())
    own, told = scaler.transform(features.double().numpy()), scaler.transform(others.double().numpy())
    read = probe.read(others)
    for place, columns in enumerate((slice(0, 3), slice(3, 5))):
        # scikit-learn weighs the sum of cross-entropies by C, and gives two classes one column, their difference.
        size = columns.stop - columns.start
        decay = WEIGHT_DECAY if size > 2 else WEIGHT_DECAY / 2
        model = LogisticRegression(C=1 / (len(own) * decay), tol=1e-10, max_iter=10_000).fit(own, labels[:, place])
        weights = probe.weights[:, columns].numpy().T
        expected = model.coef_ if size > 2 else np.concatenate([-model.coef_, model.coef_]) / 2
        assert weights == pytest.approx(expected, abs=2e-3)
        assert (read[:, place] == model.predict(told)).mean() > 0.99


def test_a_feature_that_never_varies_and_a_class_that_is_missing_do_no_harm() -> None:
    features, labels = labelled(120, 3)
    probe = fit_probe(features, np.minimum(labels, 1).astype(np.uint8), (3, 2))
    assert all(bool(part.isfinite().all()) for part in (probe.weights, probe.biases))
    assert set(probe.read(features)[:, 0]) <= {0, 1}
    same = fit_probe(torch.ones(20, 4), labels[:20], (3, 2))
    assert len({tuple(row) for row in same.read(torch.ones(20, 4))}) == 1


def test_accuracy_is_of_all_factors_together() -> None:
    features = torch.tensor([[0.0], [1.0], [0.0], [1.0]])
    labels = np.array([[0, 1], [1, 0], [0, 1], [1, 0]], np.uint8)
    probe = fit_probe(features, labels, (2, 2))
    assert probe.accuracy(features, labels) == 1
    assert probe.accuracy(features, np.array([[0, 1], [1, 1], [0, 0], [0, 0]], np.uint8)) == 0.25
