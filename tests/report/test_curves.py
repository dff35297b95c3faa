"""Curves, the table at equal seconds and the plane: whose means are drawn, and beside which floor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.study_fixture import Fate, StudyFixture, plan_of

from bench.formatting import format_number
from bench.report.figures.captioned import curve_figures, mean_curves, metric_curves
from bench.report.figures.palette import Look
from bench.report.figures.panels import Line, Panel, draw_panels
from bench.report.figures.plane import plane_figure
from bench.report.figures.plots import WIDE, draw_curves, draw_plane, style
from bench.report.model import Cell, Table
from bench.report.sections.budget import equal_seconds_table
from bench.report.sections.stability import seeds_figure, stability_table
from bench.report.study import Study, load_study

METRIC = "fd_lite0@500"
LOST, UNBEGUN, RUNNING = Fate("diverged", 500, "non-finite loss"), None, Fate("running", 640, phase="training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three objectives and five seeds: one run of lsgan is lost, one of nsgan unbegun, one of wgan running."""
    fates = {
        ("lsgan", "controlled", 4): LOST,
        ("nsgan", "controlled", 4): UNBEGUN,
        ("wgan", "controlled", 4): RUNNING,
    }
    fixture = StudyFixture(objectives=("nsgan", "lsgan", "wgan"), seeds=(0, 1, 2, 3, 4), fates=fates)
    return fixture.write(tmp_path_factory.mktemp("curves"))


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return load_study(folder.parent, folder.name)


def measured(folder: Path, label: str, step: int) -> list[float]:
    """Return a row's snapshot values at a step, read from its runs' own files."""
    found = []
    for run in plan_of(folder)["runs"]:
        file = folder / run["path"] / "metrics.jsonl"
        if run["label"] == label and file.exists():
            lines = map(json.loads, file.read_text("utf-8").splitlines())
            found += [x["value"] for x in lines if (x["metric"], x["generator_steps"]) == (METRIC, step)]
    return found


def slowed(study: Study, label: str, seed: int, factor: float) -> Study:
    """Return the study as if one run had been slower."""
    results = study.results.copy()
    mine = (results["label"] == label) & (results["seed"] == seed)
    results.loc[mine, "device_seconds"] *= factor
    return replace(study, results=results)


def row_of(table: Table, label: str) -> Sequence[Cell]:
    (found,) = (row.cells for row in table.rows if row.cells[0].text == label)
    return found


def test_at_equal_seconds_the_quickest_row_is_whole(study: Study, folder: Path) -> None:
    """nsgan's four runs take 31.5 s, one of them 4 % more: none may be left a snapshot behind the others."""
    table = equal_seconds_table(slowed(study, "nsgan", 1, 1.04), "controlled")
    assert table is not None
    assert "at or before 33 s of training" in table.caption
    nsgan, lsgan = row_of(table, "nsgan"), row_of(table, "lsgan")
    assert (nsgan[3].text, nsgan[5].text, nsgan[5].badges) == ("900", "4 of 5", ("1 missing",))
    final = measured(folder, "nsgan", 900)
    assert len(final) == 4
    assert nsgan[1].sort == pytest.approx(sum(final) / 4)
    # lsgan took 42 s: its last snapshot within 33 s is that of step 450, and its lost run is no part.
    assert (lsgan[3].text, lsgan[5].text, lsgan[5].badges) == ("450", "4 of 5", ("1 diverged",))


def test_a_row_of_mixed_steps_and_runs_that_are_late_are_counted(study: Study) -> None:
    late = slowed(slowed(study, "lsgan", 0, 0.7), "lsgan", 1, 9.0)  # 29 s and 6 min
    table = equal_seconds_table(late, "controlled")
    assert table is not None
    cells = row_of(table, "lsgan")
    assert (cells[3].text, cells[5].text) == ("450 to 900", "3 of 5")


def test_a_mean_line_ends_where_a_run_was_lost_and_its_seeds_go_on(study: Study, folder: Path) -> None:
    curves = metric_curves(study, "controlled", METRIC)
    means = mean_curves(study, "controlled", curves)
    lsgan = means[means["label"] == "lsgan"].set_index("generator_steps")
    assert lsgan["runs"].to_dict() == {225.0: 5, 450.0: 5, 900.0: 4}
    assert lsgan["whole"].to_dict() == {225.0: True, 450.0: True, 900.0: False}
    assert lsgan["value"][225.0] == pytest.approx(sum(measured(folder, "lsgan", 225)) / 5)
    # A run that has not ended is no part of a mean anywhere: the same four runs all along.
    wgan = means[means["label"] == "wgan"]
    assert (list(wgan["runs"]), all(wgan["whole"])) == ([4, 4, 4], True)
    assert len(measured(folder, "wgan", 225)) == 5
    with style():
        canvas = draw_curves(curves, means, 2.9, METRIC, "generator_steps", Look(study.objectives), WIDE)
    (axes,) = canvas.axes
    ends = [max(map(float, line.get_xdata())) for line in axes.lines[:3]]
    assert ends == [900.0, 450.0, 900.0]
    assert [len(found.get_segments()) for found in axes.collections] == [4, 5, 5]
    assert max(segment[:, 0].max() for segment in axes.collections[1].get_segments()) == 900


def test_the_table_behind_the_curves_says_of_how_many_runs(study: Study) -> None:
    (figure,) = curve_figures(study, Look(study.objectives))
    told = {label: [cell.detail for cell in row_of(figure.table, label)[1:]] for label in study.labels}
    assert told == {"nsgan": ["4 of 5"] * 3, "lsgan": ["", "", "4 of 5"], "wgan": ["4 of 5"] * 3}
    seeds = seeds_figure(study, "controlled", Look(study.objectives))
    assert seeds is not None
    assert [cell.detail for cell in row_of(seeds.table, "wgan")[1:]] == ["", "", "4 of 5"]
    assert row_of(stability_table(study, "controlled"), "lsgan")[-1].detail.endswith(", of 4 finished")


def test_the_floor_is_that_of_the_snapshots_and_is_said(study: Study) -> None:
    """Snapshots have fewer samples than the final step, and so another floor: 2.9 beside 1.42."""
    (figure,) = curve_figures(study, Look(study.objectives))
    seeds = seeds_figure(study, "controlled", Look(study.objectives))
    assert seeds is not None
    for drawn in (figure, seeds):
        assert "The dashed line, 2.90" in drawn.caption
    assert "real images 2.90" in figure.wide
    assert seeds.wide.count("stroke-dasharray: ") == len(study.labels)
    table = equal_seconds_table(study, "controlled")
    assert table is not None
    for of in (table, figure.table):
        assert of.rows[-1].kind == "floor"
        assert of.rows[-1].cells[1].text == "2.90"


def test_a_panels_floor_lies_above_its_axis() -> None:
    line = Line(pd.Series([0.0, 9.0]).to_numpy(), pd.Series([500.0, 900.0]).to_numpy(), "#000")
    with style():
        (axes,) = draw_panels([Panel("one", (line,), floor=60.0)], 1, WIDE, 1.4, "steps").axes
    low, high = axes.get_ylim()
    assert low < 60 < 500 < high == 900
    assert 0.02 < (60 - low) / (high - low) < 0.1


def test_the_words_of_a_curve_are_of_the_picture_they_stand_at(study: Study) -> None:
    (figure,) = curve_figures(study, Look(study.objectives))
    assert "against generator steps under" in figure.alt
    assert "seconds of training" not in figure.alt
    assert [axis for axis, *_ in figure.variants] == ["images seen", "seconds of training"]


@pytest.mark.parametrize(("real", "end"), [((0.92, 0.91), 0.014), ((0.03, 0.4), 0.03)])
def test_the_planes_axes_fit_the_rows(real: tuple[float, float], end: float) -> None:
    """Real images near the rows are drawn; far beyond them they are named at the edge."""
    shares = {"recall_judge": [0.014, 0.01, 0.0], "precision_judge": [0.2, 0.21, 0.0]}
    points = pd.DataFrame({"label": ["a", "a", "b"], "seed": [0, 1, 0], **shares})
    with style():
        canvas = draw_plane(points, real, "recall_judge", "precision_judge", Look({"a": "a", "b": "b"}), WIDE)
    (axes,) = canvas.axes
    assert end < axes.get_xlim()[1] < 1.1 * end
    words = " ".join(text.get_text() for text in axes.texts)
    assert ("lie beyond" in words) == (real[0] > 0.5)
    assert ("0.920, 0.910" in words) == (real[0] > 0.5)


def test_the_planes_caption_says_where_real_images_lie(study: Study) -> None:
    figure = plane_figure(study, "controlled", Look(study.objectives))
    assert figure is not None
    assert f"recall {format_number(0.91)} and precision {format_number(0.92)}" in figure.caption
    assert figure.table.rows[-1].cells[1].text == "0.920"
