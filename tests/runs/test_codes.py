"""Planning with codes: what is refused in one message, and that other plans stay as they were (see test_labels)."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.training_fixture import study
from pydantic import ValidationError

from bench.errors import BenchError
from bench.runs.plan import Plan, make_plan

CODES = {"categorical": (10,), "continuous": 2}


def plan_of(*entries: dict[str, Any], codes: dict[str, Any] | None = CODES, **changes: Any) -> Plan:
    named = tuple({"label": entry["objective"], **entry} for entry in entries)
    backbone = {"width": 4, "latent": 8} | ({"codes": codes} if codes else {})
    return make_plan(study(objectives=named, baseline=named[0]["label"], backbone=backbone, **changes))


def test_every_row_of_a_study_with_codes_is_given_them_and_no_other_study_knows_of_any() -> None:
    plan, without = (
        plan_of({"objective": "nsgan"}, {"objective": "infogan"}),
        plan_of({"objective": "nsgan"}, codes=None),
    )
    assert [run.training.backbone.drawn_codes for run in plan.runs] == [((10,), 2)] * 2
    assert plan.runs[0].id != without.runs[0].id
    assert "codes" not in str(without.runs[0].training.model_dump())


def test_the_authors_settings_are_those_of_the_published_row() -> None:
    published = plan_of({"objective": "infogan"}, protocols=("controlled", "published")).entries[1]
    assert published.spec.settings["continuous_weight"] == 1.0
    assert published.recipe.learning_rate_generator == 1e-3
    assert published.recipe.norm == "batch"


LABELLED = {"source": "faces", "resolution": 32, "train_count": 40, "heldout_count": 60, "labels": ("hat",)}


@pytest.mark.parametrize(
    ("entry", "changes", "said"),
    [
        ({"objective": "infogan"}, {"codes": None}, "infogan needs codes"),
        ({"objective": "vae"}, {}, "no place for codes"),
        ({"objective": "nsgan"}, {"data": LABELLED}, "backbone.codes: "),
        ({"objective": "acgan"}, {}, "acgan needs labels"),
        ({"objective": "infogan", "recipe": {"packing": 2}}, {}, "packing has no meaning for infogan"),
        ({"objective": "infogan", "settings": {"base": "wgan-gp"}, "recipe": {"norm": "batch"}}, {}, 'norm "batch"'),
        ({"objective": "infogan", "settings": {"base": "vae"}}, {}, "no score head"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_message(entry: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError) as caught:
        plan_of(entry, **changes)
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) == 2


@pytest.mark.parametrize("codes", [{"categorical": (1,)}, {"continuous": 0}, {"categorical": (), "continuous": -1}])
def test_codes_that_are_none_are_refused(codes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plan_of({"objective": "nsgan"}, codes=codes)
