"""Extractors that bench.toml declares: TorchScript and ONNX files, networks of installed packages, one's own files.

What is loaded is what was checked: a file's bytes are hashed, then handed over. No package downloads anything: networks
are built without weights, and take those of the named file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import io
import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.evaluation.contracts import FeatureExtractor
from bench.evaluation.features import Features
from bench.evaluation.resizing import scaled
from bench.files import sha256_file
from bench.metrics.own import OwnExtractor
from bench.userfile import class_in

Network = Callable[[Tensor], Tensor]
"""From images as the network wants them, float32 N x 3 x S x S, to its output."""

_EXTRAS = {"timm": "timm", "open_clip": "clip", "onnxruntime": "onnx"}  # torchvision always comes along


class CodeRefusedError(BenchError):
    """An extractor or a metric is a file of code that nobody who is here has named."""


class DeclaredExtractor:
    """Features of a network that the study declares, with what it is fed and what is taken of it."""

    def __init__(self, name: str, declared: OwnExtractor, network: Network, device: torch.device) -> None:
        self.name = name
        self.label = declared.label(name)
        self.sha256 = str(declared.sha256)
        self.recipe = declared.digest()
        self.device = device
        self._declared = declared
        self._network = network
        mean, deviation = declared.colours
        self._mean = (255 * torch.tensor(mean, dtype=torch.float64)).float().view(3, 1, 1).to(device)
        self._scale = (1 / (255 * torch.tensor(deviation, dtype=torch.float64))).float().view(3, 1, 1).to(device)

    def features(self, images: Tensor) -> Features:
        pixels = images.to(self.device)
        size = self._declared.size
        fed = pixels.float() if size is None else scaled(pixels, size, self._declared.resize)
        out = self._network(((fed - self._mean) * self._scale).contiguous())
        return Features(_flat(out, len(images), self._declared, self.label))


class FileExtractor:
    """Features of one's own Python file."""

    def __init__(self, name: str, declared: OwnExtractor, own: FeatureExtractor, device: torch.device) -> None:
        self.name = name
        self.label = declared.label(name)
        self.sha256 = str(declared.sha256 or declared.digest())
        self.recipe = declared.digest()
        self.device = device
        self._own = own

    def features(self, images: Tensor) -> Features:
        found: Any = self._own.features(images.to(self.device))
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            told = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise BenchError(
                f"The extractor {self.name} returned {told} for {len(images)} images, not a tensor N x d",
                hint="`bench check FILE` names what is wrong with a file of your own.",
            )
        return Features(found.float())


def load_own(
    name: str, declared: OwnExtractor, device: torch.device, run_code: bool = True
) -> DeclaredExtractor | FileExtractor:
    """Load an extractor that a study declares. Raises BenchError where a file or a package is missing or another.

    `run_code`: whether files that hold code (Python, TorchScript, ONNX) may be loaded: not where an archive named them.
    """
    require_own(name, declared, run_code)
    if declared.kind == "python":
        path = Path(str(declared.file))
        own = class_in(path, FeatureExtractor, "extractor")  # type: ignore[type-abstract]
        weights = None if declared.weights is None else Path(declared.weights)
        return FileExtractor(name, declared, own(device, weights), device)
    if declared.kind in ("torchscript", "onnx"):
        content = _checked(name, Path(str(declared.file)), declared.sha256)
        make = _torchscript if declared.kind == "torchscript" else _onnx
        return DeclaredExtractor(name, declared, make(name, content, declared, device), device)
    content = _checked(name, Path(str(declared.weights)), declared.sha256)
    network = _of_package(name, declared, _state_dict(name, Path(str(declared.weights)), content))
    network.requires_grad_(False).eval().to(device)
    return DeclaredExtractor(name, declared, _taking(name, network, declared), device)


def require_own(name: str, declared: OwnExtractor, run_code: bool = True) -> None:
    """Raise BenchError where an extractor's file or package is not here, or is another: for use before any work."""
    if declared.file is not None and not run_code:
        raise CodeRefusedError(
            f"The extractor {name} is a file of code, {Path(declared.file).name}, which was not loaded",
            hint="Declare it in your own bench.toml, and measure the runs with `bench evaluate --again`.",
        )
    needed = {"onnx": "onnxruntime", "timm": "timm", "open_clip": "open_clip"}.get(declared.kind)
    if needed is not None and importlib.util.find_spec(needed) is None:
        raise BenchError(
            f"The extractor {name} needs the package {needed}, which is not installed",
            hint=f"Type: pip install 'ganbench[{_EXTRAS[needed]}]'   (or measure with other extractors)",
        )
    if declared.kind == "python":
        path = _there(name, str(declared.file))
        if sha256_file(path) != declared.source_sha256:
            raise BenchError(
                f"{path} is not what it was when {name} was declared",
                hint="Type the command again: what it measures from now on has another name.",
            )
    for file in (declared.weights, declared.file if declared.sha256 and declared.kind != "python" else None):
        if file is not None:
            _checked(name, _there(name, file), declared.sha256)


def _there(name: str, file: str) -> Path:
    path = Path(file)
    if not path.is_file():
        raise BenchError(
            f"The extractor {name} needs {path}, which is not there",
            hint="Nothing is downloaded: put the file there, or name where it lies in evaluation.extractor.",
        )
    return path


def _checked(name: str, path: Path, sha256: str | None) -> bytes:
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise BenchError(
            f"The file {path} of the extractor {name} has the SHA-256 {found}, not {sha256}",
            hint="Get the file that was declared, or declare this one: its metrics then have another name.",
        )
    return content


def _torchscript(name: str, content: bytes, declared: OwnExtractor, device: torch.device) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated; its files are what people have
        try:
            network = torch.jit.load(io.BytesIO(content), map_location=device)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise _unusable(name, f"is no TorchScript file ({_first_line(error)})") from error
    network.eval()
    return lambda images: _one_of(name, network(images), declared.layer)


def _onnx(name: str, content: bytes, declared: OwnExtractor, device: torch.device) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = torch.get_num_threads()
    options.use_deterministic_compute = True
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    known = onnxruntime.get_available_providers()
    providers = [*(provider for provider in wanted if provider in known), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # its errors are of a compiled module, with no base of their own
        raise _unusable(name, f"is no ONNX file ({_first_line(error)})") from error
    outputs = [output.name for output in session.get_outputs()]
    taken = declared.layer or outputs[0]
    if taken not in outputs:
        raise _unusable(name, f"has no output {taken}; it has {', '.join(outputs)}")
    entry = session.get_inputs()[0].name

    def network(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([taken], {entry: images.cpu().numpy()})[0]).to(device)

    return network


def _state_dict(name: str, path: Path, content: bytes) -> dict[str, Tensor]:
    """Read weights as tensors only, from safetensors or what torch.save wrote."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return load(content)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile, torch and safetensors each have errors of their own
        raise _unusable(name, f"holds no weights that can be read safely ({_first_line(error)})") from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise _unusable(name, "holds no state dict")
    return dict(found)


def _of_package(name: str, declared: OwnExtractor, weights: dict[str, Tensor]) -> nn.Module:
    """Build a package's network without weights, and fill in those that were read."""
    model = str(declared.model)
    make = {"torchvision": _torchvision, "timm": _timm, "open_clip": _open_clip}[declared.kind]
    try:
        network, weights = make(model, declared.size, weights)
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise _unusable(name, f"does not fit {declared.kind}'s {model}: {_first_line(error)}") from error
    # What a network has and the file has not would be random numbers; heads that are not asked stay aside.
    if missing:
        raise _unusable(name, f"lacks {len(missing)} of the weights of {declared.kind}'s {model}, {missing[0]} first")
    if len(unexpected) * 4 > len(weights):
        raise _unusable(name, f"has {len(unexpected)} weights that {declared.kind}'s {model} has not")
    return network


def _torchvision(model: str, size: int | None, weights: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    from torchvision import models

    more: dict[str, Any] = {"init_weights": False} if model in ("inception_v3", "googlenet") else {}
    if "weights_backbone" in inspect.signature(models.get_model_builder(model)).parameters:
        more["weights_backbone"] = None  # else those of ImageNet are downloaded, for detection and segmentation
    return models.get_model(model, weights=None, **more), weights


def _timm(model: str, size: int | None, weights: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    import timm

    try:
        network = timm.create_model(model, pretrained=False, num_classes=0, img_size=size)
    except TypeError:  # convolutional networks take images of any size
        network = timm.create_model(model, pretrained=False, num_classes=0)
    # Files of the authors name tensors otherwise, and hold position embeddings of another size.
    adapt = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return network, weights if adapt is None else adapt(weights, network)


def _open_clip(model: str, size: int | None, weights: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    import open_clip

    text = (open_clip.get_model_config(model) or {}).get("text_cfg", {})
    if "hf_model_name" in text:
        raise ValueError(f"its text encoder {text['hf_model_name']} would be downloaded")
    more = {} if size is None else {"force_image_size": size}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of the random weights that are filled in below
    try:
        whole = open_clip.create_model(model, pretrained=None, load_weights=False, **more)
    finally:
        logging.disable(before)
    images = {key.removeprefix("visual."): value for key, value in weights.items() if key.startswith("visual.")}
    return whole.visual, images or weights


def _taking(name: str, network: nn.Module, declared: OwnExtractor) -> Network:
    """Return the network as a function to the output of the declared layer; without one, to what precedes its classes.

    Of timm and open_clip that is what the network returns, of torchvision what its last linear layer is given.
    """
    if not declared.layer and declared.kind != "torchvision":
        return lambda images: _one_of(name, network(images), "")
    modules = dict(network.named_modules())
    linear = [module for module in modules.values() if isinstance(module, nn.Linear)]
    if declared.layer and declared.layer not in modules:
        shown = ", ".join(key for key in modules if key.count(".") < 2 and key)
        raise _unusable(name, f"has no layer {declared.layer} in {declared.model}; it has {shown}")
    if not declared.layer and not linear:
        raise _unusable(name, f"has no linear layer in {declared.model}: name a `layer`")
    seen: list[Tensor] = []
    if declared.layer:
        modules[declared.layer].register_forward_hook(lambda module, given, out: seen.append(_one_of(name, out, "")))
    else:
        linear[-1].register_forward_pre_hook(lambda module, given: seen.append(given[0]))

    def taken(images: Tensor) -> Tensor:
        seen.clear()
        network(images)
        if not seen:
            raise _unusable(name, f"never comes to the layer {declared.layer} in {declared.model}")
        return seen[-1].clone()

    return taken


def _one_of(name: str, output: Any, key: str) -> Tensor:
    """Return the one tensor that is asked for of a network's output."""
    if isinstance(output, Mapping):
        if key and key not in output:
            raise _unusable(name, f"has no output {key}; it has {', '.join(map(str, output))}")
        output = output[key] if key else next(iter(output.values()))
    while isinstance(output, tuple | list):
        output = output[0]
    if not isinstance(output, Tensor):
        raise _unusable(name, f"returns {type(output).__name__}, not a tensor")
    return output


def _flat(out: Tensor, count: int, declared: OwnExtractor, label: str) -> Tensor:
    """Return N x d: maps N x d x h x w averaged over places, tokens N x T x d as declared."""
    if len(out) == count and out.ndim == 4:
        out = out.mean(dim=(2, 3))
    elif len(out) == count and out.ndim == 3:
        out = out[:, 0] if declared.tokens == "first" else out.mean(dim=1)
    if len(out) != count or out.ndim != 2:
        raise BenchError(
            f"The extractor {label} gives {tuple(out.shape)} for {count} images, which are no features",
            hint="Name another `layer`: its output must be N x d, N x d x h x w, or tokens N x T x d.",
        )
    return out.float()


def _unusable(name: str, what: str) -> BenchError:
    return BenchError(f"The file of the extractor {name} {what}", hint="See its table in evaluation.extractor.")


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
