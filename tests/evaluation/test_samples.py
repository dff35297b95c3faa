"""Samples: a function of the latent alone, whatever the count, with batch norm recomputed."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from bench.evaluation.features import NotFiniteError
from bench.evaluation.samples import generate
from bench.networks.backbone import Generator

CPU = torch.device("cpu")


def a_generator(seed: int = 0) -> Generator:
    G = Generator(resolution=32, width=4, latent=10)
    random = torch.Generator().manual_seed(seed)
    for parameter in G.parameters():
        with torch.no_grad():
            parameter.normal_(0.0 if parameter.dim() > 1 else 1.0, 0.2, generator=random)
    return G


def sampled(G: nn.Module, count: int, seed: int = 0, law: Literal["normal", "uniform"] = "normal") -> Tensor:
    return generate(G, count, seed, latent=10, law=law, device=CPU)


def test_fewer_samples_are_the_beginning_of_more() -> None:
    many = sampled(a_generator(), 230)
    assert many.dtype == torch.uint8
    assert many.shape == (230, 3, 32, 32)
    assert torch.equal(sampled(a_generator(), 130), many[:130])
    assert torch.equal(sampled(a_generator(), 7), many[:7])


def test_seeds_and_laws_draw_other_latents() -> None:
    first = sampled(a_generator(), 20)
    assert not torch.equal(first, sampled(a_generator(), 20, seed=1))
    assert not torch.equal(first, sampled(a_generator(), 20, law="uniform"))


def test_samples_do_not_depend_on_the_mode_or_statistics_of_the_generator() -> None:
    G = a_generator()
    expected = sampled(G, 20)
    with torch.no_grad():
        for _ in range(3):
            G(torch.randn(4, 10) * 5)  # moves the running statistics
    before = {name: value.clone() for name, value in G.state_dict().items()}
    assert torch.equal(sampled(G, 20), expected)
    assert torch.equal(sampled(G.eval(), 20), expected)
    assert all(torch.equal(value, before[name]) for name, value in G.state_dict().items())


class Constant(nn.Module):
    """Paints every pixel with one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, z: Tensor) -> Tensor:
        return torch.full((len(z), 3, 32, 32), self.value)


@pytest.mark.parametrize(
    ("value", "byte"), [(-1, 0), (1, 255), (0.999, 255), (-1.7, 0), (1.7, 255), (1 / 127.5 * 64.4 - 1, 64)]
)
def test_bytes_are_rounded_to_the_nearest(value: float, byte: int) -> None:
    assert sampled(Constant(value), 3).unique().tolist() == [byte]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(NotFiniteError, match="diverged"):
        sampled(Constant(value), 3)
