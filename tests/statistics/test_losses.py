"""Losses against scores: known correlations, settled runs and BEGAN's phases come out as they were put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.statistics.losses import RunLosses, followings, has_settled, phases, read_losses, settlings

STEPS = np.arange(10, 101, 10, dtype=np.float64)


def run(
    seed: int = 0, scores: dict[int, float] | None = None, collapsed: bool | None = False, **logged: object
) -> RunLosses:
    values = {name: np.asarray(value, dtype=np.float64) for name, value in logged.items()}
    return RunLosses("controlled", "nsgan", seed, STEPS, values, scores or {100: 1.0}, collapsed)


def test_a_log_is_read_by_player_and_a_missing_value_is_a_gap() -> None:
    log = [
        {"generator_steps": 1, "discriminator": {"real": 1.0, "fake": 2.0}, "generator": {"fake": 4.0}},
        {
            "generator_steps": 2,
            "discriminator": {"real": None, "fake": 2.0},
            "generator": {"fake": 5.0},
            "observed": {"k": 0.5},
        },
    ]
    steps, found = read_losses(log)
    assert steps.tolist() == [1, 2]
    assert found["discriminator"][0] == 3.0
    assert np.isnan(found["discriminator"][1])
    assert np.isnan(found["k"][0])
    assert found["k"][1] == 0.5
    assert read_losses([{"generator_steps": 1, "generator": {"kl": 2.0}}])[1].keys() == {"generator"}


def test_a_loss_that_falls_with_the_score_follows_it_and_its_mirror_image_does_not() -> None:
    scores = {25: 9.0, 50: 7.0, 75: 8.0, 100: 2.0}
    # The means since the snapshot before: 10+20 | 30+40+50 | 60+70 | 80+90+100
    falls = [4, 4, 2, 2, 2, 3, 3, 1, 1, 1]
    runs = [run(0, scores, discriminator=falls, generator=[-value for value in falls]), run(1, {100: 3.0})]
    (row,) = followings(runs, "lower")
    assert row.by_name["discriminator"].mean == pytest.approx(1.0)
    assert row.by_name["generator"].mean == pytest.approx(-1.0)
    assert (row.by_name["discriminator"].runs, row.snapshots) == (1, 4)
    assert row.opposed is not None
    assert row.opposed.mean == pytest.approx(-1.0)
    (turned,) = followings(runs, "higher")
    assert turned.by_name["discriminator"].mean == pytest.approx(-1.0)
    ranks = [0, 0, 5, 5, 5, 1, 1, 9, 9, 9]
    (other,) = followings([run(0, scores, discriminator=ranks)], "lower")
    expected = stats.spearmanr([0, 5, 1, 9], list(scores.values())).statistic
    assert other.by_name["discriminator"].mean == pytest.approx(expected)


def test_too_few_snapshots_and_constant_losses_have_no_correlation() -> None:
    assert followings([run(0, {50: 2.0, 75: 2.5, 100: 1.0}, discriminator=STEPS)], "lower") == []
    scores = {25: 9.0, 50: 7.0, 75: 8.0, 100: 2.0}
    assert followings([run(0, scores, discriminator=np.ones(10))], "lower") == []
    gap = np.where(STEPS == 60, np.nan, STEPS)
    assert followings([run(0, scores, discriminator=gap)], "lower") == []


def test_settled_runs_are_counted_beside_what_became_of_them() -> None:
    long = np.arange(1, 101, dtype=np.float64)
    still, moving = np.full(100, 2.0), 2.0 + np.sin(long)
    runs = [
        RunLosses(
            "controlled", "a", seed, long, {"generator": still if seed < 3 else moving}, {100: float(seed)}, seed == 0
        )
        for seed in range(6)
    ]
    assert [has_settled(each) for each in runs] == [True] * 3 + [False] * 3
    (counts,) = settlings(runs, "lower")
    assert (counts.settled, counts.settled_collapsed, counts.settled_better) == (3, 1, 3)
    assert (counts.unsettled, counts.unsettled_collapsed, counts.unsettled_better) == (3, 0, 0)
    assert (counts.halved, counts.halved_settled) == (6, 3)
    assert counts.chance == pytest.approx(0.1)  # 1 of 20 tables as extreme on each side
    (turned,) = settlings(runs, "higher")
    assert (turned.settled_better, turned.unsettled_better) == (0, 3)
    (odd,) = settlings(runs[:5], "lower")
    assert odd.halved == 4  # the middle run is of neither half
    assert settlings([run(discriminator=np.ones(10))], "lower") == []  # two values of the last fifth: too few


def test_the_phases_of_k() -> None:
    k = [0.1, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3]
    (row,) = phases([run(k=k), run(1)])
    assert row.highest.mean == 0.4
    assert row.highest_at.mean == pytest.approx(0.2)
    assert row.end.mean == pytest.approx(0.25)
    assert row.drift.mean == pytest.approx(0.1)
    assert phases([run(1, generator=k)]) == []
