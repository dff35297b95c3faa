"""Small networks for points in the plane: the same perceptrons under every objective, with each of the heads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from bench.networks.backbone import address
from bench.networks.conditioning import Conditioning
from bench.networks.heads import RECOGNISING, Autoencoded, Encoded, Head, sliced
from bench.validation.modes.tasks import (
    DISCRIMINATOR_LAYERS,
    DISCRIMINATOR_SLOPE,
    EMBEDDING,
    GENERATOR_LAYERS,
    LATENT,
    WIDTH,
)


class Perceptron(nn.Module):
    """Linear layers of the given sizes with a leaky ReLU (`slope` 0: ReLU) between them, none after the last.

    One module holds all layers: with networks this small, walking through modules is a large part of a step.
    """

    def __init__(self, sizes: tuple[int, ...], slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.layers: list[tuple[nn.Parameter, nn.Parameter]] = []
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            weight, bias = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))
            self.register_parameter(f"weight{index}", weight)
            self.register_parameter(f"bias{index}", bias)
            self.layers.append((weight, bias))

    def forward(self, values: Tensor) -> Tensor:
        return linear(self.hidden(values), *self.layers[-1])

    def hidden(self, values: Tensor, told: Tensor | None = None) -> Tensor:
        """Return what the last layer sees; `told` is added to the first layer's output."""
        for index, (weight, bias) in enumerate(self.layers[:-1]):
            out = linear(values, weight, bias)
            values = leaky_relu(out if index or told is None else out + told, self.slope)
        return values


class PointGenerator(Perceptron):
    """Maps latents N x 2 to points N x 2; with `labels` K also conditions N x K, scaled as the backbone scales them."""

    def __init__(self, labels: int = 0) -> None:
        super().__init__((LATENT, *(WIDTH,) * GENERATOR_LAYERS, 2))
        self.told = nn.Linear(labels, WIDTH, bias=False) if labels else None
        self.scale = math.sqrt(labels)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.told is None or condition is None:
            return super().forward(values)
        return linear(self.hidden(values, self.told(self.scale * condition)), *self.layers[-1])


class PointDiscriminator(Perceptron):
    """Judges points N x 2, or packs of them N x 2m, with the head that an objective asks for; no normalisation.

    `score` returns N values, `sliced` a `Sliced` of the same layers (the last one's bias is left out there),
    `autoencoder` an `Autoencoded` with a code of the latent's size, `encoder` an `Encoded`, `embedding` N x 16; the
    heads of `RECOGNISING` a score and what recognises `labels` K. `conditioning` is how conditions N x K reach it.
    """

    def __init__(self, head: Head, packing: int = 1, labels: int = 0, conditioning: Conditioning = "none") -> None:
        sizes = {"score": 1, "sliced": 1, "autoencoder": LATENT, "encoder": 2 * LATENT, "embedding": EMBEDDING}
        points = 2 * packing
        super().__init__((points, *(WIDTH,) * DISCRIMINATOR_LAYERS, sizes.get(head, 1)), DISCRIMINATOR_SLOPE)
        self.head_kind = head

        def another(outputs: int) -> nn.Linear:
            return nn.Linear(WIDTH, outputs)

        values = labels * packing
        self.told = nn.Linear(values, WIDTH, bias=False) if conditioning == "concat" else None
        self.inner = another(values) if conditioning == "projection" else None
        self.recognise = RECOGNISING[head](another, values) if head in RECOGNISING else None
        decoder = (LATENT, *(WIDTH,) * GENERATOR_LAYERS, points)
        self.decoder = Perceptron(decoder) if head == "autoencoder" else None

    def forward(self, points: Tensor, condition: Tensor | None = None) -> Any:
        hidden = self.hidden(points, None if self.told is None else self.told(condition))
        if self.head_kind == "sliced":
            return sliced(hidden, self.layers[-1][0].flatten())
        out = linear(hidden, *self.layers[-1])
        if self.head_kind == "score" or self.recognise is not None:
            score = out.squeeze(1)
            if self.inner is not None:
                score = score + (self.inner(hidden) * condition).sum(1)
            return score if self.recognise is None else self.recognise(score, hidden)
        if self.decoder is not None:
            return Autoencoded(self.decoder(out), out)
        return Encoded(*out.chunk(2, dim=1)) if self.head_kind == "encoder" else out

    def power_iteration(self) -> None:
        """Do nothing: there is no spectral norm."""


def build_point_networks(
    head: Head, seed: int, packing: int = 1, labels: int = 0, conditioning: Conditioning = "none"
) -> tuple[PointGenerator, PointDiscriminator]:
    """Build both networks with the initial weights of `seed`: He et al.'s normal law, biases 0.

    As in the backbone each parameter is drawn from a stream addressed by (seed, its name): every row starts from the
    same generator.
    """
    G, D = PointGenerator(labels), PointDiscriminator(head, packing, labels, conditioning)
    for network, prefix in ((G, "generator"), (D, "discriminator")):
        for name, parameter in network.named_parameters():
            generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name))
            with torch.no_grad():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, math.sqrt(2 / parameter.shape[1]), generator=generator)
                else:
                    parameter.zero_()
    return G, D
