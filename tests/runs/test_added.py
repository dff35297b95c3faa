"""What was added to a study by hand: it stays beside what bench.toml defines, and nothing else changes the study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.tiny_study import write_tiny_study

from bench.config.reading import load_study
from bench.errors import BenchError
from bench.files import read_json, write_json
from bench.review.archive.records import plan_problems as sent_plan_problems
from bench.review.identities import plan_problems
from bench.runs.added import ADDED_FILE, AddedSeeds, Additions, read_additions, take_out, write_additions
from bench.runs.differences import changes, other_settings, study_changes
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import Plan, RunSpec, make_plan

LSGAN = Path(__file__).parents[2] / "bench" / "objectives" / "lsgan.py"


def names(runs: list[RunSpec] | tuple[RunSpec, ...]) -> list[str]:
    return [run.name for run in runs]


def own_file(folder: Path, name: str = "my_loss.py") -> str:
    return str(shutil.copy(LSGAN, folder / name))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    write_tiny_study(
        tmp_path, objectives=["nsgan", "vae"], seeds="0-1", protocols=["controlled", "published"], twin_seeds="100"
    )
    return make_plan(load_study(config=tmp_path / "bench.toml"))


def test_names_seeds_and_protocols_select(plan: Plan) -> None:
    assert len(plan.select()) == len(plan.runs) == 10
    assert names(plan.select(("vae",), {1})) == ["vae-controlled/seed-1", "vae-published/seed-1"]
    assert names(plan.select((), {0}, ("published",))) == ["nsgan-published/seed-0", "vae-published/seed-0"]
    assert [run.training.seed for run in plan.select(("nsgan-twin",))] == [100, 100]


@pytest.mark.parametrize(
    ("patterns", "seeds", "protocols", "says"),
    [
        (("vea",), None, (), 'no entry "vea"'),
        ((), {0, 7}, (), "has no seed 7"),
        ((), None, ("custom",), "has no protocol custom"),
        (("vae",), {100}, (), "no run of that label, seed and protocol"),
    ],
)
def test_what_the_study_has_not_is_named(
    plan: Plan, patterns: tuple[str, ...], seeds: set[int] | None, protocols: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BenchError, match=says):
        plan.select(patterns, seeds, protocols)


def test_more_seeds_are_added_to_the_rows_they_were_asked_for(plan: Plan) -> None:
    wider = plan.with_seeds({1, 2, 100}, ("vae",), ("published",))
    assert wider.added.seeds == (AddedSeeds(label="vae", protocol="published", seeds=(2, 100)),)
    assert names(wider.runs) == [*names(plan.runs), "vae-published/seed-2", "vae-published/seed-100"]
    assert [run.name for run in wider.runs if wider.is_added(run)] == names(wider.runs)[-2:]
    assert wider.with_seeds({3}, ("vae",)).added.seeds_of("vae", "published") == (2, 3, 100)
    assert plan.with_seeds({0, 1}) == plan
    assert plan.with_seeds({100}) == plan  # no row is named: the A/A arm is meant

    without = plan.study.model_copy(update={"objectives": plan.study.objectives[:1]})
    assert make_plan(without, wider.added).dangling() == ["vae-published"]
    assert wider.dangling() == []


def test_a_file_is_a_row_of_every_seed_and_protocol(plan: Plan, tmp_path: Path) -> None:
    wider = make_plan(plan.study, Additions(files=(own_file(tmp_path),)))
    added = [run for run in wider.runs if wider.is_added(run)]
    assert {run.label for run in added} == {"my-loss"}
    assert len(added) == 4
    assert set(names(wider.runs)) > set(names(plan.runs))
    assert {run.id for run in wider.runs} > {run.id for run in plan.runs}


def test_the_record_outlives_other_commands_and_a_move_of_the_project(plan: Plan, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    added = Additions(files=(own_file(project),)).joined(plan.with_seeds({5}, ("vae",)).added)
    make_plan(plan.study, added).write(project / "runs")
    assert str(tmp_path) not in (project / "runs" / "tiny" / ADDED_FILE).read_text()
    assert names(plan.whole(project / "runs").runs) == names(make_plan(plan.study, added).runs)
    project.rename(tmp_path / "elsewhere")
    (file,) = read_additions(tmp_path / "elsewhere" / "runs", "tiny").files
    assert Path(file) == tmp_path / "elsewhere" / "my_loss.py"
    assert plan.whole(tmp_path / "elsewhere" / "runs").added.seeds == added.seeds


def test_a_plan_marks_what_was_added_and_hides_no_seed_that_way(plan: Plan, tmp_path: Path) -> None:
    added = Additions(files=(own_file(tmp_path),)).joined(plan.with_seeds({5}, ("vae",), ("published",)).added)
    make_plan(plan.study, added).write(tmp_path)
    values = read_json(tmp_path / "tiny" / "plan.json")
    assert {entry["label"] for entry in values["entries"] if entry.get("added")} == {"my-loss"}
    assert [run["seed"] for run in values["runs"] if run.get("added")] == [5]
    assert list(plan_problems(values)) == []
    assert list(sent_plan_problems(values)) == []
    values["runs"][0]["added"] = True
    assert len(list(plan_problems(values))) == 2  # the seed is the study's, and the row lacks it now


@pytest.mark.parametrize(
    ("taken", "files", "removable"),
    [({"nsgan"}, ("nsgan.py",), False), (set(), ("a/nsgan.py", "b/nsgan.py"), True)],
)
def test_a_taken_label_is_told_with_what_frees_it(taken: set[str], files: tuple[str, ...], removable: bool) -> None:
    """`bench remove` takes out only what was added: a row of bench.toml is given another label there."""
    with pytest.raises(BenchError) as error:
        Additions(files=files).entries(taken)
    assert ("bench remove nsgan" in str(error.value.hint), "bench.toml" in str(error.value.hint)) == (
        removable,
        not removable,
    )


def test_what_was_added_is_taken_out_by_name_without_the_file(plan: Plan, tmp_path: Path) -> None:
    file = own_file(tmp_path)
    added = Additions(files=(file,)).joined(plan.with_seeds({5, 6}, ("vae",)).added)
    make_plan(plan.study, added).write(tmp_path)
    Path(file).unlink()
    with pytest.raises(BenchError, match="`bench remove my-loss` takes it out"):
        plan.whole(tmp_path)
    assert take_out(tmp_path, "tiny", ["vae"], {6}) == ["vae-controlled, seed 6", "vae-published, seed 6"]
    assert take_out(tmp_path, "tiny", ["my-*"], None) == [f"my-loss ({file})"]
    with pytest.raises(BenchError, match="has no runs"):
        take_out(tmp_path, "tinny", ["vae"], None)
    assert not (tmp_path / "tinny").exists()
    with pytest.raises(BenchError, match="Nothing was added"):
        take_out(tmp_path, "tiny", ["nsgan"], None)
    values = read_json(tmp_path / "tiny" / "plan.json")
    assert [(run["label"], run["seed"]) for run in values["runs"] if run.get("added")] == [("vae", 5), ("vae", 5)]
    assert "my-loss" not in json.dumps(values)
    assert take_out(tmp_path, "tiny", ["vae"], None)
    assert not (tmp_path / "tiny" / ADDED_FILE).exists()
    fresh = tmp_path / "fresh"
    plan.write(fresh)
    assert read_json(tmp_path / "tiny" / "plan.json") == read_json(fresh / "tiny" / "plan.json")


def test_rows_by_learning_rate_are_added_and_taken_out_together(tmp_path: Path) -> None:
    write_tiny_study(tmp_path, learning_rates=[1e-3, 2e-3], baseline="nsgan@0.001")
    study = load_study(config=tmp_path / "bench.toml")
    plan = make_plan(study, Additions(files=(own_file(tmp_path),))).with_seeds({4}, ("my-loss@*",))
    plan.write(tmp_path)
    assert [run.label for run in plan.runs if plan.is_added(run)] == ["my-loss@0.001", "my-loss@0.002"] * 2
    take_out(tmp_path, "tiny", ["my-loss"], None)
    assert {run["label"] for run in read_json(tmp_path / "tiny" / "plan.json")["runs"]} == {
        "nsgan@0.001",
        "nsgan@0.002",
    }
    assert not read_additions(tmp_path, "tiny")


def test_a_label_is_never_given_twice(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(BenchError, match="a row of the study"):
        make_plan(plan.study, Additions(files=(own_file(tmp_path, "vae.py"),)))
    twice = (own_file(tmp_path), own_file(tmp_path / "sub"))
    with pytest.raises(BenchError, match="the label of"):
        make_plan(plan.study, Additions(files=twice))


def test_a_damaged_record_is_named(plan: Plan, tmp_path: Path) -> None:
    write_additions(tmp_path, "tiny", plan.with_seeds({5}).added)
    path = tmp_path / "tiny" / ADDED_FILE
    path.write_text(path.read_text().replace("5", "6"))
    with pytest.raises(BenchError, match="was changed after it was written"):
        plan.whole(tmp_path)
    write_json(path, {"schema": 1, "seeds": "all"})
    with pytest.raises(BenchError, match="cannot be read"):
        plan.whole(tmp_path)


def test_other_steps_make_another_study(tmp_path: Path) -> None:
    file = write_tiny_study(tmp_path)
    study = load_study("tiny.steps-6", config=file, overrides={"data": {"train_count": 50}})
    assert (study.name, study.budget.generator_steps, study.data.train_count) == ("tiny.steps-6", 6, 50)
    assert load_study("tiny.steps-12", config=file) == load_study("tiny", config=file)
    with pytest.raises(BenchError, match='no study "tiny'):
        load_study("tiny.steps-x", config=file)


def test_predictions_are_of_the_studys_own_steps_and_are_told_where_they_changed(tmp_path: Path) -> None:
    file = write_tiny_study(tmp_path, objectives=["nsgan", "vae"])
    expected = {"predictions": [{"row": "nsgan", "outcome": "better", "than": "vae"}]}
    before, study = load_study(config=file), load_study(config=file, overrides=expected)
    assert len(study.predictions) == 1
    assert load_study("tiny.steps-6", config=file, overrides=expected).predictions == ()
    assert study_changes(read_json(make_plan(study).write(tmp_path)), study) == []
    assert study_changes(read_json(make_plan(before).write(tmp_path / "before")), study) == ["predictions"]


def test_status_names_the_settings_and_twin_seeds_that_bench_toml_has_otherwise(tmp_path: Path) -> None:
    row = {"objective": "wgan-gp", "penalty_weight": 10.0, "learning_rate": 1e-4}
    file = write_tiny_study(tmp_path, objectives=["nsgan"], seeds="0-1")
    was = load_study(config=file, overrides={"objectives": ["nsgan", row], "twin_seeds": "10-11"})
    plan = read_json(make_plan(was).write(tmp_path))
    assert study_changes(plan, was) == []
    other = row | {"penalty_weight": 1.0, "learning_rate": 2e-4}
    now = load_study(config=file, overrides={"objectives": ["nsgan", other], "twin_seeds": "10-12"})
    words = study_changes(plan, now)
    assert len(words) == 3
    assert "twin_seeds" in words[0]
    assert "wgan-gp: penalty_weight 10" in words[1]
    assert "wgan-gp: learning_rate 1e-4 → 2e-4" in words[2]


def test_seeds_of_the_twin_can_be_added_to_other_rows(tmp_path: Path) -> None:
    file = write_tiny_study(tmp_path, objectives=["nsgan", "vae"], seeds="0-1")
    plan = make_plan(load_study(config=file, overrides={"twin_seeds": "10-11"}))
    more = plan.with_seeds({1, 10, 12}, ("*",))
    added = {(run.label, run.training.seed) for run in more.runs if more.is_added(run)}
    assert added == {("vae", 10), ("vae", 12), ("nsgan", 12)}
    assert len(more.runs) == len(plan.runs) + 3
    assert {more.label_of(run) for run in more.runs if run.training.seed == 10} == {"nsgan-twin", "vae"}


def test_the_settings_in_which_a_run_differs_are_named(tmp_path: Path) -> None:
    old = load_study(config=write_tiny_study(tmp_path))
    (run,) = make_plan(old).runs
    folder = RunFolder(tmp_path / run.study / run.folder)
    run.write(folder.spec_file)
    folder.write_status(Status(state="done"))
    assert other_settings(run, tmp_path) is None
    budget = old.budget.model_copy(update={"batch": 10, "halve_every": 3})
    (now,) = make_plan(old.model_copy(update={"budget": budget})).runs
    assert other_settings(now, tmp_path) == f"{run.folder.name} (done) has batch 8 → 10, halve_every 6 → 3"

    rates = {"learning_rate_discriminator": 2e-4, "learning_rate_generator": 2e-4, "betas": [0.5, 0.9]}
    lower = {"learning_rate_discriminator": 1e-4, "learning_rate_generator": 1e-4, "betas": [0.5, 0.999]}
    assert changes({"recipe": rates}, {"recipe": lower}) == [
        "learning_rate 2e-4 → 1e-4",
        "betas (0.5, 0.9) → (0.5, 0.999)",
    ]
    one = {**rates, "learning_rate_generator": 1e-4}
    assert changes({"recipe": rates}, {"recipe": one}) == ["learning_rate_generator 2e-4 → 1e-4"]
    assert changes({"data": {"path": "a"}, "seed": 0}, {"data": {"path": "b"}, "seed": 0}) == []
