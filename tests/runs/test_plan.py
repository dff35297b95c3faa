"""Planning: identity, protocols, selection, staleness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.config.models import Study
from bench.errors import BenchError
from bench.files import read_json
from bench.review.identities import plan_problems
from bench.runs.folder import RunFolder, Status
from bench.runs.identity import code_without_comments, objective_hash
from bench.runs.plan import Plan, RunSpec, make_plan, run_state


def study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "s",
        "title": "S",
        "objectives": ({"objective": "nsgan", "label": "nsgan"}, {"objective": "wgan-gp", "label": "wgan-gp"}),
        "protocols": ("controlled", "published"),
        "seeds": (0, 1),
        "data": {"source": "faces", "resolution": 32, "train_count": 100},
        "budget": {"generator_steps": 10, "batch": 8, "halve_every": 5},
    }
    return Study.model_validate(values | changes)


def ids(plan: Plan) -> dict[str, str]:
    return {run.name: run.id for run in plan.runs}


def test_order_and_folders() -> None:
    plan = make_plan(study())
    assert [run.name for run in plan.runs][:4] == [
        "nsgan-controlled/seed-0",
        "nsgan-published/seed-0",
        "wgan-gp-controlled/seed-0",
        "wgan-gp-published/seed-0",
    ]
    first = plan.runs[0]
    assert first.folder == Path("nsgan-controlled") / f"seed-0-{first.id}"


def test_the_id_covers_what_decides_the_weights_and_nothing_else() -> None:
    reference = ids(make_plan(study()))
    moved = study(data={"source": "folder", "path": "/a", "train_count": 100})
    elsewhere = study(data={"source": "folder", "path": "/b", "train_count": 100})
    assert ids(make_plan(moved)) == ids(make_plan(elsewhere))
    assert ids(make_plan(study(name="other", title="Other", notice="x"))) == reference
    assert ids(make_plan(study(evaluation={"samples": 5000}))) == reference
    for change in (
        {"backbone": {"width": 32}},
        {"budget": {"generator_steps": 11, "batch": 8, "halve_every": 5}},
        {"training": {"precision": "bf16"}},
        {"training": {"threads": 2}},
        {"data": {"source": "faces", "resolution": 32, "train_count": 101}},
    ):
        other = ids(make_plan(study(**change)))
        assert not set(other.values()) & set(reference.values()), change
    assert len(set(reference.values())) == len(reference)


def test_controlled_rows_share_a_recipe_and_published_ones_keep_their_own() -> None:
    entries = {(entry.label, entry.protocol): entry for entry in make_plan(study()).entries}
    controlled = [entry.recipe for (_, protocol), entry in entries.items() if protocol == "controlled"]
    assert all(recipe == controlled[0] for recipe in controlled)
    published = entries["wgan-gp", "published"]
    assert published.recipe.betas == (0.0, 0.9)
    assert published.recipe.discriminator_steps == 5
    assert any("discriminator_steps 5" in deviation for deviation in published.deviations)
    assert any("Not its authors' algorithm" in note for note in entries["wgan-gp", "controlled"].notes)
    assert not published.notes


def test_authors_settings_count_among_the_deviations() -> None:
    objectives = (
        {"objective": "r3gan", "label": "r3gan"},
        {"objective": "r3gan", "label": "given", "settings": {"gamma": 5.0}},
    )
    plan = make_plan(study(objectives=objectives, baseline="r3gan"))
    entries = {(entry.label, entry.protocol): entry for entry in plan.entries}
    assert entries["r3gan", "published"].deviations[-1] == "gamma 2"
    assert entries["r3gan", "published"].deviations[:-1] == entries["given", "published"].deviations
    assert not entries["r3gan", "controlled"].deviations  # gamma 1, which all rows have is none
    turned = make_plan(study(objectives=objectives, baseline="r3gan", protocols=("published", "controlled")))
    assert ids(turned) == ids(plan)  # what is published does not leak into a controlled row planned after it


def test_batch_norm_is_refused_for_penalties_by_name() -> None:
    with pytest.raises(BenchError, match=r'wgan-gp: norm "batch" couples'):
        make_plan(study(recipe={"norm": "batch"}))


def test_settings_are_checked_and_all_mistakes_named() -> None:
    objectives = (
        {"objective": "ebgan", "label": "a", "settings": {"margn": 3.0}},
        {"objective": "wgan", "label": "b", "settings": {"clip": -1.0}},
    )
    with pytest.raises(BenchError) as caught:
        make_plan(study(objectives=objectives, baseline="a"))
    assert 'did you mean "margin"?' in caught.value.message
    assert "b.clip = -1: must be greater than 0" in caught.value.message


def test_selection_takes_labels_and_globs_and_suggests() -> None:
    plan = make_plan(study())
    assert {run.label for run in plan.select(("wgan*",))} == {"wgan-gp"}
    assert len(plan.select(())) == 8
    with pytest.raises(BenchError, match='did you mean "nsgan"'):
        plan.select(("nsgam",))


def test_learning_rates_make_an_entry_each() -> None:
    plan = make_plan(study(learning_rates=(1e-4, 4e-4), baseline="nsgan@0.0001", protocols=("controlled",)))
    assert [entry.label for entry in plan.entries] == [
        "nsgan@0.0001",
        "nsgan@0.0004",
        "wgan-gp@0.0001",
        "wgan-gp@0.0004",
    ]
    assert plan.entries[1].recipe.learning_rate_generator == 4e-4
    assert plan.entries[1].recipe.learning_rate_discriminator == 4e-4


def test_the_vae_keeps_its_normal_prior() -> None:
    plan = make_plan(
        study(
            objectives=({"objective": "vae", "label": "vae"}, {"objective": "nsgan", "label": "nsgan"}),
            backbone={"latent_law": "uniform"},
        )
    )
    laws = {run.label: run.training.backbone.latent_law for run in plan.runs}
    assert laws == {"vae": "normal", "nsgan": "uniform"}


def test_the_plan_file_says_everything_that_a_report_needs(tmp_path: Path) -> None:
    plan = make_plan(study())
    values = read_json(plan.write(tmp_path))
    assert values["runs"][0]["path"] == plan.runs[0].folder.as_posix()
    assert values["entries"][0]["card"]["name"] == "nsgan"
    assert values["evaluation_id"] == plan.study.evaluation.id()
    assert values["final_step"] == 10


def test_a_run_finished_by_other_code_is_stale(tmp_path: Path) -> None:
    run = make_plan(study()).runs[0]
    folder = RunFolder(tmp_path / run.folder)
    assert run_state(run, folder) == "planned"
    run.write(folder.spec_file)
    folder.write_status(Status(state="done"))
    assert run_state(run, folder) == "done"
    older = run.model_copy(update={"code": {**run.code, "training": "other"}})
    older.write(folder.spec_file)
    assert run_state(run, folder) == "stale"
    folder.write_status(replace(folder.status(), state="running"))
    assert run_state(run, folder) == "stale"


def test_a_run_that_saw_other_images_is_stale(tmp_path: Path) -> None:
    run = make_plan(study()).runs[0]
    folder = RunFolder(tmp_path / run.folder)
    run.write(folder.spec_file)
    seen, others = {"train": "a", "heldout": "b"}, {"train": "a", "heldout": "c"}
    folder.write_status(Status(state="done", data_sha256=seen))
    assert [run_state(run, folder, images) for images in (None, seen, others)] == ["done", "done", "stale"]
    folder.accept_code(run.code, by="name")
    assert run_state(run, folder, others) == "stale"  # accepting code accepts no images


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(BenchError, match=r"2 rows are called nsgan@0\.0002"):
        make_plan(study(learning_rates=(2e-4, 2e-4)))


def test_the_plan_alone_gives_the_ids_of_its_runs(tmp_path: Path) -> None:
    plan = make_plan(study(objectives=tuple({"objective": name, "label": name} for name in ("vae", "nsgan", "wgan"))))
    values = read_json(plan.write(tmp_path))
    assert list(plan_problems(values)) == []
    values["runs"][0]["id"] = "0123456789"
    assert list(plan_problems(values))


def test_a_spec_of_another_version_is_refused(tmp_path: Path) -> None:
    run = make_plan(study()).runs[0]
    run.model_copy(update={"schema_": 99}).write(tmp_path / "spec.json")
    with pytest.raises(BenchError, match="another version"):
        RunSpec.read(tmp_path / "spec.json")


def test_comments_do_not_change_the_hash_of_code(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "x.py", tmp_path / "b" / "x.py"
    for path, text in ((first, "x = 1  # one\n\n# two\ny = '#3'\n"), (second, "x = 1\ny = '#3'\n")):
        path.parent.mkdir()
        path.write_text(text)
    assert code_without_comments(first) == code_without_comments(second)
    assert objective_hash(first) == objective_hash(second)
    second.write_text("x = 2\ny = '#3'\n")
    assert objective_hash(first) != objective_hash(second)


def test_a_users_own_objective_is_identified_by_its_content(tmp_path: Path) -> None:
    source = (Path(__file__).parents[2] / "bench" / "objectives" / "lsgan.py").read_text()
    path = tmp_path / "my_loss.py"
    path.write_text(source)
    entry = ({"objective": str(path), "label": "my-loss"},)
    first = make_plan(study(objectives=entry, baseline="my-loss", protocols=("controlled",))).runs[0]
    assert first.training.objective.name == "my-loss"
    path.write_text(source.replace("0.5 *", "0.25 *"))
    second = make_plan(study(objectives=entry, baseline="my-loss", protocols=("controlled",))).runs[0]
    assert first.id != second.id


def test_a_plan_names_its_folder_of_images_and_nothing_above_it(tmp_path: Path) -> None:
    plan = make_plan(study(data={"source": "folder", "path": "/secret/cats", "train_count": 100}))
    text = plan.write(tmp_path).read_text(encoding="utf-8")
    assert read_json(plan.write(tmp_path))["data_title"] == 'folder "cats"'
    assert "secret" not in text
