"""bench.toml: what it resolves to, and that every mistake is named at once, with key, value and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.config.models import Config
from bench.config.parsing import parse_seeds
from bench.config.reading import find_config, load_config, packaged_config
from bench.config.recipe import Recipe, RecipeOverrides
from bench.errors import BenchError
from bench.files import read_json
from bench.runs.plan import make_plan

ROOT = Path(__file__).parents[2]
GOOD = """
default_study = "one"

[common]
baseline = "nsgan"

[common.recipe]
learning_rate = 2e-4

[study.one]
title = "One"
objectives = ["nsgan", "vae"]
seeds = "0-2"
data = { source = "faces", resolution = 32 }
budget = { generator_steps = 10, batch = 8, halve_every = 5 }

[study.two]
extends = "one"
title = "Two"

[study.two.budget]
batch = 16
"""


def read(tmp_path: Path, text: str, **options: object) -> Config:
    path = tmp_path / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, **options)  # type: ignore[arg-type]


def mistakes(tmp_path: Path, text: str) -> str:
    with pytest.raises(BenchError) as caught:
        read(tmp_path, text)
    assert caught.value.hint
    return caught.value.message


def test_studies_share_common_settings_and_extend_each_other(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    one, two = config.study("one"), config.study("two")
    assert config.study(None) == one
    assert one.recipe.learning_rate == two.recipe.learning_rate == 2e-4
    assert (one.budget.batch, two.budget.batch) == (8, 16)
    assert two.budget.generator_steps == 10
    assert two.title == "Two"
    assert two.seeds == (0, 1, 2)


def test_options_override_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, overrides={"budget": {"generator_steps": 99}, "seeds": [7]}, study="two")
    assert config.study("two").budget.generator_steps == 99
    assert config.study("two").seeds == (7,)
    assert config.study("one").budget.generator_steps == 10


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('baseline = "nsgan"', 'baseline = "nsgam"')
        .replace('["nsgan", "vae"]', '["nsgan", "minimaxx"]')
        .replace("learning_rate = 2e-4", "learning_rte = 2e-4")
        .replace("batch = 16", 'batch = "many"')
        .replace('seeds = "0-2"', 'seeds = "0-"')
    )
    found = mistakes(tmp_path, text)
    assert set(re.findall(r'did you mean "(\w+)"', found)) == {"learning_rate", "minimax", "nsgan"}
    assert 'line 22, study.two.budget.batch = "many"' in found
    assert 'study.one.seeds = "0-"' in found
    assert found.count("learning_rte") == 1
    assert "bench.toml has 5 mistakes" in found
    assert "errors.pydantic.dev" not in found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("batch = 8", "batch = 0"), "study.one.budget.batch = 0: "),
        (("halve_every = 5", "halve_ever = 5"), 'did you mean "halve_every"?'),
        (('"nsgan", "vae"', '"nsgan", "nsgan"'), "is the label of two entries"),
        (('"nsgan", "vae"', '"nsgan", 3'), "must be an objective's name"),
        (('"nsgan", "vae"', '"nsgan", {objective = "vae", label = "a/b"}'), "a label is made of"),
        (('"nsgan", "vae"', '"nsgan", {objective = "vae", norm = "lyer"}'), 'did you mean "layer"?'),
        (('baseline = "nsgan"', 'baseline = "nsgam"'), 'did you mean "nsgan"?'),
        (('title = "One"', 'title = "One"\nprimary_metric = "fd_lite"'), 'did you mean "fd_lite0"?'),
        (('title = "One"', 'title = "One"\nprimary_metric = "fd_judge"'), "never ranks"),
        (('title = "One"', 'title = "One"\nprimary_metric = "fjd_lite0"'), "name some in data.labels"),
        (('title = "One"', 'title = "One"\nsecondary_metrics = ["mig_judge"]'), "give some in backbone.codes"),
        (('title = "One"', 'title = "One"\nsecondary_metrics = ["l1"]'), "give data.input"),
        (('title = "One"', 'title = "One"\nsecondary_metrics = ["kept_judge"]'), "give data.input"),
        (('title = "One"', 'title = "One"\nsecondary_metrics = ["hidden_law"]'), 'input = "parts"'),
        (('source = "faces"', 'source = "faces", input = "left"'), "no input of faces: parts, edges"),
        (('source = "faces"', 'source = "faces", input = "edges", labels = ["hat"]'), "not both"),
        (('title = "One"', 'title = "One"\nprimary_metric = "kid_lite0+3.cat"'), "is no metric"),
        (('extends = "one"', 'extends = "on"'), 'is no study (did you mean "one"?)'),
        (('extends = "one"', 'extends = "two"'), "extends itself"),
        (('default_study = "one"', 'default_study = "onne"'), 'names no study (did you mean "one"?)'),
        (("[common]", "[comon]"), 'did you mean "common"?'),
        (('source = "faces"', 'source = "face"'), 'did you mean "faces"?'),
        (('source = "faces"', 'source = "faces", labels = "hat"'), "must be a list in brackets"),
        (('source = "faces"', 'source = "faces", labels = ["hatt"]'), 'did you mean "hat"?'),
        (('source = "faces"', 'source = "faces", train_count = 4'), "is more than train_count 4"),
    ],
)
def test_a_mistake_says_what_is_wrong(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    assert change[0] in GOOD
    assert says in mistakes(tmp_path, GOOD.replace(*change, 1))


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    assert "line 2" in mistakes(tmp_path, "a = 1\nb = = 2\n")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="bench init"):
        find_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("value", "seeds"), [("0-3", (0, 1, 2, 3)), ("5", (5,)), (4, (4,)), ([2, 0], (2, 0)), ("0, 7-8", (0, 7, 8))]
)
def test_seeds(value: object, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(value) == seeds


@pytest.mark.parametrize("value", ["", "a", "3-1", "-1", [1.5], True, [], "0,0", "0-99999999"])
def test_bad_seeds(value: object) -> None:
    with pytest.raises(ValueError, match=r"must|names"):
        parse_seeds(value)


def test_every_packaged_study_can_be_planned() -> None:
    config = load_config(ROOT / "bench.toml")
    assert config.default_study == "quick"
    for study in config.studies.values():
        plan = make_plan(study)
        ids = [run.id for run in plan.runs]
        assert len(set(ids)) == len(ids)
    assert {"quick", "faces", "celeba64", "gan-theories", "celeba-smoke"} <= set(config.studies)


def test_celeba64_is_what_was_promised() -> None:
    study = load_config(ROOT / "bench.toml").study("celeba64")
    assert (study.backbone.width, study.budget.batch, study.budget.generator_steps) == (64, 64, 100_000)
    assert (study.recipe.learning_rate, study.budget.halve_every) == (1e-4, 20_000)
    assert (study.data.recipe, len(study.seeds)) == ("crop128", 5)


def test_pilot_seeds_stay_apart_from_reported_ones() -> None:
    studies = load_config(ROOT / "bench.toml").studies
    assert min(studies["celeba64-rates"].seeds) >= 1000


def test_the_packaged_copy_is_the_file() -> None:
    assert packaged_config().read_bytes() == (ROOT / "bench.toml").read_bytes()


def test_an_override_has_every_key_of_a_recipe_with_its_bounds_and_none_by_default() -> None:
    assert set(RecipeOverrides.model_fields) == {*Recipe.model_fields, "learning_rate"}
    assert set(RecipeOverrides().model_dump().values()) == {None}
    assert RecipeOverrides().over(Recipe(packing=2)) == Recipe(packing=2)
    both = RecipeOverrides(learning_rate=2e-4, learning_rate_generator=1e-3).over(Recipe())
    assert (both.learning_rate_discriminator, both.learning_rate_generator) == (2e-4, 1e-3)
    for name, key in Recipe.model_fields.items():
        assert RecipeOverrides.model_fields[name].metadata == key.metadata, name
    for outside in ({"alpha": 1.5}, {"packing": 17}, {"norm": "layers"}, {"betas": (0.5, 1.0)}, {"packing": 1.0}):
        with pytest.raises(ValidationError) as caught:
            RecipeOverrides.model_validate(outside)
        assert caught.value.errors()[0]["loc"][0] == next(iter(outside))


@pytest.mark.parametrize(
    ("prediction", "key"),
    [
        ('{ row = "vea", outcome = "worst" }', "row"),
        ('{ row = "vae", outcome = "worst", than = "nsgan" }', "than"),
        ('{ row = "vae", outcome = "worse" }', "than"),
        ('{ row = "vae", outcome = "worse", than = "vae" }', "than"),
        ('{ row = "vae", outcome = "bad" }', "outcome"),
        ('{ row = "vae", outcome = "worst", metric = "kid_lite0" }', "metric"),
    ],
)
def test_a_prediction_that_cannot_be_tested_is_named(prediction: str, key: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, GOOD + f"\n[study.three]\nextends = 'one'\ntitle = '3'\npredictions = [{prediction}]\n")
    assert f"predictions[0].{key}" in found or f"predictions.0.{key}" in found, found


def test_predictions_are_registered_with_the_runs_that_were_finished(tmp_path: Path) -> None:
    def written(predictions: str) -> list[dict[str, object]]:
        study = read(tmp_path, GOOD.replace('title = "One"', f'title = "One"\npredictions = [{predictions}]')).study(
            None
        )
        registered: list[dict[str, object]] = read_json(make_plan(study).write(tmp_path)).get("predictions", [])
        return registered

    assert written("") == []
    first = written('{ row = "vae", outcome = "worst" }')
    assert [(one["finished_runs"], len(one["predictions"])) for one in first] == [(0, 1)]  # type: ignore[arg-type]
    assert written('{ row = "vae", outcome = "worst" }') == first
    changed = written('{ row = "vae", outcome = "best" }')
    assert changed[0] == first[0]
    assert len(changed) == 2
    assert len(written("")) == 3


def test_predictions_are_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    predicting = GOOD.replace('title = "One"', 'title = "One"\npredictions = [{ row = "vae", outcome = "worst" }]')
    ids = [{run.id for run in make_plan(read(tmp_path, text).study("one")).runs} for text in (GOOD, predicting)]
    assert ids[0] == ids[1]
