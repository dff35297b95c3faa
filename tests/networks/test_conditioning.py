"""Networks that are told conditions: what is added is apart from what every row shares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from bench.errors import BenchError
from bench.networks.backbone import build_networks, describe_architecture, pack
from bench.networks.conditioning import Conditioning, Labels, convolved_planes, told

SIZES = (3, 2)


def networks(conditioning: Conditioning = "concat", head: Any = "score", **values: Any) -> tuple[Any, Any]:
    given = {"norm": "layer", "factor_sizes": SIZES, **values}
    return build_networks(resolution=32, width=4, latent=10, head=head, seed=0, conditioning=conditioning, **given)


def images(count: int, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def conditions(count: int, shift: int = 0) -> Tensor:
    number = torch.arange(count) + shift
    return torch.cat([torch.eye(3)[number % 3], torch.eye(2)[number // 3 % 2]], dim=1)


def test_planes_are_convolved_as_concatenated_input_channels_are() -> None:
    random = torch.Generator().manual_seed(0)
    kernel = torch.randn(6, 3 + 5, 4, 4, generator=random, dtype=torch.float64)
    pictures = torch.randn(7, 3, 16, 16, generator=random, dtype=torch.float64)
    condition = conditions(7).double()
    planes = condition[:, :, None, None].expand(-1, -1, 16, 16)
    whole = conv2d(torch.cat([pictures, planes], dim=1), kernel, stride=2, padding=1)
    parts = conv2d(pictures, kernel[:, :3], stride=2, padding=1) + convolved_planes(condition, kernel[:, 3:], 16)
    torch.testing.assert_close(whole, parts)


def test_a_generator_is_told_by_scaled_one_hots_beside_its_latents() -> None:
    G, _ = networks()
    z, condition = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)), conditions(6)
    scaled = condition * torch.tensor([3, 3, 3, 2, 2]).sqrt()
    kernel = torch.cat([G.layers[0].weight, G.told.weight])
    first = conv_transpose2d(torch.cat([z, scaled], dim=1)[:, :, None, None], kernel)
    assert torch.allclose(G.layers[1:](first), G(z, condition), atol=1e-6)


@pytest.mark.parametrize("conditioning", ["concat", "projection", "none"])
@pytest.mark.parametrize("norm", ["layer", "spectral"])
def test_without_what_was_added_networks_are_those_of_the_untold_row_bit_for_bit(
    conditioning: Conditioning, norm: str
) -> None:
    G, D = networks(conditioning, norm=norm)
    plain_G, plain_D = networks("none", norm=norm, factor_sizes=())
    for mine, plain in ((G, plain_G), (D, plain_D)):
        shared = dict(mine.named_parameters())
        assert all(torch.equal(value, shared[name]) for name, value in plain.named_parameters())
    for added in (G.told, D.told, D.inner):
        if added is not None:
            torch.nn.init.zeros_(added.weight)
    if norm == "spectral":
        for added in filter(None, (D.told, D.inner)):
            added.effective_weight = lambda weight=added.weight: weight
    z = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(G(z, conditions(6)), plain_G(z))
    assert torch.equal(D(images(6), conditions(6)), plain_D(images(6)))


@pytest.mark.parametrize(
    ("conditioning", "head"),
    [("concat", "score"), ("projection", "score"), ("product", "score"), ("concat", "autoencoder"), ("none", "score")],
)
def test_the_condition_counts_where_it_is_told(conditioning: Conditioning, head: str) -> None:
    _, D = networks(conditioning, head)
    one, other = (D(images(6), conditions(6, shift)) for shift in (0, 1))
    assert torch.equal(*((out if isinstance(out, Tensor) else out[0]) for out in (one, other))) == (
        conditioning == "none"
    )


def test_projection_adds_an_inner_product_and_product_is_it_alone() -> None:
    condition = conditions(6)
    scores = {how: networks(how)[1](images(6), condition) for how in ("none", "projection", "product")}
    torch.testing.assert_close(scores["none"] + scores["product"], scores["projection"])
    D = networks("product")[1]
    logits = D.inner(D.trunk(images(6))).flatten(1)
    expected = logits[torch.arange(6), torch.arange(6) % 3] + logits[torch.arange(6), 3 + torch.arange(6) // 3 % 2]
    torch.testing.assert_close(scores["product"], expected)


def test_a_sample_has_the_condition_at_its_index_in_any_batch() -> None:
    seen: list[Tensor] = []

    def network(samples: Tensor, condition: Tensor) -> Tensor:
        seen.append(condition)
        return samples

    D = told(network, conditions(4))
    for count in (4, 8, 2, 6):
        D(torch.zeros(count))
        assert torch.equal(seen[-1], conditions(4)[torch.arange(count) % 4])
    D(torch.zeros(4), conditions(4, shift=1))
    assert torch.equal(seen[-1], conditions(4, shift=1))
    assert told(network, None) is network


def test_packs_are_told_the_conditions_of_all_their_images() -> None:
    _, D = networks(packing=2)
    condition = pack(conditions(8), 2)
    labels = Labels(condition, SIZES * 2)
    assert [hot.argmax(1).tolist() for _, hot in labels.by_factor(condition)][:3] == [
        [0, 2, 1, 0],
        [0, 0, 1, 0],
        [1, 0, 2, 1],
    ]
    scores = D(pack(images(8), 2), condition)
    assert scores.shape == (4,)
    assert not torch.equal(scores, D(pack(images(8), 2), pack(conditions(8, shift=1), 2)))


@pytest.mark.parametrize("head", ["classified", "twins", "contrastive"])
def test_heads_that_recognise_labels_answer_for_every_value(head: str) -> None:
    _, D = networks("none", head)
    out = D(images(6), conditions(6))
    assert out.score.shape == (6,)
    assert out[-1].shape == (6, 5)
    plain = networks("none", factor_sizes=())[1](images(6))
    assert torch.equal(out.score, plain)
    if head == "contrastive":
        assert torch.allclose(out.embedding.norm(dim=1), torch.ones(6))
        assert out.classes.abs().max() <= 1


def test_the_backbone_is_the_same_and_what_tells_is_counted() -> None:
    plain, concat, projection = (
        describe_architecture(*networks(how, factor_sizes=sizes))  # type: ignore[arg-type]
        for how, sizes in (("none", ()), ("concat", SIZES), ("projection", SIZES))
    )
    assert plain["backbone_hash"] == concat["backbone_hash"] == projection["backbone_hash"]
    assert "conditioning" not in plain
    assert (concat["conditioning"], projection["conditioning"]) == ("concat", "projection")
    counts: Any = concat["parameters"]
    G, D = networks()
    assert counts["told"] == G.told.weight.numel() + D.told.weight.numel() == 5 * 16 * 16 + 5 * 4 * 16


def test_labels_are_asked_for_where_there_are_none() -> None:
    for conditioning, head in (("concat", "score"), ("none", "classified")):
        with pytest.raises(BenchError, match="takes labels"):
            networks(conditioning, head, factor_sizes=())  # type: ignore[arg-type]
