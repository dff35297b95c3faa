"""The report of a study of pairs: which rows draw averages, which do not hear their latents, and whole pairs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.study_fixture import StudyFixture
from PIL import Image

from bench.report import ReportOptions
from bench.report.model import Page, Picture, Prose, Table, Walls
from bench.report.page import compose
from bench.report.pictures.images import read_pixels
from bench.report.pictures.walls import sample_set, strip
from bench.report.render.html import render_html
from bench.report.render.markdown import render_markdown
from bench.report.sections.paired import (
    AVERAGING,
    KEPT,
    NEAR,
    UNHEARD,
    averages,
    beside_metric,
    ignores_latents,
    pairs_section,
)
from bench.report.sections.results import results_table
from bench.report.sections.setup import equal_table
from bench.report.study import Study, load_study
from bench.report.subject import Subject


def of(root: Path, kind: str = "parts", source: str = "faces", seeds: int = 1) -> Study:
    StudyFixture(objectives=("nsgan", "wgan"), seeds=tuple(range(seeds)), input=kind, source=source).write(root)
    return load_study(root, "example")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return of(tmp_path_factory.mktemp("paired"), seeds=3)


@pytest.fixture(scope="module")
def page(study: Study) -> Page:
    return compose(study, ReportOptions())


def test_what_is_kept_stands_beside_the_score_with_words_for_averages(study: Study) -> None:
    table = results_table(study, "controlled")
    assert [heading.code for heading in table.headings[1:3]] == ["fd_lite0", KEPT]
    cells = {row.cells[0].text: row.cells[2] for row in table.rows}
    assert cells["wgan"].badges == (AVERAGING, UNHEARD)
    assert cells["nsgan"].badges == ()
    assert cells["real against real"].text == "1.00"


def test_rows_below_the_floor_are_named_and_a_perfect_generator_stands_under_the_table(
    study: Study, page: Page
) -> None:
    (blocks,) = (section.blocks for section in page.sections if section.anchor == "inputs")
    words, table = blocks
    assert isinstance(words, Prose)
    assert isinstance(table, Table)
    assert "every run of wgan" in words.text
    assert words.text.endswith("in wgan.")
    assert [row.cells[0].text for row in table.rows][-1] == "a perfect generator"
    codes = [heading.code for heading in table.headings]
    assert {"hidden_entropy", "hidden_law", "intra_diversity_lite0", "pair_distance_lite0", NEAR} < set(codes)
    text = render_markdown(page) + render_html(page, ReportOptions())
    assert AVERAGING in text
    assert any("each image’s input (parts)" in row.cells[1].text for row in equal_table(study).rows)


@pytest.mark.parametrize("kind", ["edges", "quarter"])
def test_without_a_known_law_nothing_is_called_an_average(tmp_path: Path, kind: str) -> None:
    study = of(tmp_path, kind)
    assert beside_metric(study) == KEPT
    assert not any(averages(study, entry) for entry in study.entries)
    assert [entry.label for entry in study.entries if ignores_latents(study, entry)] == ["wgan"]


def test_a_study_without_pairs_says_nothing_of_them(tmp_path: Path) -> None:
    study = of(tmp_path, kind="")
    assert beside_metric(study) == ""
    assert pairs_section(Subject(study, ReportOptions())) == ()


def test_walls_show_whole_pairs_and_other_pictures_outputs_alone(study: Study, page: Page) -> None:
    entry = study.entries[0]
    shown = sample_set(study, entry, ReportOptions())
    assert shown.wall is not None
    assert (shown.wall.width, shown.wall.height) == (8 * 32, 5 * 32)
    grid = read_pixels(entry.runs[0].folder.sample_file(900))
    assert grid is not None
    small = strip(study, entry)
    assert small is not None
    assert abs(pixels_of(small) - grid[32:64].astype(int)).mean() < 12
    assert abs(pixels_of(small) - grid[:32].astype(int)).mean() > 20
    assert any(isinstance(block, Walls) for part in page.sections for block in part.blocks)


@pytest.mark.parametrize(("asked", "rows"), [(False, 3), (True, 5)])
def test_photographs_of_pairs_are_shown_on_request_alone(tmp_path: Path, asked: bool, rows: int) -> None:
    study = of(tmp_path, "left", "folder")
    wall = sample_set(study, study.entries[0], ReportOptions(show_training_images=asked)).wall
    assert wall is not None
    assert wall.height == rows * 32
    with Image.open(io.BytesIO(wall.evidence)) as whole:
        assert whole.size == (8 * 32, rows * 32)


def pixels_of(picture: Picture) -> np.ndarray:
    with Image.open(io.BytesIO(picture.page)) as image:
        return np.asarray(image.convert("RGB")).astype(int)
