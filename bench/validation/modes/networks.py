"""Small networks for points in the plane: the same perceptrons under every objective, with each of the five heads."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from bench.networks.backbone import address
from bench.networks.heads import Autoencoded, Encoded, Head, Sliced, sliced
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

    def hidden(self, values: Tensor) -> Tensor:
        """Return what the last layer sees."""
        for weight, bias in self.layers[:-1]:
            values = leaky_relu(linear(values, weight, bias), self.slope)
        return values


class PointGenerator(Perceptron):
    """Maps latents N x 2 to points N x 2."""

    def __init__(self) -> None:
        super().__init__((LATENT, *(WIDTH,) * GENERATOR_LAYERS, 2))


class PointDiscriminator(Perceptron):
    """Judges points N x 2, or packs of them N x 2m, with the head that an objective asks for; no normalisation.

    `score` returns N values, `sliced` a `Sliced` of the same layers (the last one's bias is left out there),
    `autoencoder` an `Autoencoded` with a code of the latent's size, `encoder` an `Encoded`, `embedding` N x 16.
    """

    def __init__(self, head: Head, packing: int = 1) -> None:
        sizes = {"score": 1, "sliced": 1, "autoencoder": LATENT, "encoder": 2 * LATENT, "embedding": EMBEDDING}
        points = 2 * packing
        super().__init__((points, *(WIDTH,) * DISCRIMINATOR_LAYERS, sizes[head]), DISCRIMINATOR_SLOPE)
        self.head_kind = head
        decoder = (LATENT, *(WIDTH,) * GENERATOR_LAYERS, points)
        self.decoder = Perceptron(decoder) if head == "autoencoder" else None

    def forward(self, points: Tensor) -> Tensor | Sliced | Autoencoded | Encoded:  # type: ignore[override]
        if self.head_kind == "sliced":
            return sliced(self.hidden(points), self.layers[-1][0].flatten())
        out = super().forward(points)
        if self.head_kind == "score":
            return out.squeeze(1)
        if self.decoder is not None:
            return Autoencoded(self.decoder(out), out)
        return Encoded(*out.chunk(2, dim=1)) if self.head_kind == "encoder" else out

    def power_iteration(self) -> None:
        """Do nothing: there is no spectral norm."""


def build_point_networks(head: Head, seed: int, packing: int = 1) -> tuple[PointGenerator, PointDiscriminator]:
    """Build both networks with the initial weights of `seed`: He et al.'s normal law, biases 0.

    As in the backbone each parameter is drawn from a stream addressed by (seed, its name): every row starts from the
    same generator.
    """
    G, D = PointGenerator(), PointDiscriminator(head, packing)
    for network, prefix in ((G, "generator"), (D, "discriminator")):
        for name, parameter in network.named_parameters():
            generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name))
            with torch.no_grad():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, math.sqrt(2 / parameter.shape[1]), generator=generator)
                else:
                    parameter.zero_()
    return G, D
