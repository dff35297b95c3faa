"""`bench plan --resolve A,B`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from study_fixture import realistic

from bench.cli import bench
from bench.deciding import answers, in_words
from bench.errors import BenchError


def test_it_says_how_many_seeds_would_decide(tmp_path: Path) -> None:
    realistic(seeds=tuple(range(5))).write(tmp_path)
    result = CliRunner().invoke(bench, ["--runs", str(tmp_path), "plan", "--study", "quick", "--resolve", "nsgan,vae"])
    assert result.exit_code == 0, result.output
    assert "nsgan against vae, controlled, by" in result.output
    assert "comparisons the first needs" in result.output
    assert "if that is the true difference:" in result.output


def test_json_holds_the_same_numbers(tmp_path: Path) -> None:
    realistic(seeds=tuple(range(5))).write(tmp_path)
    found = answers(tmp_path, "quick", "nsgan, vae")
    arguments = ["--runs", str(tmp_path), "plan", "--study", "quick", "--resolve", "nsgan,vae", "--json"]
    result = CliRunner().invoke(bench, arguments)
    assert [answer["seeds_needed"] for answer in json.loads(result.output)] == [a.seeds_needed for a in found]


def test_too_few_seeds_give_a_reason(tmp_path: Path) -> None:
    realistic(seeds=(0,)).write(tmp_path)
    (line,) = {in_words(answer)[1] for answer in answers(tmp_path, "quick", "nsgan,vae")}
    assert line.startswith("  no number: ")


@pytest.mark.parametrize(("pair", "words"), [("nsgan", "names no pair"), ("nsgan,nsgam", "did you mean")])
def test_what_is_no_pair_is_named(tmp_path: Path, pair: str, words: str) -> None:
    realistic(seeds=(0, 1, 2)).write(tmp_path)
    with pytest.raises(BenchError, match=words):
        answers(tmp_path, "quick", pair)
