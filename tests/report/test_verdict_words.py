"""What a report says of its seeds, in words: resolution, the evaluation's noise, permutation, correlation, LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.statistics_fixture import DIVERGED, PLANNED, Fate, plan_for, run_row, study_of, typed

from bench.formatting import format_number
from bench.metrics.settings import EvaluationSettings
from bench.report.render.latex import latex_tables
from bench.report.sections.seeds import limits_table, resolution_table
from bench.report.sections.verdicts import correlation_line, permutation_line, what_seeds_say
from bench.report.study import Entry, Study
from bench.statistics import study_statistics

NSGAN = [30.0, 31.0, 29.0, 30.5, 29.4]


def loaded(results: pd.DataFrame, plan: Mapping[str, Any], seeds: int = 5) -> Study:
    """Return a study of these results, without folders."""
    full = {**plan, "seeds": list(range(seeds)), "final_step": 900}
    entries = tuple(
        Entry(
            entry["label"],
            entry["protocol"],
            entry["objective"],
            card={},
            settings={},
            recipe={},
            deviations=(),
            notes=(),
            runs=(),
        )
        for entry in full["entries"]
    )
    return Study(full, EvaluationSettings(), entries, results, study_statistics(results, full))


def study(entries: Mapping[str, Sequence[Fate]]) -> Study:
    return loaded(*study_of(entries))


def twice_measured(halves: Mapping[str, float]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return rows of NSGAN's scores whose two sample seeds stand this far to both sides of them."""
    rows = [
        run_row(label, "controlled", seed, score, "fd_lite0") | {"sample_seed": sample, "value": score + sign * half}
        for label, half in halves.items()
        for seed, score in enumerate(NSGAN)
        for sample, sign in enumerate((-1, 1))
    ]
    return typed(rows), plan_for(list(halves), "fd_lite0", "nsgan", ["controlled"])


def test_the_evaluations_noise_is_that_between_sample_seeds() -> None:
    found = loaded(*twice_measured({"nsgan": 1.0, "wgan": 3.0}))
    resolution = found.resolution("controlled", "fd_lite0")
    assert resolution is not None
    # The variance of two values 2 h apart is 2 h^2: (2 + 18) / 2 pooled, and half of that in the mean of two.
    assert resolution.within_run_deviation == pytest.approx(np.sqrt(10))
    assert resolution.evaluation_deviation == pytest.approx(np.sqrt(5))
    assert resolution.sample_seeds == 2
    frame = found.statistics.frames()["resolution"]
    assert frame["within_run_deviation"].tolist() == pytest.approx([np.sqrt(10)])
    table = resolution_table(found)
    assert table is not None
    measuring = table.rows[0].cells[-1]
    assert re.findall(r"[\d.]+", f"{measuring.text} {measuring.detail}") == ["2.24", "3.16", "2"]


def test_the_a_a_arm_has_no_part_in_it() -> None:
    results, plan = twice_measured({"nsgan": 1.0, "wgan": 3.0, "nsgan-twin": 50.0})
    results["seed"] += 100 * (results["label"] == "nsgan-twin").astype(int)
    plan["entries"][2]["same_as"] = "nsgan"
    (found,) = study_statistics(results, plan).resolutions
    assert found.within_run_deviation == pytest.approx(np.sqrt(10))


def test_one_sample_seed_says_nothing_of_the_evaluations_noise() -> None:
    found = study({"nsgan": NSGAN, "wgan": [value + 2 for value in NSGAN]})
    assert found.statistics.resolutions[0].within_run_deviation is None
    assert found.statistics.frames()["resolution"]["within_run_deviation"].isna().all()
    table = resolution_table(found)
    assert table is not None
    assert [heading.text for heading in table.headings][-1] == "as the first of all pairs"
    assert {len(row.cells) for row in table.rows} == {len(table.headings)}


@pytest.mark.parametrize("scores", [[30.0] * 5, [PLANNED] * 5, [30.0, *[PLANNED] * 4]])
def test_without_spread_the_resolution_is_in_deviations(scores: list[Fate]) -> None:
    found = study({"nsgan": scores, "wgan": scores, "vae": scores})
    table = resolution_table(found)
    assert table is not None
    assert [cell.text for cell in table.rows[0].cells[2:4]] == ["–", "2.02 deviations"]
    latex = latex_tables(found)["results-controlled.tex"]
    assert "2.02 standard deviations of a run" in latex


def test_a_latex_table_says_what_its_seeds_resolve() -> None:
    found = study({"nsgan": NSGAN, "wgan": [value + 2 for value in NSGAN], "vae": NSGAN})
    resolution = found.statistics.resolutions[0]
    latex = latex_tables(found)["results-controlled.tex"]
    assert f"{format_number(resolution.single_gap)} between two rows alone" in latex
    assert f"{format_number(resolution.pairs_gap)} as the first of all 3 pairs." in latex


@pytest.mark.parametrize(("rows", "hopeless"), [(6, False), (7, True)])
def test_whether_the_permutation_p_could_pass_holm_is_said(rows: int, hopeless: bool) -> None:
    rng = np.random.default_rng(0)
    others = {f"entry{row}": rng.normal(30, 1, 5).tolist() for row in range(rows)}
    found = study({"nsgan": NSGAN, **others})
    line = permutation_line(found, "controlled")
    # 2 / C(10, 5) = .0079 lies between 5 % / 7 and 5 % / 6.
    assert "cannot fall below 0.008" in line
    assert f"over {rows} comparisons asks for {0.05 / rows:.3f}" in line
    assert line.endswith("no scores could pass it") == hopeless
    assert ("could" in line) == hopeless
    assert sum("The permutation p" in text for text in what_seeds_say(found, "controlled")) == 1


def test_comparisons_that_no_scores_could_decide_are_counted() -> None:
    rng = np.random.default_rng(0)
    rows = {"nsgan": NSGAN, "far": [1000.0, 1001.0, 1002.0, 3000.0, 90000.0]}  # above all of nsgan's, and all over
    found = study({**rows, **{f"entry{row}": rng.normal(30, 1, 5).tolist() for row in range(6)}})
    table = limits_table(found)
    assert table is not None
    limits = [limit for limit in found.statistics.limits if limit.kind == "pair"]
    (pair,) = (row for row in table.rows if row.cells[1].text == "28 pairs")
    undecided = sum(limit.separated and not limit.decided for limit in limits)
    assert undecided >= 7  # "far" beats nobody and is beaten by all
    assert pair.cells[3].text == str(undecided)
    assert pair.cells[4].sort == min(limit.smallest_p_holm for limit in limits) > 0.05
    assert pair.cells[5].text == str(limits[0].seeds_for_ranks)


def test_the_correlation_within_seeds_is_said_as_a_range() -> None:
    opposite = [60 - value for value in NSGAN]
    found = study({"nsgan": NSGAN, "wgan": [2 * value for value in NSGAN], "vae": opposite, "ebgan": [1.0] * 5})
    line = correlation_line(found, "controlled")
    assert all(part in line for part in ("−1.00 to 1.00", "2 rows", "5 seeds"))
    assert sum("correlate" in text for text in what_seeds_say(found, "controlled")) == 1
    one = study({"nsgan": NSGAN, "wgan": [2 * value for value in NSGAN]})
    assert "by 1.00 (1 row," in correlation_line(one, "controlled")
    assert not correlation_line(study({"nsgan": NSGAN, "wgan": [1.0] * 5}), "controlled")


def test_latex_cells_say_over_how_many_runs_they_are() -> None:
    fates: dict[str, Sequence[Fate]] = {
        "nsgan": NSGAN,
        "wgan": [1087.0, 1022.0, DIVERGED, DIVERGED, DIVERGED],
        "vae": [40.0, 41.0, 42.0, 43.0, PLANNED],
    }
    table = latex_tables(study(fates))["metrics.tex"]
    assert r"wgan & controlled & 1,087 $\cdot$ 1,022 (2 of 5) \\" in table
    assert re.search(r"vae & controlled & 41\.5 \{\[\}[^&]*\(4 of 5\) ", table)
    assert re.search(r"nsgan & controlled & 30\.0 \{\[\}[^(]*\\\\", table)
    assert "only k of the n planned runs" in table
    assert "of n" not in latex_tables(study({"nsgan": NSGAN, "vae": NSGAN}))["metrics.tex"]
