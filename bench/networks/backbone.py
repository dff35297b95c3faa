"""The one backbone: DCGAN's generator and the discriminator trunk, with the heads that objectives need.

Every convolution is bias-free with kernel 4, so at 64x64, width 64, latent 100 and batch norm the generator has
3,576,704 parameters and the discriminator 2,765,568 (Radford et al., arXiv 1511.06434). Depth follows the resolution:
each doubling adds one convolution to both networks. Images are float tensors N x 3 x R x R in [-1, 1]. A study may set
`Switches` otherwise, for all its rows, up to fully connected networks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.networks.codes import Codes
from bench.networks.conditioning import Conditioning, convolved_planes
from bench.networks.heads import EMBEDDING_SIZE, RECOGNISING, Autoencoded, Encoded, Head, sliced
from bench.networks.layers import (
    Conv2d,
    Norm,
    SpectralConv2d,
    as_images,
    build_decoder,
    build_trunk,
    conv,
    convolved,
    decoding,
    draw,
    flat,
    norm_maker,
    top_channels,
)
from bench.networks.pictures import CHANNELS, PictureEncoder, build_skips
from bench.networks.switches import Initialisation, Switches

# Objectives import Norm from here, and their import lines are part of their hash.
__all__ = [
    "Discriminator",
    "Generator",
    "Norm",
    "SpectralConv2d",
    "Switches",
    "address",
    "build_networks",
    "describe_architecture",
    "pack",
]

SPECTRAL_BURN_IN = 30
_DCGAN = Switches()


class Generator(nn.Module):
    """Maps latents N x latent to images N x 3 x R x R in [-1, 1]: a 4x4 map, doubled until it has the resolution.

    With the switch `output = "linear"` images may leave [-1, 1], and are clipped where they become pixels. With `told`
    K it is also given conditions N x K, which are concatenated to the latents, each times its `told_scale`. With
    `pictures` it is given pictures N x 3 x R x R in [-1, 1] in their place: an encoder's code of each is concatenated
    to its latent, and, unless the switch `skips` is off, the encoder's maps to the decoder's of their size.
    """

    told_scale: Tensor

    def __init__(
        self,
        resolution: int,
        width: int,
        latent: int,
        told: int = 0,
        switches: Switches = _DCGAN,
        *,
        pictures: bool = False,
    ) -> None:
        super().__init__()
        self.latent = latent
        self.resolution = resolution
        own = switches.generator(width)
        self.initialisation = own.initialisation
        make_norm = norm_maker(switches.norm_of_generator, running=True)
        self.layers = build_decoder(own, resolution, latent, make_norm, switches.output)
        self.told: nn.Module | None = None
        self.encoder: PictureEncoder | None = None
        self.skips: nn.ModuleDict | None = None
        if pictures:
            self.encoder = PictureEncoder(own, resolution, latent, switches.norm_of_generator)
            self.skips = build_skips(own, self.layers) if switches.skips else None
        if told or pictures:
            inputs = latent if pictures else told
            self.told = decoding(own, inputs, convolved(own, top_channels(own, resolution)), first=True, bias=False)
        if told:
            self.register_buffer("told_scale", torch.ones(told))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.told is None:
            return as_images(self.layers(z[:, :, None, None]), self.resolution)
        assert condition is not None, "this generator takes conditions beside its latents"
        code, maps = (condition * self.told_scale, []) if self.encoder is None else self.encoder(condition)
        (_, first), *rest = self.layers.named_children()
        images = first(z[:, :, None, None]) + self.told(code[:, :, None, None])
        for name, layer in rest:
            images = layer(images)
            if self.skips is not None and name in self.skips:
                images = images + self.skips[name](maps.pop())
        return as_images(images, self.resolution)


class Discriminator(nn.Module):
    """The trunk (R x R halved down to 4 x 4) under one of the heads.

    `score` returns N values without activation; `sliced` a `Sliced` of the same parameters; `autoencoder` an
    `Autoencoded`; `encoder` an `Encoded`; `embedding` N x 128; the heads of `RECOGNISING` a score, and beside it what
    recognises labels. `norm` follows every convolution of the trunk but the first, and the decoder's but the last.
    With `packing` m, a sample is m images, N x 3m x R x R (`pack`). Under the switch `network = "mlp"` the trunk takes
    an image's pixels as 3RR values. Under the switch `patch` a `score` is N x P: one for every patch.

    With `labels` K, the values of all factors together, it is also given conditions N x K (N x mK of packs), and
    `conditioning` is how they reach it. One that recognises codes is given none: K is how many numbers it answers.
    With `pictures` the conditions are pictures, N x 3m x R x R in [-1, 1].
    """

    def __init__(
        self,
        resolution: int,
        width: int,
        latent: int,
        head: Head,
        norm: Norm,
        packing: int = 1,
        labels: int = 0,
        conditioning: Conditioning = "none",
        switches: Switches = _DCGAN,
        *,
        pictures: bool = False,
    ) -> None:
        super().__init__()
        self.head_kind = head
        self.packing = packing
        self.conditioning = conditioning
        self.resolution = resolution
        own = switches.discriminator(width)
        self.connected = own.network == "mlp"
        self.initialisation = own.initialisation
        self.trunk = build_trunk(own, resolution, norm, packing)
        top = top_channels(own, resolution)
        sizes = {"autoencoder": latent, "encoder": 2 * latent, "embedding": EMBEDDING_SIZE}

        def another(outputs: int) -> Conv2d:
            # A sliced score is a direction's: it has no bias.
            bias = own.bias and head != "sliced"
            return conv(top, outputs, stride=1, padding=0, norm=norm, kernel=1 if self.connected else 4, bias=bias)

        self.head = None if conditioning == "product" else another(sizes.get(head, 1))
        self.decoder: nn.Sequential | None = None
        if head == "autoencoder":
            self.decoder = build_decoder(own, resolution, latent, norm_maker(norm), switches.output)
        # Kernels of their own, so that each has its own spectral norm, and the others' first weights do not change.
        values = (CHANNELS if pictures else labels) * packing
        self.told: Conv2d | None = None
        if conditioning == "concat":
            stride, padding, kernel = (1, 0, 1) if self.connected else (2, 1, 4)
            maps = convolved(own, own.width)
            self.told = conv(values, maps, stride=stride, padding=padding, norm=norm, kernel=kernel)
        self.inner = another(values) if conditioning in ("projection", "product") else None
        self.recognise = RECOGNISING[head](another, values) if head in RECOGNISING else None

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Any:
        features = self._features(images, condition)
        if self.head_kind == "score":
            return self._score(features, condition)
        if self.recognise is not None:
            return self.recognise(self._score(features, condition), features)
        assert self.head is not None
        if self.head_kind == "sliced":
            return sliced(features.flatten(1), self.head.effective_weight().flatten())
        out: Tensor = self.head(features).flatten(1)
        if self.decoder is not None:
            return Autoencoded(as_images(self.decoder(out[:, :, None, None]), self.resolution), out)
        if self.head_kind == "encoder":
            return Encoded(*out.chunk(2, dim=1))
        return out

    def _features(self, images: Tensor, condition: Tensor | None) -> Tensor:
        features: Tensor
        if self.connected:
            images = flat(images)
        if self.told is None:
            features = self.trunk(images)
            return features
        assert condition is not None, "this discriminator takes conditions beside images"
        first, *rest = self.trunk
        if condition.dim() > 2:  # pictures
            features = first(images) + self.told(condition)
        elif self.connected:  # further inputs beside the pixels, not planes
            features = first(images) + self.told(condition[:, :, None, None])
        else:
            features = first(images) + convolved_planes(condition, self.told.effective_weight(), images.shape[-1])
        for layer in rest:
            features = layer(features)
        return features

    def _score(self, features: Tensor, condition: Tensor | None) -> Tensor:
        """Return N scores (of patches N x P): the head's, and the inner product with what D is told by one."""
        score: Tensor | None = None if self.head is None else self.head(features).flatten(1).squeeze(1)
        if self.inner is not None:
            assert condition is not None, "this discriminator takes conditions beside images"
            product = (self.inner(features).flatten(1) * condition).sum(1)
            score = product if score is None else score + product
        assert score is not None
        return score

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
    *,
    resolution: int,
    width: int,
    latent: int,
    head: Head,
    norm: Norm,
    seed: int,
    packing: int = 1,
    factor_sizes: Sequence[int] = (),
    conditioning: Conditioning = "none",
    codes: Codes | None = None,
    answers: int = 0,
    switches: Switches = _DCGAN,
    pictures: bool = False,
) -> tuple[Generator, Discriminator]:
    """Build both networks, a Generator and a Discriminator, with the initial weights of `seed`.

    resolution    32, 64 or 128 pixels, which decides the depth
    width         channels of the maps at half the resolution, doubled at every further halving: DCGAN's are 64
    latent        size of a latent
    head, norm    of the discriminator, see `Discriminator`; packing m lets it judge m images at a time
    factor_sizes  how many values each factor of the labels has: both networks then also take conditions N x K, the
                  one-hots of all factors side by side
    conditioning  how D is told them: "concat", "projection", "product" or "none"
    codes         a `bench.networks.codes.Codes`: G also takes codes N x `codes.width`, of which D is not told
    answers       how many numbers a D that recognises them returns beside its score
    switches      what of both networks is not DCGAN's, such as `bench.Switches(network="mlp", depth=1)`
    pictures      whether both networks are told pictures N x 3 x R x R in place of labels: G encodes them, D sees them
                  beside its images (`conditioning` "concat") or not ("none")

    Each parameter is drawn from a stream addressed by (seed, its name), so that another norm or head shifts no other
    parameter: rows that differ in those start from equal convolutions. Raises BenchError for another resolution, and
    for what does not go together.

        G, D = bench.build_networks(resolution=64, width=64, latent=100, head="score", norm="batch", seed=0)
        G(torch.randn(8, 100)).shape                              # (8, 3, 64, 64), in [-1, 1]
    """
    labels = sum(factor_sizes)
    if pictures:
        _check_pictures(bool(labels or codes), conditioning, switches)
    elif (not labels and conditioning != "none") or (head in RECOGNISING and not (labels or answers)):
        raise BenchError(f'Head "{head}" with conditioning "{conditioning}" takes labels', hint="Give factor_sizes.")
    if labels and codes:
        raise BenchError("A generator is told labels or given codes, not both", hint="Leave one of them out.")
    if switches.patch != "whole" and (head != "score" or conditioning in ("projection", "product")):
        raise BenchError(f'D judges no patches under head "{head}" and conditioning "{conditioning}"')
    G = Generator(resolution, width, latent, codes.width if codes else labels, switches, pictures=pictures)
    D = Discriminator(
        resolution, width, latent, head, norm, packing, labels or answers, conditioning, switches, pictures=pictures
    )
    for network, prefix, packed in ((G, "generator", 1), (D, "discriminator", packing)):
        _initialise(network, prefix, seed, network.initialisation, packed)
        network.to(memory_format=torch.channels_last)
    if labels:
        # Each factor of K values weighs as much as a latent of variance 1: a raw one-hot has a hundredth of the
        # latents' part in the first map, and is learned later.
        G.told_scale.copy_(Codes(tuple(factor_sizes)).scales())
    elif codes:
        G.told_scale.copy_(codes.scales())
    D.power_iteration(SPECTRAL_BURN_IN)
    return G, D


def describe_architecture(G: Generator, D: Discriminator) -> dict[str, object]:
    """Return the hash of what must be equal in every row, and the parameter counts of all parts.

    The hash covers name, shape, stride and padding of each convolution of the generator, of its encoder of pictures and
    their skips, and of the trunk; of the trunk's first kernel, the part that meets one image of a pack.
    """

    def shape(module: nn.Conv2d | nn.ConvTranspose2d) -> list[int]:
        outputs, inputs, *kernel = module.weight.shape
        return [outputs, inputs // D.packing if module is D.trunk[0] else inputs, *kernel]

    shared = [
        (
            f"{prefix}.{name}",
            shape(module),
            list(module.stride),
            list(cast(tuple[int, ...], module.padding)),
        )
        for prefix, network in (
            ("generator", G.layers),
            ("encoder", G.encoder),
            ("skips", G.skips),
            ("trunk", D.trunk),
        )
        if network is not None
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
    norms = (nn.BatchNorm2d, nn.GroupNorm)

    def count(network: nn.Module | None, *, norm: bool = False) -> int:
        modules = [] if network is None else list(network.modules())
        return sum(p.numel() for m in modules if isinstance(m, norms) == norm for p in m.parameters(recurse=False))

    told = {} if G.told is None else {"told": count(G.told) + count(D.told) + count(D.inner)}
    if G.encoder is not None:
        told |= {"encoder": count(G.encoder) + count(G.encoder, norm=True), "skips": count(G.skips)}
    return {
        "backbone_hash": digest[:16],
        "packing": D.packing,
        **({"conditioning": D.conditioning} if told else {}),
        "parameters": {
            "generator": sum(p.numel() for p in G.parameters()),
            "discriminator": sum(p.numel() for p in D.parameters()),
            "trunk": count(D.trunk),
            "norm": count(D.trunk, norm=True) + count(D.decoder, norm=True),
            "head": count(D.head) + count(D.recognise),
            "decoder": count(D.decoder),
            **told,
        },
    }


def _check_pictures(others: bool, conditioning: Conditioning, switches: Switches) -> None:
    """Raise BenchError where networks cannot be told pictures."""
    if others:
        raise BenchError("Networks are told pictures, or labels or codes, not both", hint="Leave one of them out.")
    if conditioning not in ("concat", "none"):
        raise BenchError(f'No picture is told by "{conditioning}"', hint='Use conditioning "concat" or "none".')
    if "mlp" in (switches.network, switches.generator_network):
        raise BenchError("Pictures are encoded by convolutions, which an mlp has not", hint='Use network = "dcgan".')


def address(*parts: object) -> int:
    """Hash (seed, purpose, step, ...) to a 63-bit seed: the same parts give the same number on every machine."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _initialise(network: nn.Module, prefix: str, seed: int, law: Initialisation, packing: int) -> None:
    for name, parameter in network.named_parameters():
        generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name))
        with torch.no_grad():
            if name == "trunk.conv0.weight":
                _initialise_first(parameter, seed, prefix, name, law, packing)
            elif parameter.dim() > 1:  # a convolution
                draw(parameter, law, generator)
            elif name.endswith("weight"):  # a norm's gain
                parameter.normal_(1.0, 0.02, generator=generator)
            else:
                parameter.zero_()


def _initialise_first(weight: Tensor, seed: int, prefix: str, name: str, law: Initialisation, packing: int) -> None:
    """Draw the trunk's first kernel, per image of a pack: the first image's part is what an unpacked one has."""
    for index, part in enumerate(weight.chunk(packing, dim=1)):
        own = (index,) if index else ()
        generator = torch.Generator().manual_seed(address(seed, "weights", prefix, name, *own))
        drawn = torch.empty(part.shape)
        draw(drawn, law, generator)
        part.copy_(drawn)
