"""Options that narrow select, options that widen add: no command but an edit of bench.toml redefines a study."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import pytest
from helpers.study_fixture import realistic
from helpers.tiny_study import write_tiny_study
from rich.console import Console

from bench.config.reading import load_study
from bench.execution.cleaning import unplanned
from bench.execution.study import run_study
from bench.files import read_json
from bench.runs.plan import make_plan

LSGAN = Path(__file__).parents[2] / "bench" / "objectives" / "lsgan.py"


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


def runs_of(text: str) -> dict[str, dict[str, Any]]:
    """Return the rows of `status --json` or `plan --json`, by label and seed."""
    values = json.loads(text)
    rows: Iterable[dict[str, Any]] = values["runs"] if isinstance(values, dict) else values
    return {row["run"] if "run" in row else f"{row['label']}-controlled/seed-{row['seed']}": row for row in rows}


def test_a_study_stays_whole_whatever_is_typed(
    workplace: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(make_plan(load_study()), runs="runs", data="data", in_process=True, console=Console(quiet=True))
    shutil.copy(LSGAN, workplace / "mine.py")
    study, plan_file = workplace / "runs" / "tiny", workplace / "runs" / "tiny" / "plan.json"
    defined = plan_file.read_bytes()

    # Narrowing selects: what is finished stays, and nothing is written.
    assert "0 of 1 run of tiny" in bench("run", "vae", "--seeds", "0", "--dry-run")
    assert "1 had nothing missing" in bench("run", "vae", "--seeds", "0", "--protocol", "controlled")
    assert list(runs_of(bench("plan", "vae", "--json"))) == ["vae-controlled/seed-0"]
    assert "no protocol published" in bench("run", "vae", "--protocol", "published", code=2)
    assert "no seed 1" in bench("evaluate", "--seeds", "1", code=2)
    assert plan_file.read_bytes() == defined

    # A file and more seeds are added: to the rows that were named, beside all others. --dry-run and plan write nothing.
    words = ("run", "vae", "./mine.py", "--seeds", "1")
    assert json.loads(bench(*words, "--dry-run", "--json"))["adds"]
    assert len(runs_of(bench("plan", "vae", "./mine.py", "--seeds", "0-1", "--json"))) == 4
    assert plan_file.read_bytes() == defined
    bench(*words, "--per-device", "2", "--json")
    done = dict.fromkeys(("nsgan-controlled/seed-0", "vae-controlled/seed-0"), ("done", False))
    done |= dict.fromkeys(("vae-controlled/seed-1", "mine-controlled/seed-1"), ("done", True))
    expected = done | {"mine-controlled/seed-0": ("planned", True)}
    for verb in ("status", "plan"):
        found = runs_of(bench(verb, "--json"))
        assert {name: (row["state"], row["added"]) for name, row in found.items()} == expected

    # Another command leaves the row and the seed where they are, and clean has nothing to offer.
    assert "1 had nothing missing" in bench("run", "nsgan")
    assert set(runs_of(bench("status", "--json"))) == set(expected)
    assert "Nothing to remove" in bench("clean")
    bench("report")
    report = (workplace / "reports" / "tiny" / "report.md").read_text()
    assert report.count("Added by hand") >= 2
    assert all(finding["outcome"] != "FAILS" for finding in json.loads(bench("verify", "--json")))

    # A changed metric: what is unmeasured, and for how long.
    text = (workplace / "bench.toml").read_text()
    (workplace / "bench.toml").write_text(text.replace("samples = 50, snap", "samples = 60, snap"))
    rows = runs_of(bench("status", "--json"))
    assert {name for name, row in rows.items() if row["unmeasured"]} == set(done)
    assert all(row["unmeasured_seconds"] > 0 for name, row in rows.items() if name in done)
    lacking = json.loads(bench("plan", "--json"))["unmeasured"]
    assert (lacking["runs"], lacking["changed"]) == (4, ["samples 50 → 60"])
    assert lacking["seconds"] > 0
    for verb in ("plan", "status"):
        assert re.search(r"4 trained runs lack .*\(samples 50 → 60\)", bench(verb))

    # A changed setting: in what the runs that exist differ. clean says so, asks, and no is an answer.
    (workplace / "bench.toml").write_text(text.replace("halve_every = 6", "halve_every = 3"))
    reasons = {name: row["reason"] for name, row in runs_of(bench("plan", "--json")).items()}
    assert "(done) has halve_every 6 → 3" in reasons["nsgan-controlled/seed-0"]
    assert "halve_every 6 → 3" in bench("status")
    folders = sorted(study.glob("*/seed-*"))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    output = bench("clean")
    assert output.count(": halve_every 6 → 3") == output.count("done  ") == 4
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "no terminal to ask on" in bench("clean", code=2)
    assert json.loads(bench("clean", "--json"))["removed"] is False
    assert sorted(study.glob("*/seed-*")) == folders

    # By name it goes, and its runs are then offered with the reason.
    (workplace / "bench.toml").write_text(text)
    bench("remove", "./mine.py", "vae")
    assert set(runs_of(bench("status", "--json"))) == {"nsgan-controlled/seed-0", "vae-controlled/seed-0"}
    assert plan_file.read_bytes() == defined
    why = {folder["path"].split("/")[2]: folder["why"] for folder in json.loads(bench("clean", "--json"))["folders"]}
    assert why == {
        "mine-controlled": "the study has no row mine, controlled",
        "vae-controlled": "the study has no seed 1 of vae",
    }
    assert "Rows of bench.toml" in bench("remove", "nsgan", code=2)


def test_other_steps_are_a_study_of_their_own(workplace: Path, bench: Bench) -> None:
    assert "2 of 2 runs of tiny.steps-6" in bench("run", "--all", "--steps", "6", "--dry-run")
    plan = make_plan(load_study("tiny.steps-6"))
    plan.write(workplace / "runs")
    assert set(runs_of(bench("status", "--study", "tiny.steps-6", "--json"))) == {run.name for run in plan.runs}
    assert "bench run --all --study tiny" in bench("status", code=2)
    assert json.loads(bench("plan", "--study", "tiny.steps-6", "--json"))["study"] == "tiny.steps-6"


def test_a_folder_of_before_has_nothing_added_and_says_why_runs_are_unplanned(workplace: Path, bench: Bench) -> None:
    """An older version planned less than the file defines, without a record of what was added."""
    study = realistic("tiny", objectives=("nsgan",), seeds=(0, 9)).write(workplace / "runs")
    assert len(runs_of(bench("status", "--json"))) == 2
    assert {row["added"] for row in runs_of(bench("status", "--json")).values()} == {False}
    whys = {each.path.name[:6]: each.why for each in unplanned(workplace / "runs", "tiny", make_plan(load_study()))}
    assert "generator_steps 900 → 12" in whys["seed-0"]
    assert whys["seed-9"] == "the study has no seed 9 of nsgan"
    assert all(each.finished for each in unplanned(workplace / "runs", "tiny", None))
    assert read_json(study / "plan.json")["seeds"] == [0, 9]


def test_a_changed_file_of_studies_shows_in_status(workplace: Path, bench: Bench) -> None:
    make_plan(load_study(config=workplace / "bench.toml")).write(workplace / "runs")
    assert "differs from" not in bench("status")
    write_tiny_study(workplace, objectives=["nsgan", "vae", "lsgan"], seeds="0-1", primary_metric="coverage_lite0")
    output = bench("status")
    assert "seeds (0) → (0, 1)" in output
    assert "lsgan" in output
