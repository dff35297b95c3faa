"""Which objectives survive another backbone: counts, ratios and rank correlations of a record that is small by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from bench.statistics.backbones import OWN, backbone_frames, rank_agreements, spearman, survivals, trains

LABELS = ("a", "b", "c", "d", "e")


def run(
    label: str, seed: int, value: float | None, state: str = "done", collapsed: bool | None = False
) -> dict[str, Any]:
    return {
        "label": label,
        "protocol": "controlled",
        "seed": seed,
        "state": state,
        "collapsed": collapsed,
        "value": value,
    }


def record(metric: str = "fd_lite0") -> dict[str, Any]:
    own = [run(label, seed, 10.0 * (index + 1) + seed) for index, label in enumerate(LABELS) for seed in range(3)]
    other = [
        *(run("a", seed, value) for seed, value in enumerate((20.0, 22.0, 24.0))),
        *(run("b", seed, 99.0) for seed in range(3)),
        run("c", 0, 30.0, collapsed=True),
        run("c", 1, None, "diverged", None),
        run("c", 2, None, "failed", None),
        *(run("d", seed, 21.0) for seed in range(3)),
        *(run("e", seed, None, "diverged", None) for seed in range(3)),
    ]
    backbones = [
        {"name": OWN, "study": "s", "title": "DCGAN, width 8", "untrained": 200.0, "runs": own},
        {"name": "mlp", "study": "s.on-mlp", "title": "MLP, width 8", "untrained": 150.0, "runs": other},
    ]
    return {"schema": 1, "evaluation_id": "0" * 10, "metric": metric, "backbones": backbones}


def test_a_run_trains_below_half_of_the_untrained_generator_s_score() -> None:
    assert trains(run("a", 0, 99.9), 200.0, "fd_lite0") is True
    assert trains(run("a", 0, 100.0), 200.0, "fd_lite0") is False
    assert trains(run("a", 0, 1.0, collapsed=True), 200.0, "fd_lite0") is False
    assert trains(run("a", 0, None, "diverged", None), 200.0, "fd_lite0") is False
    assert trains(run("a", 0, None, "diverged", None), None, "fd_lite0") is None
    assert trains(run("a", 0, 1.0), None, "fd_lite0") is None
    assert trains(run("a", 0, None, "failed", None), 200.0, "fd_lite0") is None
    assert trains(run("a", 0, 0.4), None, "coverage_lite0") is True  # half of a share says nothing


def test_rows_are_counted_on_each_backbone_and_on_all() -> None:
    found = {(one.label, one.backbone): one for one in survivals(record())}
    assert {name: (one.trained, one.runs) for (label, name), one in found.items() if label == "a"} == {
        OWN: (3, 3),
        "mlp": (3, 3),
        None: (6, 6),
    }
    assert [(found[label, "mlp"].trained, found[label, "mlp"].runs) for label in "bcde"] == [
        (0, 3),
        (0, 2),
        (3, 3),
        (0, 3),
    ]
    c = found["c", "mlp"]
    exact = stats.binomtest(0, 2).proportion_ci(method="exact")
    assert (c.low, c.high) == pytest.approx((exact.low, exact.high))
    a = found["a", "mlp"]
    assert a.mean == pytest.approx(22)
    assert a.relative == pytest.approx(2)  # 20/10, 22/11, 24/12
    assert (a.relative_low, a.relative_high) == pytest.approx((2, 2))
    d = found["d", "mlp"]
    assert d.relative == pytest.approx(math.exp(sum(math.log(21 / (40 + seed)) for seed in range(3)) / 3))
    assert found["e", "mlp"].relative is None
    assert found["a", OWN].relative is None


def test_a_ranking_is_compared_by_spearman_with_rows_that_never_ended_last() -> None:
    (found,) = rank_agreements(record())
    means = [22.0, 99.0, 30.0, 21.0, math.inf]
    rho = stats.spearmanr([1, 2, 3, 4, 5], stats.rankdata(means)).statistic
    assert found.rho == pytest.approx(rho)
    half = 1.959964 * math.sqrt((1 + rho**2 / 2) / 2)
    assert found.low == pytest.approx(math.tanh(math.atanh(rho) - half), abs=1e-6)
    assert found.high == pytest.approx(math.tanh(math.atanh(rho) + half), abs=1e-6)


def test_too_few_or_equal_values_have_no_correlation_or_no_interval() -> None:
    assert spearman([(1, 2)]) == (None, None, None)
    assert spearman([(1, 2), (2, 2)]) == (None, None, None)
    assert spearman([(1, 1), (2, 3), (3, 2)]) == (pytest.approx(0.5), None, None)
    assert spearman([(1, 1), (2, 2), (3, 3), (4, 4)])[0] == pytest.approx(1)


def test_the_tables_hold_every_run_row_and_backbone() -> None:
    frames = backbone_frames(record())
    assert {name: len(frame) for name, frame in frames.items()} == {
        "backbones-runs": 15 + 15,
        "backbones": 5 * 3,
        "backbones-ranks": 1,
    }
    assert frames["backbones-runs"]["trains"].sum() == 15 + 6
