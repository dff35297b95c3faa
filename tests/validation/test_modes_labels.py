"""Mixtures whose points have labels: how they are counted, who is told, and AC-GAN's bias in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.validation.modes.bias import expected_shared
from bench.validation.modes.counting import ceiling_and_floor, count_points
from bench.validation.modes.jobs import Job, make_job
from bench.validation.modes.networks import build_point_networks
from bench.validation.modes.page import Measured, MeasuredPart, ModesPage, references
from bench.validation.modes.results import ModesFolder, summarise
from bench.validation.modes.rows import find_rows, row_names
from bench.validation.modes.tasks import OVERLAP, RING, RING_LABELS, PointTask, draw_points, told
from bench.validation.modes.training import train_points


@pytest.mark.parametrize("task", [RING_LABELS, OVERLAP])
def test_points_are_drawn_by_their_labels_law(task: PointTask) -> None:
    points, labels = draw_points(task, 20_000, "test"), told(task, 20_000)
    nearest = np.linalg.norm(points[:, None] - np.asarray(task.centres)[None], axis=2).argmin(axis=1)
    for label, law in enumerate(task.classes):
        shares = np.bincount(nearest[labels == label], minlength=task.modes) / (labels == label).sum()
        assert shares == pytest.approx(law, abs=0.025)
    count = count_points(task, draw_points(task, 2_500, "test"))
    assert count.as_told == pytest.approx(0.989, abs=0.01)
    assert count.kl == pytest.approx(0, abs=0.01)


def test_what_is_as_told_and_what_is_shared_by_hand() -> None:
    left, middle, right = OVERLAP.centres
    points = np.array([left, left, middle, middle, right, right, (9.0, 9.0), (np.nan, 0.0)])  # told 0, 1, 0, 1, ...
    count = count_points(OVERLAP, points)
    assert (count.found, count.high_quality, count.as_told, count.shared) == (3, 6 / 8, 4 / 8, 2 / 6)
    everywhere = count_points(OVERLAP, np.array([left] * 3 + [middle] * 4 + [right] * 3))
    assert everywhere.kl == pytest.approx(0)  # the data's own shares
    ring = count_points(RING_LABELS, np.asarray(RING_LABELS.centres))
    assert (ring.as_told, ring.shared) == (1.0, None)
    assert count_points(RING, np.asarray(RING.centres)).as_told is None
    assert count_points(RING_LABELS, np.roll(np.asarray(RING_LABELS.centres), 1, axis=0)).as_told == 0


def test_ac_gan_s_bias_has_its_closed_numbers() -> None:
    rows = {row.label: expected_shared(OVERLAP, row) for row in find_rows([], OVERLAP)}
    closed = {"acgan-0.1": 0.367, "acgan-0.5": 0.257, "acgan-1": 0.164}
    for label, share in rows.items():
        assert share == pytest.approx(closed.get(label, 0.4), abs=5e-4)
    real, _ = ceiling_and_floor(OVERLAP)
    assert real.shared == pytest.approx(0.4, abs=0.03)


def test_what_is_told_adds_to_networks_and_changes_nothing_else() -> None:
    G, D = build_point_networks("score", 0)
    told_G, told_D = build_point_networks("score", 0, labels=2, conditioning="concat")
    for plain, with_labels in ((G, told_G), (D, told_D)):
        known = dict(with_labels.named_parameters())
        assert all(torch.equal(known.pop(name), value) for name, value in plain.named_parameters())
        assert list(known) == ["told.weight"]
    z, hot = torch.randn(4, 2), torch.eye(2)[[0, 1, 0, 1]]
    assert not torch.allclose(told_G(z, hot), told_G(z, hot.flip(1)))
    assert not torch.allclose(told_D(z, hot), told_D(z, hot.flip(1)))
    _, untold = build_point_networks("score", 0, labels=2)
    assert torch.equal(untold(z, hot), D(z))


@pytest.mark.parametrize(("task", "row"), [(task, row) for task in (RING_LABELS, OVERLAP) for row in row_names(task)])
def test_every_row_trains(task: PointTask, row: str) -> None:
    trained = train_points(make_job(task, find_rows([row], task)[0], 1_000, steps=2))
    assert not trained.diverged
    assert trained.count.as_told is not None


def test_packs_and_runs_that_diverge_have_labels_too() -> None:
    packed = make_job(RING_LABELS, find_rows(["pacgan2"], RING_LABELS)[0], 1_000, steps=2)
    assert train_points(packed).count.as_told is not None
    (row,) = find_rows(["nsgan"], RING_LABELS)
    job = make_job(RING_LABELS, row, 1_000, steps=2)
    wild = job.recipe.model_copy(update={"learning_rate_generator": 1e38, "learning_rate_discriminator": 1e38})
    lost = train_points(job.model_copy(update={"recipe": wild}))
    assert lost.diverged
    assert (lost.count.found, lost.count.as_told) == (0, 0.0)


def test_rows_that_need_labels_are_for_tasks_with_labels() -> None:
    with pytest.raises(BenchError, match="needs labels"):
        find_rows(["acgan"], RING)
    (row,) = find_rows(["acgan"], RING_LABELS)
    assert row.recipe(RING_LABELS).conditioning == "none"
    (row,) = find_rows(["lsgan"], RING_LABELS)
    assert row.recipe(RING_LABELS).conditioning == "concat"
    assert "conditioning" not in row.recipe(RING).model_dump()
    with pytest.raises(BenchError, match="nsgan-untold"):
        find_rows(["nsgan-untolt"], RING_LABELS)


def record(job: Job, **values: Any) -> dict[str, Any]:
    measured = {"modes": 3, "high_quality": 0.9, "kl": 0.1, "diverged": False, "cpu_seconds": 1.0}
    return {"id": job.id, "task": job.task, "row": job.row, "seed": job.seed, **measured, **values}


def test_the_page_shows_the_middle_beside_what_is_expected(tmp_path: Path) -> None:
    page = ModesPage.plan(("overlap",), ("minimax", "acgan-1"), (0, 1, 2), None)
    records = {job.id: record(job, as_told=0.9, shared=0.16 + job.seed / 100) for job in page.jobs}
    (part,) = page.parts
    folder = ModesFolder(tmp_path)
    measured = Measured(
        (MeasuredPart(part, tuple(summarise(part.jobs, records)), references(part.task, folder)),), folder, page.command
    )
    table = measured.parts[0].table()
    headings = [heading.text for heading in table.headings]
    assert all(len(row.cells) == len(headings) for row in table.rows)
    cells = dict(zip(headings, table.rows[1].cells, strict=True))
    assert cells["row"].text == "acgan-1"
    assert cells["in the middle"].text.startswith("17.0")
    assert (cells["as told"].text[:4], cells["expected there"].text) == ("90.0", "16.4 %")
    names = [path.name for path in measured.write(tmp_path)]
    assert names == ["modes-labels.md", "modes-labels.csv", "modes-overlap.png"]
    text = (tmp_path / "modes-labels.md").read_text()
    assert "3 D steps each" in text
    assert "papers" not in text
    assert "shared_half_width" in (tmp_path / "modes-labels.csv").read_text()
