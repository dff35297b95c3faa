"""The report of a study with labels: whether rows draw what they are told, each class, and how its grids are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.study_fixture import StudyFixture

from bench.metrics.catalogue import of_a_part
from bench.report import ReportOptions
from bench.report.model import Fold, Page, Prose, Several, Table
from bench.report.page import compose
from bench.report.pictures.images import GRID
from bench.report.pictures.walls import STRIP, strip
from bench.report.render.html import render_html
from bench.report.render.markdown import render_markdown
from bench.report.sections.labelled import (
    ACCURACY,
    UNCONDITIONAL,
    accuracy_metric,
    accuracy_words,
    chance,
    easy_words,
    grid_words,
    is_too_easy,
    is_unconditional,
)
from bench.report.sections.results import results_table
from bench.report.sections.tables import every_metric_table, metrics_table
from bench.report.study import Study, load_study

LABELS = ("glasses", "hat")


def of(root: Path, seeds: int = 3, labels: tuple[str, ...] = LABELS) -> Study:
    StudyFixture(objectives=("nsgan", "wgan", "wgan-gp"), seeds=tuple(range(seeds)), labels=labels).write(root)
    return load_study(root, "example")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return of(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def page(study: Study) -> Page:
    return compose(study, ReportOptions())


def section(page: Page, anchor: str) -> tuple[object, ...]:
    (found,) = (section.blocks for section in page.sections if section.anchor == anchor)
    return found


def test_label_accuracy_stands_beside_the_primary_metric(study: Study) -> None:
    table = results_table(study, "controlled")
    assert [heading.code for heading in table.headings[1:3]] == ["fjd_lite0", ACCURACY]
    assert all(len(row.cells) == len(table.headings) for row in table.rows)
    cells = {row.cells[0].text: row.cells[2] for row in table.rows}
    assert cells["nsgan"].text.startswith("0.8")
    assert cells["real against real"].text.startswith("0.999")
    assert {label for label, cell in cells.items() if UNCONDITIONAL in cell.badges} == {"wgan"}


def test_a_row_whose_interval_contains_chance_is_told_in_words(study: Study, tmp_path: Path) -> None:
    assert chance(study) == pytest.approx(1 / 9)
    assert [entry.label for entry in study.entries if is_unconditional(study, entry)] == ["wgan"]
    assert accuracy_words(study).endswith(": wgan.")
    few = of(tmp_path, seeds=2)  # without an interval nothing is said of any row
    assert not any(is_unconditional(few, entry) for entry in few.entries)
    assert UNCONDITIONAL.capitalize() not in accuracy_words(few)
    assert easy_words(few) == ""


def test_gan_test_above_its_floor_is_told_and_stands_beside_gan_train(study: Study, page: Page) -> None:
    assert [entry.label for entry in study.entries if is_too_easy(study, entry)] == ["wgan-gp"]
    assert easy_words(study).endswith(": wgan-gp.")
    words, table, *_ = section(page, "labels")
    assert isinstance(words, Prose)
    assert easy_words(study) in words.text
    assert isinstance(table, Table)
    assert [heading.code for heading in table.headings[1:5]] == [
        ACCURACY,
        "label_accuracy_gated_judge",
        "fjd_lite0",
        "gan_test_lite0",
    ]
    floors = dict(zip([heading.code for heading in table.headings], table.rows[-1].cells, strict=True))
    assert (floors["gan_test_lite0"].text, floors["gan_train_lite0"].text) == ("0.970", "0.970")


def test_without_a_judge_the_classifier_reads_labels_and_calls_no_row_unconditional(study: Study) -> None:
    plan = {**study.plan, "data": {"source": "fashion-mnist", "labels": ["class"]}}
    kept = tuple(summary for summary in study.summaries if summary.metric != ACCURACY)
    unread = replace(study.statistics, summaries=kept)
    fashion = replace(study, plan=plan, statistics=unread)
    assert chance(fashion) == 0.1
    assert accuracy_metric(fashion) == "gan_test_lite0"
    assert accuracy_words(fashion) != accuracy_words(study)
    assert not any(is_unconditional(fashion, entry) for entry in fashion.entries)  # poor images are misread too
    rare = replace(study, plan={**plan, "data": {"source": "celeba", "labels": ["Bald"]}}, statistics=unread)
    assert accuracy_metric(rare) == accuracy_words(rare) == ""


def test_each_class_has_its_column_in_the_fold_and_nowhere_else(study: Study, page: Page) -> None:
    folds = [block for block in section(page, "labels") if isinstance(block, Fold)]
    tables = [table for fold in folds for table in fold.blocks if isinstance(table, Table)]
    assert [len(table.headings) for table in tables] == [1 + 2 + 9, 1 + 9, 1 + 9]
    accuracy = tables[0]
    assert [heading.text for heading in accuracy.headings[1:5]] == ["glasses", "hat", "none, none", "none, cap"]
    assert all(len(row.cells) == len(accuracy.headings) for row in accuracy.rows)
    assert [heading.text for heading in tables[1].headings[1:]] == [heading.text for heading in accuracy.headings[3:]]
    (covered,) = (row.cells[1:] for row in tables[1].rows if row.cells[0].text == "nsgan")
    assert [cell.text for cell in covered] == [f"{0.4 + number / 100:.3f}" for number in range(9)]
    for table in (every_metric_table(study, "controlled"), metrics_table(study)):
        shown = {cell.detail or cell.text for row in table.rows for cell in row.cells[:1]}
        assert "fjd_lite0" in shown
        assert not any(of_a_part(name) for name in shown)


def test_grids_are_read_by_the_first_factor_s_values(study: Study, page: Page) -> None:
    words = grid_words(study)
    assert "none, glasses and sunglasses" in words
    assert any(isinstance(block, Prose) and words in block.text for block in section(page, "samples"))
    assert words in render_markdown(page)


def test_the_strip_of_a_grid_with_few_rows_holds_whole_samples(study: Study) -> None:
    picture = strip(study, study.entries[0])
    assert picture is not None
    assert (picture.width, picture.height) == (STRIP * 32, 32)
    assert STRIP <= GRID


def test_a_time_lapse_counts_the_samples_of_a_grid_with_few_rows(page: Page) -> None:
    assert "the same 12 samples at generator steps" in render_markdown(page)


def test_a_study_without_labels_has_nothing_of_it(tmp_path: Path) -> None:
    study = of(tmp_path, labels=())
    assert ACCURACY not in [heading.code for heading in results_table(study, "controlled").headings]
    assert accuracy_words(study) == grid_words(study) == ""
    assert "labels" not in [section.anchor for section in compose(study, ReportOptions()).sections]


def test_both_renderers_show_it(page: Page) -> None:
    html, markdown = render_html(page, ReportOptions()), render_markdown(page)
    for text in (html, markdown):
        assert UNCONDITIONAL in text
        assert "Labels, class by class" in text
    assert not any(isinstance(block, Several) and not block.blocks for block in section(page, "labels"))
