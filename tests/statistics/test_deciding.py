"""`bench plan --resolve A,B`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from helpers.study_fixture import realistic

from bench.cli import bench
from bench.errors import BenchError
from bench.statistics import MoreSeeds
from bench.statistics.deciding import answers, in_words, lost_verdicts, lost_verdicts_in_words
from bench.statistics.shipped import read_runs


def test_it_says_how_many_seeds_would_decide(tmp_path: Path) -> None:
    realistic(seeds=tuple(range(5))).write(tmp_path)
    result = CliRunner().invoke(bench, ["--runs", str(tmp_path), "plan", "--study", "quick", "--resolve", "nsgan,vae"])
    assert result.exit_code == 0, result.output
    assert "nsgan against vae, controlled, by" in result.output
    assert "by Holm's correction over 7: decides" in result.output
    assert "if that is the true difference:" in result.output


def test_the_words_say_what_the_report_says() -> None:
    answer = MoreSeeds("controlled", "fd_lite0", "a", "b", 5, 5, 6, 0.05 / 6, p=0.02)
    assert in_words(answer)[1] == "  p 0.02, not judged so far"
    assert in_words(replace(answer, p_holm=0.12))[1].endswith("correction over 6: does not decide")
    assert in_words(replace(answer, p_holm=0.04))[1].endswith("interval of the difference holds zero")
    decided, reason = in_words(replace(answer, decided=True, unanswered="1 of 5 runs of b lost"))[1:]
    assert "decided already" in decided
    assert reason == "  no number: 1 of 5 runs of b lost"


def test_json_holds_the_same_numbers(tmp_path: Path) -> None:
    realistic(seeds=tuple(range(5))).write(tmp_path)
    found = answers(read_runs(tmp_path, "quick"), "nsgan, vae")
    arguments = ["--runs", str(tmp_path), "plan", "--study", "quick", "--resolve", "nsgan,vae", "--json"]
    result = CliRunner().invoke(bench, arguments)
    assert [answer["seeds_needed"] for answer in json.loads(result.output)] == [a.seeds_needed for a in found]


def test_too_few_seeds_give_a_reason(tmp_path: Path) -> None:
    realistic(seeds=(0,)).write(tmp_path)
    (line,) = {in_words(answer)[1] for answer in answers(read_runs(tmp_path, "quick"), "nsgan,vae")}
    assert line.startswith("  no number: ")


@pytest.mark.parametrize(("pair", "words"), [("nsgan", "names no pair"), ("nsgan,nsgam", "did you mean")])
def test_what_is_no_pair_is_named(tmp_path: Path, pair: str, words: str) -> None:
    realistic(seeds=(0, 1, 2)).write(tmp_path)
    with pytest.raises(BenchError, match=words):
        answers(read_runs(tmp_path, "quick"), pair)


def test_a_plan_warns_where_one_lost_run_costs_a_verdict(tmp_path: Path) -> None:
    def planned(*options: str) -> dict[str, Any]:
        command = ["--runs", str(tmp_path), "plan", "--study", "faces", "--json", *options]
        result = CliRunner().invoke(bench, command)
        assert result.exit_code == 0, result.output
        losses: dict[str, Any] = json.loads(result.stdout)["after_a_loss"]
        return losses

    five = planned()
    assert list(five) == ["controlled", "published"]
    assert {loss["rows"] for loss in five.values()} == {9}  # its A/A arm takes no part
    keys = ("baseline_possible", "pairs_possible", "seeds_for_baseline", "seeds_for_pairs")
    assert {tuple(loss[key] for key in keys) for loss in five.values()} == {(False, False, 6, 7)}
    six = planned("--seeds", "0-5")
    assert {(loss["baseline_possible"], loss["pairs_possible"]) for loss in six.values()} == {(True, False)}
    assert planned("--seeds", "0-6") == {}


def test_a_plan_without_verdicts_warns_of_none() -> None:
    rows = {"controlled": 9, "published": 9, "custom": 1}
    assert list(lost_verdicts(rows, 5, "fd_lite0")) == ["controlled", "published"]
    assert len(lost_verdicts_in_words(lost_verdicts(rows, 5, "fd_lite0"))) == 1  # they have as many rows
    assert len(lost_verdicts_in_words(lost_verdicts(rows | {"custom": 12}, 5, "fd_lite0"))) == 2
    assert lost_verdicts(rows, 4, "fd_lite0") == {}
    assert lost_verdicts(rows, 5, "fd_judge") == {}
