"""Switches of the backbone: sizes that papers count, every head under every one, and DCGAN as it was without them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from bench.networks.backbone import Switches, build_networks, describe_architecture, pack
from bench.networks.heads import RECOGNISING, Autoencoded
from bench.networks.layers import SpectralConv2d
from bench.networks.switches import network_title

MLP = Switches(network="mlp", depth=2)
CASES = {
    "mlp": MLP,
    "mlp G": Switches(generator_network="mlp", generator_width=8, depth=3),
    "bare": Switches(generator_norm="none", generator_widths="constant"),
    "constant": Switches(widths="constant", initialisation="xavier"),
    "tanh": Switches(activation="tanh", output="sigmoid"),
    "softplus": Switches(activation="softplus", output="linear"),
    "gated": Switches(activation="gated", bias=True, initialisation="kaiming"),
    "gated mlp": Switches(network="mlp", activation="gated", generator_norm="batch", bias=False),
    "plain relu": Switches(activation="plain-relu"),
}


DCGAN = Switches()


def built(switches: Switches = DCGAN, **changes: Any) -> Any:
    values: dict[str, Any] = {"resolution": 16, "width": 4, "latent": 6, "head": "score", "norm": "layer", "seed": 3}
    return build_networks(**values | changes, switches=switches)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_fully_connected_networks_have_the_parameters_of_their_layers() -> None:
    """4 x 512 at 32 and 64 pixels, and the first GAN's one layer of 128, whose 784 pixels are 3,072 here."""
    sizes = {
        (32, 512, None): (2_415_616, 2_361_857),
        (64, 512, None): (7_143_424, 7_080_449),
        (32, 128, 1): (114_064 + 129 * (3_072 - 784), 100_609 + 128 * (3_072 - 784)),
    }
    for (resolution, width, depth), expected in sizes.items():
        connected = Switches(network="mlp", depth=depth)
        G, D = built(connected, resolution=resolution, width=width, latent=100, norm="none")
        assert (count(G), count(D)) == expected


def test_constant_filters_and_a_norm_fewer_have_the_parameters_that_are_counted() -> None:
    switches = Switches(widths="constant", generator_norm="none")
    G, D = built(switches, resolution=64, width=64, latent=100)
    assert count(G) == 302_080
    parameters: Any = describe_architecture(G, D)["parameters"]
    assert parameters["trunk"] == 199_680
    G, _ = built(Switches(generator_norm="none"), resolution=64, width=64, latent=100)
    assert count(G) == 3_576_704 - 2 * (512 + 256 + 128 + 64)
    _, D = built(Switches(), resolution=64, width=64, latent=100, norm="batch+spectral")
    assert count(D) == 2_765_568


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("head", ["score", "autoencoder", "encoder", "embedding", "sliced", "contrastive"])
def test_every_head_stands_on_every_backbone(case: str, head: Any) -> None:
    """Forwards, and twice backwards as a penalty needs; parameters are counted without remainder."""
    labels = {"factor_sizes": (3, 2), "conditioning": "none"} if head in RECOGNISING else {}
    G, D = built(CASES[case], head=head, **labels)
    told = (torch.eye(5)[[0, 3]],) if labels else ()
    images = G(torch.randn(2, 6), *told)
    assert images.shape == (2, 3, 16, 16)
    assert images.is_contiguous(memory_format=torch.channels_last)
    out = D(images.detach().requires_grad_())
    if head == "autoencoder":
        assert isinstance(out, Autoencoded)
        assert out.images.shape == images.shape
        assert out.code.shape == (2, 6)
    parts: Any = describe_architecture(G, D)["parameters"]
    assert parts["trunk"] + parts["norm"] + parts["head"] + parts["decoder"] == parts["discriminator"] == count(D)
    if head == "score":
        points = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(D(points).sum(), points, create_graph=True)
        gradient.square().sum().backward()
        assert D.trunk.conv0.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("norm", ["batch", "layer", "spectral", "batch+spectral", "none"])
def test_a_fully_connected_discriminator_has_every_norm(norm: Any) -> None:
    _, D = built(MLP, norm=norm)
    layers = [module for module in D.modules() if isinstance(module, nn.Conv2d)]
    assert all(isinstance(layer, SpectralConv2d) == ("spectral" in norm) for layer in layers)
    assert any(isinstance(module, nn.BatchNorm2d) for module in D.modules()) == ("batch" in norm)
    if norm == "spectral":
        D.power_iteration(50)
        matrix = D.trunk.conv1.effective_weight().flatten(1)
        assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=1e-3)


def test_a_fully_connected_network_is_a_chain_of_linear_layers() -> None:
    G, D = built(MLP, norm="none")
    z, values = torch.randn(5, 6), None
    values = z
    for index in range(3):
        layer = getattr(G.layers, f"conv{index}")
        values = values @ layer.weight.flatten(1).T + layer.bias
        values = torch.tanh(values) if index == 2 else torch.relu(values)
    assert torch.allclose(G(z), values.reshape(5, 3, 16, 16), atol=1e-6)
    images = G(z).detach()
    values = images.flatten(1)
    for layer in (D.trunk.conv0, D.trunk.conv1):
        values = nn.functional.leaky_relu(values @ layer.weight.flatten(1).T + layer.bias, 0.2)
    score = values @ D.head.weight.flatten(1).T + D.head.bias
    assert torch.allclose(D(images), score.squeeze(1), atol=1e-6)


def test_activations_and_outputs_are_their_formulas() -> None:
    x = torch.linspace(-3, 3, 8)[None, :, None, None]

    def last(switches: Switches) -> Any:
        return built(switches)[0].layers

    softplus = torch.log1p(torch.exp(2 * x + 2)) / 2 - 1
    assert torch.allclose(last(CASES["softplus"]).activation0(x), softplus, atol=1e-6)
    a, b = x[:, :4], x[:, 4:]
    assert torch.allclose(last(CASES["gated"]).activation0(x), torch.tanh(a) / (1 + torch.exp(-b)), atol=1e-6)
    assert torch.allclose(last(CASES["tanh"]).output(x), 2 / (1 + torch.exp(-x)) - 1, atol=1e-6)
    assert torch.equal(last(CASES["softplus"]).output(x), x)
    assert isinstance(last(Switches()).activation0, nn.ReLU)
    assert isinstance(built(CASES["plain relu"])[1].trunk.activation0, nn.ReLU)
    assert isinstance(built()[1].trunk.activation0, nn.LeakyReLU)


LAWS = [("normal", 0.02), ("xavier", math.sqrt(2 / 256)), ("kaiming", math.sqrt(1 / 64))]


@pytest.mark.parametrize(("law", "std"), LAWS)
def test_first_weights_follow_their_law(law: Any, std: float) -> None:
    G, D = built(Switches(network="mlp", depth=2, initialisation=law), width=128)
    for layer in (G.layers.conv1, D.trunk.conv1):
        assert layer.weight.detach().std().item() == pytest.approx(std, rel=0.03)
        assert not layer.bias.detach().any()


def test_labels_are_further_inputs_of_a_fully_connected_network_and_change_nothing_else() -> None:
    plain = built(MLP)
    G, D = built(MLP, factor_sizes=(3, 2), conditioning="concat")
    for told, untold in zip((G, D), plain, strict=True):
        mine, theirs = told.state_dict(), untold.state_dict()
        assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    assert G.told.weight.shape == D.told.weight.shape == (4, 5, 1, 1)
    z, condition = torch.randn(4, 6), torch.eye(5)[[0, 1, 3, 4]]
    images = G(z, condition)
    assert not torch.allclose(images, G(z, condition.flip(0)))
    assert not torch.allclose(D(images, condition), D(images, condition.flip(0)))
    assert torch.allclose(D(images, condition)[1:2], D(images[1:2], condition[1:2]), atol=1e-6)
    with torch.no_grad():
        D.told.weight.zero_()
        G.told.weight.zero_()
    assert torch.equal(G(z, condition), plain[0](z))
    assert torch.equal(D(images, condition), plain[1](images))


def test_the_first_image_of_a_pack_meets_the_weights_of_a_single_one() -> None:
    _, packed = built(MLP, packing=2)
    _, single = built(MLP)
    pixels = 3 * 16 * 16
    assert torch.equal(packed.trunk.conv0.weight[:, :pixels], single.trunk.conv0.weight)
    assert packed(pack(torch.randn(4, 3, 16, 16), 2)).shape == (2,)
    one, other = (describe_architecture(built(MLP)[0], D)["backbone_hash"] for D in (packed, single))
    assert one == other


def test_a_backbone_without_switches_is_dcgan_as_it_was() -> None:
    """Its hash and its first weights, as they were before there were any switches."""
    G, D = build_networks(resolution=64, width=64, latent=100, head="score", norm="batch", seed=0)
    assert describe_architecture(G, D)["backbone_hash"] == "f8c8cdd535c03263"
    assert G.layers.conv1.weight.detach().double().sum().item() == pytest.approx(-72.48122345, abs=1e-3)
    assert [name for name, _ in D.named_parameters()][:4] == [
        "trunk.conv0.weight",
        "trunk.conv1.weight",
        "trunk.norm1.weight",
        "trunk.norm1.bias",
    ]


def test_a_title_names_the_network_and_what_is_switched() -> None:
    assert network_title({"width": 64, "latent": 100, "latent_law": "normal"}) == "DCGAN, width 64"
    shown = network_title({"width": 128, "network": "mlp", "depth": 1, "bias": False})
    assert shown == "MLP, width 128, depth 1, bias false"
    assert network_title({"width": 64, **vars(Switches())}) == "DCGAN, width 64"
