"""What is said of one entry: intervals, counts, ranks and differences, against scipy and by hand."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.statistics_fixture import DIVERGED, FAILED, Fate, study_of
from helpers.study_fixture import StudyFixture, plan_of, troubled
from scipy import stats

from bench.statistics import (
    Summary,
    difference_interval,
    half_width_in_deviations,
    interquartile_interval,
    interquartile_mean,
    interquartile_note,
    mean_interval,
    summarise,
    summary_frame,
    write_summary,
)
from bench.statistics.results import collect

ROOT = Path(__file__).parents[2]


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


def test_ranks_are_over_all_planned_runs(tmp_path: Path) -> None:
    found = _summaries(tmp_path, troubled(5))
    primary = {label: summary for (label, metric), summary in found.items() if metric == "fd_lite0"}
    ranked = {label: summary for label, summary in primary.items() if summary.rank is not None}
    assert {label: s.rank for label, s in ranked.items()} == {
        "nsgan": 1,
        "wgan-gp": 2,
        "minimax": 3,
        "began": 4,
        "wgan": 5,
    }
    assert {s.ranked_by for s in ranked.values()} == {"mean rank"}
    runs = [[*s.scores, *[np.inf] * (s.diverged + s.failed)] for s in ranked.values()]
    mean_ranks = stats.rankdata(np.array(runs)).reshape(-1, 5).mean(axis=1)
    assert list(stats.rankdata(mean_ranks)) == [s.rank for s in ranked.values()]
    assert primary["vae"].unranked == "1 missing of 5 runs"
    assert all(s.rank is None and s.unranked == "not primary" for (_, m), s in found.items() if m != "fd_lite0")


def test_ranks_follow_the_means_while_no_run_is_lost() -> None:
    # By mean ranks b would lead: four of its five runs are the best there are.
    scores: dict[str, list[Fate]] = {"a": [30.0, 31.0, 32.0, 33.0, 34.0], "b": [25.0, 26.0, 27.0, 28.0, 90.0]}
    found = {s.label: s for s in summarise(*study_of(scores))}
    assert {label: (s.rank, s.ranked_by) for label, s in found.items()} == {"a": (1, "mean"), "b": (2, "mean")}
    lost = {s.label: s for s in summarise(*study_of(scores | {"b": [25.0, 26.0, 27.0, 28.0, DIVERGED]}))}
    assert {label: (s.rank, s.ranked_by) for label, s in lost.items()} == {"a": (2, "mean rank"), "b": (1, "mean rank")}
    assert lost["b"].basis == "survivors 4/5"


def test_survivors_do_not_lead() -> None:
    scores: dict[str, list[Fate]] = {"a": [30.0, 31.0, 32.0, 33.0, 34.0], "b": [20.0, 21.0, FAILED, DIVERGED, FAILED]}
    found = {s.label: s for s in summarise(*study_of(scores))}
    assert (found["a"].rank, found["b"].rank) == (1, 2)
    assert (found["b"].mean or 99) < (found["a"].mean or 0)


def test_equal_means_share_a_rank_and_all_lost_have_none() -> None:
    tied = summarise(*study_of({"a": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0], "c": [5.0, 6.0, 7.0]}))
    assert [s.rank for s in tied] == [1, 1, 3]
    lost = summarise(*study_of({"a": [DIVERGED] * 3, "b": [FAILED] * 3}))
    assert [(s.rank, s.unranked) for s in lost] == [(None, "nothing to rank against")] * 2


def test_the_interquartile_mean_and_its_interval() -> None:
    values = [1.0, 2.0, 4.0, 6.0, 100.0]
    assert float(interquartile_mean(values)) == 4.0
    assert float(interquartile_mean([*values, 3.0, 5.0, 0.0])) == 3.5  # of eight, two at each end
    interval = interquartile_interval(values)
    assert interval is not None
    assert 1.0 <= interval[0] < 4.0 < interval[1] <= 100.0
    assert interval == interquartile_interval(values[::-1])
    assert interval != interquartile_interval([value + 1e-9 for value in values])
    assert interquartile_interval([2.0] * 5) == (2.0, 2.0)
    assert interquartile_interval(values[:4]) is None
    assert "no interval" in interquartile_note(4)
    assert "91 %" in interquartile_note(5)
    assert interquartile_note(10) == ""


def test_the_bootstrap_is_of_the_primary_metric_from_five_seeds(tmp_path: Path) -> None:
    found = _summaries(tmp_path, troubled(5))
    nsgan, other = found["nsgan", "fd_lite0"], found["nsgan", "coverage_lite0"]
    assert (nsgan.interquartile_low, nsgan.interquartile_high) == interquartile_interval(nsgan.scores)
    assert nsgan.interquartile_mean == pytest.approx(np.mean(sorted(nsgan.scores)[1:4]))
    assert other.interquartile_mean is not None
    assert (other.interquartile_low, found["minimax", "fd_lite0"].interquartile_low) == (None, None)


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
    documented += (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split("## Columns")[1].split("###")[0]
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


@pytest.mark.parametrize(
    ("metric", "scores", "low", "high"),
    [
        ("coverage_lite0", [0.0001, 0.0, 0.0005], 0.0, None),
        ("unique_lite0", [0.999, 1.0, 0.996], None, 1.0),
        ("fd_lite0@500", [1.0, 9.0, 2.0], 0.0, None),
        ("kid_lite0", [0.001, 0.0, 0.009], None, None),  # unbiased: it may be negative
        ("of_another_version", [0.001, 0.0, 0.009], None, None),
        ("coverage_lite0", [-0.2, 0.5, 0.9], -0.2, 1.0),  # what cannot be is not hidden
    ],
)
def test_an_interval_holds_only_what_the_metric_can_be(
    metric: str, scores: list[float], low: float | None, high: float | None
) -> None:
    # Beside a baseline, for differences are not clipped.
    entries = {"nsgan": [0.0002, 0.0001, 0.0003], "wgan": scores}
    found = {s.label: s for s in summarise(*study_of(entries, metric))}["wgan"]
    free = mean_interval(scores)
    assert free is not None
    assert found.low == (free[0] if low is None else low)
    assert found.high == (free[1] if high is None else high)
    assert found.low is not None and found.high is not None and found.mean is not None  # noqa: PT018
    assert found.low <= found.mean <= found.high
    expected = difference_interval(scores, entries["nsgan"])
    assert (found.difference_low, found.difference_high) == expected
