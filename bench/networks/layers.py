"""What the backbone is built of: its convolutions, norms and activations, the trunk and the decoder.

A fully connected network is built as 1x1 convolutions on maps N x C x 1 x 1, so that norms, spectral norm, statistics
over ranks and initial weights are those of the convolutional one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, softplus

from bench.errors import BenchError
from bench.networks.convolution import doubling, from_pixel, halving, onto_pixel
from bench.networks.switches import HALVINGS, Activation, Initialisation, Layers, OutputLaw

Norm = Literal["batch", "layer", "spectral", "none", "batch+spectral"]
MakeNorm = Callable[[int], nn.Module | None]
DCGAN_STD = 0.02


class Conv2d(nn.Conv2d):
    """A convolution with kernel 4 and, unless asked for, without bias."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, padding: int, *, kernel: int = 4, bias: bool = False
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return self._convolve(input, self.effective_weight())

    def effective_weight(self) -> Tensor:
        """Return the kernel that the input meets."""
        return self.weight

    def _convolve(self, images: Tensor, weight: Tensor) -> Tensor:
        if self.kernel_size == (1, 1):  # of an mlp, whose maps are 1 x 1
            return linear(images.flatten(1), weight.flatten(1), self.bias)[:, :, None, None]
        out = (halving if self.stride == (2, 2) else onto_pixel)(images, weight)
        return self._conv_forward(images, weight, self.bias) if out is None else _with_bias(out, self.bias)


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution with kernel 4 and, unless asked for, without bias."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, padding: int, *, bias: bool = False) -> None:
        super().__init__(channels_in, channels_out, 4, stride, padding, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        out = (doubling if self.stride == (2, 2) else from_pixel)(input, self.weight)
        return super().forward(input, output_size) if out is None else _with_bias(out, self.bias)


class SpectralConv2d(Conv2d):
    """A convolution divided by its kernel's largest singular value (Miyato et al., arXiv 1802.05957).

    The kernel is reshaped to C_out x (C_in k k). The singular vectors u and v are constants to autograd and move only
    in `power_iteration`, which the loop calls once per discriminator step: every call in between sees one function.
    """

    u: Tensor
    v: Tensor

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, padding: int, *, kernel: int = 4, bias: bool = False
    ) -> None:
        super().__init__(channels_in, channels_out, stride, padding, kernel=kernel, bias=bias)
        self.register_buffer("u", normalize(torch.ones(channels_out), dim=0))
        self.register_buffer("v", normalize(torch.ones(channels_in * kernel**2), dim=0))

    @torch.no_grad()
    def power_iteration(self, iterations: int = 1) -> None:
        matrix = self.weight.flatten(1)
        for _ in range(iterations):
            self.v.copy_(normalize(matrix.T @ self.u, dim=0))
            self.u.copy_(normalize(matrix @ self.v, dim=0))

    def effective_weight(self) -> Tensor:
        # Autocast would take the product in bf16, too coarse for a norm and not what the dot product with u accepts.
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.weight / torch.dot(self.u, self.weight.flatten(1) @ self.v)


class Softplus(nn.Module):
    """softplus(2x + 2) / 2 - 1, a smooth ReLU from -1 up (Gulrajani et al., arXiv 1704.00028, table 1)."""

    def forward(self, input: Tensor) -> Tensor:
        return softplus(2 * input + 2) / 2 - 1


class Gate(nn.Module):
    """tanh(a) sigmoid(b) of the two halves of the channels (van den Oord et al., arXiv 1606.05328)."""

    def forward(self, input: Tensor) -> Tensor:
        a, b = input.chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)


class CentredSigmoid(nn.Module):
    """2 sigmoid(x) - 1: a sigmoid on pixels in [0, 1], on the scale of [-1, 1]."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * torch.sigmoid(input) - 1


OUTPUTS: Mapping[OutputLaw, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "sigmoid": CentredSigmoid,
    "linear": nn.Identity,
}


def doublings_of(resolution: int) -> int:
    """Return how often 4 pixels are doubled to the resolution. Raises BenchError where they never reach it."""
    doublings = round(math.log2(resolution)) - 2
    if resolution < 16 or 4 * 2**doublings != resolution:
        raise BenchError(f"The backbone has no depth for resolution {resolution}", hint="Use 32, 64 or 128.")
    return doublings


def halvings_of(layers: Layers, resolution: int) -> int:
    """Return how often the trunk halves an image: to 4 pixels, or less where it judges patches.

    Raises BenchError where a patch is no smaller than what a D of whole images sees.
    """
    most = doublings_of(resolution)
    if layers.patch == "whole":
        return most
    if HALVINGS[layers.patch] >= most:
        smaller = [str(patch) for patch, halvings in HALVINGS.items() if halvings < most] + ['"whole"']
        raise BenchError(
            f"patch = {layers.patch} is no part of {resolution} pixels: D would see whole images",
            hint=f"Use {' or '.join(smaller)}.",
        )
    return HALVINGS[layers.patch]


def norm_maker(norm: Norm, *, running: bool = False) -> MakeNorm:
    """Return what makes the norm layer after a convolution with so many channels.

    D is never used in eval mode, so its batch norm keeps no running statistics.
    """
    if norm in ("batch", "batch+spectral"):
        return lambda channels: nn.BatchNorm2d(channels, track_running_stats=running)
    if norm == "layer":
        return lambda channels: nn.GroupNorm(1, channels)
    return lambda channels: None


def conv(
    channels_in: int, channels_out: int, *, stride: int, padding: int, norm: Norm, kernel: int = 4, bias: bool = False
) -> Conv2d:
    """Return a convolution of the discriminator under a norm."""
    make = SpectralConv2d if norm in ("spectral", "batch+spectral") else Conv2d
    return make(channels_in, channels_out, stride, padding, kernel=kernel, bias=bias)


def top_channels(layers: Layers, resolution: int) -> int:
    """Return the channels of the trunk's last map, and of the decoder's first."""
    if layers.network == "mlp" or layers.widths == "constant":
        return layers.width
    return layers.width << halvings_of(layers, resolution) - 1


def convolved(layers: Layers, channels: int) -> int:
    """Return how many maps a convolution makes for so many after its activation: a gate takes two for one."""
    return 2 * channels if layers.activation == "gated" else channels


def build_trunk(layers: Layers, resolution: int, norm: Norm, packing: int, *, running: bool = False) -> nn.Sequential:
    """Return the discriminator below its head: images (flat for an mlp) to maps of `top_channels`.

    `norm` follows every convolution but the first; `running` lets batch norms keep statistics for eval mode.
    """
    trunk = nn.Sequential()
    connected = layers.network == "mlp"
    channels = packing * (3 * resolution**2 if connected else 3)
    for index in range(layers.depth if connected else halvings_of(layers, resolution)):
        following = layers.width * (1 if connected or layers.widths == "constant" else 2**index)
        made = convolved(layers, following)
        stride, padding, kernel = (1, 0, 1) if connected else (2, 1, 4)
        trunk.add_module(
            f"conv{index}",
            conv(channels, made, stride=stride, padding=padding, norm=norm, kernel=kernel, bias=layers.bias),
        )
        _add_norm(trunk, index, norm_maker(norm, running=running)(made) if index > 0 else None)
        trunk.add_module(f"activation{index}", _activation(layers.activation, leaky=True))
        channels = following
    return trunk


def build_decoder(
    layers: Layers, resolution: int, latent: int, make_norm: MakeNorm, output: OutputLaw
) -> nn.Sequential:
    """Return a decoder: maps N x latent x 1 x 1 to images N x 3 x R x R (flat of an mlp, see `as_images`)."""
    decoder = nn.Sequential()
    connected = layers.network == "mlp"
    hidden = layers.depth if connected else doublings_of(resolution)
    channels = latent
    for index in range(hidden):
        doubled = 1 if connected or layers.widths == "constant" else 2 ** (hidden - 1 - index)
        following = layers.width * doubled
        made = convolved(layers, following)
        decoder.add_module(f"conv{index}", decoding(layers, channels, made, first=index == 0))
        _add_norm(decoder, index, make_norm(made))
        decoder.add_module(f"activation{index}", _activation(layers.activation, leaky=False))
        channels = following
    pixels = 3 * resolution**2 if connected else 3
    decoder.add_module(f"conv{hidden}", decoding(layers, channels, pixels, first=False))
    decoder.add_module("output", OUTPUTS[output]())
    return decoder


def decoding(
    layers: Layers, channels_in: int, channels_out: int, *, first: bool, bias: bool | None = None
) -> nn.Module:
    """Return a convolution of a decoder; the `first` one meets latents."""
    bias = layers.bias if bias is None else bias
    if layers.network == "mlp":
        return Conv2d(channels_in, channels_out, 1, 0, kernel=1, bias=bias)
    stride, padding = (1, 0) if first else (2, 1)
    return ConvTranspose2d(channels_in, channels_out, stride, padding, bias=bias)


def as_images(maps: Tensor, resolution: int) -> Tensor:
    """Return a decoder's output as images N x 3 x R x R: an mlp's is N x 3RR x 1 x 1."""
    if maps.shape[-1] == resolution:
        return maps
    return maps.reshape(len(maps), 3, resolution, resolution).contiguous(memory_format=torch.channels_last)


def flat(images: Tensor) -> Tensor:
    """Return images N x C x R x R as an mlp takes them: N x CRR x 1 x 1."""
    return images.flatten(1)[:, :, None, None]


def draw(weight: Tensor, law: Initialisation, generator: torch.Generator) -> None:
    """Fill a convolution's kernel with its initial values."""
    if law == "normal":
        weight.normal_(0.0, DCGAN_STD, generator=generator)
    elif law == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    else:
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _add_norm(layers: nn.Sequential, index: int, norm: nn.Module | None) -> None:
    if norm is not None:
        layers.add_module(f"norm{index}", norm)


def _activation(activation: Activation, *, leaky: bool) -> nn.Module:
    if activation == "relu" and leaky:
        return nn.LeakyReLU(0.2, inplace=True)
    make: Mapping[Activation, Callable[[], nn.Module]] = {
        "relu": lambda: nn.ReLU(inplace=True),
        "plain-relu": lambda: nn.ReLU(inplace=True),
        "tanh": nn.Tanh,
        "softplus": Softplus,
        "gated": Gate,
    }
    return make[activation]()


def _with_bias(maps: Tensor, bias: Tensor | None) -> Tensor:
    return maps if bias is None else maps + bias[:, None, None]
