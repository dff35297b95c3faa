"""The one backbone: DCGAN's generator and the discriminator trunk, with the heads that objectives need.

Every convolution is bias-free with kernel 4, so at 64x64, width 64, latent 100 and batch norm the generator has
3,576,704 parameters and the discriminator 2,765,568 (Radford et al., arXiv 1511.06434). Depth follows the resolution:
each doubling adds one convolution to both networks. Images are float tensors N x 3 x R x R in [-1, 1].
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.errors import BenchError
from bench.networks.convolution import doubling, from_pixel, halving, onto_pixel
from bench.networks.heads import EMBEDDING_SIZE, Autoencoded, Encoded, Head, Sliced, sliced

Norm = Literal["batch", "layer", "spectral", "none"]
SPECTRAL_BURN_IN = 30


class Conv2d(nn.Conv2d):
    """A bias-free convolution with kernel 4."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, padding: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride, padding, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return self._convolve(input, self.effective_weight())

    def effective_weight(self) -> Tensor:
        """Return the kernel that the input meets."""
        return self.weight

    def _convolve(self, images: Tensor, weight: Tensor) -> Tensor:
        out = (halving if self.stride == (2, 2) else onto_pixel)(images, weight)
        return self._conv_forward(images, weight, None) if out is None else out


class ConvTranspose2d(nn.ConvTranspose2d):
    """A bias-free transposed convolution with kernel 4."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, padding: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride, padding, bias=False)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        out = (doubling if self.stride == (2, 2) else from_pixel)(input, self.weight)
        return super().forward(input, output_size) if out is None else out


class SpectralConv2d(Conv2d):
    """A bias-free convolution divided by its kernel's largest singular value (Miyato et al., arXiv 1802.05957).

    The kernel is reshaped to C_out x (C_in k k). The singular vectors u and v are constants to autograd and move only
    in `power_iteration`, which the loop calls once per discriminator step: every call in between sees one function.
    """

    u: Tensor
    v: Tensor

    def __init__(self, channels_in: int, channels_out: int, stride: int, padding: int) -> None:
        super().__init__(channels_in, channels_out, stride, padding)
        self.register_buffer("u", normalize(torch.ones(channels_out), dim=0))
        self.register_buffer("v", normalize(torch.ones(channels_in * 16), dim=0))

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


class Generator(nn.Module):
    """Maps latents N x latent to images N x 3 x R x R in [-1, 1]: a 4x4 map, doubled until it has the resolution."""

    def __init__(self, resolution: int, width: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.resolution = resolution
        self.layers = _decoder(resolution, width, latent, lambda channels: nn.BatchNorm2d(channels))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """The trunk (R x R halved down to 4 x 4) under one of five heads.

    `score` returns N values without activation; `sliced` a `Sliced` of the same parameters; `autoencoder` an
    `Autoencoded`; `encoder` an `Encoded`; `embedding` N x 128. `norm` follows every convolution of the trunk but the
    first, and the decoder's but the last. With `packing` m, a sample is m images, N x 3m x R x R (`pack`).
    """

    def __init__(self, resolution: int, width: int, latent: int, head: Head, norm: Norm, packing: int = 1) -> None:
        super().__init__()
        self.head_kind = head
        self.packing = packing
        self.trunk = _trunk(resolution, width, norm, packing)
        top = width * 2 ** (_doublings(resolution) - 1)
        sizes = {"score": 1, "sliced": 1, "autoencoder": latent, "encoder": 2 * latent, "embedding": EMBEDDING_SIZE}
        outputs = sizes[head]
        self.head = _conv(top, outputs, stride=1, padding=0, norm=norm)
        self.decoder = _decoder(resolution, width, latent, _norm_maker(norm)) if head == "autoencoder" else None

    def forward(self, images: Tensor) -> Tensor | Sliced | Autoencoded | Encoded:
        features = self.trunk(images)
        if self.head_kind == "sliced":
            return sliced(features.flatten(1), self.head.effective_weight().flatten())
        out: Tensor = self.head(features).flatten(1)
        if self.head_kind == "score":
            return out.squeeze(1)
        if self.decoder is not None:
            return Autoencoded(self.decoder(out[:, :, None, None]), out)
        if self.head_kind == "encoder":
            return Encoded(*out.chunk(2, dim=1))
        return out

    def power_iteration(self, iterations: int = 1) -> None:
        """Move the spectral norm's singular vectors on; nothing to do under another norm."""
        for module in self.modules():
            if isinstance(module, SpectralConv2d):
                module.power_iteration(iterations)


def pack(images: Tensor, packing: int) -> Tensor:
    """Make one sample of every `packing` images that follow each other: N x C x ... to N/m x mC x ..."""
    if packing == 1:
        return images
    return images.reshape(len(images) // packing, packing * images.shape[1], *images.shape[2:])


def build_networks(
    *, resolution: int, width: int, latent: int, head: Head, norm: Norm, seed: int, packing: int = 1
) -> tuple[Generator, Discriminator]:
    """Build both networks, a Generator and a Discriminator, with the initial weights of `seed`.

    resolution  32, 64 or 128 pixels, which decides the depth
    width       channels of the maps at half the resolution, doubled at every further halving: DCGAN's are 64
    latent      size of a latent
    head, norm  of the discriminator, see `Discriminator`; packing m lets it judge m images at a time

    Each parameter is drawn from a stream addressed by (seed, its name), so that another norm or head shifts no other
    parameter: rows that differ in those start from equal convolutions. Raises BenchError for another resolution.

        G, D = bench.build_networks(resolution=64, width=64, latent=100, head="score", norm="batch", seed=0)
        G(torch.randn(8, 100)).shape                              # (8, 3, 64, 64), in [-1, 1]
    """
    G = Generator(resolution, width, latent)
    D = Discriminator(resolution, width, latent, head, norm, packing)
    for network, prefix in ((G, "generator"), (D, "discriminator")):
        _initialise(network, prefix, seed)
        network.to(memory_format=torch.channels_last)
    D.power_iteration(SPECTRAL_BURN_IN)
    return G, D


def describe_architecture(G: Generator, D: Discriminator) -> dict[str, object]:
    """Return the hash of what must be equal in every row, and the parameter counts of all parts.

    The hash covers name, shape, stride and padding of each convolution of the generator and the trunk; of the trunk's
    first kernel, the part that meets one image of a pack.
    """

    def shape(module: nn.Conv2d | nn.ConvTranspose2d) -> list[int]:
        per_image = module.weight[:, :3] if module is D.trunk[0] else module.weight
        return list(per_image.shape)

    shared = [
        (
            f"{prefix}.{name}",
            shape(module),
            list(module.stride),
            list(cast(tuple[int, ...], module.padding)),
        )
        for prefix, network in (("generator", G.layers), ("trunk", D.trunk))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
    norms = (nn.BatchNorm2d, nn.GroupNorm)

    def count(network: nn.Module | None, *, norm: bool) -> int:
        modules = [] if network is None else list(network.modules())
        return sum(p.numel() for m in modules if isinstance(m, norms) == norm for p in m.parameters(recurse=False))

    return {
        "backbone_hash": digest[:16],
        "packing": D.packing,
        "parameters": {
            "generator": sum(p.numel() for p in G.parameters()),
            "discriminator": sum(p.numel() for p in D.parameters()),
            "trunk": count(D.trunk, norm=False),
            "norm": count(D.trunk, norm=True) + count(D.decoder, norm=True),
            "head": count(D.head, norm=False),
            "decoder": count(D.decoder, norm=False),
        },
    }


def address(*parts: object) -> int:
    """Hash (seed, purpose, step, ...) to a 63-bit seed: the same parts give the same number on every machine."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _initialise(network: nn.Module, prefix: str, seed: int) -> None:
    for name, parameter in network.named_parameters():
        generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name))
        with torch.no_grad():
            if name == "trunk.conv0.weight":
                _initialise_first(parameter, seed, prefix, name)
            elif parameter.dim() > 1:  # a convolution
                parameter.normal_(0.0, 0.02, generator=generator)
            elif name.endswith("weight"):  # a norm's gain
                parameter.normal_(1.0, 0.02, generator=generator)
            else:
                parameter.zero_()


def _initialise_first(weight: Tensor, seed: int, prefix: str, name: str) -> None:
    """Draw the trunk's first kernel, per image of a pack: the first image's part is what an unpacked one has."""
    for index, part in enumerate(torch.split(weight, 3, dim=1)):
        own = (index,) if index else ()
        generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name, *own))
        part.copy_(torch.empty(part.shape).normal_(0.0, 0.02, generator=generator))


def _doublings(resolution: int) -> int:
    doublings = round(math.log2(resolution)) - 2
    if resolution < 16 or 4 * 2**doublings != resolution:
        raise BenchError(f"The backbone has no depth for resolution {resolution}", hint="Use 32, 64 or 128.")
    return doublings


def _norm_maker(norm: Norm) -> Callable[[int], nn.Module | None]:
    """Return what makes the norm layer after a convolution with so many channels.

    D is never used in eval mode, so its batch norm keeps no running statistics.
    """
    if norm == "batch":
        return lambda channels: nn.BatchNorm2d(channels, track_running_stats=False)
    if norm == "layer":
        return lambda channels: nn.GroupNorm(1, channels)
    return lambda channels: None


def _conv(channels_in: int, channels_out: int, *, stride: int, padding: int, norm: Norm) -> Conv2d:
    if norm == "spectral":
        return SpectralConv2d(channels_in, channels_out, stride, padding)
    return Conv2d(channels_in, channels_out, stride, padding)


def _trunk(resolution: int, width: int, norm: Norm, packing: int) -> nn.Sequential:
    layers = nn.Sequential()
    channels = 3 * packing
    for index in range(_doublings(resolution)):
        following = width * 2**index
        layers.add_module(f"conv{index}", _conv(channels, following, stride=2, padding=1, norm=norm))
        layer_norm = _norm_maker(norm)(following) if index > 0 else None
        if layer_norm is not None:
            layers.add_module(f"norm{index}", layer_norm)
        layers.add_module(f"activation{index}", nn.LeakyReLU(0.2, inplace=True))
        channels = following
    return layers


def _decoder(resolution: int, width: int, latent: int, make_norm: Callable[[int], nn.Module | None]) -> nn.Sequential:
    layers = nn.Sequential()
    channels = latent
    doublings = _doublings(resolution)
    for index in range(doublings):
        following = width * 2 ** (doublings - 1 - index)
        stride, padding = (1, 0) if index == 0 else (2, 1)
        layers.add_module(f"conv{index}", ConvTranspose2d(channels, following, stride, padding))
        layer_norm = make_norm(following)
        if layer_norm is not None:
            layers.add_module(f"norm{index}", layer_norm)
        layers.add_module(f"activation{index}", nn.ReLU(inplace=True))
        channels = following
    layers.add_module(f"conv{doublings}", ConvTranspose2d(channels, 3, 2, 1))
    layers.add_module("output", nn.Tanh())
    return layers
