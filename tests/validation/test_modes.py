"""Counting modes, the rows, the published figures, and what is measured twice."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import objectives
from bench.errors import BenchError
from bench.validation.modes.counting import ModeCount, ceiling_and_floor, count_points, count_triples, reverse_kl
from bench.validation.modes.jobs import Job, make_job
from bench.validation.modes.page import DISCUSSION, Measured, MeasuredPart, ModesPage, references
from bench.validation.modes.published import STANDARD_ERROR, published, published_for
from bench.validation.modes.results import Mean, ModesFolder, RowResult, summarise
from bench.validation.modes.rows import find_rows, row_names
from bench.validation.modes.table import CEILING, as_frame, literature_table, result_table
from bench.validation.modes.tasks import GRID, RING, STACKED, draw_points


def record(job: Job, **values: Any) -> dict[str, Any]:
    measured = {"modes": 8, "high_quality": 0.9, "kl": 0.1, "diverged": False, "cpu_seconds": 1.0}
    return {"id": job.id, "task": job.task, "row": job.row, "seed": job.seed, **measured, **values}


@pytest.mark.parametrize("task", [RING, GRID])
def test_the_mixture_itself_has_every_mode(task: Any) -> None:
    count = count_points(task, draw_points(task, 2_500, "test"))
    assert count.found == task.modes
    # Within 3 standard deviations in two dimensions: 1 - exp(-4.5) = 98.89 %, give or take 0.2 % with 2,500 points.
    assert count.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.008)
    assert count.kl is not None
    assert 0 <= count.kl < 0.02


def test_one_mode_is_one_mode() -> None:
    points = np.full((100, 2), (4.0, -2.0)) + np.linspace(-0.1, 0.1, 100)[:, None]
    count = count_points(GRID, points)
    assert (count.found, count.high_quality) == (1, 1.0)
    assert count.kl == pytest.approx(math.log(25))


def test_junk_has_no_mode_and_no_kl() -> None:
    between = np.tile([[1.0, 1.0], [-3.0, 3.0], [np.nan, 0.0], [np.inf, np.inf]], (10, 1))
    count = count_points(GRID, between)
    assert (count.found, count.high_quality, count.kl) == (0, 0.0, None)


def test_the_border_of_high_quality_is_three_deviations() -> None:
    inside, outside = 2.99 * RING.deviation, 3.01 * RING.deviation
    count = count_points(RING, np.array([[1.0 + inside, 0.0], [-1.0 - outside, 0.0]]))
    assert (count.found, count.high_quality) == (1, 0.5)


def test_kl_by_hand() -> None:
    assert reverse_kl(np.array([5, 5, 5, 5])) == pytest.approx(0.0)
    assert reverse_kl(np.array([7, 0, 0, 0])) == pytest.approx(math.log(4))
    # p = (1/2, 1/4, 1/4, 0): 1/2 log 2 + 1/4 log 1 + 1/4 log 1
    assert reverse_kl(np.array([2, 1, 1, 0])) == pytest.approx(0.5 * math.log(2))
    assert reverse_kl(np.array([0, 0])) is None


def test_triples_are_counted_whether_certain_or_not() -> None:
    digits = np.array([[0, 0, 1], [0, 0, 1], [9, 9, 9], [1, 0, 0]])
    count = count_triples(digits, np.array([True, False, False, False]))
    assert (count.found, count.high_quality) == (3, 0.25)
    assert count.kl == pytest.approx(math.log(1_000) - 1.5 * math.log(2))


def test_points_spread_over_the_square_find_modes_by_accident() -> None:
    real, flat = ceiling_and_floor(GRID)
    assert real.found == 25
    # The discs of 25 modes take 25 pi 0.15^2 / 64 of the square, less what edges and corners cut off.
    assert 0.01 < flat.high_quality < 0.03
    assert flat.found > 15


def test_every_objective_is_a_row_and_pacgan_too() -> None:
    labels = row_names(RING)
    assert set(objectives.unlabelled_names()) | {"pacgan2", "pacgan3", "pacgan4"} == set(labels)
    for row in find_rows([], RING):  # what is declared fits the objective and the task
        settings = objectives.load(row.objective).model_validate(dict(row.declared.settings))
        assert row.batch(RING) % row.recipe(RING).packing == 0
        for name in row.declared.settings:
            assert name in type(settings).model_fields
            assert name.replace("_", " ") in row.protocol(RING)


def test_packed_rows_say_so() -> None:
    (row,) = find_rows(["pacgan3"], GRID)
    assert (row.objective, row.recipe(GRID).packing, row.batch(GRID)) == ("nsgan", 3, 3 * GRID.batch)
    assert row.protocol(GRID) == f"packing 3, batch {3 * GRID.batch}"


def test_an_unknown_row_is_named_with_a_near_miss() -> None:
    with pytest.raises(BenchError, match='"nsgann" \\(did you mean "nsgan"'):
        find_rows(["nsgann"], RING)


def test_a_job_is_another_one_when_anything_changes(tmp_path: Path) -> None:
    row, other = find_rows(["nsgan", "lsgan"], RING)
    ids = {
        make_job(RING, row, 0).id,
        make_job(RING, row, 1).id,
        make_job(RING, row, 0, steps=10).id,
        make_job(RING, other, 0).id,
        make_job(GRID, row, 0).id,
    }
    assert len(ids) == 5
    assert make_job(RING, row, 0).id in ids
    mine = tmp_path / "mine.py"
    mine.write_text("from bench.objectives.nsgan import NonSaturating\n\n\nclass Mine(NonSaturating):\n    pass\n")
    before = make_job(RING, find_rows([str(mine)], RING)[0], 0)
    mine.write_text(mine.read_text() + "    extra = 1\n")
    after = make_job(RING, find_rows([str(mine)], RING)[0], 0)
    assert before.row == "mine"
    assert before.id != after.id


def test_a_job_survives_the_pipe() -> None:
    job = make_job(RING, find_rows(["wgan-gp"], RING)[0], 3)
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_published_figures_carry_their_source() -> None:
    figures = published()
    assert len({(figure.task, figure.method, figure.source, figure.note) for figure in figures}) == len(figures)
    for figure in figures:
        assert "arXiv" in figure.source
        assert figure.spread
        assert figure.row in ("", *row_names(RING))
    gan, *_ = published_for("grid", "nsgan")
    assert (gan.modes, gan.modes_pm, gan.high_quality, gan.kl, gan.trials) == (17.3, 0.8, 94.8, 0.70, 10)
    assert gan.spread == STANDARD_ERROR
    r3gan = {figure.method: figure for figure in published_for("stacked", "r3gan")}
    assert r3gan["RpGAN + R1 + R2"].kl == 0.0781
    assert r3gan["R3GAN, config E"].recalled == ("kl",)


def test_what_seeds_say_together() -> None:
    row = find_rows(["nsgan"], RING)[0]
    jobs = [make_job(RING, row, seed) for seed in range(4)]
    measured = {
        jobs[0].id: record(jobs[0], modes=6, kl=0.3),
        jobs[1].id: record(jobs[1], modes=8, kl=0.1),
        jobs[2].id: record(jobs[2], modes=0, kl=None, high_quality=0.0, diverged=True),
    }
    (result,) = summarise(jobs, measured)
    assert (result.planned, result.done, result.diverged) == (4, 3, 1)
    assert result.modes is not None
    assert result.modes.value == pytest.approx(14 / 3)  # a diverged run counts, with none
    # t(2, 97.5 %) = 4.302653; the deviation of 6, 8, 0 is 4.163332
    assert result.modes.half_width == pytest.approx(4.302653 * 4.163332 / math.sqrt(3), rel=1e-5)
    assert result.kl is not None
    assert (result.kl.value, result.kl.half_width, result.kl.values) == (pytest.approx(0.2), None, 2)
    median = result.median()
    assert median is not None
    assert median["seed"] == 0
    text = str(result_table(RING, [result], {"nsgan": ""}, {}))
    assert "3 of 4 seeds so far" in text
    assert "6.3 ± 0.5 (PacGAN)" in text
    assert "4.7" in str(literature_table(RING, [result]))
    frame = as_frame([result], {("ring", "nsgan"): "packing 2"})
    assert frame.loc[0, "diverged"] == 1
    assert frame.loc[0, "protocol"] == "packing 2"


def test_the_median_of_runs_that_all_diverged() -> None:
    job = make_job(RING, find_rows(["nsgan"], RING)[0], 7)
    (result,) = summarise([job], {job.id: record(job, modes=0, kl=None, diverged=True)})
    median = result.median()
    assert median is not None
    assert median["seed"] == 7
    assert result.kl is None


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    folder = ModesFolder(tmp_path)
    jobs = [make_job(STACKED, find_rows(["nsgan"], STACKED)[0], seed) for seed in range(2)]
    folder.add(record(jobs[0]))
    with folder.results.open("a") as file:
        file.write('{"id": "' + jobs[1].id)
    assert [job.id for job in folder.missing(jobs)] == [jobs[1].id]
    folder.add(record(jobs[1]))
    assert folder.missing(jobs) == []


def test_two_calls_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        ModesFolder(tmp_path).owned(),
        pytest.raises(BenchError, match="Another `bench modes`"),
        ModesFolder(tmp_path).owned(),
    ):
        pass


DOCS = Path(__file__).parents[2] / "docs"


def committed() -> Measured:
    """Return the results that docs/modes.csv holds, as `bench modes` had them when it wrote docs/modes.md."""
    table = pd.read_csv(DOCS / "modes.csv", keep_default_na=False, na_values=[""])
    table = table.astype(object).where(table.notna(), None)

    def mean(line: Any, name: str, count: int) -> Mean | None:
        return None if line[name] is None else Mean(line[name], line[f"{name}_half_width"], count)

    results = {
        (line["task"], line["row"]): RowResult(
            *(line[name] for name in ("task", "row", "planned", "done", "diverged")),
            mean(line, "modes", line["done"]),
            mean(line, "high_quality", line["done"]),
            mean(line, "kl", line["kl_runs"]),
            line["cpu_seconds"],
            records=(),
        )
        for line in table.to_dict("records")
    }
    page = ModesPage.plan(("ring", "grid", "stacked"), (), None, None)
    folder = ModesFolder(Path("nowhere"))
    stacked = {CEILING: ModeCount(1_000, 1.0, 0.02)}  # measured by a classifier that is not in the repository
    parts = tuple(
        MeasuredPart(
            part,
            tuple(results[part.task.name, row.label] for row in part.rows),
            stacked if part.task is STACKED else references(part.task, folder),
        )
        for part in page.parts
    )
    return Measured(parts, folder, page.command)


def test_the_committed_page_is_what_its_numbers_decide() -> None:
    """To see the difference: copy what `markdown` returns over docs/modes.md."""
    figures = {name: DOCS / "images" / f"modes-{name}.png" for name in ("ring", "grid")}
    assert (DOCS / "modes.md").read_text() == committed().markdown(DOCS, figures)


def test_a_page_speaks_of_what_was_run_alone(tmp_path: Path) -> None:
    page = ModesPage.plan(("grid",), ("nsgan",), (1_000,), 5)
    folder = ModesFolder(tmp_path / "runs")
    folder.path.mkdir()
    folder.add(record(page.jobs[0]))
    (path, *_) = page.measure(folder).write(tmp_path / "out")
    text = path.read_text()
    words = set(re.findall(r"[\w-]+", text))
    assert not words & (set(row_names(GRID)) - {"nsgan"} | {"Ring", "Stacked", "digits", "scikit-learn"})
    assert "5 generator steps" in text
    assert "2,000 generator steps" not in text
    assert "pilots with seeds" not in text  # seed 1000 is such a one
    (command,) = re.findall(r"^    bench (modes .*)$", text, re.MULTILINE)
    assert command.split()[1:] == ["nsgan", "--task", "grid", "--seeds", "1000", "--steps", "5", "--write", "out"]
    assert DISCUSSION not in text
    (tmp_path / "out" / DISCUSSION).write_text("what somebody made of it")
    page.measure(folder).write(tmp_path / "out")
    assert f"({DISCUSSION})" in path.read_text()
