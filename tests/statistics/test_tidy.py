"""Verdicts and tie groups of any tidy table: the same numbers as a study of these scores has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.statistics_fixture import DIVERGED, study_of

from bench.errors import BenchError
from bench.statistics import compare, study_statistics, tie_groups

BEST = [20.1, 21.0, 19.5, 20.4, 20.8]
MIDDLE = [30.0, 31.0, 29.0, 30.5, 29.4]
WORST = [60.2, 61.1, 59.0, 62.3, 60.5]
ENTRIES = {"nsgan": MIDDLE, "vae": BEST, "wgan": WORST, "lsgan": [*MIDDLE[:4], 29.9]}


def tidy(entries: Mapping[str, Sequence[float]], **names: str) -> pd.DataFrame:
    table = pd.DataFrame(
        [
            {"label": label, "seed": seed, "value": score}
            for label, scores in entries.items()
            for seed, score in enumerate(scores)
        ]
    )
    return table.rename(columns=names)


def test_a_table_has_the_verdicts_of_a_study_with_its_scores() -> None:
    expected = study_statistics(*study_of(ENTRIES)).frames()["comparisons"]
    found = compare(tidy(ENTRIES), baseline="nsgan")
    pd.testing.assert_frame_equal(found, expected[list(found.columns)])
    assert dict(zip(found["label"], found["verdict"], strict=True)) == {
        "vae": "better",
        "wgan": "worse",
        "lsgan": "undecided",
    }


def test_a_table_has_the_tie_groups_of_a_study_with_its_scores() -> None:
    expected = study_statistics(*study_of(ENTRIES)).frames()
    found = tie_groups(tidy(ENTRIES)).set_index("label")
    assert found.index[0] == "vae"
    assert list(found["rank"]) == [1, 2, 3, 4]
    for table, columns in (
        (expected["standings"], ["rank", "best_rank", "worst_rank", "letters", "unlettered"]),
        (expected["summary"], ["mean", "low", "high", "planned"]),
    ):
        pd.testing.assert_frame_equal(found[columns], table.set_index("label").loc[found.index, columns])
    assert dict(found["letters"]) == {"vae": "a", "nsgan": "b", "lsgan": "b", "wgan": "c"}


def test_higher_is_better_turns_verdicts_and_ranks_round() -> None:
    verdicts = compare(tidy(ENTRIES), baseline="nsgan", better="higher").set_index("label")["verdict"]
    assert (verdicts["vae"], verdicts["wgan"]) == ("worse", "better")
    assert tie_groups(tidy(ENTRIES), better="higher")["label"][0] == "wgan"


def test_columns_and_seeds_may_be_called_anything() -> None:
    table = tidy(ENTRIES, label="model", seed="fold", value="error")
    table["fold"] = "fold-" + table["fold"].astype(str)
    found = compare(table, baseline="nsgan", value="error", row="model", seed="fold")
    expected = compare(tidy(ENTRIES), baseline="nsgan")
    pd.testing.assert_frame_equal(found.rename(columns={"model": "label"}), expected)


@pytest.mark.parametrize("lost", [np.nan, np.inf, None])
def test_an_empty_value_is_a_lost_run_not_a_missing_one(lost: float | None) -> None:
    entries: dict[str, list[Any]] = {"nsgan": BEST, "wgan": [*WORST[:4], lost]}
    expected = study_statistics(*study_of({"nsgan": BEST, "wgan": [*WORST[:4], DIVERGED]})).frames()["comparisons"]
    found = compare(tidy(entries), baseline="nsgan")
    assert found[["test", "lost", "verdict"]].to_numpy().tolist() == [["ranks", 1, "worse"]]
    assert found["p_holm"][0] == expected["p_holm"][0]
    (row,) = tie_groups(tidy(entries)).query("label == 'wgan'").to_dict("records")
    assert (row["lost"], row["letters"], row["rank"]) == (1, "", 2)


def test_a_row_of_which_every_run_is_lost_is_lost() -> None:
    found = compare(tidy({"nsgan": BEST, "wgan": [np.nan] * 5}), baseline="nsgan")
    assert found["verdict"].tolist() == ["lost"]


def test_several_lines_of_a_seed_are_one_run() -> None:
    table = tidy(ENTRIES)
    twice = pd.concat([table.assign(value=table["value"] + shift) for shift in (-0.5, 0.5)])
    pd.testing.assert_frame_equal(compare(twice, baseline="nsgan"), compare(table, baseline="nsgan"))


def test_few_seeds_have_no_verdict_and_say_why() -> None:
    found = compare(tidy({label: scores[:4] for label, scores in ENTRIES.items()}), baseline="nsgan")
    assert set(found["verdict"]) == {""}
    assert (found["unjudged"] != "").all()
    assert found["difference_low"].notna().all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"baseline": "nsgn"}, "nsgan"),
        ({"value": "valu"}, "value"),
        ({"better": "upwards"}, "upwards"),
        ({"row": "seed", "baseline": "9"}, "0, 1, 2"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BenchError, match=named):
        compare(tidy(ENTRIES), **{"baseline": "nsgan", **change})


@pytest.mark.parametrize("column", ["metric", "protocol"])
def test_a_table_of_several_metrics_or_protocols_is_refused(column: str) -> None:
    table = pd.concat([tidy(ENTRIES).assign(**{column: name}) for name in ("one", "other")])
    with pytest.raises(BenchError, match=column):
        tie_groups(table)
    assert len(tie_groups(table[table[column] == "one"])) == 4


@pytest.mark.parametrize("table", [tidy(ENTRIES).head(0), tidy(ENTRIES).assign(value="good")])
def test_a_table_without_numbers_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(BenchError):
        tie_groups(table)
