"""Extractors that a study declares, with the real packages where they are installed, and own files."""

from __future__ import annotations

import hashlib
import socket
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.extras import needed
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import normalize, resize

from bench.data.faces import draw_faces
from bench.errors import BenchError
from bench.evaluation.extractors import load_extractors, require_extractors
from bench.evaluation.measuring import ArraySet, measure_images
from bench.evaluation.own import CodeRefusedError, load_own
from bench.evaluation.own_metrics import load_metrics
from bench.files import sha256_file
from bench.metrics.own import NORMALISATIONS, Normalise, OwnExtractor
from bench.metrics.settings import EvaluationSettings

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(draw_faces(5, range(4), 32))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def fed(size: int, normalise: Normalise) -> Tensor:
    """The images as torchvision's own transforms prepare them."""
    larger = resize(IMAGES.float(), [size, size], InterpolationMode.BICUBIC, antialias=True).clamp(0, 255)
    return normalize(larger / 255, *NORMALISATIONS[normalise])


def torchscript(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 64, 64)), str(path))  # type: ignore[no-untyped-call]
    return path


def saved(network: nn.Module, path: Path) -> dict[str, Any]:
    torch.save(network.state_dict(), path)
    return {"weights": str(path), "sha256": sha256_file(path)}


@torch.inference_mode()
def features(**declared: Any) -> Tensor:
    return load_own("mine", OwnExtractor.model_validate(declared), CPU).features(IMAGES).pool


def test_a_torchscript_file_is_fed_as_declared(small: Small, tmp_path: Path) -> None:
    file = torchscript(small, tmp_path / "net.pt")
    declared = {"file": str(file), "sha256": sha256_file(file), "size": 64}
    torch.testing.assert_close(features(**declared, normalise="imagenet"), small(fed(64, "imagenet")))
    torch.testing.assert_close(features(**declared, normalise="bytes"), small(fed(64, "bytes")))
    as_they_are = {"file": str(file), "sha256": sha256_file(file), "resize": "asis", "normalise": "unit"}
    torch.testing.assert_close(features(**as_they_are), small(IMAGES / 255))


def test_an_onnx_file_gives_what_its_network_gives(tmp_path: Path) -> None:
    onnx = needed("onnx")
    needed("onnxruntime")
    weight = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)
    nodes = [
        onnx.helper.make_node("Conv", ["images", "weight"], ["maps"]),
        onnx.helper.make_node("Relu", ["maps"], ["other"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, 64, 64])],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2, 64, 64])
            for name in ("maps", "other")
        ],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    file = tmp_path / "net.onnx"
    onnx.save(model, str(file))
    declared = {"file": str(file), "sha256": sha256_file(file), "size": 64, "normalise": "centred"}
    expected = nn.functional.conv2d(fed(64, "centred"), torch.from_numpy(weight))
    torch.testing.assert_close(features(**declared), expected.mean(dim=(2, 3)))
    torch.testing.assert_close(features(**declared, layer="other"), expected.relu().mean(dim=(2, 3)))
    with pytest.raises(BenchError, match="maps, other"):
        features(**declared, layer="neither")


def test_torchvision_gives_what_its_classes_are_made_of(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.resnet18(weights=None).eval()
    declared = {"package": "torchvision", "model": "resnet18", "size": 64, "normalise": "imagenet"}
    declared |= saved(network, tmp_path / "resnet.pth")
    pooled = features(**declared)
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(pooled), network(fed(64, "imagenet")))
    assert features(**declared, layer="layer3").shape == (4, 256)
    with pytest.raises(BenchError, match="layer4"):
        features(**declared, layer="layer9")
    with pytest.raises(BenchError, match="resnet34"):
        features(**declared | {"model": "resnet34"})


def test_a_backbone_within_a_network_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None).eval()
    declared = {"package": "torchvision", "model": "lraspp_mobilenet_v3_large", "size": 64, "normalise": "imagenet"}
    declared |= saved(network, tmp_path / "lraspp.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words: pytest.fail(f"asked for {words[0]}"))
    assert features(**declared, layer="classifier.cbr").shape == (4, 128)


def test_dinov2_of_timm_at_another_size(tmp_path: Path) -> None:
    timm = needed("timm")
    name = "vit_small_patch14_dinov2"
    network = timm.create_model(name, pretrained=False, num_classes=0, img_size=56).eval()
    declared = {"package": "timm", "model": name, "normalise": "imagenet", **saved(network, tmp_path / "dino.pth")}
    with torch.inference_mode():
        torch.testing.assert_close(features(**declared, size=56), network(fed(56, "imagenet")))
    assert features(**declared, size=28).shape == (4, 384)  # position embeddings are adapted
    assert features(**declared, size=28, layer="blocks.5", tokens="mean").shape == (4, 384)


def test_clip_of_open_clip(tmp_path: Path) -> None:
    open_clip = needed("open_clip")
    network = open_clip.create_model("ViT-S-32-alt", pretrained=None, load_weights=False).eval()
    declared = {"package": "open_clip", "model": "ViT-S-32-alt", "normalise": "clip", "size": 224}
    declared |= saved(network, tmp_path / "clip.pt")
    with torch.inference_mode():
        torch.testing.assert_close(features(**declared), network.encode_image(fed(224, "clip")))
    with pytest.raises(BenchError, match="roberta-base"):  # a text encoder of another package, from its hub
        features(**declared | {"model": "roberta-ViT-B-32"})


def test_what_is_missing_or_another_is_named_before_any_work(small: Small, tmp_path: Path) -> None:
    file = torchscript(small, tmp_path / "net.pt")
    declared = {"file": str(file), "sha256": "0" * 64, "size": 64, "normalise": "unit"}

    def require(**changes: Any) -> None:
        own = {"mine": declared | changes}
        settings = EvaluationSettings.model_validate({"extractors": ("mine",), "extractor": own})
        require_extractors(settings, "celeba", tmp_path)

    with pytest.raises(BenchError, match=hashlib.sha256(file.read_bytes()).hexdigest()):
        require()
    require(sha256=sha256_file(file))
    with pytest.raises(BenchError, match=r"away\.pt"):
        require(file=str(tmp_path / "away.pt"))


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"nothing of the kind")
    (tmp_path / "weights.pth").write_bytes(b"nothing of the kind")
    digest = sha256_file(tmp_path / "net.pt")
    common = {"sha256": digest, "size": 64, "normalise": "unit"}
    with pytest.raises(BenchError, match="TorchScript"):
        features(file=str(tmp_path / "net.pt"), **common)
    with pytest.raises(BenchError, match="safely"):
        features(package="torchvision", model="resnet18", weights=str(tmp_path / "weights.pth"), **common)


OWN = """
import torch
from bench.evaluation.contracts import FeatureExtractor

class Mine(FeatureExtractor):
    def features(self, images):
        return images.float().mean(dim=(2, 3))
"""
METRIC = """
import numpy as np
from bench.evaluation.contracts import SampleMetric

class Brightness(SampleMetric):
    of = "OF"
    better = "higher"

    def value(self, generated, real):
        held = generated.pixels[0:60] if self.of == "pixels" else generated.features
        return float(np.asarray(held, dtype=np.float64).mean())
"""


def own_settings(folder: Path, of: str = "pixels") -> EvaluationSettings:
    (folder / "mine.py").write_text(OWN)
    (folder / f"{of}.py").write_text(METRIC.replace("OF", of))
    files = {
        name: {"file": str(folder / name), "source_sha256": sha256_file(folder / name)}
        for name in ("mine.py", f"{of}.py")
    }
    return EvaluationSettings.model_validate(
        {
            "extractors": ("mine",),
            "extractor": {"mine": files["mine.py"]},
            "metric": {"brightness": files[f"{of}.py"]},
            "samples": 60,
            "snapshot_samples": 50,
        }
    )


@pytest.mark.parametrize("of", ["pixels", "features"])
def test_own_files_are_measured_beside_the_rest_with_floors(tmp_path: Path, of: str) -> None:
    faces = draw_faces(3, range(180), 32)
    settings = own_settings(tmp_path, of)
    heldout = ArraySet.of(faces[60:], "held out", "array")
    measured = measure_images(faces[:60], heldout, None, settings, "array", tmp_path, CPU)
    lines = {line["metric"]: line for line in measured.lines}
    name = next(name for name in lines if name.startswith("brightness-higher-"))
    assert name.endswith("_pixels" if of == "pixels" else f"_{settings.labels[0]}")
    assert lines[name]["value"] == pytest.approx(faces[:60].mean(), rel=1e-6)
    places = np.asarray(lines[name]["floor"])
    assert 0 < places != lines[name]["value"]
    assert {f"fd_{settings.labels[0]}", f"kid_{settings.labels[0]}"} <= lines.keys()


def test_code_that_nobody_here_named_is_not_loaded(tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    with pytest.raises(CodeRefusedError, match=r"mine\.py"):
        load_extractors(settings, "faces", tmp_path, CPU, run_code=False)
    with pytest.raises(CodeRefusedError, match=r"pixels\.py"):
        load_metrics(settings, run_code=False)


def test_own_files_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    (tmp_path / "mine.py").write_text(OWN + "\n")
    with pytest.raises(BenchError, match=r"mine\.py"):
        require_extractors(settings, "celeba", tmp_path)
