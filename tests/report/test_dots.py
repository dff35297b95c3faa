"""The dot plot of the primary metric: rows in the order of their table, what each shows, and words in their place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.study_fixture import Fate, StudyFixture
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from bench.formatting import format_tick
from bench.report.figures.dots import primary_dots
from bench.report.figures.labels import shortened, spread, width_of
from bench.report.figures.palette import INK, Look
from bench.report.figures.scale import Scale
from bench.report.model import Boards, Figure, ReportOptions
from bench.report.sections.board import boards
from bench.report.sections.tables import ordered
from bench.report.study import Study, assembled, load_study
from bench.report.subject import Subject

FATES = {
    ("wgan", "controlled", 4): Fate("diverged", 400, "non-finite loss"),
    **{("lsgan", "published", seed): Fate("diverged", 400, "non-finite loss") for seed in range(5)},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    fixture = StudyFixture(
        objectives=("nsgan", "lsgan", "wgan", "wgan-gp"),
        protocols=("controlled", "published"),
        seeds=(0, 1, 2, 3, 4),
        fates=FATES,
    )
    root = tmp_path_factory.mktemp("dots")
    return load_study(fixture.write(root).parent, fixture.name)


@pytest.fixture(scope="module")
def figure(study: Study) -> Figure:
    drawn = primary_dots(study, Look(study.objectives))
    assert drawn is not None
    return drawn


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_rows_stand_in_the_order_of_the_tables(study: Study, figure: Figure) -> None:
    expected = [entry.label for protocol in study.protocols for entry, _ in ordered(study, protocol)]
    for svg in (figure.wide, figure.narrow):
        assert [word for word in words(svg) if word in study.labels] == expected
    assert [row.cells[0].text for row in figure.table.rows] == expected


def test_every_score_mean_floor_and_tie_is_there(study: Study, figure: Figure) -> None:
    scores = {
        (s.protocol, s.label, seed): value
        for s in study.summaries
        if s.metric == study.primary
        for seed, value in s.values
    }
    drawn = {(row.protocol, row.label, row.seed): row.value for row in figure.data.itertuples()}
    assert drawn == scores
    assert len(scores) == 4 * 2 * 5 - len(FATES)
    told = words(figure.narrow)
    for standing in study.statistics.standings:
        assert standing.letters == "" or standing.letters in told
    assert "4 of 5" in told
    assert "0 of 5" in told
    assert "5 diverged" in told
    assert sum(word.startswith("real images") for word in told) == 2


def test_a_study_without_a_score_has_no_plot(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "lsgan"), fates={
        (label, "controlled", seed): None for label in ("nsgan", "lsgan") for seed in (0, 1)
    })  # fmt: skip
    empty = load_study(fixture.write(tmp_path).parent, fixture.name)
    assert primary_dots(empty, Look(empty.objectives)) is None


def test_one_seed_is_drawn_with_its_rows_mark(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "lsgan"), seeds=(0,))
    single = load_study(fixture.write(tmp_path).parent, fixture.name)
    figure = primary_dots(single, Look(single.objectives))
    assert figure is not None
    assert "values" in words(figure.narrow)
    assert len(figure.data) == 2
    assert figure.data["low"].isna().all()


def test_one_score_without_a_floor_is_drawn(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan",), seeds=(0,))
    single = load_study(fixture.write(tmp_path).parent, fixture.name)
    bare = assembled(single.plan, single.results.assign(floor=pd.NA), {})
    figure = primary_dots(bare, Look(bare.objectives))
    assert figure is not None
    assert not any(word.startswith("real images") for word in words(figure.wide))


def test_scores_far_apart_have_a_logarithmic_axis_and_a_far_floor_is_named(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1, 2))
    study = load_study(fixture.write(tmp_path).parent, fixture.name)
    far = study.results.assign(
        value=study.results["value"].where(study.results["label"] == "nsgan", 9000.0), floor=0.01
    )
    figure = primary_dots(assembled(study.plan, far, {}), Look(study.objectives))
    assert figure is not None
    told = words(figure.narrow)
    assert "◂ real images 0.010" in told
    assert {"100", "1k"} <= set(told)


def test_the_plot_and_the_pages_board_have_one_axis(study: Study) -> None:
    """Ends, ticks and the real floor: Markdown has the plot, the page the board."""
    (found,) = boards(Subject(study, ReportOptions()), "")
    assert isinstance(found, Boards)
    ticks = [text for _, text in found.boards[0].ticks]
    (drawn,) = found.figures
    for told in (words(drawn.wide), words(drawn.narrow)):
        assert sum(told[at : at + len(ticks)] == ticks for at in range(len(told))) == len(study.protocols)
    scale = Scale.of([s for s in study.summaries if s.metric == study.primary])
    assert [text for _, text in found.boards[0].ticks] == [format_tick(tick) for tick in scale.ticks()]


def test_names_are_moved_apart_as_little_as_can_be() -> None:
    assert spread([3.0, 1.0, 30.0], 5.0, 0.0, 40.0) == pytest.approx([5.0, 0.0, 30.0])
    assert spread([38.0, 39.0, 40.0], 5.0, 0.0, 40.0) == pytest.approx([30.0, 35.0, 40.0])
    assert spread([10.0, 20.0], 5.0, 0.0, 40.0) == [10.0, 20.0]
    assert spread([], 5.0, 0.0, 40.0) == []
    places = np.random.default_rng(0).uniform(0, 100, 30)
    moved = spread(list(places), 3.0, 0.0, 100.0)
    assert np.diff(sorted(moved)).min() >= 3.0 - 1e-9
    assert list(np.argsort(moved)) == list(np.argsort(places))
    crowded = spread(list(places), 10.0, 0.0, 100.0)
    assert min(crowded) >= 0.0
    assert max(crowded) <= 100.0 + 1e-9


def test_a_long_name_ends_in_an_ellipsis() -> None:
    assert shortened("nsgan", 8.5, 60) == "nsgan"
    short = shortened("a-very-long-label-of-a-row\nwith a line's end", 8.5, 60)
    assert short.endswith("…")
    assert width_of(short, 8.5) <= 60
    canvas = Canvas()
    drawn = canvas.text(0, 0, "nsgan-spectral", fontsize=8.5, color=INK)
    width = drawn.get_window_extent(FigureCanvasAgg(canvas).get_renderer()).width
    assert width_of("nsgan-spectral", 8.5) == pytest.approx(width * 72 / canvas.dpi, rel=0.05)
