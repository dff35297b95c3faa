"""The report of a study with codes: which rows use them, what each decides, and pictures of single codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.study_fixture import StudyFixture

from bench.data.faces import MODE_FACTORS
from bench.metrics.catalogue import of_a_part
from bench.report import ReportOptions
from bench.report.model import Figure, Page, Panels, Table, Walls
from bench.report.page import compose
from bench.report.render.html import render_html
from bench.report.render.markdown import render_markdown
from bench.report.sections.coded import TRAIT, UNUSED, USED, code_names, is_unused, used_metric, used_words
from bench.report.sections.results import results_table
from bench.report.sections.setup import equal_table
from bench.report.sections.tables import every_metric_table
from bench.report.study import Study, load_study

CODES = (6, 5)  # with a continuous one three codes, of two rows of images each
NAMES = ["categorical1", "categorical2", "continuous1"]


def of(root: Path, seeds: int = 3, codes: tuple[int, ...] = CODES) -> Study:
    StudyFixture(objectives=("nsgan", "wgan"), seeds=tuple(range(seeds)), codes=codes).write(root)
    return load_study(root, "example")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return of(tmp_path_factory.mktemp("coded"))


@pytest.fixture(scope="module")
def page(study: Study) -> Page:
    return compose(study, ReportOptions())


def blocks_of(page: Page) -> tuple[object, ...]:
    (found,) = (section.blocks for section in page.sections if section.anchor == "codes")
    return found


def test_the_share_of_codes_used_stands_beside_the_score(study: Study) -> None:
    table = results_table(study, "controlled")
    assert [heading.code for heading in table.headings[1:3]] == ["fd_lite0", USED]
    cells = {row.cells[0].text: row.cells[2] for row in table.rows}
    assert cells["nsgan"].text.startswith("0.8")
    assert cells["real against real"].text.startswith("0.003")
    assert {label for label, cell in cells.items() if UNUSED in cell.badges} == {"wgan"}


def test_codes_that_may_be_unused_are_told_in_words_where_there_is_an_interval(study: Study, tmp_path: Path) -> None:
    assert used_words(study).endswith(": wgan.")
    few = of(tmp_path, seeds=2)
    assert not any(is_unused(few, entry) for entry in few.entries)
    assert UNUSED.capitalize() not in used_words(few)


def test_each_row_s_figure_is_of_the_seed_whose_samples_are_shown(study: Study, page: Page) -> None:
    (panels,) = (block for block in blocks_of(page) if isinstance(block, Panels))
    figures: dict[str, Figure] = {str(figure.data["label"].iloc[0]): figure for figure in panels.figures}
    assert code_names(study) == NAMES
    assert list(figures) == ["nsgan", "wgan"]
    shown = figures["nsgan"].data
    assert shown["code"].tolist() == NAMES
    assert [shown[factor].iloc[row] for row, factor in enumerate(MODE_FACTORS[:3])] == [0.8] * 3
    assert [row.cells[0].text for row in figures["wgan"].table.rows] == NAMES
    assert "<svg" in figures["nsgan"].wide


def test_each_code_has_a_picture_and_an_address_of_its_own(page: Page) -> None:
    (walls,) = (block for block in blocks_of(page) if isinstance(block, Walls))
    first = walls.sets[0]
    assert first.wall is not None
    assert [picture.caption for picture in first.pictures] == [
        f"{name}: {factor} 0.80" for name, factor in zip(NAMES, MODE_FACTORS, strict=False)
    ]
    assert {(picture.width, picture.height) for picture in first.pictures} == {(8 * 32, 2 * 32)}
    anchors = [one.anchor for block in page.blocks if isinstance(block, Walls) for one in block.sets]
    assert len(anchors) == len(set(anchors)) == 4


def test_traits_are_told_seed_by_seed_and_parts_stand_in_no_other_table(study: Study, page: Page) -> None:
    (table,) = (block for block in blocks_of(page) if isinstance(block, Table))
    assert [(row.cells[0].text, row.cells[1].text) for row in table.rows] == [
        (label, str(seed)) for label in ("nsgan", "wgan") for seed in range(3)
    ]
    assert "yaw 0.60" in table.rows[0].cells[2].text
    every = [row.cells[0].detail for row in every_metric_table(study, "controlled").rows]
    assert TRAIT in every
    assert not any(of_a_part(metric) for metric in [*every, *study.metrics])  # no mean over seeds of one code


def test_what_was_held_equal_names_the_codes(study: Study) -> None:
    backbone = {row.cells[0].text: row.cells[1].text for row in equal_table(study).rows}["backbone"]
    assert "codes of 6 and 5 values and 1 number;" in backbone


def test_both_renderers_show_it(page: Page) -> None:
    html, markdown = render_html(page, ReportOptions()), render_markdown(page)
    assert html.count('class="set" id="t-codes-') == 2
    assert "traversal-nsgan-controlled-categorical2.webp" in markdown


def test_a_study_without_codes_has_no_section_of_them(tmp_path: Path) -> None:
    plain = of(tmp_path, codes=())
    assert used_metric(plain) == used_words(plain) == ""
    assert "codes" not in {section.anchor for section in compose(plain, ReportOptions()).sections}
