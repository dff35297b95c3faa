"""The network of a judge, its weights, and the modes it sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from bench.data import faces
from bench.data.judge import Knowledge
from bench.errors import BenchError

FEATURES = 128
CHUNK = 64  # larger ones leave the processor's cache and take twice the time


@dataclass(frozen=True)
class JudgeOutput:
    """`features`: float32 (N, 128), about unit variance on real images. `logits`: by factor, float32 (N, values)."""

    features: Tensor
    logits: dict[str, Tensor]


class Judge(nn.Module):
    """Four strided convolutions, one hidden layer that keeps places apart, and one linear head per factor."""

    def __init__(self, factors: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        widths = (3, 24, 48, 80, 96)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            kernel = 4 if inputs == 3 else 3
            layers += [nn.Conv2d(inputs, outputs, kernel, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(widths[-1] * 4 * 4, FEATURES, bias=False)
        self.scale = nn.BatchNorm1d(FEATURES, affine=False)
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, len(values)) for name, values in factors.items()})

    def forward(self, images: Tensor) -> JudgeOutput:
        """Judge uint8 images (N, 3, R, R) with R 32, 64 or 128, in chunks that bound the memory.

        Raises BenchError for anything else.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise BenchError(f"The judge takes uint8 images (N, 3, R, R), not {images.dtype} {tuple(images.shape)}")
        if images.shape[2] not in faces.RESOLUTIONS or images.shape[2] != images.shape[3]:
            raise BenchError(f"The judge takes images of 32, 64 or 128 pixels, not {tuple(images.shape[2:])}")
        parts = [self.judge(as_light(chunk)) for chunk in torch.split(images, CHUNK)]
        return JudgeOutput(
            torch.cat([part.features for part in parts]),
            {name: torch.cat([part.logits[name] for part in parts]) for name in self.heads},
        )

    def judge(self, light: Tensor) -> JudgeOutput:
        """Judge float32 images (N, 3, 64, 64) in [-1, 1]."""
        features = self.scale(self.hidden(self.trunk(light)))
        active = relu(features)
        return JudgeOutput(features, {name: head(active) for name, head in self.heads.items()})


def as_light(images: Tensor) -> Tensor:
    """Turn uint8 images (N, 3, R, R) into float32 (N, 3, 64, 64) in [-1, 1]: enlarged or averaged to 64 pixels."""
    light = images.float() / 127.5 - 1.0
    if light.shape[2] == 128:
        light = avg_pool2d(light, 2)
    elif light.shape[2] == 32:
        light = enlarged(light)
    return light


def enlarged(light: Tensor) -> Tensor:
    """Enlarge images to 64 pixels as every 32-pixel image is enlarged: bilinear, corners not aligned."""
    return interpolate(light, size=(64, 64), mode="bilinear", align_corners=False)


def load_judge(known: Knowledge) -> Judge:
    """Return a judge with its shipped weights: frozen, in eval mode, on the CPU.

    Raises BenchError when the weights file is missing or is not the one that belongs to this version.
    """
    try:
        content = known.weights.read_bytes()
    except OSError as error:
        raise BenchError(
            f"The judge's weights are missing: {known.weights}", hint="Install the package again."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != known.sha256:
        raise BenchError(
            f"{known.weights} has the SHA-256 {found}, not {known.sha256}",
            hint="Install the package again; after training a new judge, set its SHA-256 in bench.data.judge.",
        )
    return judge_from(content, known)


def judge_from(content: bytes, known: Knowledge) -> Judge:
    """Return the judge whose weights are the given safetensors file's bytes (stored as float16)."""
    judge = Judge(known.factors)
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_tensors(content).items()
    }
    judge.load_state_dict(state)
    return judge.eval().requires_grad_(False)


def modes(output: JudgeOutput, mode_factors: Sequence[str], gate: float = 0.9) -> tuple[Tensor, Tensor]:
    """Return each image's mode, int64 (N,), and whether the judge is confident of it, bool (N,).

    Confident means that the product of the mode factors' highest probabilities reaches the gate: without it a blurry
    generator covers modes by chance.
    """
    mode = torch.zeros(len(output.features), dtype=torch.int64, device=output.features.device)
    for name in mode_factors:
        mode = mode * output.logits[name].shape[1] + output.logits[name].argmax(dim=1)
    return mode, confidence(output, mode_factors) >= gate


def confidence(output: JudgeOutput, mode_factors: Sequence[str]) -> Tensor:
    """Return the probability that the judge gives to each image's mode: float32 (N,)."""
    certain = torch.ones(len(output.features), device=output.features.device)
    for name in mode_factors:
        certain = certain * output.logits[name].softmax(dim=1).amax(dim=1)
    return certain
