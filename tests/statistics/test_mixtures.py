"""Rows of collapsed and other runs: the share, the rest, and how often their intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.statistics_fixture import DIVERGED, study_of

from bench.statistics import Mixture, mean_interval, mixtures, rate_interval, study_statistics, summarise

GOOD = [30.0, 31.0, 29.0, 30.5]


def mixtures_of(collapsed: dict[tuple[str, int], bool | None], **rows: list[float | str]) -> list[Mixture]:
    return list(study_statistics(*study_of(rows, collapsed=collapsed)).mixtures)


def test_a_row_of_two_kinds_gives_the_share_and_the_rest() -> None:
    (found,) = mixtures_of({("wgan", 4): True}, nsgan=[*GOOD, 30.0], wgan=[*GOOD, 400.0])
    assert (found.protocol, found.label, found.metric, found.judged, found.collapsed, found.rest) == (
        *("controlled", "wgan", "fd_lite0"),
        *(5, 1, 4),
    )
    assert (found.collapsed_share, found.collapsed_mean) == (0.2, 400.0)
    assert (found.collapsed_share_low, found.collapsed_share_high) == rate_interval(1, 5)
    assert found.rest_mean == pytest.approx(np.mean(GOOD))
    assert found.rest_deviation == pytest.approx(np.std(GOOD, ddof=1))
    assert (found.rest_low, found.rest_high) == mean_interval(GOOD)


def test_one_kind_alone_is_no_mixture() -> None:
    rows: dict[str, list[float | str]] = {"nsgan": [*GOOD], "wgan": [400.0, 410.0, 390.0, 405.0]}
    assert mixtures_of({("wgan", seed): True for seed in range(4)}, **rows) == []
    assert mixtures_of({}, **rows) == []


def test_runs_that_were_lost_or_not_judged_take_no_part() -> None:
    (found,) = mixtures_of({("wgan", 0): True, ("wgan", 1): None}, wgan=[400.0, 31.0, 29.0, 30.5, DIVERGED])
    assert (found.judged, found.collapsed, found.rest) == (3, 1, 2)
    assert found.rest_mean == pytest.approx(29.75)
    assert (found.rest_low, found.rest_high) == (None, None)  # two runs give no interval
    assert found.rest_deviation is not None


@pytest.mark.parametrize(("seeds", "rate"), [(5, 0.2), (10, 0.1), (5, 0.1)])
def test_the_rest_and_the_share_are_covered_where_the_mean_is_not(seeds: int, rate: float) -> None:
    rng = np.random.default_rng(seeds)
    studies, good, bad = 600, 30.0, 300.0
    fell = rng.random((studies, seeds)) < rate
    scores = np.where(fell, rng.normal(bad, 20, fell.shape), rng.normal(good, 3, fell.shape))
    truth = rate * bad + (1 - rate) * good
    naive = [mean_interval(list(row)) or (np.nan, np.nan) for row in scores]
    assert np.mean([low <= truth <= high for low, high in naive]) < 0.72
    shares = [rate_interval(int(row.sum()), seeds) or (np.nan, np.nan) for row in fell]
    assert np.mean([low <= rate <= high for low, high in shares]) >= 0.95
    # All studies at once, as entries of one table; of a secondary metric, which needs no bootstrap.
    rows: dict[str, list[float | str]] = {f"row{study}": list(row) for study, row in enumerate(scores)}
    collapsed: dict[tuple[str, int], bool | None] = {
        (f"row{study}", seed): bool(value) for study, row in enumerate(fell) for seed, value in enumerate(row)
    }
    results, plan = study_of(rows, metric="kid_lite0", collapsed=collapsed)
    plan |= {"primary_metric": "fd_lite0", "secondary": ["kid_lite0"]}
    found = [m for m in mixtures(results, plan, summarise(results, plan)) if m.rest_low is not None]
    assert len(found) > 100
    assert np.mean([(m.rest_low or 0) <= good <= (m.rest_high or 0) for m in found]) == pytest.approx(0.95, abs=0.04)
