"""Any pair in a sentence: one for every case, the same on the page, in Markdown and on the command line."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from helpers.browser import Browser
from helpers.report_fixture import Rendered, hostile_report
from helpers.statistics_fixture import DIVERGED, PLANNED, Fate, study_of

from bench.cli import bench
from bench.errors import BenchError
from bench.report.sections.pairs import sentence
from bench.statistics import answer_pairs, study_statistics

BEST = [20.1, 21.0, 19.5, 20.4, 20.8]
NEAR = [20.9, 20.2, 21.6, 19.9, 20.5]
WORST = [60.2, 61.1, 59.0, 62.3, 60.5]
REPORT = Path(__file__).parents[2] / "reports" / "faces"


def told(first: Sequence[Fate], second: Sequence[Fate], *others: Sequence[Fate], **changes: Any) -> str:
    """Return what is said of the second of these rows against the first, the baseline."""
    entries = {"nsgan": first, "wgan": second} | {f"lsgan-{index}": scores for index, scores in enumerate(others)}
    results, plan = study_of(entries, **changes)
    return sentence(answer_pairs(study_statistics(results, plan), plan)[0])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (WORST, BEST, ["wgan is better than nsgan by 40.3", "ahead on all 5 seeds", "permutation of the runs agrees"]),
        (BEST, NEAR, ["These 5 seeds do not decide", "ahead on 2 of 5 seeds", "seeds a row would decide"]),
        (BEST, BEST, ["the same score on all 5 seeds"]),
        (BEST, [DIVERGED] * 5, ["wgan lost to nsgan", "none of its runs finished (5 of 5 runs of wgan)"]),
        ([DIVERGED] * 5, [DIVERGED] * 5, ["nothing to compare"]),
        (BEST, [*WORST[:4], DIVERGED], ["by ranks", "1 of 5 runs of wgan"]),
        (BEST, [*WORST[:4], PLANNED], ["Not answered yet", "1 of 5 runs of wgan missing", "So far nsgan is ahead"]),
        (BEST[:1], WORST[:1], ["1 seed decides nothing", "ahead on the one seed"]),
        (BEST[:3], WORST[:3], ["3 seeds decide nothing", "ahead on all 3 seeds"]),
        ([5.0] * 5, [6.0] * 5, ["by ranks", "no score varies"]),
    ],
)
def test_every_case_has_its_sentence(first: Sequence[Fate], second: Sequence[Fate], words: list[str]) -> None:
    found = told(first, second)
    for word in words:
        assert word in found
    assert "None" not in found
    assert "nan" not in found.replace("nsgan", "")


def test_what_passes_alone_and_not_among_many_is_said_so() -> None:
    apart = [score + 1.4 for score in NEAR]
    assert "better" in told(BEST, apart)
    among = told(BEST, apart, *[NEAR] * 16)
    assert "do not decide" in among
    assert "Alone the pair would pass" in among
    assert "one of 17 comparisons" in among  # their intervals do not overlap in the figure


def test_a_verdict_that_tie_groups_do_not_share_is_said_so() -> None:
    entries = {"nsgan": BEST, "wgan": [score + 1.2 for score in NEAR]} | {f"lsgan-{i}": NEAR for i in range(3)}
    results, plan = study_of(entries)
    (answer, *_) = answer_pairs(study_statistics(results, plan), plan)
    assert (answer.outcome, answer.tie_groups) == ("better", "together")
    assert "do not tell the two apart" in sentence(answer)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return hostile_report(tmp_path_factory.getbasetemp())


def test_page_and_markdown_have_every_pairs_sentence(report: Rendered) -> None:
    plan = json.loads((report.study / "plan.json").read_text("utf-8"))
    from bench.statistics.shipped import read_report

    answers = answer_pairs(read_report(report.paths.html.parent).statistics, plan)
    assert len(answers) == 28
    page = html.unescape(report.html)
    for answer in answers:
        assert sentence(answer) in page
        assert report.markdown.count(f"| {answer.first} / {answer.second} |") == 1
    latex = (report.paths.html.parent / "latex" / "pairs-controlled.tex").read_text("utf-8")
    assert all(f"{answer.first} / {answer.second} " in latex for answer in answers)


def test_two_lists_choose_a_pair(chromium: Browser, report: Rendered) -> None:
    choose = """(() => {
        const [first, second] = document.querySelectorAll('.pair select');
        const pick = (list, label) => { list.value = [...list.options].find((o) => o.text === label).value; };
        pick(first, 'vae'); pick(second, 'nsgan');
        second.dispatchEvent(new Event('change'));
        return document.querySelector('.pair [role=status]').innerText;
    })()"""
    chromium.show(report.paths.html, 360)
    found = chromium.evaluate(choose)
    assert chromium.evaluate("document.querySelector('.pair').hidden") is False
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 360
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    chromium.show(report.paths.html, 360)
    assert chromium.evaluate("document.querySelector('.pair').hidden") is True
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    ((expected,),) = [
        re.findall(rf"^\| {pair} \| (.*?) \|", report.markdown, flags=re.MULTILINE) for pair in ("nsgan / vae",)
    ]
    assert found.startswith("Controlled: ")
    assert " ".join(found.split())[:60] == f"Controlled: {expected}"[:60]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(bench, list(arguments))
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> str:
    return shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "faces"), "zip", REPORT.parent, REPORT.name)


def test_a_shipped_report_answers_without_runs(zipped: str) -> None:
    code, text = run("report", "--compare", "r3gan,nsgan", "--from", str(REPORT), "--json")
    assert code == 0, text
    answers = json.loads(text)
    assert [answer["protocol"] for answer in answers] == ["controlled", "published"]
    assert answers[0]["sentence"] in run("report", "--compare", "r3gan, nsgan", "--from", zipped)[1]
    code, text = run("plan", "--resolve", "nsgan,r3gan", "--from", zipped, "--json")
    assert code == 0, text
    assert [answer["seeds_needed"] for answer in json.loads(text)] == [answers[0]["seeds_needed"], None]


def test_a_study_without_runs_is_read_from_its_own_report(tmp_path: Path) -> None:
    shutil.copytree(REPORT, tmp_path / "reports" / "faces", ignore=shutil.ignore_patterns("figures", "latex"))
    places = ("--runs", str(tmp_path / "runs"), "--reports", str(tmp_path / "reports"))
    code, text = run(*places, "plan", "--study", "faces", "--resolve", "nsgan,vae", "--json")
    assert code == 0, text
    assert "read from its report" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "--compare", "nsgan", "--from", str(REPORT)), "names no pair"),
        (("report", "--compare", "nsgan,rgan", "--from", str(REPORT)), 'did you mean "r3gan"'),
        (("report", "--compare", "vae,nsgan-twin", "--from", str(REPORT)), "compared with nsgan alone"),
        (("plan", "--from", str(REPORT)), "--resolve"),
        (("plan", "--resolve", "nsgan,vae", "--from", str(REPORT / "latex")), "holds no plan.json"),
        (("plan", "--resolve", "nsgan,vae", "--from", str(REPORT / "report.md")), "cannot be read as a zip"),
        (("plan", "--resolve", "nsgan,vae", "--from", "nowhere"), "There is no report nowhere"),
    ],
)
def test_what_cannot_be_answered_is_said(arguments: tuple[str, ...], words: str) -> None:
    error = CliRunner().invoke(bench, arguments).exception
    assert isinstance(error, BenchError)
    assert words in f"{error} {error.hint}"
