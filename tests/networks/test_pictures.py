"""Networks that are told pictures: sizes that are counted by hand, what is added, and scores of patches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from bench.errors import BenchError
from bench.networks.backbone import Switches, build_networks, describe_architecture, pack
from bench.networks.conditioning import in_unit_range, told
from bench.networks.sampling import grid_samples, recalibrated

CPU = torch.device("cpu")


def networks(**changes: Any) -> tuple[Any, Any]:
    values: dict[str, Any] = {"resolution": 32, "width": 4, "latent": 10, "head": "score", "norm": "layer", "seed": 0}
    return build_networks(**values | {"pictures": True, "conditioning": "concat"} | changes)


def untold(**changes: Any) -> tuple[Any, Any]:
    return networks(pictures=False, conditioning="none", **changes)


def pictures(count: int, seed: int = 1, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def latents(count: int) -> Tensor:
    return torch.randn(count, 10, generator=torch.Generator().manual_seed(0))


def size(network: nn.Module | None) -> int:
    return 0 if network is None else sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_those_that_are_counted_by_hand() -> None:
    """64 pixels, width 64, latent 100: the latent's kernel, the encoder with its norm and its head, the skips."""
    G, D = networks(resolution=64, width=64, latent=100, norm="batch")
    assert size(G.encoder.trunk) == 2_755_584 + 1_792
    assert size(G.encoder.head) == size(G.told) == 819_200
    assert size(G.layers) + size(G.told) + size(G.skips) == 7_151_488
    assert size(G) == 10_728_064
    assert size(D) == 2_765_568 + 3_072
    parts: Any = describe_architecture(G, D)["parameters"]
    assert parts["told"] == 819_200 + 3_072
    assert parts["encoder"] + parts["skips"] + size(G.layers) + size(G.told) == parts["generator"]
    alone, _ = networks(resolution=64, width=64, latent=100, norm="batch", switches=Switches(skips=False))
    assert size(G) - size(alone) == size(G.skips) == 2_755_584


def test_added_kernels_are_further_input_channels_of_the_decoder() -> None:
    G, _ = networks()
    G.eval()
    z, inputs = latents(5), pictures(5)
    code, maps = G.encoder(inputs)
    assert [tuple(each.shape[1:]) for each in maps] == [(4, 16, 16), (8, 8, 8), (16, 4, 4)]
    kernel = torch.cat([G.layers[0].weight, G.told.weight])
    values = conv_transpose2d(torch.cat([z, code], dim=1)[:, :, None, None], kernel)
    for name, layer in list(G.layers.named_children())[1:]:
        if name in G.skips:
            kernel = torch.cat([layer.weight, G.skips[name].weight])
            values = conv_transpose2d(torch.cat([values, maps.pop()], dim=1), kernel, stride=2, padding=1)
        else:
            values = layer(values)
    assert not maps
    torch.testing.assert_close(values, G(z, inputs), atol=1e-5, rtol=1e-5)


def test_a_discriminator_sees_six_channels() -> None:
    _, D = networks()
    images, inputs = pictures(5), pictures(5, seed=2)
    kernel = torch.cat([D.trunk.conv0.weight, D.told.weight], dim=1)
    first = conv2d(torch.cat([images, inputs], dim=1), kernel, stride=2, padding=1)
    torch.testing.assert_close(D.head(D.trunk[1:](first)).flatten(), D(images, inputs), atol=1e-5, rtol=1e-5)
    assert not torch.equal(D(images, inputs), D(images, pictures(5, seed=3)))
    plain = networks(conditioning="none")[1]
    assert plain.told is None
    assert torch.equal(plain(images, inputs), untold()[1](images))


@pytest.mark.parametrize("norm", ["layer", "spectral"])
def test_without_what_was_added_networks_are_those_of_an_unpaired_study_bit_for_bit(norm: str) -> None:
    (G, D), (plain_G, plain_D) = networks(norm=norm), untold(norm=norm)
    for mine, plain in ((G, plain_G), (D, plain_D)):
        shared = dict(mine.named_parameters())
        assert all(torch.equal(value, shared[name]) for name, value in plain.named_parameters())
    for added in (G.told, D.told, *G.skips.values()):
        torch.nn.init.zeros_(added.weight)
    if norm == "spectral":
        D.told.effective_weight = lambda: D.told.weight
    images, inputs, z = pictures(6), pictures(6, seed=2), latents(6)
    assert torch.equal(G(z, inputs), plain_G(z))
    assert torch.equal(D(images, inputs), plain_D(images))


@pytest.mark.parametrize("head", ["autoencoder", "encoder", "embedding", "sliced"])
def test_every_head_is_told_pictures(head: str) -> None:
    _, D = networks(head=head)
    one, other = (D(pictures(4), pictures(4, seed)) for seed in (2, 3))
    assert not torch.equal(*(out if isinstance(out, Tensor) else out[0] for out in (one, other)))


def test_packs_see_the_pictures_of_all_their_images() -> None:
    _, D = networks(packing=2)
    scores = D(pack(pictures(8), 2), pack(pictures(8, 2), 2))
    assert scores.shape == (4,)
    assert D.told.in_channels == 6


def test_fakes_beyond_the_batch_have_its_pictures_in_turn() -> None:
    seen: list[Tensor] = []

    def network(samples: Tensor, condition: Tensor) -> Tensor:
        seen.append(condition)
        return samples

    D = told(network, pictures(4))
    D(torch.zeros(8))
    assert torch.equal(seen[0], pictures(4).repeat(2, 1, 1, 1))


@pytest.mark.parametrize(
    "switches",
    [
        Switches(generator_norm="none", generator_widths="constant"),
        Switches(activation="gated", bias=True, output="sigmoid"),
        Switches(widths="constant", generator_width=8, skips=False),
    ],
)
def test_switches_of_the_backbone_go_to_the_encoder_too(switches: Switches) -> None:
    G, D = networks(switches=switches)
    images = G(latents(4), pictures(4))
    assert images.shape == (4, 3, 32, 32)
    assert D(images, pictures(4)).shape == (4,)
    if switches.generator_norm == "none":
        assert not any(isinstance(module, nn.BatchNorm2d) for module in G.modules())
    assert (G.encoder.head.bias is not None) == bool(switches.bias)


@pytest.mark.parametrize(("patch", "side", "count"), [(46, 64, 25), (22, 64, 169), (22, 32, 25), (46, 128, 169)])
def test_a_score_of_a_patch_sees_that_patch_alone(patch: Any, side: int, count: int) -> None:
    _, D = networks(resolution=side, switches=Switches(patch=patch), norm="none")
    images = pictures(2, side=side).requires_grad_()
    scores = D(images, pictures(2, seed=2, side=side))
    assert scores.shape == (2, count)
    places = {}
    for index in (0, count // 2, count - 1):
        (gradient,) = torch.autograd.grad(scores[0, index], images, retain_graph=True)
        assert not gradient[1].any()
        rows, columns = gradient[0].abs().sum(0).nonzero().T
        places[index] = [int(value) for value in (rows.min(), rows.max(), columns.min(), columns.max())]
    top, bottom, left, right = places[count // 2]
    assert bottom - top + 1 == right - left + 1 == patch
    assert (top + bottom, left + right) == (side - 1, side - 1)
    assert places[0][0] == places[0][2] == 0  # the corners are seen, and padding of one pixel beyond them


def test_whole_images_have_one_score_and_patches_need_room() -> None:
    for side in (32, 64):
        _, D = networks(resolution=side, switches=Switches(patch="whole"))
        assert D(pictures(2, side=side), pictures(2, side=side)).shape == (2,)
    for changes in (
        {"switches": Switches(patch=46)},
        {"switches": Switches(patch=22), "head": "encoder"},
        {"conditioning": "projection"},
        {"switches": Switches(network="mlp")},
        {"factor_sizes": (3,)},
    ):
        with pytest.raises(BenchError):
            networks(**changes)


def test_the_backbone_is_hashed_with_its_encoder_and_its_patches() -> None:
    hashes = [
        describe_architecture(*pair)["backbone_hash"]
        for pair in (
            untold(),
            networks(),
            networks(switches=Switches(skips=False)),
            networks(switches=Switches(patch=22)),
        )
    ]
    assert len(set(hashes)) == 4
    for same in (networks(conditioning="none"), networks(norm="spectral"), networks(packing=2)):
        assert describe_architecture(*same)["backbone_hash"] == hashes[1]


def test_a_sample_depends_on_its_latent_and_its_picture_alone() -> None:
    G, _ = networks()
    stored = torch.randint(0, 256, (30, 3, 32, 32), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    twin = recalibrated(G, "normal", 10, CPU, stored)
    z, inputs = latents(6), pictures(6)
    with torch.no_grad():
        whole = twin(z, inputs)
        torch.testing.assert_close(whole[2:3], twin(z[2:3], inputs[2:3]))
        assert not torch.equal(whole[:1], twin(z[:1], inputs[1:2]))
        assert not torch.equal(whole[:1], twin(z[1:2], inputs[:1]))
    assert all(int(norm.num_batches_tracked) == 20 for norm in twin.modules() if isinstance(norm, nn.BatchNorm2d))


def test_bytes_become_the_numbers_of_training() -> None:
    from bench.data.sampler import gather

    stored = torch.arange(256, dtype=torch.uint8).repeat(12).view(1, 3, 32, 32)
    assert torch.equal(in_unit_range(stored), gather(stored, torch.tensor([0]), CPU))


def test_a_grid_has_one_input_down_a_column_and_one_latent_along_a_row() -> None:
    z, inputs = grid_samples("normal", 10, inputs=torch.arange(8).view(8, 1, 1, 1))
    assert inputs is not None
    assert inputs.flatten().tolist() == [*range(8)] * 3
    assert z.shape == (24, 10)
    assert len(z.unique(dim=0)) == 3
    assert torch.equal(z[:8], z[:1].expand(8, -1))
