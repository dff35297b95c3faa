"""The backbone: sizes, equal starts, and a spectral norm that is one function between its explicit moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.networks.backbone import SpectralConv2d, build_networks, describe_architecture
from bench.networks.heads import Autoencoded, Encoded

HEADS: tuple[Any, ...] = ("score", "autoencoder", "encoder", "embedding")
NORMS: tuple[Any, ...] = ("batch", "layer", "spectral", "none")


def test_dcgan_has_the_parameters_that_the_literature_counts() -> None:
    G, D = build_networks(resolution=64, width=64, latent=100, head="score", norm="batch", seed=0)
    assert sum(p.numel() for p in G.parameters()) == 3_576_704
    assert sum(p.numel() for p in D.parameters()) == 2_765_568


@pytest.mark.parametrize("resolution", [32, 64, 128])
@pytest.mark.parametrize("head", HEADS)
def test_shapes(resolution: int, head: Any) -> None:
    G, D = build_networks(resolution=resolution, width=4, latent=10, head=head, norm="layer", seed=0)
    images = G(torch.randn(2, 10))
    assert images.shape == (2, 3, resolution, resolution)
    assert images.abs().max() <= 1
    out = D(images)
    if head == "score":
        assert out.shape == (2,)
    elif head == "autoencoder":
        assert isinstance(out, Autoencoded)
        assert out.images.shape == images.shape
        assert out.code.shape == (2, 10)
    elif head == "encoder":
        assert isinstance(out, Encoded)
        assert out.mean.shape == out.log_variance.shape == (2, 10)
    else:
        assert out.shape == (2, 128)


def test_every_row_starts_from_the_same_convolutions() -> None:
    """Neither norm nor head shifts the initial weights of the generator and the trunk; another seed does."""

    def weights(head: Any, norm: Any, seed: int = 5) -> dict[str, torch.Tensor]:
        G, D = build_networks(resolution=32, width=4, latent=10, head=head, norm=norm, seed=seed)
        found = {f"G.{name}": p for name, p in G.named_parameters()}
        return found | {f"D.{name}": p for name, p in D.trunk.named_parameters() if "conv" in name}

    reference = weights("score", "batch")
    for head in HEADS:
        for norm in NORMS:
            other = weights(head, norm)
            assert other.keys() == reference.keys()
            assert all(torch.equal(other[name], reference[name]) for name in reference)
    assert not torch.equal(
        weights("score", "batch", seed=6)["G.layers.conv0.weight"], reference["G.layers.conv0.weight"]
    )


def test_the_backbone_hash_is_equal_in_every_row_and_differs_with_the_width() -> None:
    def digest(width: int, head: Any, norm: Any) -> Any:
        networks = build_networks(resolution=32, width=width, latent=10, head=head, norm=norm, seed=0)
        return describe_architecture(*networks)["backbone_hash"]

    assert len({digest(4, head, norm) for head in HEADS for norm in NORMS}) == 1
    assert digest(8, "score", "layer") != digest(4, "score", "layer")


def test_parameter_counts_add_up() -> None:
    for head in HEADS:
        for norm in NORMS:
            G, D = build_networks(resolution=32, width=4, latent=10, head=head, norm=norm, seed=0)
            counts: Any = describe_architecture(G, D)["parameters"]
            parts = counts["trunk"] + counts["norm"] + counts["head"] + counts["decoder"]
            assert parts == counts["discriminator"] == sum(p.numel() for p in D.parameters())


def test_spectral_norm_bounds_the_kernel_and_moves_only_when_told() -> None:
    _, D = build_networks(resolution=32, width=8, latent=10, head="score", norm="spectral", seed=0)
    D.power_iteration(200)
    for module in D.modules():
        if isinstance(module, SpectralConv2d):
            sigma = torch.dot(module.u, module.weight.flatten(1) @ module.v)
            exact = torch.linalg.matrix_norm(module.weight.flatten(1).double(), 2)
            assert sigma.item() == pytest.approx(exact.item(), rel=1e-3)
    before = {name: buffer.clone() for name, buffer in D.named_buffers()}
    D(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in D.named_buffers())


def test_penalties_reach_through_every_per_sample_norm() -> None:
    for norm in ("layer", "spectral", "none"):
        _, D = build_networks(resolution=32, width=4, latent=10, head="score", norm=norm, seed=0)
        x = torch.randn(3, 3, 32, 32, requires_grad=True)
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in D.parameters())
        assert D.trunk.conv0.weight.grad is not None  # type: ignore[union-attr]
