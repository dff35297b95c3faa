"""The convolutions are torch's own whatever computes them, to every order that a penalty differentiates."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from bench.networks.backbone import build_networks
from bench.networks.convolution import ALGORITHMS, Choice, Operand, choose, contraction, doubling, halving

ALTERNATIVES = [(wanted, name) for wanted, ways in ALGORITHMS.items() for name in ways]
DTYPES = (torch.float32, torch.bfloat16, torch.float64)
# Prints the hash of a weight gradient, an input gradient and an output by one algorithm each: another process's bits.
PROGRAM = """
import hashlib, sys, torch
from bench.networks.convolution import ALGORITHMS
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
tensors = {"large": (3, 64, 16, 16), "small": (3, 128, 8, 8), "kernel": (128, 64, 4, 4)}
for dtype in (torch.float32, torch.bfloat16):
    values = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in tensors.items()}
    for wanted, ways in ALGORITHMS.items():
        one, other = (value for name, value in values.items() if name != wanted)
        for name, algorithm in ways.items():
            for _ in range(2):
                bits = algorithm(one, other).float().contiguous().numpy().tobytes()
                print(dtype, wanted, name, hashlib.sha256(bits).hexdigest())
"""


def tensors(count: int, channels_large: int, channels_small: int, side: int) -> dict[Operand, Tensor]:
    """Return three tensors of a layer in float64, drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[Operand, tuple[int, ...]] = {
        "large": (count, channels_large, 2 * side, 2 * side),
        "small": (count, channels_small, side, side),
        "kernel": (channels_small, channels_large, 4, 4),
    }
    return {name: torch.randn(shape, dtype=torch.float64, generator=generator) for name, shape in shapes.items()}


def by_torch(wanted: Operand, large: Tensor, small: Tensor, kernel: Tensor) -> Tensor:
    if wanted == "small":
        return conv2d(large, kernel, None, 2, 1)
    if wanted == "large":
        return conv_transpose2d(small, kernel, None, 2, 1)
    kernel = kernel.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(conv2d(large, kernel, None, 2, 1), kernel, small)
    return gradient


@pytest.mark.parametrize(("wanted", "name"), ALTERNATIVES)
@pytest.mark.parametrize("side", [2, 4, 8])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_every_algorithm_computes_what_torch_does(
    wanted: Operand, name: str, side: int, memory: torch.memory_format
) -> None:
    layer = {key: value.to(memory_format=memory) for key, value in tensors(3, 5, 7, side).items()}
    one, other = (value for key, value in layer.items() if key != wanted)
    found = ALGORITHMS[wanted][name](one, other)
    torch.testing.assert_close(found, by_torch(wanted, **layer), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("wanted", "name"), ALTERNATIVES)
def test_errors_in_fp32_are_no_larger_than_twice_those_of_torch(wanted: Operand, name: str) -> None:
    layer = tensors(8, 32, 64, 4)
    exact = by_torch(wanted, **layer)
    narrow = {key: value.float().to(memory_format=torch.channels_last) for key, value in layer.items()}
    one, other = (value for key, value in narrow.items() if key != wanted)
    found = (ALGORITHMS[wanted][name](one, other) - exact).norm()
    assert found < 2 * (by_torch(wanted, **narrow) - exact).norm() + 1e-7 * exact.norm()


@pytest.mark.parametrize("wanted", ["small", "large", "kernel"])
@pytest.mark.parametrize(
    "choice", [Choice(), Choice("winograd", "winograd", "winograd"), Choice(large="blocks", kernel="product")]
)
def test_first_and_second_derivatives(wanted: Operand, choice: Choice) -> None:
    layer = tensors(2, 2, 3, 2)
    names = [name for name in layer if name != wanted]

    def value(one: Tensor, other: Tensor) -> Tensor:
        return contraction(wanted, dict(zip(names, (one, other), strict=True)), choice)

    points = [layer[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(value, points)
    assert torch.autograd.gradgradcheck(value, points)


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
@pytest.mark.parametrize("norm", ["layer", "none"])
def test_a_penalty_through_the_whole_discriminator_agrees_with_torchs_layers(
    capability: str, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    G, D = build_networks(resolution=32, width=64, latent=10, head="score", norm=norm, seed=0)  # type: ignore[arg-type]
    G, D = G.double(), D.double()
    latents = torch.randn(4, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = [*G.parameters(), *D.parameters()]

    def gradients() -> list[Tensor]:
        images = G(latents)
        scores = D(images)
        (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum() + scores.sum(), parameters))

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    ours = gradients()
    monkeypatch.setattr("bench.networks.convolution.choose", lambda *layer: None)
    for first, second in zip(ours, gradients(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12 * second.abs().max().item())


def test_the_gradient_by_the_images_computes_no_weight_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noting(wanted: Operand) -> dict[str, object]:
        return {
            name: lambda one, other, way=way: (asked.append(wanted), way(one, other))[1]
            for name, way in ALGORITHMS[wanted].items()
        }

    names: tuple[Operand, ...] = ("large", "small", "kernel")
    monkeypatch.setattr("bench.networks.convolution.ALGORITHMS", {wanted: noting(wanted) for wanted in names})
    layer = tensors(2, 2, 3, 2)
    images, kernel = layer["large"].requires_grad_(), layer["kernel"].requires_grad_()
    out = contraction("small", {"large": images, "kernel": kernel}, Choice())
    (slope,) = torch.autograd.grad(out.sum(), images, create_graph=True)
    assert asked == ["small", "large"]
    slope.square().sum().backward(inputs=[kernel])
    assert asked == ["small", "large", "kernel"]


def test_repeats_have_the_same_bits_in_this_process_and_another() -> None:
    def printed() -> list[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
        )
        return done.stdout.splitlines()

    first = printed()
    assert len(first) == 4 * len(ALTERNATIVES)
    assert first[::2] == first[1::2]
    assert printed() == first


def test_processors_that_were_not_measured_keep_the_product() -> None:
    product = Choice(kernel="product")
    for capability, dtype in itertools.product(("DEFAULT", "SVE256"), (torch.float32, torch.float64)):
        assert choose(capability, dtype, 64, 128, 8) == product
        assert choose(capability, dtype, 256, 512, 4) == product
        assert choose(capability, dtype, 64, 128, 16) is None
        assert choose(capability, dtype, 3, 64, 8) is None
        assert choose(capability, torch.bfloat16, 256, 512, 4) is None


def test_avx2_has_the_choices_of_avx512_but_in_bf16() -> None:
    sizes = [(3, 64), (16, 32), (64, 128), (256, 512)]
    for (large, small), side in itertools.product(sizes, (4, 8, 16, 32)):
        for dtype in (torch.float32, torch.float64):
            assert choose("AVX2", dtype, large, small, side) == choose("AVX512", dtype, large, small, side)
        assert choose("AVX2", torch.bfloat16, large, small, side) is None


def test_the_choices_on_avx512_are_those_that_were_measured() -> None:
    """Fixed: another choice is other bits on that kind of machine, so it changes here on purpose or not at all."""
    sizes = [(3, 64), (9, 64), (3, 16), (16, 32), (64, 128), (128, 256), (256, 512), (512, 1024)]
    found = [
        [str(dtype), large, small, side, str(choose("AVX512", dtype, large, small, side))]
        for dtype, (large, small), side in itertools.product(DTYPES, sizes, (4, 8, 16, 32, 64))
    ]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == "3fda38c8c0362884"


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_autocast_takes_both_tensors_in_bf16_and_gives_kernels_their_own_type(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    images = torch.randn(2, 128, 16, 16)
    kernel = torch.randn(256, 128, 4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        small = halving(images, kernel)
        assert (small is None) == (capability == "AVX2")
        if small is None:
            return
        large = doubling(small, kernel)
        assert large is not None
        assert small.dtype == large.dtype == torch.bfloat16
    large.float().sum().backward()
    assert kernel.grad is not None
    assert kernel.grad.dtype == torch.float32
