"""Intervals, counts, ranks and differences, against scipy, by hand, and by simulation."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from study_fixture import StudyFixture, plan_of, troubled

from bench.results import collect
from bench.statistics import (
    Summary,
    difference_interval,
    half_width_in_deviations,
    mean_interval,
    summarise,
    summary_frame,
    write_summary,
)

DATA_SETS = 1500
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_of_a_mean_covers_as_often_as_it_says(seeds: int) -> None:
    draws = np.random.default_rng(seeds).normal(30, 4, (DATA_SETS, seeds))
    inside = 0
    for row in draws:
        interval = mean_interval(list(row))
        assert interval is not None
        inside += interval[0] <= 30 <= interval[1]
    assert 0.93 <= inside / DATA_SETS <= 0.97


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_of_a_difference_covers_as_often_as_it_says(seeds: int) -> None:
    rng = np.random.default_rng(100 + seeds)
    inside = 0
    sets = DATA_SETS // 2
    for a, b in zip(rng.normal(30, 4, (sets, seeds)), rng.normal(25, 4, (sets, seeds)), strict=True):
        interval = difference_interval(list(a), list(b))
        assert interval is not None
        inside += interval[0] <= 5 <= interval[1]
    assert 0.93 <= inside / sets <= 0.985  # Welch is conservative with three seeds


def test_an_interval_by_hand() -> None:
    # t(0.975, 2) = 4.30265; mean 2, deviation 1, so 2 -+ 4.30265 / sqrt(3)
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((-0.484138, 4.484138), abs=1e-6)
    assert half_width_in_deviations(3) == pytest.approx(2.484, abs=1e-3)
    assert half_width_in_deviations(5) == pytest.approx(1.242, abs=1e-3)


def test_welch_by_hand() -> None:
    a, b = [30.0, 32.0, 35.0], [20.0, 21.0, 24.0, 22.0]
    va, vb = np.var(a, ddof=1) / 3, np.var(b, ddof=1) / 4
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 3)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(va + vb)
    gap = np.mean(a) - np.mean(b)
    assert difference_interval(a, b) == pytest.approx((gap - half, gap + half))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_below_three_values_there_is_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None
    assert difference_interval(values, [1.0, 2.0, 3.0]) is None
    assert difference_interval([1.0, 2.0, 3.0], values) is None


def test_equal_values_have_an_interval_without_width() -> None:
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert difference_interval([2.0] * 3, [1.5] * 3) == (0.5, 0.5)
    low, high = difference_interval([2.0] * 3, [1.0, 1.5, 2.0]) or (0.0, 0.0)
    assert low < 0.5 < high


def _summaries(tmp_path: Path, fixture: StudyFixture, **plan_changes: Any) -> dict[tuple[str, str], Summary]:
    study = fixture.write(tmp_path)
    plan = plan_of(study) | plan_changes
    return {(s.label, s.metric): s for s in summarise(collect(tmp_path, fixture.name), plan)}


def test_counts_add_up_and_survivors_are_named(tmp_path: Path) -> None:
    found = _summaries(tmp_path, troubled(5))
    for summary in found.values():
        assert summary.planned == 5 == len(summary.values) + summary.diverged + summary.failed + summary.missing
    by_label = {label: summary for (label, metric), summary in found.items() if metric == "fd_lite0"}
    assert by_label["minimax"].basis == "survivors 4/5"
    assert by_label["wgan"].basis == "survivors 4/5"
    assert by_label["vae"].basis == "4/5 so far"
    assert by_label["nsgan"].basis == ""
    assert (by_label["ebgan"].done, by_label["ebgan"].missing) == (5, 1)
    assert (by_label["lsgan"].done, by_label["lsgan"].missing) == (4, 1)
    assert (by_label["began"].collapsed, by_label["nsgan"].collapsed) == (1, 0)
    assert len(by_label["began"].values) == 5  # a collapsed run stays in the mean


def test_ranks_are_over_all_planned_runs_or_none(tmp_path: Path) -> None:
    found = _summaries(tmp_path, troubled(5))
    primary = {label: summary for (label, metric), summary in found.items() if metric == "fd_lite0"}
    ranked = sorted((s.rank, s.mean) for s in primary.values() if s.rank is not None)
    assert [rank for rank, _ in ranked] == [1, 2, 3]
    assert [mean for _, mean in ranked] == sorted(mean for _, mean in ranked)
    assert primary["minimax"].unranked == "1 diverged of 5 runs"
    assert primary["vae"].unranked == "1 missing of 5 runs"
    assert all(s.rank is None and s.unranked == "not primary" for (_, m), s in found.items() if m != "fd_lite0")


def test_two_seeds_rank_nothing_and_have_no_interval(tmp_path: Path) -> None:
    found = _summaries(tmp_path, StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1)))
    for summary in found.values():
        assert summary.rank is None
        assert (summary.low, summary.high, summary.difference) == (None, None, None)
        assert len(summary.values) == 2
    assert found["wgan", "fd_lite0"].unranked == "fewer than three seeds"


def test_the_better_direction_decides_the_order(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1, 2))
    found = _summaries(tmp_path, study, primary_metric="coverage_lite0", secondary=[])
    assert found["nsgan", "coverage_lite0"].rank == 1
    assert (found["nsgan", "coverage_lite0"].mean or 0) > (found["wgan", "coverage_lite0"].mean or 0)


def test_a_diagnostic_never_ranks(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1, 2))
    found = _summaries(tmp_path, study, primary_metric="fd_judge", secondary=[])
    assert {found[label, "fd_judge"].rank for label in ("nsgan", "wgan")} == {None}
    assert found["nsgan", "fd_judge"].unranked == "this metric never ranks"


def test_differences_are_descriptive_unless_declared_and_complete(tmp_path: Path) -> None:
    found = _summaries(tmp_path, troubled(5))
    wgan_gp, minimax = found["wgan-gp", "fd_lite0"], found["minimax", "fd_lite0"]
    nsgan = found["nsgan", "fd_lite0"]
    assert wgan_gp.mean is not None
    assert nsgan.mean is not None
    assert wgan_gp.difference == pytest.approx(wgan_gp.mean - nsgan.mean)
    expected = difference_interval(wgan_gp.scores, nsgan.scores)
    assert (wgan_gp.difference_low, wgan_gp.difference_high) == expected
    assert wgan_gp.difference_role == "primary"
    assert minimax.difference_role == "descriptive"
    assert found["wgan-gp", "coverage_lite0"].difference_role == "descriptive"
    assert nsgan.difference is None


def test_a_baseline_that_is_no_row_gives_no_differences(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1, 2))
    found = _summaries(tmp_path, study, baseline="nowhere")
    assert {(s.baseline, s.difference) for s in found.values()} == {(None, None)}


def test_a_score_is_the_mean_over_the_sample_seeds(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan",), seeds=(0, 1, 2), sample_seeds=2)
    study = fixture.write(tmp_path)
    table = collect(tmp_path, "example")
    chosen = table[(table["metric"] == "fd_lite0") & (table["generator"] == "raw")]
    (summary,) = (s for s in summarise(table, plan_of(study)) if s.metric == "fd_lite0")
    expected = chosen.groupby("seed")["value"].mean()
    assert dict(summary.values) == pytest.approx(dict(expected))
    # A run whose second sample seed is not there yet has no score yet.
    part = table.drop(chosen[(chosen["seed"] == 1) & (chosen["sample_seed"] == 1)].index)
    (summary,) = (s for s in summarise(part, plan_of(study)) if s.metric == "fd_lite0")
    assert [seed for seed, _ in summary.values] == [0, 2]
    assert summary.missing == 1


def test_the_median_seed_is_the_lower_of_two_middle_ones() -> None:
    blank = Summary("controlled", "a", "a", "raw", "m", "primary", 4, 4, 0, 0, 0, 0, ())
    values = ((0, 9.0), (1, 3.0), (2, 5.0), (3, 4.0))
    assert dataclasses.replace(blank, values=values).median_seed() == 3
    assert dataclasses.replace(blank, values=values[:3]).median_seed() == 2
    assert blank.median_seed() is None


def test_a_study_of_which_nothing_ran_has_a_row_for_each_declared_metric(tmp_path: Path) -> None:
    fates = {("nsgan", "controlled", seed): None for seed in (0, 1, 2)}
    found = _summaries(tmp_path, StudyFixture(objectives=("nsgan",), seeds=(0, 1, 2), fates=fates))
    assert [metric for _, metric in found] == ["fd_lite0", "coverage_lite0", "recall_lite0", "precision_lite0"]
    assert all((s.planned, s.missing, s.values, s.mean) == (3, 3, (), None) for s in found.values())


def test_summary_csv_holds_every_field(tmp_path: Path) -> None:
    found = list(_summaries(tmp_path, troubled(3)).values())
    write_summary(found, tmp_path / "summary.csv")
    table = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False, na_values=[""])
    assert len(table) == len(found)
    for row, summary in zip(table.to_dict("records"), found, strict=True):
        assert row["mean"] == summary.mean or (pd.isna(row["mean"]) and summary.mean is None)
        pairs = [] if pd.isna(row["values"]) else [pair.split(":") for pair in str(row["values"]).split()]
        assert [(int(seed), float(value)) for seed, value in pairs] == list(summary.values)
    assert list(summary_frame(found).columns) == list(table.columns)
    documented = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("## summary.csv")[1]
    assert set(table.columns) <= set(re.findall(r"`(\w+)`", documented))


def test_only_the_final_step_and_the_declared_generator_count(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan",), seeds=(0, 1, 2)).write(tmp_path)
    table, plan = collect(tmp_path, "example"), plan_of(study)
    early = table[(table["metric"] == "fd_lite0@500") & ~table["final"]].assign(metric="fd_lite0")
    (before, after) = (
        next(s for s in summarise(results, plan) if s.metric == "fd_lite0")
        for results in (table, pd.concat([table, early]))
    )
    assert before == after
    averaged = next(s for s in summarise(table, plan | {"generator": "ema"}) if s.metric == "fd_lite0")
    assert (averaged.mean or 0) < (before.mean or 0)
