"""The page's order: what a minute, ten minutes and an hour show, each thing once, and what is said where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.study_fixture import Fate, StudyFixture

from bench.report import ReportOptions
from bench.report.figures.scale import Scale
from bench.report.model import Board, Boards, Cell, Figure, Heading, Page, Points, Prose, Row, Several, Table, Terms
from bench.report.page import OUTLINE, compose
from bench.report.render.html import Words, render_html
from bench.report.render.latex import latex_tables
from bench.report.render.markdown import render_markdown
from bench.report.sections.collapse import collapse_rule
from bench.report.sections.minute import verdict, what_was_compared
from bench.report.sections.results import family_words, results_table
from bench.report.sections.stability import mixtures_table, stability_table
from bench.report.sections.tables import ordered
from bench.report.sections.together import own_and_shared, together, without_constants
from bench.report.study import Study, load_study

LABELS = ("nsgan", "lsgan", "wgan", "vae")
SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Four rows under both protocols; three of vae's five controlled runs collapsed, one of lsgan's was lost."""
    root = tmp_path_factory.mktemp("page")
    fates = {("vae", "controlled", seed): Fate(collapsed=True) for seed in (0, 2, 4)}
    fates["lsgan", "published", 4] = Fate("diverged", 412, "non-finite loss")
    fixture = StudyFixture(objectives=LABELS, protocols=("controlled", "published"), seeds=SEEDS, fates=fates)
    fixture.write(root)
    return load_study(root, fixture.name)


@pytest.fixture(scope="module")
def page(study: Study) -> Page:
    return compose(study, ReportOptions())


@pytest.fixture(scope="module")
def html(page: Page) -> str:
    return render_html(page, ReportOptions())


def test_sections_stand_in_the_outlines_order_and_those_of_an_hour_are_folded(page: Page, html: str) -> None:
    anchors = [part.anchor for part in OUTLINE]
    absent = (
        "published-figures",
        "predictions",
        "rates",
        "backbones",
        "external",
        "forgives",
        "fixed-latents",
        "labels",
        "inputs",
        "codes",
    )  # of which this study has nothing
    assert [section.anchor for section in page.sections] == [name for name in anchors if name not in absent]
    assert [part.depth for part in OUTLINE] == sorted((p.depth for p in OUTLINE), key=("minute", "ten", "hour").index)
    main = html[html.index("<main>") :]
    shown = re.findall(r'<h2 id="([\w-]+)">', main)
    folded = re.findall(r'<details class="part" id="([\w-]+)">', main)
    assert shown == [section.anchor for section in page.sections if section.depth == "ten"]
    assert folded == [section.anchor for section in page.sections if section.depth == "hour"]
    named = re.findall(r'<li><a href="#([\w-]+)">', html[html.index("<nav") : html.index("</nav>")])
    assert named == [section.anchor for section in page.sections]


def test_markdown_has_the_same_sections_and_tables(page: Page, html: str) -> None:
    markdown = render_markdown(page)
    titles = [section.title for section in page.sections if section.depth != "minute"]
    assert re.findall(r"^## (.+)$", markdown, re.MULTILINE) == titles
    assert markdown.count("<details>") == markdown.count("</details>")
    tables = [block for block in page.blocks if isinstance(block, Table)]
    assert len(re.findall(r"^\| :?-+", markdown, re.MULTILINE)) == len(tables)
    assert [table.name for table in tables if f'id="t-{table.name}"' not in html] == []


def sentences(page: Page) -> Counter[str]:
    """Count the longer sentences of captions and prose, but of the tables behind figures."""
    told: list[str] = []
    for block in page.blocks:
        if isinstance(block, Prose):
            told.append(block.text)
        elif isinstance(block, Points):
            told += block.items
        elif isinstance(block, Table | Figure):
            told.append(block.caption)
        elif isinstance(block, Several):
            told.append(block.words)
    words = (sentence for text in told for sentence in re.split(r"(?<=[.!?])\s+", text) if len(sentence) > 60)
    return Counter(sentence for sentence in words if not sentence.startswith("The dashed line"))  # of each figure


def test_each_thing_is_said_once(page: Page) -> None:
    assert len(sentences(page)) > 60
    assert {sentence: times for sentence, times in sentences(page).items() if times > 1} == {}


def boards(page: Page) -> tuple[Board, ...]:
    (found,) = (block for block in page.blocks if isinstance(block, Boards))
    return found.boards


def test_the_board_has_the_rows_of_the_table_in_its_order_with_their_samples(study: Study, page: Page) -> None:
    for protocol, board in zip(study.protocols, boards(page), strict=True):
        rows = ordered(study, protocol)
        assert [row.label for row in board.rows] == [entry.label for entry, _ in rows]
        assert [row.label for row in board.rows] == [
            row.cells[0].text for row in results_table(study, protocol).rows if row.kind != "floor"
        ]
        for row, (entry, summary) in zip(board.rows, rows, strict=True):
            standing = study.standing(entry)
            assert len(row.places) == len(summary.values)
            assert row.ties == (standing.letters if standing else "")
            assert row.strip is not None
            assert (row.strip.width, row.strip.height) == (8 * 32, 32)
            if row.middle is not None and row.low is not None and row.high is not None:
                assert 0 <= row.low <= row.middle <= row.high <= 100
        assert board.floor is not None
        assert board.floor[1] == "1.42"
        assert board.real == "1,000 held-out"
    two_kinds = next(row for row in boards(page)[0].rows if row.label == "vae")
    assert two_kinds.middle is not None
    assert (two_kinds.low, two_kinds.high) == (None, None)
    lost = next(row for row in boards(page)[1].rows if row.label == "lsgan")
    assert lost.note == "1 diverged"
    # The same place is the same value under both protocols.
    assert boards(page)[0].ticks == boards(page)[1].ticks
    assert boards(page)[0].floor == boards(page)[1].floor


@pytest.mark.parametrize(
    "axis", [Scale(0.0, 50.0, log=False), Scale(1.0, 1000.0, log=True), Scale(-3.0, 9.0, log=False)]
)
def test_an_axis_is_even_and_its_ticks_are_few_and_within(axis: Scale) -> None:
    assert (axis.place(axis.low), axis.place(axis.high)) == (0, 100)
    assert axis.place(axis.low - 1) == 0
    middle = (axis.low * axis.high) ** 0.5 if axis.log else (axis.low + axis.high) / 2
    assert axis.place(middle) == pytest.approx(50, abs=0.01)
    places = [axis.place(tick) for tick in axis.ticks()]
    assert 2 <= len(places) <= 6
    assert all(0 <= one < other <= 100 for one, other in pairwise(places))


def test_the_verdict_is_what_the_tests_decide_in_three_sentences(study: Study) -> None:
    controlled, published, care = verdict(study)
    for protocol, sentence in (("controlled", controlled), ("published", published)):
        assert sentence.startswith(f"{protocol.capitalize()}: ")
        comparisons = [c for c in study.statistics.comparisons if c.protocol == protocol]
        for word in ("better", "worse"):
            labels = {c.label for c in comparisons if c.verdict == word}
            found = re.search(rf"((?:[\w-]+(?:, | and )?)+) (?:is|are) {word}", sentence.partition("gainst nsgan, ")[2])
            assert set(re.split(r", | and ", found[1]) if found else ()) == labels
        first = next(s.label for s in study.statistics.standings if s.protocol == protocol and s.rank == 1)
        assert re.match(rf"\w+: {first} \([\d.]+\) ", sentence)
    assert "real held-out images score 1.42" in care
    assert "3 of 39 runs collapsed" in care


def test_two_seeds_have_no_verdict(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "vae"), seeds=(0, 1))
    fixture.write(tmp_path)
    found = load_study(tmp_path, fixture.name)
    nothing, care = verdict(found)
    assert nothing.startswith("2 seeds rank nothing")
    assert re.findall(r"\d+(?:\.\d+)?", care) == ["1.42", "21"]  # the floor, and how often the best row has it
    assert what_was_compared(found).startswith("2 objectives trained one DCGAN (32×32, width 16) on ")


def test_a_changed_rule_for_collapse_is_said_at_the_head_with_the_defaults_count(study: Study) -> None:
    assert not study.collapse_counts.changed
    assert "default" not in collapse_rule(study)
    settings = study.settings.model_copy(update={"collapse_coverage": 0.0, "collapse_unique": 0.0})
    changed = replace(study, settings=settings)
    total = changed.collapse_counts.total
    assert (total.judged, total.by_study, total.by_default) == (39, 0, 3)
    assert re.findall(r"\d+", verdict(changed)[-1].split("; ")[-1]) == ["0", "39", "3"]
    assert collapse_rule(changed).endswith(" finds 3")
    table = results_table(changed, "controlled")
    at = [heading.text for heading in table.headings].index("collapsed by the default rule")
    counts = {row.cells[0].text: row.cells[at].text for row in table.rows if row.cells[at].text}
    assert counts == {"nsgan": "0 of 5", "lsgan": "0 of 5", "wgan": "0 of 5", "vae": "3 of 5"}
    assert "3 by the default rule" in latex_tables(changed)["short-published.tex"]


def test_a_row_of_two_kinds_has_its_share_and_the_rest_in_place_of_an_interval(study: Study) -> None:
    (mixture,) = (m for m in study.statistics.mixtures if m.metric == "fd_lite0")
    row = next(row for row in results_table(study, "controlled").rows if row.cells[0].text == "vae")
    kinds, share, rest = row.cells[1].detail.splitlines()
    assert kinds == "two kinds of runs:"
    assert share == "3 of 5 collapsed [15 to 95\u00a0%]"
    assert rest == f"the other 2: {mixture.rest_mean:.1f}"
    table = mixtures_table(study)
    assert table is not None
    assert {row.cells[0].text for row in table.rows} == {"vae"}
    assert len(table.rows) == len(study.statistics.mixtures)
    assert "3 of 5 collapsed" in latex_tables(study)["short-controlled.tex"]


def test_verdicts_name_their_family_and_the_pages(study: Study) -> None:
    told = family_words(study)
    assert "over each protocol’s 3 comparisons with nsgan" in told
    for kind in ("baseline", "pair"):
        mine = [limit for limit in study.statistics.limits if limit.kind == kind]
        stand, decided = sum(x.decided_on_page for x in mine), sum(x.decided for x in mine)
        assert re.search(rf"\b{stand} of {decided} [a-z ]+ \({mine[0].page_family} comparisons\)", told)


def test_rates_have_exact_intervals_and_columns_without_news_are_gone(study: Study) -> None:
    table = stability_table(study, "published")
    assert [heading.text for heading in table.headings[1:5]] == ["done", "diverged", "lost", "collapsed"]
    rates = {row.cells[0].text: (row.cells[3].text, row.cells[3].detail) for row in table.rows}
    assert rates == {
        "nsgan": ("0 of 5", "[0 to 52\u00a0%]"),
        "lsgan": ("1 of 5", "[1 to 72\u00a0%]"),
        "wgan": ("0 of 5", "[0 to 52\u00a0%]"),
        "vae": ("0 of 5", "[0 to 52\u00a0%]"),
    }
    assert table.caption.endswith("In every row: planned 5 and failed 0.")


def table_of(rows: Sequence[tuple[str, ...]], caption: str = "One.", name: str = "t") -> Table:
    headings = tuple(Heading(text) for text in ("objective", "runs", "steps"))
    return Table(name, caption, headings, tuple(Row(tuple(map(Cell, row))) for row in rows))


def test_columns_that_do_not_differ_are_said_in_the_caption() -> None:
    rows = [("a", "5", "1"), ("b", "5", "2")]
    table = without_constants(table_of(rows), ("runs", "steps"))
    assert [heading.text for heading in table.headings] == ["objective", "steps"]
    assert table.caption == "One. In every row: runs 5."
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["a", "1"], ["b", "2"]]
    assert without_constants(table_of(rows), ("steps",)) == table_of(rows)
    assert without_constants(table_of(rows[:1]), ("runs",)) == table_of(rows[:1])  # of one row nothing differs


def test_what_captions_share_is_said_once() -> None:
    rows = [("a", "5", "1")]
    first = table_of(rows, "Controlled. Shared words. In 1.5 s.")
    (both,) = together([first, table_of(rows, "Published. Shared words.", "u")])
    assert isinstance(both, Several)
    assert both.words == "Shared words."
    captions = [block.caption for block in both.blocks if isinstance(block, Table)]
    assert captions == ["Controlled. In 1.5 s.", "Published."]
    assert together([first]) == (first,)
    same = together([first, replace(first, name="u")])[0]  # a table is named by its caption
    assert isinstance(same, Several)
    assert [block.caption for block in same.blocks if isinstance(block, Table)] == [first.caption] * 2
    assert own_and_shared([["a"]]) == ([[]], ["a"])


def test_tables_stand_beside_each_other_while_they_are_narrow() -> None:
    def beside(columns: int) -> bool:
        headings = tuple(Heading(str(number)) for number in range(columns))
        table = Table("t", "One.", headings, (Row((Cell("a"),) * columns),))
        (both,) = together([table, replace(table, name="u", caption="Two.")], beside=True)
        assert isinstance(both, Several)
        return both.beside

    assert [beside(columns) for columns in (3, 4, 5)] == [True, True, False]


def test_a_word_is_linked_to_the_glossary_once_and_stays_text(page: Page, html: str) -> None:
    (terms,) = (block for block in page.blocks if isinstance(block, Terms))
    links = re.findall(r'<a class="word" href="#([\w-]+)"', html)
    assert len(links) == len(set(links)) >= 6
    assert set(links) <= {term.anchor for term in terms.terms}
    assert all(html.count(f'id="{term.anchor}"') == 1 for term in terms.terms)
    hostile = Words(terms.terms).linked("a floor <b>floor</b> & `floor`")
    assert hostile.count("<a ") == 1
    assert hostile.endswith("&lt;b&gt;floor&lt;/b&gt; &amp; <code>floor</code>")


def test_floors_name_their_split_wherever_they_stand(page: Page) -> None:
    floors = [row for block in page.blocks if isinstance(block, Table) for row in block.rows if row.kind == "floor"]
    assert len(floors) > 6
    assert all("held-out images" in cell.detail for row in floors for cell in row.cells if "real" in cell.text)
    for sentence in sentences(page):
        for mention in re.finditer(r"real (\w[\w-]* )?images,? (?:score )?\d", sentence):
            assert mention[1] is not None, sentence
