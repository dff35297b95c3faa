"""Planning with input images: what rows are told, what is refused in one message, what other plans know of it."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.training_fixture import study

from bench.errors import BenchError
from bench.runs.cost import kind_of_step, multiply_adds
from bench.runs.plan import Plan, make_plan

DATA = {"source": "faces", "resolution": 32, "train_count": 40, "heldout_count": 60}
BACKBONE = {"width": 4, "latent": 8}


def plan_of(*entries: dict[str, Any], paired: bool = True, **changes: Any) -> Plan:
    named = tuple({"label": entry["objective"], **entry} for entry in entries)
    data = DATA | ({"input": "edges"} if paired else {})
    return make_plan(study(objectives=named, baseline=named[0]["label"], **{"data": data, **changes}))


def test_rows_see_the_picture_where_nothing_else_is_said() -> None:
    plan = plan_of(
        {"objective": "pix2pix"},
        {"objective": "pix2pix", "label": "untold", "recipe": {"conditioning": "none"}},
        {"objective": "vae"},
        {"objective": "ebgan"},
    )
    told = {entry.label: entry.recipe.conditioning for entry in plan.entries}
    assert told == {"pix2pix": "concat", "untold": "none", "vae": "concat", "ebgan": "concat"}
    assert {entry.protocol for entry in plan.entries} == {"controlled"}
    assert plan.entries[1].deviations == ("conditioning none",)
    assert plan.runs[0].training.data.input == "edges"


def test_a_published_row_that_is_told_labels_by_a_product_sees_the_picture() -> None:
    row = plan_of({"objective": "r3gan"}, protocols=("published",)).entries[0]
    assert row.recipe.conditioning == "concat"
    assert "product" in row.notes[-1]


def test_studies_without_pictures_know_nothing_of_them() -> None:
    plan = plan_of({"objective": "nsgan"}, paired=False)
    written = plan.runs[0].training.model_dump()
    assert not {"input"} & written["data"].keys()
    assert not {"skips", "patch"} & written["backbone"].keys()
    assert plan.runs[0].id != plan_of({"objective": "nsgan"}).runs[0].id


LABELLED = DATA | {"labels": ("hat",)}
CODED = BACKBONE | {"codes": {"categorical": (3,)}}


@pytest.mark.parametrize(
    ("entry", "changes", "said"),
    [
        ({"objective": "pix2pix"}, {"paired": False}, "pix2pix needs input images"),
        ({"objective": "acgan"}, {}, "acgan needs labels"),
        ({"objective": "matching"}, {}, "input images in their place"),
        ({"objective": "infogan"}, {}, "infogan needs codes"),
        ({"objective": "nsgan"}, {"backbone": CODED}, "data.input and backbone.codes"),
        ({"objective": "nsgan"}, {"recipe": {"conditioning": "projection"}}, "recipe.conditioning: "),
        ({"objective": "nsgan", "recipe": {"conditioning": "product"}}, {}, "has no meaning for nsgan"),
        ({"objective": "pix2pix", "recipe": {"instance_noise": 0.1}}, {}, "instance_noise has no meaning"),
        ({"objective": "nsgan"}, {"backbone": BACKBONE | {"network": "mlp"}}, "backbone.network"),
        ({"objective": "nsgan"}, {"backbone": BACKBONE | {"generator_network": "mlp"}}, "backbone.network"),
        ({"objective": "nsgan"}, {"backbone": BACKBONE | {"skips": False}, "paired": False}, "backbone.skips"),
        ({"objective": "nsgan"}, {"backbone": BACKBONE | {"patch": 46}}, "backbone.patch = 46"),
        ({"objective": "vae"}, {"backbone": BACKBONE | {"patch": 22}}, 'the head of vae is "encoder"'),
        (
            {"objective": "nsgan", "recipe": {"conditioning": "projection"}},
            {"backbone": BACKBONE | {"patch": 22}, "data": LABELLED},
            "scores the whole image",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_message(entry: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError) as caught:
        plan_of(entry, **changes)
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) == 2


SINGLE = {"generator_steps": 8, "batch": 1, "halve_every": 3}


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        ({"objective": "mmd-gan"}, {}),
        ({"objective": "nsgan", "recipe": {"norm": "batch"}}, {"backbone": BACKBONE | {"network": "mlp"}}),
        ({"objective": "nsgan"}, {"backbone": BACKBONE | {"generator_network": "mlp", "generator_norm": "batch"}}),
    ],
)
def test_a_batch_of_one_is_refused_where_samples_are_compared(entry: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match=r"budget\.batch = 1"):
        plan_of(entry, paired=False, budget=SINGLE, **changes)
    plan_of(entry, paired=False, **changes)


def test_a_step_with_pictures_is_counted_with_the_encoder_and_its_skips() -> None:
    def of(**changes: Any) -> Any:
        return plan_of({"objective": "nsgan"}, **changes).runs[0].training

    trunk = 16 * (16**2 * 3 * 4 + 8**2 * 4 * 8 + 4**2 * 8 * 16)  # of D and of the encoder, an image
    paired, alone, unpaired = (of(), of(backbone=BACKBONE | {"skips": False}), of(paired=False))
    added = [multiply_adds(one) - multiply_adds(unpaired) for one in (alone, paired)]
    assert added == pytest.approx([8 * 3 * trunk, 8 * 6 * trunk], rel=0.05)  # nsgan's own ratio is near 1, not 1
    patches = of(paired=False, backbone=BACKBONE | {"patch": 22})
    saved = multiply_adds(unpaired) - multiply_adds(patches)
    assert saved == pytest.approx(8 * 8 * 16 * (4**2 * 8 * 16), rel=0.05)
    kinds = [kind_of_step(one) for one in (paired, alone, unpaired, patches, of(data=LABELLED))]
    assert len({*kinds}) == 5
