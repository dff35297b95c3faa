"""The matrix-product convolutions are torch's own, to every order that a penalty differentiates."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from bench.networks.backbone import build_networks
from bench.networks.convolution import DoublingConvolution, HalvingConvolution, use_matrix_product


def test_values_are_those_of_torch() -> None:
    x = torch.randn(3, 5, 8, 8, dtype=torch.float64)
    weight = torch.randn(7, 5, 4, 4, dtype=torch.float64)
    small = torch.randn(3, 7, 4, 4, dtype=torch.float64)
    assert torch.equal(HalvingConvolution.apply(x, weight), conv2d(x, weight, None, 2, 1))
    assert torch.equal(DoublingConvolution.apply(small, weight), conv_transpose2d(small, weight, None, 2, 1))


@pytest.mark.parametrize("direction", [HalvingConvolution, DoublingConvolution])
def test_first_and_second_derivatives(direction: type[torch.autograd.Function]) -> None:
    generator = torch.Generator().manual_seed(0)
    side, channels = (4, 2) if direction is HalvingConvolution else (2, 3)
    x = torch.randn(2, channels, side, side, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(direction.apply, (x, weight))
    assert torch.autograd.gradgradcheck(direction.apply, (x, weight))


def test_a_penalty_through_the_whole_discriminator_agrees_with_plain_convolutions() -> None:
    _, D = build_networks(resolution=32, width=64, latent=10, head="score", norm="layer", seed=0)
    D = D.double()
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64)

    def gradients() -> list[torch.Tensor]:
        points = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(D(points).sum(), points, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), [p for p in D.trunk.parameters() if p.dim() > 1]))

    ours = gradients()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.networks.backbone.use_matrix_product", lambda *layer: False)
        plain = gradients()
    for first, second in zip(ours, plain, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-15)


def test_only_small_maps_with_many_channels_on_a_cpu_go_this_way() -> None:
    images, weight = torch.empty(1, 64, 16, 16), torch.empty(128, 64, 4, 4)
    assert use_matrix_product(images, weight, 8)
    assert not use_matrix_product(images, weight, 16)
    assert not use_matrix_product(images, weight[:64], 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not use_matrix_product(images, weight, 8)
