"""Measuring a run end to end: every metric, once, the same bits everywhere, and no reward for garbage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from bench.data import DataRequest, PreparedData, prepare
from bench.errors import BenchError
from bench.evaluation.evaluate import Evaluator, evaluate_run
from bench.evaluation.features import Features, NotFiniteError
from bench.evaluation.metrics import final_values, floors, sample_of_generated
from bench.evaluation.reference import Part, Reference
from bench.evaluation.units import Unit, missing_evaluations, record
from bench.files import read_jsonl
from bench.metrics.catalogue import METRICS, collapsed, metric_info
from bench.metrics.settings import EvaluationSettings
from bench.networks.backbone import Generator
from bench.runs.folder import RunFolder, Status

CPU = torch.device("cpu")
LATENT = 10
FACES = DataRequest(source="faces", resolution=32, train_count=300, heldout_count=240)
SETTINGS = EvaluationSettings(extractors=("lite0",), samples=50, snapshot_samples=50, kid_subsets=5, kid_subset_size=40)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def data(data_root: Path) -> PreparedData:
    return prepare(FACES, data_root, workers=1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of 20 generator steps with snapshots at 10 and 20, from a generator of random weights."""
    folder = RunFolder(tmp_path / "run")
    folder.write_status(Status(state="done", generator_steps=20, total_generator_steps=20))
    folder.snapshots.mkdir()
    for step in (10, 20):
        tensors = {}
        for kind in ("raw", "ema"):
            G = Generator(32, 4, LATENT)
            random = torch.Generator().manual_seed(step + len(kind) + (kind == "ema"))
            for name, value in G.state_dict().items():
                drawn = torch.randn(value.shape, generator=random) * 0.2 if value.dim() > 1 else value.float()
                tensors[f"{kind}/{name}"] = drawn.to(value.dtype)
        save_file(tensors, folder.snapshot_file(step))
    return folder.path


def load_generator(file: Path, kind: str) -> nn.Module:
    G = Generator(32, 4, LATENT)
    tensors = load_file(file)
    G.load_state_dict({name.removeprefix(f"{kind}/"): t for name, t in tensors.items() if name.startswith(kind)})
    return G


PIXELS = {"nearest_train", "ct_pixels", "ms_ssim"}
UNTOLD = {name for name, info in METRICS.items() if not (info.labels or info.codes or info.pairs)}


def measure(run: Path, evaluator: Evaluator) -> int:
    return evaluate_run(run, load_generator, evaluator, latent=LATENT, latent_law="normal")


def test_a_run_gets_every_metric_once(run: Path, data: PreparedData, data_root: Path) -> None:
    stages: set[str] = set()
    evaluator = Evaluator(SETTINGS, data, data_root, CPU, progress=lambda stage, done, total: stages.add(stage))
    assert measure(run, evaluator) == 3
    lines = read_jsonl(RunFolder(run).metrics_file)
    units = {(line["generator_steps"], line["generator"]) for line in lines}
    assert units == {(10, "raw"), (20, "raw"), (20, "ema")}
    assert [line["metric"] for line in lines if line["generator_steps"] == 10] == ["fd_lite0"]

    final = [line for line in lines if line["generator_steps"] == 20 and line["generator"] == "raw"]
    names = [line["metric"] for line in final]
    # Too few images for an extrapolation.
    lite0 = {name for name in UNTOLD if name.endswith(("_lite0", "_lite0_train"))}
    assert sorted(names) == sorted(lite0 | PIXELS)
    for line in lines:
        assert metric_info(line["metric"])
        assert line["schema"] == 1
        assert line["evaluation_id"] == SETTINGS.id()
        assert line["samples"] == 50
        assert np.isfinite([line["value"], line["floor"]]).all()
        assert line["data_sha256"] == data.heldout.sha256
        assert line["floor_source"] == "heldout"
        to_training = "train" in line["metric"] or line["metric"].startswith("ct_")
        assert line["reference"] == ("train" if to_training else "heldout")
        assert line["extractor"] == ("pixels" if line["metric"] in PIXELS else "lite0")
    by_name = {line["metric"]: line for line in final}
    assert by_name["nearest_train"]["reference_samples"] == 300
    assert by_name["fd_lite0_train"]["reference_samples"] == 50
    assert by_name["fd_lite0"]["value"] > 3 * by_name["fd_lite0"]["floor"]
    assert by_name["unique_lite0"]["floor"] > 0.9
    assert by_name["nearest_train"]["floor"] == pytest.approx(1, abs=0.1)
    assert by_name["nearest_train_lite0"]["floor"] == pytest.approx(1, abs=0.1)
    assert by_name["vendi_lite0"]["floor"] == pytest.approx(1, abs=0.2)
    assert abs(by_name["ct_lite0"]["floor"]) < 3
    assert abs(by_name["ct_pixels"]["floor"]) < 3
    assert by_name["ms_ssim"]["floor"] < by_name["ms_ssim"]["value"]  # random weights paint much the same
    assert collapsed(final, SETTINGS) is not None
    assert stages >= {"samples", "samples (lite0)", "held-out images (lite0)", "training images (lite0)"}

    before = RunFolder(run).metrics_file.read_bytes()
    again = Evaluator(SETTINGS, data, data_root, CPU)
    assert measure(run, again) == 0
    assert RunFolder(run).metrics_file.read_bytes() == before
    assert "reference" not in again.__dict__, "nothing is loaded where nothing is missing"


RAW = SETTINGS.model_copy(update={"generators": ("raw",)})


def test_a_floor_says_of_which_images_it_is(run: Path, data: PreparedData, data_root: Path) -> None:
    """Of 240 held-out images no two parts of 130 can be taken, and training images stand in; two of 50 can be."""
    settings = RAW.model_copy(update={"samples": 130})
    assert measure(run, Evaluator(settings, data, data_root, CPU)) == 2
    lines = read_jsonl(RunFolder(run).metrics_file)
    final = {line["metric"]: line for line in lines if line["samples"] == 130}
    assert (final["fd_lite0"]["floor_source"], final["fd_lite0"]["floor_samples"]) == ("train", 130)
    assert final["nearest_train"]["floor_source"] == "train"
    assert (final["fd_lite0_train"]["floor_source"], final["fd_lite0_train"]["floor_samples"]) == ("heldout", 130)
    assert {line["floor_source"] for line in lines if line["samples"] == 50} == {"heldout"}


IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path[:0] = [{tests!r}, {tests!r} + "/evaluation"]
from test_evaluate import CPU, FACES, RAW, Evaluator, measure, prepare
root = Path({root!r})
measure(Path({run!r}), Evaluator(RAW, prepare(FACES, root, workers=1), root, CPU))
"""


def test_the_same_bits_in_another_process_with_a_cache_of_its_own(
    run: Path, data: PreparedData, data_root: Path, tmp_path: Path
) -> None:
    measure(run, Evaluator(RAW, data, data_root, CPU))
    file = RunFolder(run).metrics_file
    here = file.read_text()
    file.unlink()
    code = IN_ANOTHER_PROCESS.format(tests=str(Path(__file__).parents[1]), root=str(tmp_path / "data"), run=str(run))
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert file.read_text() == here


def test_an_interruption_loses_nothing_and_repeats_nothing(run: Path, data: PreparedData, data_root: Path) -> None:
    class Stop(Exception):  # noqa: N818 - what a caller may raise to stop
        pass

    generated = 0

    def stop_in_the_third(stage: str, done: int, total: int) -> None:
        nonlocal generated
        generated += stage == "samples"
        if generated == 3:
            raise Stop

    with pytest.raises(Stop):
        measure(run, Evaluator(SETTINGS, data, data_root, CPU, stop_in_the_third))
    file = RunFolder(run).metrics_file
    before = file.read_text()
    assert measure(run, Evaluator(SETTINGS, data, data_root, CPU)) == 1
    assert file.read_text().startswith(before)

    whole = read_jsonl(file)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-3]) + lines[-3][:40])  # a crash while writing
    assert len(missing_evaluations(run, SETTINGS)) == 1
    assert measure(run, Evaluator(SETTINGS, data, data_root, CPU)) == 1
    assert read_jsonl(file) == whole


def unit_line(unit: Unit, settings: EvaluationSettings, **changes: Any) -> dict[str, Any]:
    values = {
        "evaluation_id": settings.id(),
        "generator_steps": unit.generator_steps,
        "generator": unit.generator,
        "sample_seed": unit.sample_seed,
        "final": unit.final,
        "metric": "fd_lite0",
        "extractor": "lite0",
        "extractor_sha256": "e",
        "data_sha256": "d",
    }
    return values | changes


def test_what_counts_as_missing(run: Path) -> None:
    settings = SETTINGS.model_copy(update={"sample_seeds": 2})
    first = Unit(10, "raw", 0, final=False)
    finals = [Unit(20, generator, seed, final=True) for generator in ("raw", "ema") for seed in (0, 1)]
    assert missing_evaluations(run, settings) == [first, *finals]
    record(run, finals[1], [unit_line(finals[1], settings), unit_line(finals[1], settings, metric="kid_lite0")])
    assert missing_evaluations(run, settings) == [first, finals[0], *finals[2:]]
    assert finals[1] in missing_evaluations(run, settings, data_sha256="other images")
    assert finals[1] in missing_evaluations(run, settings, extractor_sha256={"lite0": "other weights"})
    assert finals[1] not in missing_evaluations(run, settings, "d", {"lite0": "e", "judge": "j"})
    assert finals[1] in missing_evaluations(run, settings.model_copy(update={"kid_subsets": 6}))

    # What replaces outdated lines leaves every other line alone.
    other = settings.model_copy(update={"kid_subsets": 6})
    record(run, finals[1], [unit_line(finals[1], other)])
    record(run, finals[1], [unit_line(finals[1], settings, data_sha256="new")])
    lines = read_jsonl(RunFolder(run).metrics_file)
    assert [(line["evaluation_id"], line["data_sha256"]) for line in lines] == [
        (other.id(), "d"),
        (settings.id(), "new"),
    ]


def test_a_run_that_diverged_has_no_final_step(run: Path) -> None:
    folder = RunFolder(run)
    folder.write_status(Status(state="diverged", generator_steps=15, total_generator_steps=20))
    folder.snapshot_file(20).unlink()
    assert missing_evaluations(run, SETTINGS) == [Unit(10, "raw", 0, final=False)]


def test_a_generator_without_finite_images_is_refused_and_nothing_written(
    run: Path, data: PreparedData, data_root: Path
) -> None:
    class Broken(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.full((len(z), 3, 32, 32), torch.nan)

    with pytest.raises(NotFiniteError) as caught:
        evaluate_run(
            run,
            lambda file, kind: Broken(),
            Evaluator(SETTINGS, data, data_root, CPU),
            latent=LATENT,
            latent_law="normal",
        )
    assert caught.value.exit_code == 1
    assert not RunFolder(run).metrics_file.exists()


def test_snapshots_on_fewer_images_have_a_name_of_their_own(run: Path, data: PreparedData, data_root: Path) -> None:
    settings = SETTINGS.model_copy(update={"samples": 60, "generators": ("raw",)})
    measure(run, Evaluator(settings, data, data_root, CPU))
    lines = read_jsonl(RunFolder(run).metrics_file)
    small = [line for line in lines if line["metric"] == "fd_lite0@50"]
    assert [line["generator_steps"] for line in small] == [10, 20]
    assert {line["samples"] for line in small} == {50} == {line["reference_samples"] for line in small}
    whole = [line for line in lines if line["metric"] == "fd_lite0"]
    assert [(line["generator_steps"], line["samples"]) for line in whole] == [(20, 60)]


# --- the reference


class Mean:
    """The cheapest extractor: mean colours of the four quarters."""

    name = label = recipe = "mean"
    sha256 = "0" * 64
    device = CPU

    def features(self, images: Tensor) -> Features:
        quarters = nn.functional.adaptive_avg_pool2d(images.float(), 2)
        return Features((quarters.flatten(1) - 128) / 64)


def reference_of(data: PreparedData, root: Path, samples: int, snapshot_samples: int = 50) -> Reference:
    settings = SETTINGS.model_copy(update={"samples": samples, "snapshot_samples": snapshot_samples})
    return Reference(settings, data, (Mean(),), root)


def test_which_real_images_are_used(data: PreparedData, tmp_path: Path) -> None:
    enough = reference_of(data, tmp_path, 120)
    assert enough.heldout_part(120) == Part("heldout", 0, 120)
    assert enough.floor_part(120) == Part("heldout", 120, 240)  # disjoint
    few = reference_of(data, tmp_path, 121)
    assert few.floor_part(121) == Part("train", 0, 121)  # 240 held-out images have no two parts of 121
    assert few.floor_part(50) == Part("heldout", 50, 100)
    more = reference_of(data, tmp_path, 1_000)
    assert more.heldout_part(1_000) == Part("heldout", 0, 240)
    assert more.floor_part(1_000) == Part("train", 0, 300)
    # What is asked for in parts is the same order throughout.
    (extractor,) = more.extractors
    whole = more.features(extractor, Part("heldout", 0, 240)).pool
    assert torch.equal(enough.features(extractor, Part("heldout", 50, 100)).pool, whole[50:100])
    assert len(whole.unique(dim=0)) == 240


@pytest.mark.parametrize("samples", [120, 130, 1_000])
def test_floors_are_what_real_images_reach(data: PreparedData, tmp_path: Path, samples: int) -> None:
    reference = reference_of(data, tmp_path, samples)
    found = floors(reference, samples, final=True)
    assert found["unique_mean"] > 0.9
    assert found["diversity_mean"] == pytest.approx(1, abs=0.1)
    assert found["coverage_mean"] > 0.8
    assert abs(found["kid_mean"]) < 0.2
    for name in ("nearest_train", "nearest_train_mean"):
        assert found[name] == pytest.approx(1, abs=0.1)  # training images are not their own neighbours
    assert abs(found["fd_mean_inf"]) < found["fd_mean"]
    assert found["vendi_mean"] == pytest.approx(1, abs=0.1)
    assert max(abs(found["ct_mean"]), abs(found["ct_pixels"])) < 3
    assert 0 < found["ms_ssim"] < 1
    assert 0 < found["kid_deviation_mean"] < 1
    assert found["support_mean"] > samples
    assert floors(reference_of(data, tmp_path, samples), samples, final=True) == found


def test_too_few_images_are_refused(data_root: Path, tmp_path: Path) -> None:
    few = prepare(FACES.model_copy(update={"heldout_count": 20}), data_root, workers=1)
    with pytest.raises(BenchError, match="heldout_count"):
        reference_of(few, tmp_path, 60)


def test_the_judge_counts_modes_of_faces(run: Path, data: PreparedData, data_root: Path) -> None:
    settings = SETTINGS.model_copy(update={"extractors": ("judge",), "generators": ("raw",)})
    evaluator = Evaluator(settings, data, data_root, CPU)
    measure(run, evaluator)
    lines = {line["metric"]: line for line in read_jsonl(RunFolder(run).metrics_file) if line["generator_steps"] == 20}
    assert sorted(lines) == sorted({name for name in UNTOLD if "judge" in name and not name.endswith("_inf")} | PIXELS)
    assert lines["judge_confident"]["floor"] > 0.8
    assert lines["judge_confident"]["value"] < 0.3  # random weights paint no faces
    assert lines["modes_judge"]["floor"] > 40
    assert lines["modes_judge"]["value"] < 20
    assert lines["modes_judge_share"]["floor"] == pytest.approx(1, abs=0.2)
    assert lines["mode_kl_judge"]["value"] > lines["mode_kl_judge"]["floor"]


# --- no reward for garbage


def as_bytes(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def blobs(random: np.random.Generator, count: int) -> npt.NDArray[Any]:
    """Return smooth coloured clouds about the mean face's brightness."""
    smooth = gaussian_filter(random.normal(size=(count, 3, 32, 32)), (0, 0, 4, 4))
    return smooth / smooth.std() * 50 + 128


def test_garbage_is_worse_than_slightly_blurred_faces_in_whatever_ranks(data_root: Path) -> None:
    count = 80
    data = prepare(FACES.model_copy(update={"labels": ("hat",)}), data_root, workers=1)
    learned = data.train.labels()
    assert learned is not None
    extractors = ("lite0", "lite0-96-stage7")
    settings = SETTINGS.model_copy(update={"samples": count, "kid_subset_size": count, "extractors": extractors})
    reference = Evaluator(settings, data, data_root, CPU).reference
    real = np.asarray(data.train.images()[:count]).astype(np.float64)
    random = np.random.default_rng(0)

    def score(images: Tensor) -> dict[str, float]:
        sample = sample_of_generated(images, reference, final=True, progress=None, labels=learned[:count])
        return {value.metric: value.value for value in final_values(sample, reference)}

    blurred = score(as_bytes(gaussian_filter(real, (0, 0, 0.6, 0.6))))
    garbage = {
        "grey": as_bytes(np.full(real.shape, 128.0)),
        "noise": as_bytes(random.uniform(0, 255, real.shape)),
        "colour blobs": as_bytes(blobs(random, count)),
        "one repeated image": as_bytes(np.repeat(real[:1], count, axis=0)),
    }
    ranking = [info for name, info in METRICS.items() if info.ranks and name in blurred]
    assert {info.name for info in ranking} == {
        f"{metric}_{extractor}" for metric in ("fd", "fjd", "kid", "coverage") for extractor in extractors
    }
    for what, images in garbage.items():
        values = score(images)
        for info in ranking:
            worse = (
                values[info.name] > blurred[info.name]
                if info.better == "lower"
                else values[info.name] < blurred[info.name]
            )
            assert worse, f"{what}: {info.name} {values[info.name]:.3f}, blurred faces {blurred[info.name]:.3f}"
        lines = [{"metric": name, "value": value, "floor": 0.9} for name, value in values.items()]
        assert collapsed(lines, settings) is True, f"{what} counts as collapsed"
    lines = [{"metric": name, "value": value, "floor": 0.9} for name, value in blurred.items()]
    assert collapsed(lines, settings) is False
