"""The report's first lines: what the seeds decide is what the verdicts say, and what they leave open is named."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.study_fixture import Fate, StudyFixture, realistic, troubled

from bench.formatting import format_number
from bench.report.sections.conclusions import conclusions
from bench.report.sections.run_tables import troubles_table
from bench.report.study import Study, load_study
from bench.runs.folder import Failure, RunFolder
from bench.statistics import study_statistics


def study_of(fixture: StudyFixture, root: Path) -> Study:
    fixture.write(root)
    return load_study(root, fixture.name)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Eight objectives with lost, collapsed and missing runs, and the same without trouble as published."""
    return study_of(troubled(protocols=("controlled", "published")), tmp_path_factory.mktemp("conclusions"))


@pytest.mark.parametrize("protocol", ["controlled", "published"])
def test_rows_stand_under_the_verdicts_that_they_have(wide: Study, protocol: str) -> None:
    found = conclusions(wide)
    verdicts = {c.label: c.verdict or "not judged" for c in wide.statistics.comparisons if c.protocol == protocol}
    assert set(verdicts.values()) >= ({"worse", "undecided", "not judged"} if protocol == "controlled" else {"worse"})
    rows = r"(?P<rows>[\w-]+(?:(?:, | and )[\w-]+)*)"
    patterns = {
        "better": rf"{rows} scores? better",
        "worse": rf"{rows} scores? worse",
        "undecided": rf"whether {rows} differs? from nsgan",
        "not judged": rf"{rows} (?:is|are) not judged",
    }
    for sentences, names in ((found.decided, ("better", "worse")), (found.open, ("undecided", "not judged"))):
        for sentence in (s for s in sentences if s.startswith(protocol.capitalize())):
            for name in names:
                for match in re.finditer(patterns[name], sentence):
                    for label in re.split(r", | and ", match["rows"]):
                        assert verdicts.pop(label) == name
    assert not verdicts


def test_the_first_place_is_shared_with_those_who_are_not_told_apart(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).open if s.startswith("Published, which row is first: "))
    standings = [s for s in wide.statistics.standings if s.protocol == "published"]
    best = next(s for s in standings if s.rank == 1)
    level = {s.label for s in standings if set(s.letters) & set(best.letters)}
    assert len(level) > 1
    assert f": {best.label} leads, not told apart from " in sentence
    assert {best.label, *re.findall(r"(\S+) \(rank", sentence)} == level
    ranks = {s.label: s.rank for s in standings}
    assert all(float(rank) == ranks[label] for label, rank in re.findall(r"(\S+) \(rank (\d+)\)", sentence))


def test_what_is_decided_is_what_pairs_and_verdicts_tell_apart(wide: Study) -> None:
    apart = {(p.protocol, p.winner, p.second if p.winner == p.first else p.first) for p in wide.statistics.pairs}
    for sentence in conclusions(wide).decided:
        if "told apart, after correction" not in sentence:
            assert "Holm at 5" in sentence
            continue
        protocol, _, rest = sentence.partition(": ")
        for clause in rest.partition(" (")[0].split("; "):
            better, worse = re.split(r" (?:is|are) better than ", clause)
            assert {
                (protocol.lower(), one, other)
                for one in re.split(r", | and ", better)
                for other in re.split(r", | and ", worse)
            } <= apart


def test_no_row_is_first_while_rows_are_unfinished(tmp_path: Path) -> None:
    labels, seeds = ("nsgan", "lsgan", "wgan", "vae", "ebgan"), tuple(range(5))
    absent = {(label, "published", seed): None for label in ("vae", "ebgan") for seed in seeds}
    study = study_of(StudyFixture(objectives=labels, protocols=("published",), seeds=seeds, fates=absent), tmp_path)
    found = conclusions(study)
    (sentence,) = (s for s in found.open if "which row is first" in s)
    assert sentence.startswith("Published, ")
    assert "3 of 5 rows" in sentence
    assert re.findall(r"(\S+) leads|from (\S+) \(rank 2\)", sentence) == [("nsgan", ""), ("", "lsgan")]
    assert re.findall(r"(\S+) and (\S+) are better than wgan", " ".join(found.decided)) == [("nsgan", "lsgan")]
    assert not any("first" in s or "every other row" in s for s in found.decided)
    # Where every row is complete and one is told from all others, that is decided.
    study = study_of(StudyFixture(name="whole", objectives=("vae", "nsgan", "wgan"), seeds=seeds), tmp_path)
    whole = conclusions(study)
    assert all(pair.winner for pair in study.statistics.pairs)
    assert not any("not told apart" in sentence for sentence in whole.open)
    assert any("nsgan is better than every other row" in s for s in whole.decided)
    assert not any("which row is first" in s for s in whole.open)


def test_what_is_not_tested_stands_apart(wide: Study) -> None:
    found = conclusions(wide)
    for words in ("Lost or collapsed", "authors’ recipe"):
        assert any(words in sentence for sentence in found.described)
        assert not any(words in sentence for sentence in (*found.decided, *found.open))
    assert not any("uncorrected" in sentence for sentence in found.decided)


def test_lost_runs_are_counted(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).described if s.startswith("Lost or collapsed"))
    for part in (
        "minimax (controlled): 1 diverged of 5",
        "wgan (controlled): 1 failed of 5",
        "began (controlled): 1 c",
    ):
        assert part in sentence
    assert "published" not in sentence


def test_lost_runs_are_counted_of_those_that_ended(tmp_path: Path) -> None:
    fates: dict[tuple[str, str, int], Fate | None] = {("nsgan", "controlled", seed): None for seed in (2, 3, 4)}
    fixture = StudyFixture(objectives=("nsgan",), seeds=tuple(range(5)), fates=fates)
    (sentence,) = conclusions(study_of(fixture, tmp_path / "a")).described
    assert re.findall(r"\d+", sentence) == ["2", "5", "2"]  # done of planned, and judged
    fates |= {("nsgan", "controlled", seed): Fate(collapsed=True) for seed in (0, 1)}
    (sentence,) = conclusions(study_of(fixture, tmp_path / "b")).described
    assert "2 collapsed of 2 done (5 planned)" in sentence
    whole = StudyFixture(objectives=("nsgan",), seeds=(0, 1))
    (sentence,) = conclusions(study_of(whole, tmp_path / "c")).described
    assert sentence.startswith("No planned run diverged")


def test_recipes_are_compared_where_nothing_was_lost(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).described if "authors’ recipe" in s)
    assert "6 rows compared" in sentence  # not of minimax and wgan, whose means are over survivors


def test_an_order_of_failures_is_called_one(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "wgan", "vae"), seeds=(0, 1, 2), fates={("vae", "controlled", 2): None})
    study = study_of(fixture, tmp_path)
    assert not any("failures" in sentence for sentence in conclusions(study).open)
    small = study.results["metric"].eq("coverage_lite0") & study.results["label"].ne("vae")
    study.results.loc[small.fillna(False), "value"] = 0.014  # vae keeps its coverage: it is not complete
    again = replace(study, statistics=study_statistics(study.results, study.plan))
    (sentence,) = (s for s in conclusions(again).open if "failures" in s)
    assert sentence.startswith("Controlled, whether any row is good: ")
    for part in (
        "(2 of 3)",
        "0.014, real held-out images 0.968",
        "real held-out images 1.42",
        "its ranks order failures",
    ):
        assert part in sentence
    one = small & study.results["label"].eq("wgan")
    study.results.loc[one.fillna(False), "value"] = 0.2
    again = replace(study, statistics=study_statistics(study.results, study.plan))
    assert not any("failures" in sentence for sentence in conclusions(again).open)
    # The other row, nsgan, is still that empty, and stands first.
    (sentence,) = (s for s in conclusions(again).open if "whether the first rank is a good row" in s)
    assert "nsgan covers less than a tenth" in sentence
    study.results.loc[small.fillna(False), "value"] = 0.2
    again = replace(study, statistics=study_statistics(study.results, study.plan))
    assert not any("first rank is" in sentence for sentence in conclusions(again).open)


def test_what_stays_open_is_named(wide: Study) -> None:
    left = " ".join(conclusions(wide).open)
    for words in ("not told apart are equal", "longer training", "other images than faces", "another learning rate"):
        assert words in left
    assert "FIDs in papers" in left


def test_pairs_that_stand_in_order_and_are_undecided_are_counted(wide: Study) -> None:
    told = [sentence for sentence in conclusions(wide).open if "every run of one row is better" in sentence]
    expected = []
    for protocol in wide.protocols:
        mine = [x for x in wide.statistics.limits if (x.protocol, x.kind) == (protocol, "pair")]
        clear = [x for x in mine if x.separated and not x.decided and not x.ranks_could_decide]
        if clear:
            expected.append([protocol.capitalize(), str(len(clear)), "5", str(clear[0].family),
                             str(clear[0].seeds_for_ranks)])  # fmt: skip
    assert expected
    assert [[sentence.partition(":")[0], *re.findall(r"\d+", sentence)] for sentence in told] == expected


def test_the_gap_that_seeds_find_is_told_for_each_protocol(wide: Study) -> None:
    (sentence,) = (s for s in conclusions(wide).open if "not told apart are equal" in s)
    for protocol in wide.protocols:
        found = wide.resolution(protocol, wide.primary)
        assert found is not None
        assert f"{format_number(found.single_gap)} ({protocol})" in sentence


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    found = conclusions(study_of(realistic(), tmp_path))
    assert not found.decided
    assert "2 seeds decide nothing" in found.open[0]


def test_rows_that_no_longer_move_are_not_called_unfinished(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "lsgan"), seeds=(0, 1, 2))
    study = study_of(fixture, tmp_path)
    metric = study.settings.snapshot_metric(study.primary)
    assert any("longer training" in sentence for sentence in conclusions(study).open)
    study.results.loc[study.results["metric"] == metric, "value"] = 5.0
    assert not any("longer training" in sentence for sentence in conclusions(study).open)


def test_only_runs_that_were_measured_at_the_end_tell_whether_rows_still_moved(tmp_path: Path) -> None:
    study = study_of(StudyFixture(objectives=("nsgan", "lsgan"), seeds=(0, 1, 2)), tmp_path)
    results = study.results
    curve = results["metric"].eq(study.settings.snapshot_metric(study.primary)).fillna(False)
    results.loc[curve, "value"] = 5.0
    # Seed 2 of nsgan stands far worse at the middle, and has no end yet: no run has improved.
    early = curve & results["label"].eq("nsgan") & results["seed"].eq(2)
    results.loc[early & results["generator_steps"].eq(450), "value"] = 500.0
    unended = replace(study, results=results[~(early & results["generator_steps"].eq(900))])
    assert not any("longer training" in sentence for sentence in conclusions(unended).open)
    (sentence,) = (s for s in conclusions(study).open if "longer training" in s)
    assert "step 450 of 900, nsgan improved" in sentence
    # Where no run has come to the end, nothing is said: the last snapshot so far is not the end.
    results.loc[curve & results["generator_steps"].eq(225), "value"] = 900.0
    halfway = replace(study, results=results[~(curve & results["generator_steps"].eq(900))])
    assert not any("longer training" in sentence for sentence in conclusions(halfway).open)


def test_a_row_without_a_finished_run_is_called_lost_among_what_is_decided(tmp_path: Path) -> None:
    seeds = tuple(range(5))
    fates = {("wgan", "controlled", seed): Fate("diverged", 100, "no finite loss") for seed in seeds}
    study = study_of(StudyFixture(seeds=seeds, fates=fates), tmp_path)
    (wgan,) = (c for c in study.statistics.comparisons if c.label == "wgan")
    assert (wgan.verdict, wgan.family >= 7) == ("lost", True)
    found = conclusions(study)
    assert any("no run of wgan finished" in sentence for sentence in found.decided)
    assert not any(re.search(r"\bwgan\b(?!-)", s) for s in found.open if "what differs from" in s)


def test_a_run_that_its_machine_ended_is_unfinished_in_the_report_as_in_the_statistics(tmp_path: Path) -> None:
    fates = {("wgan", "controlled", 4): Fate("failed", 100, "memory ran out")}
    fixture = StudyFixture(objectives=("nsgan", "wgan"), seeds=tuple(range(5)), fates=fates)
    study_folder = fixture.write(tmp_path)
    (run,) = (r for r in load_study(tmp_path, fixture.name).runs if (r.label, r.seed) == ("wgan", 4))
    assert run.state == "failed"
    status = replace(run.status, failures=[Failure("cpu", "memory", "memory ran out")])
    RunFolder(study_folder / run.path).write_status(status)
    study = load_study(tmp_path, fixture.name)
    assert [r.state for r in study.runs if r.state != "done"] == ["interrupted"]
    (comparison,) = study.statistics.comparisons
    assert (comparison.lost, comparison.scored, comparison.verdict) == (0, 4, "")
    table = troubles_table(study)
    assert table is not None
    assert [row.cells[-1].text.partition(";")[0] for row in table.rows] == ["memory ran out"]
