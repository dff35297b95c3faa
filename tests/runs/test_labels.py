"""Planning with labels: what rows are told, what is refused in one message, and that other plans stay as they were."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.training_fixture import study

from bench.errors import BenchError
from bench.runs.plan import Plan, make_plan

LABELLED = {"source": "faces", "resolution": 32, "train_count": 40, "heldout_count": 60, "labels": ("hat",)}


def plan_of(*entries: dict[str, Any], labels: bool = True, **changes: Any) -> Plan:
    named = tuple({"label": entry["objective"], **entry} for entry in entries)
    data = {"data": LABELLED} if labels else {}
    return make_plan(study(objectives=named, baseline=named[0]["label"], **data, **changes))


def test_plans_without_labels_have_the_ids_that_they_had_before_there_were_any() -> None:
    plan = plan_of({"objective": "nsgan"}, {"objective": "wgan-gp"}, {"objective": "vae"}, labels=False)
    assert [run.id for run in plan.runs] == IDS
    assert not any("conditioning" in str(run.training.model_dump()) for run in plan.runs)


IDS = ["09beb009eb", "444fd34572", "a65827fede"]


def test_rows_are_told_by_concatenation_where_nothing_else_is_said() -> None:
    plan = plan_of(
        {"objective": "nsgan"},
        {"objective": "nsgan", "label": "untold", "recipe": {"conditioning": "none"}},
        {"objective": "vae"},
    )
    told = {entry.label: entry.recipe.conditioning for entry in plan.entries}
    assert told == {"nsgan": "concat", "untold": "none", "vae": "concat"}
    assert {entry.protocol for entry in plan.entries} == {"controlled"}
    assert plan.entries[0].deviations == ()
    assert plan.entries[1].deviations == ("conditioning none",)
    assert len({run.id for run in plan.runs}) == 3
    assert plan.runs[0].id != plan_of({"objective": "nsgan"}, labels=False).runs[0].id


def test_rows_that_recognise_labels_are_not_told_and_published_rows_as_their_authors_do() -> None:
    plan = plan_of(
        {"objective": "nsgan"}, {"objective": "acgan"}, {"objective": "r3gan"}, protocols=("controlled", "published")
    )
    told = {(entry.label, entry.protocol): entry.recipe.conditioning for entry in plan.entries}
    assert told["acgan", "controlled"] == told["acgan", "published"] == "none"
    assert (told["r3gan", "controlled"], told["r3gan", "published"]) == ("concat", "product")
    assert told["nsgan", "published"] == "concat"


def test_how_a_row_is_told_is_no_recipe_of_its_own() -> None:
    plan = plan_of(
        {"objective": "nsgan"},
        {"objective": "nsgan", "label": "projection", "recipe": {"conditioning": "projection"}},
        {"objective": "r3gan", "recipe": {"conditioning": "projection"}},
        {"objective": "nsgan", "label": "spectral", "recipe": {"conditioning": "projection", "norm": "spectral"}},
        protocols=("controlled", "published"),
    )
    rows = {(entry.label, entry.protocol): entry.recipe for entry in plan.entries}
    assert [protocol for label, protocol in rows if label == "projection"] == ["controlled", "published"]
    assert [protocol for label, protocol in rows if label == "spectral"] == ["custom"]
    told, plain = rows["projection", "published"], rows["nsgan", "published"]
    assert told == plain.model_copy(update={"conditioning": "projection"})
    assert rows["r3gan", "published"].conditioning == "projection"  # not the authors' product


def test_a_study_s_way_goes_to_every_row_that_has_it() -> None:
    plan = plan_of({"objective": "nsgan"}, {"objective": "vae"}, recipe={"conditioning": "projection"})
    assert [entry.recipe.conditioning for entry in plan.entries] == ["projection", "concat"]
    assert "encoder" in plan.entries[1].notes[-1]


@pytest.mark.parametrize(
    ("entry", "changes", "said"),
    [
        ({"objective": "nsgan", "recipe": {"conditioning": "concat"}}, {"labels": False}, "the study has none"),
        ({"objective": "nsgan"}, {"labels": False, "recipe": {"conditioning": "none"}}, "recipe.conditioning"),
        ({"objective": "vae", "recipe": {"conditioning": "projection"}}, {}, 'its head is "encoder"'),
        ({"objective": "acgan"}, {"labels": False}, "acgan needs labels"),
        ({"objective": "matching", "recipe": {"conditioning": "none"}}, {}, "has no meaning for matching"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_message(
    entry: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchError) as caught:
        plan_of(entry, **changes)
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) == 2
