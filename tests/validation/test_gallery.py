"""The gallery: facts found by running the losses, the generated page, measured costs, and `bench new`."""

from __future__ import annotations

import datetime
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import bench
from bench.cli.listing import listing
from bench.cli.scaffold import write_own
from bench.config.reading import load_config, packaged_config
from bench.errors import BenchError
from bench.files import read_json
from bench.objectives import load, names
from bench.runs.cost import cost_ratios, read_costs
from bench.validation.contract import check_objective
from bench.validation.contract.needs import needs
from bench.validation.gallery import all_facts, page, recipe_text

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nsgan", ()),
        ("wgan", ("a change of D after its step",)),
        ("wgan-gp", ("input gradients",)),
        ("rsgan", ("real images in G's step",)),
        ("rasgan", ("real images in G's step", "the whole batch at once")),
        ("cramer", ("2 generated batches", "real images in G's step", "input gradients")),
        ("began", ("state (k)",)),
        ("vae", ("one update of both networks", "normal latents")),
    ],
)
def test_needs_are_found_by_running_the_losses(name: str, expected: tuple[str, ...]) -> None:
    assert needs(load(name)) == expected


def test_the_page_is_what_the_cards_say_now() -> None:
    assert (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8") == page(), (
        "type: python -m bench.validation.gallery"
    )


def test_the_list_holds_every_objective_with_what_a_reader_asks() -> None:
    rows = listing("objectives", load_config(packaged_config()))
    assert sorted(str(row["name"]) for row in rows) == names()
    assert rows == sorted(rows, key=lambda row: (row["year"], row["name"]))
    assert set(rows[0]) >= {"family", "year", "head", "norms", "needs", "step_cost"}
    assert {row["norms"] for row in rows} == {"any", "all but batch"}


def test_an_authors_recipe_in_a_sentence() -> None:
    facts = {facts.name: facts for facts in all_facts()}
    recipe = recipe_text(facts["wgan"].card)
    assert recipe.split(", ") == ["RMSProp at 5e-5", "5 D steps per G step", "D norm batch."]
    recipe = recipe_text(facts["wgan-gp"].card)
    assert recipe.split(", ") == ["Adam (0", "0.9) at 1e-4", "5 D steps per G step", "D norm layer."]


def test_measured_costs_name_objectives_of_the_package() -> None:
    costs = read_costs()
    if costs is None:
        pytest.skip("benchmarks/objective_cost.py has not been run")
    assert set(cost_ratios(costs)) <= set(names())
    assert 0.5 < cost_ratios(costs)["nsgan"] < 2


@pytest.mark.slow
def test_the_benchmark_writes_what_the_gallery_reads(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "objective_cost.py"
    size = ["--width", "4", "--batch", "4", "--resolution", "32", "--rounds", "1", "--threads", "1"]
    out = tmp_path / "cost.json"
    subprocess.run([sys.executable, script, "nsgan", "r1", *size, "--out", out], check=True, cwd=ROOT)
    costs = read_costs(out)
    assert costs is not None
    assert set(cost_ratios(costs)) == {"nsgan", "r1"}
    assert costs["lazy_rows"]["r1"]["every"] == 16
    assert read_json(out)["width"] == 4


def test_a_new_objective_meets_the_contract_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench.main(["new", "my-objective"], prog_name="bench", standalone_mode=False) == 0
    assert "Next: bench check ./my_objective.py" in capsys.readouterr().out
    file, test = Path("my_objective.py"), Path("test_my_objective.py")
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 45
    report = check_objective("./my_objective.py")
    assert report.passed, report.text()
    assert report.name == load("./my_objective.py").name() == "my-objective"
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--config", ROOT / "pyproject.toml", "."]
        subprocess.run(ruff, check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location("test_my_objective", test)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_my_objective_meets_the_contract()

    file.write_text("mine", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)  # as with `python -m bench`, which imports from this folder
    with pytest.raises(BenchError, match="exists already"):
        bench.main(["new", "my-objective"], prog_name="bench", standalone_mode=False)
    assert file.read_text(encoding="utf-8") == "mine"


def test_the_documented_objective_is_what_bench_new_writes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "your-objective.md").read_text(encoding="utf-8")
    shown = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "(Objective)" in block]
    assert shown
    file, _ = write_own("my-objective", tmp_path)
    this_year = f"year={datetime.date.today().year}"
    assert [re.sub(r"year=\d+", this_year, block) for block in shown] == [file.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MyObjective", 'did you mean "my-objective"'),
        ("My Objective", 'did you mean "my-objective"'),
        ("my_objective.py", 'did you mean "my-objective"'),
        ("3gan", "cannot be an objective's name"),
        ("nsgan", "is one of the package's objectives"),
        ("golden", "would hide a name that the file needs"),
        ("random", 'would hide the Python module "random"'),
    ],
)
def test_names_that_would_not_work_are_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as error:
        bench.main(["new", name, "--directory", str(tmp_path)], prog_name="bench", standalone_mode=False)
    assert words in str(error.value)
    assert not list(tmp_path.iterdir())
