"""The report's first lines: what the seeds decide is what the verdicts say, and what they leave open is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from study_fixture import StudyFixture, realistic, troubled

from bench.report.conclusions import conclusions
from bench.report.study import Study, load_study


def study_of(fixture: StudyFixture, root: Path) -> Study:
    fixture.write(root)
    return load_study(root, fixture.name)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Eight objectives with lost, collapsed and missing runs, and the same without trouble as published."""
    return study_of(troubled(protocols=("controlled", "published")), tmp_path_factory.mktemp("conclusions"))


@pytest.mark.parametrize("protocol", ["controlled", "published"])
def test_rows_stand_under_the_verdicts_that_they_have(wide: Study, protocol: str) -> None:
    (sentence,) = (s for s in conclusions(wide).decided if s.startswith(f"{protocol.capitalize()}, by"))
    verdicts = {c.label: c.verdict or "not judged" for c in wide.statistics.comparisons if c.protocol == protocol}
    assert set(verdicts.values()) >= ({"worse", "undecided", "not judged"} if protocol == "controlled" else {"worse"})
    for part in sentence.split(" against nsgan: ")[1].split(" (Holm")[0].split("; "):
        name, _, rows = re.fullmatch(r"(better|worse|undecided|not judged) (is|are) (.*)", part).groups()  # type: ignore[union-attr]
        for label in re.split(r", | and ", rows):
            assert verdicts.pop(label) == name
    assert not verdicts


def test_the_first_place_is_shared_with_those_who_are_not_told_apart(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).decided if s.startswith("Published: ") and "stands first" in s)
    best = next(s.label for s in wide.statistics.standings if s.protocol == "published" and s.rank == 1)
    letter = {s.label: s.letters for s in wide.statistics.standings if s.protocol == "published"}
    level = {label for label, letters in letter.items() if set(letters) & set(letter[best])} - {best}
    assert sentence.startswith(f"Published: {best} stands first")
    assert {
        label for label in letter if re.search(rf"\b{label}\b(?!-).* cannot be told from it where all pairs", sentence)
    } - {best} == level


def test_lost_runs_are_counted(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).decided if s.startswith("Lost or collapsed"))
    for part in ("minimax (controlled) 1 diverged of 5", "wgan (controlled) 1 failed of 5", "began (controlled) 1 col"):
        assert part in sentence
    assert "published" not in sentence


def test_recipes_are_compared_where_nothing_was_lost(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).decided if "recipe in place of" in s)
    assert "6 rows compared" in sentence  # not of minimax and wgan, whose means are over survivors


def test_what_stays_open_is_named(wide: Study) -> None:
    left = " ".join(conclusions(wide).open)
    for words in ("undecided rows are equal", "longer training", "other images than faces", "another learning rate"):
        assert words in left
    assert "FIDs in papers" in left


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    found = conclusions(study_of(realistic(), tmp_path))
    assert not found.decided
    assert found.open[0].startswith("Which row is better: 2 seeds decide nothing")


def test_rows_that_no_longer_move_are_not_called_unfinished(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "lsgan"), seeds=(0, 1, 2))
    study = study_of(fixture, tmp_path)
    metric = study.settings.snapshot_metric(study.primary)
    assert any("longer training" in sentence for sentence in conclusions(study).open)
    study.results.loc[study.results["metric"] == metric, "value"] = 5.0
    assert not any("longer training" in sentence for sentence in conclusions(study).open)
