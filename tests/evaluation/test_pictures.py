"""Pictures of a finished run: interpolations, nearest training images, and when neither is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from helpers.training_fixture import CPU, study
from PIL import Image
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from bench.data import PreparedData, prepare
from bench.evaluation.evaluate import Evaluator, LoadGenerator
from bench.evaluation.features import NotFiniteError, extract
from bench.evaluation.nearest import nearest_in_pixels, thumbnails
from bench.evaluation.pictures import (
    COLUMNS,
    ROWS,
    interpolation_latents,
    missing_pictures,
    nearest_places,
    write_pictures,
)
from bench.evaluation.reference import Reference
from bench.execution.evaluating import load_snapshot
from bench.execution.photographs import draw_training_images
from bench.metrics.settings import EvaluationSettings
from bench.networks.sampling import LatentLaw, draw_latents
from bench.runs.folder import INTERPOLATIONS, NEAREST, RunFolder, Status
from bench.runs.plan import RunSpec, make_plan
from bench.training.loop import train

SIDE, GAP = 32, 4
DATA = {"source": "faces", "resolution": SIDE, "train_count": 90, "heldout_count": 60}
SETTINGS = EvaluationSettings(extractors=("judge",), samples=50, snapshot_samples=50)
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def data(data_root: Path) -> PreparedData:
    return prepare(study(data=DATA).data, data_root, workers=1)


@pytest.fixture(scope="module")
def run(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunSpec]:
    """A trained run, as training leaves it."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    spec = make_plan(study(data=DATA)).runs[0]
    train(folder, spec, data, CPU)
    return folder, spec


@pytest.fixture
def bare(run: tuple[RunFolder, RunSpec]) -> tuple[RunFolder, RunSpec]:
    """The trained run without pictures."""
    for name in (INTERPOLATIONS, NEAREST):
        (run[0].samples / name).unlink(missing_ok=True)
    return run


@pytest.fixture(scope="module")
def reference(data: PreparedData, data_root: Path) -> Reference:
    return Evaluator(SETTINGS, data, data_root, CPU).reference


def loader(spec: RunSpec) -> LoadGenerator:
    return lambda path, which: load_snapshot(path, which, spec)


def pixels_of(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def row_of(images: Pixels) -> Pixels:
    """Lay N x 3 x R x R images out side by side."""
    return np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)


def test_a_finished_run_gets_both_pictures_once(bare: tuple[RunFolder, RunSpec], data: PreparedData) -> None:
    folder, spec = bare
    written = write_pictures(folder, spec, data, loader(spec), CPU)
    assert [path.name for path in written] == [INTERPOLATIONS, NEAREST]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in written}
    assert write_pictures(folder, spec, data, loader(spec), CPU) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in written} == before
    written[1].unlink()
    assert write_pictures(folder, spec, data, loader(spec), CPU) == [written[1]]
    assert {path: path.read_bytes() for path in written} == {path: content for path, (content, _) in before.items()}


def test_generated_images_are_the_grids_first_row_over_their_nearest(
    bare: tuple[RunFolder, RunSpec], data: PreparedData, reference: Reference
) -> None:
    folder, spec = bare
    write_pictures(folder, spec, data, loader(spec), CPU, reference=reference)
    sheet = pixels_of(folder.samples / NEAREST)
    assert sheet.shape == (3 * SIDE + GAP, COLUMNS * SIDE, 3)
    generated = sheet[:SIDE]
    grid = pixels_of(folder.sample_file(8))[:SIDE]
    assert np.abs(generated.astype(int) - grid).max() <= 1  # made in a batch of 8 instead of 64
    with Image.open(folder.samples / NEAREST) as image:
        _, in_pixels, in_features = json.loads(image.info["bench"])

    training = np.asarray(data.train.images())
    images = generated.reshape(SIDE, COLUMNS, SIDE, 3).transpose(1, 3, 0, 2)
    assert np.array_equal(sheet[SIDE + GAP : 2 * SIDE + GAP], row_of(training[in_pixels["training_images"]]))
    expected = nearest_in_pixels(thumbnails(images), thumbnails(training))
    assert in_pixels["distances"] == pytest.approx(expected)
    assert re.search(r"of (\d+) .* in (.+)", in_pixels["row"]).groups() == ("90", "16 x 16 pixels")

    assert np.array_equal(sheet[2 * SIDE + GAP :], row_of(training[in_features["training_images"]]))
    assert re.search(r"of (\d+) .* in (.+)", in_features["row"]).groups() == ("50", "judge features")
    looked_at = reference.thumbnails(reference.training_part(SETTINGS.samples))[1]
    assert looked_at is not None
    judge = reference.extractors[0]
    distances = cdist(extract(judge, images.copy()).pool, extract(judge, training[looked_at]).pool)
    assert in_features["training_images"] == looked_at[distances.argmin(axis=1)].tolist()
    assert in_features["distances"] == pytest.approx(distances.min(axis=1), rel=1e-4)


def test_photographs_are_shown_on_request_alone(bare: tuple[RunFolder, RunSpec], data: PreparedData) -> None:
    folder, spec = bare
    photographs = spec.training.data.model_copy(update={"source": "celeba"})
    spec = spec.model_copy(update={"training": spec.training.model_copy(update={"data": photographs})})
    assert [path.name for path in write_pictures(folder, spec, data, loader(spec), CPU)] == [INTERPOLATIONS]
    assert not (folder.samples / NEAREST).exists()
    assert [path.name for path in write_pictures(folder, spec, data, loader(spec), CPU, allow_real=True)] == [NEAREST]


def test_neighbours_are_drawn_for_a_report_that_asks(bare: tuple[RunFolder, RunSpec], data_root: Path) -> None:
    folder, spec = bare
    spec.write(folder.spec_file)
    assert draw_training_images([folder], data_root) == 1
    assert pixels_of(folder.samples / NEAREST).shape == (2 * SIDE + GAP, COLUMNS * SIDE, 3)
    assert draw_training_images([folder], data_root) == 0


@pytest.mark.parametrize("state", ["running", "diverged", "failed"])
def test_a_run_that_is_not_done_has_no_pictures(tmp_path: Path, state: str) -> None:
    folder, spec = RunFolder(tmp_path), make_plan(study(data=DATA)).runs[0]
    folder.snapshots.mkdir()
    folder.snapshot_file(8).touch()
    folder.write_status(Status(state="done", total_generator_steps=8))
    assert len(missing_pictures(folder, spec)) == 2
    folder.write_status(Status(state=state, total_generator_steps=8))  # type: ignore[arg-type]
    assert missing_pictures(folder, spec) == []
    folder.write_status(Status(state="done", total_generator_steps=9))
    assert missing_pictures(folder, spec) == []


class Broken(nn.Module):
    """Paints NaN."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.full((len(z), 3, SIDE, SIDE), float("nan"))


def test_images_that_are_not_finite_are_refused(bare: tuple[RunFolder, RunSpec], data: PreparedData) -> None:
    folder, spec = bare
    with pytest.raises(NotFiniteError, match="diverged"):
        write_pictures(folder, spec, data, lambda path, which: Broken(), CPU)
    assert len(missing_pictures(folder, spec)) == 2


def ways(law: LatentLaw, latent: int = 100) -> Tensor:
    return interpolation_latents(law, latent).reshape(ROWS, COLUMNS, latent).double()


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_interpolations_join_fixed_latents(law: LatentLaw) -> None:
    ends = draw_latents(law, 2 * ROWS, 100, "interpolations").double()
    torch.testing.assert_close(ways(law)[:, 0], ends[:ROWS])
    torch.testing.assert_close(ways(law)[:, -1], ends[ROWS:])
    assert torch.equal(ways(law), ways(law))
    assert bool(ways(law, latent=1).isfinite().all())  # two numbers are parallel: there is no arc between them


def test_normal_latents_go_along_the_sphere_in_equal_turns() -> None:
    norms = ways("normal").norm(dim=2)
    assert norms.min() > 0.95 * norms[:, [0, -1]].min()  # a straight line would come down to about 0.7
    unit = ways("normal") / norms[..., None]
    turns = (unit[:, 1:] * unit[:, :-1]).sum(dim=2).acos()
    whole = (unit[:, 0] * unit[:, -1]).sum(dim=1).acos()
    torch.testing.assert_close(turns.sum(dim=1), whole, rtol=1e-4, atol=0)
    assert turns.max() < 1.2 * whole.max() / (COLUMNS - 1)


def test_uniform_latents_go_straight_inside_the_cube() -> None:
    steps = ways("uniform").diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=0, atol=1e-6)
    assert ways("uniform").abs().max() <= 1


def test_a_copy_is_its_own_nearest_wherever_it_stands() -> None:
    candidates = np.random.default_rng(0).integers(0, 256, (9_000, 12), dtype=np.uint8)
    candidates[8_500] = candidates[4_096]  # of equal ones the first counts
    places, distances = nearest_places(candidates[[3, 8_999, 8_500]], candidates)
    assert places.tolist() == [3, 8_999, 4_096]
    assert distances.tolist() == [0, 0, 0]
    assert nearest_places(candidates[:1].astype(np.float32) + 0.25, candidates)[1][0] == pytest.approx(0.25 * 12**0.5)
