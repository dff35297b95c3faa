"""The A/A arm, from `twin_seeds` to the report: the baseline on other seeds, compared with itself and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from helpers.study_fixture import HOSTILE, StudyFixture, plan_of
from helpers.tiny_study import on_cpu

from bench.cli import bench
from bench.cli.listing import listing
from bench.config.models import Study
from bench.config.reading import load_config
from bench.errors import BenchError
from bench.files import read_json
from bench.report import render
from bench.report.model import Figure, ReportOptions, Table
from bench.report.page import compose, declared
from bench.report.render.latex import latex_tables
from bench.report.render.markdown import text
from bench.report.sections.minute import what_was_compared
from bench.report.sections.verdicts import same_table
from bench.report.study import load_study
from bench.review.verify import verify
from bench.runs.plan import Plan, make_plan

FILE = """
[study.tiny]
title = "Tiny"
objectives = ["vae", "nsgan", { objective = "nsgan", norm = "none", label = "bare" }]
baseline = "vae"
seeds = "0"
twin_seeds = "7-8"
protocols = ["controlled"]
data = {source = "faces", resolution = 32, train_count = 60, heldout_count = 100}
backbone = {width = 4, latent = 8}
budget = {generator_steps = 6, batch = 8, halve_every = 100}
training = {snapshots = 2, log_every = 3}
evaluation = {extractors = ["lite0"], samples = 50, snapshot_samples = 50, kid_subset_size = 50}
"""


def study(folder: Path, *changes: tuple[str, str]) -> Study:
    written = FILE
    for old, new in changes:
        assert old in written
        written = written.replace(old, new, 1)
    (folder / "bench.toml").write_text(written, encoding="utf-8")
    return load_config(folder / "bench.toml").study("tiny")


def told(plan: Plan) -> list[tuple[str, str, int]]:
    return [(plan.label_of(run), run.protocol, run.training.seed) for run in plan.runs]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('twin_seeds = "7-8"', 'twin_seeds = "0-2"', 'twin_seeds = "0-2": an A/A arm needs'),
        ('twin_seeds = "7-8"', 'twin_seeds = "8-7"', 'twin_seeds = "8-7": names no seed'),
        ('twin_seeds = "7-8"', 'twin_seeds = "many"', "must be a number, a list of numbers"),
        (
            'label = "bare"',
            'label = "vae-twin"',
            'objectives = "vae-twin": is an entry\'s',
        ),
        ('baseline = "vae"', 'baseline = "wgan"', "is no entry's label"),
        ('twin_seeds = "7-8"', 'twin_seed = "7-8"', 'did you mean "twin_seeds"?'),
    ],
)
def test_a_mistake_says_what_is_wrong(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(BenchError) as caught:
        study(tmp_path, (old, new))
    assert says in caught.value.message
    assert "has 1 mistake:" in caught.value.message


def test_an_empty_list_takes_an_inherited_arm_away(tmp_path: Path) -> None:
    assert study(tmp_path, ('twin_seeds = "7-8"', "twin_seeds = []")).twin_seeds == ()


def test_the_arm_is_the_baselines_own_runs_on_other_seeds(tmp_path: Path) -> None:
    both = ('protocols = ["controlled"]', 'protocols = ["controlled", "published"]')
    twin = make_plan(study(tmp_path, both))
    protocols = ("controlled", "published")
    assert told(twin)[-4:] == [("vae-twin", protocol, seed) for seed in (7, 8) for protocol in protocols]
    alone = make_plan(study(tmp_path, both, ('twin_seeds = "7-8"\n', "")))
    extended = make_plan(study(tmp_path, both, ('twin_seeds = "7-8"\n', ""), ('seeds = "0"', 'seeds = "0,7-8"')))
    assert twin.runs[:-4] == alone.runs
    # Equal specs, ids and folders: extending the baseline's seeds trains nothing twice.
    assert set(map(repr, twin.runs[-4:])) <= set(map(repr, extended.runs))
    assert [run.training.seed for run in twin.select(("vae-twin",))] == [7, 7, 8, 8]
    assert {run.training.seed for run in twin.select(("vae",))} == {0}
    written = read_json(twin.write(tmp_path))
    assert [e.get("same_as") for e in written["entries"]] == [*[None] * len(alone.entries), "vae", "vae"]
    assert [(run["label"], run["path"].split("/")[0]) for run in written["runs"][-2:]] == [
        ("vae-twin", "vae-controlled"),
        ("vae-twin", "vae-published"),
    ]


def test_learning_rates_leave_one_arm(tmp_path: Path) -> None:
    rates = ('baseline = "vae"', 'baseline = "vae@0.001"\nlearning_rates = [1e-3, 1e-4]')
    assert [row for row in told(make_plan(study(tmp_path, rates))) if "twin" in row[0]] == [
        ("vae@0.001-twin", "custom", 7),
        ("vae@0.001-twin", "custom", 8),
    ]


def test_the_list_of_studies_counts_every_run(tmp_path: Path) -> None:
    both = ('protocols = ["controlled"]', 'protocols = ["controlled", "published"]')
    runs = make_plan(study(tmp_path, both)).runs
    (row,) = listing("studies", load_config(tmp_path / "bench.toml"))
    assert row["runs"] == len(runs) == 5 + 4


def test_it_runs_and_replays_and_joins_the_baseline(tmp_path: Path) -> None:
    def type_(*words: str) -> str:
        roots = {"config": "bench.toml", "runs": "runs", "data": "data"}
        options = [word for name, path in roots.items() for word in (f"--{name}", str(tmp_path / path))]
        result = CliRunner().invoke(bench, [*options, *on_cpu(words)])
        assert result.exit_code == 0, result.output
        return result.output

    quick = ('extractors = ["lite0"]', 'extractors = ["judge"]')
    study(tmp_path, quick, ('twin_seeds = "7-8"', 'twin_seeds = "7"'))
    planned = json.loads(type_("plan", "--json"))["runs"]
    assert [run["label"] for run in planned] == ["vae", "nsgan", "bare", "vae-twin"]
    assert all(run["seconds"] > 0 for run in planned)
    assert "train     vae-controlled/seed-7 (vae-twin)" in type_("run", "vae-twin", "--dry-run")
    assert "1 of them vae-twin: " in type_("run", "vae-twin")
    states = {row["run"]: row["state"] for row in json.loads(type_("status", "--json"))}
    assert states["vae-twin-controlled/seed-7"] == "done"
    assert "the same, bit for bit" in type_("replay", "vae-twin/7")
    assert type_("show", "vae-controlled/7") == type_("show", "vae-twin/7")
    (compared,) = load_study(tmp_path / "runs", "tiny").statistics.same
    assert (compared.label, compared.baseline, compared.planned) == ("vae-twin", "vae", 1)
    study(tmp_path, quick, ('twin_seeds = "7-8"\n', ""), ('seeds = "0"', 'seeds = "0,7"'))
    assert "0 of 1 run " in type_("run", "vae", "--seeds", "7", "--dry-run")


def with_twin(root: Path, label: str = "nsgan-twin", seeds: int = 5, **changes: Any) -> Path:
    """Write a finished study of two objectives, the baseline's twin on as many seeds more; return its folder."""
    folder = StudyFixture(objectives=("nsgan", "lsgan"), seeds=tuple(range(2 * seeds)), **changes).write(root)
    plan = plan_of(folder) | {"seeds": list(range(seeds))}
    again = [entry for entry in plan["entries"] if entry["label"] == "nsgan"]
    plan["entries"] += [entry | {"label": label, "same_as": "nsgan"} for entry in again]
    plan["runs"] = [
        run | ({"label": label} if run["seed"] >= seeds else {})
        for run in plan["runs"]
        if run["seed"] < seeds or run["label"] == "nsgan"
    ]
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    return folder


def naming(part: Any, label: str) -> set[str]:
    """Return the names of the tables and figures in a part of a page in which a label stands."""
    if isinstance(part, Table | Figure):
        return {part.name} if label in repr(part) else set()
    inner = part if isinstance(part, tuple) else vars(part).values() if is_dataclass(part) else ()
    return {name for one in inner for name in naming(one, label)}


def test_there_is_one_comparison_per_protocol_with_its_words(tmp_path: Path) -> None:
    with_twin(tmp_path, protocols=("controlled", "published"))
    loaded = load_study(tmp_path, "example")
    for protocol, found in zip(("controlled", "published"), loaded.statistics.same, strict=True):
        table = same_table(loaded, protocol)
        assert table is not None
        assert "One such comparison is one draw" in table.caption
        assert "simulation (docs/statistics.md)" in table.caption
        (row,) = table.rows
        assert row.cells[0].text == "nsgan-twin against nsgan"
        assert row.cells[0].detail == "seeds 5, 6, 7, 8, 9 against 0, 1, 2, 3, 4"
        assert row.cells[1].detail.startswith("[")
        assert row.cells[2].text == ("no" if found.verdict == "undecided" else "yes: a false alarm")
        assert row.cells[2].sort == found.p
        latex = latex_tables(loaded)[f"results-{protocol}.tex"]
        assert latex.count("A/A (nsgan on 5 other seeds") == 1
        assert "nsgan-twin" not in latex


def test_the_arm_is_no_row_and_its_lost_run_is_told(tmp_path: Path) -> None:
    folder = with_twin(tmp_path)
    planned = next(run for run in plan_of(folder)["runs"] if run["label"] == "nsgan-twin")
    status = folder / planned["path"] / "status.json"
    status.write_text(json.dumps(read_json(status) | {"state": "diverged", "reason": "loss is nan"}), encoding="utf-8")
    loaded = load_study(tmp_path, "example")
    page = compose(loaded, ReportOptions())
    # The comparison, and what is said of runs: their seeds, troubles, costs, how to repeat them.
    tables = {block.name: block for block in page.blocks if isinstance(block, Table)}
    assert naming(page, "nsgan-twin") == {
        *("same-controlled", "pairs-controlled", "equal", "troubles", "costs", "repeat-rows")
    }
    assert what_was_compared(loaded).startswith("2 objectives trained")
    _, plan = declared(loaded)
    assert re.findall(r"(\d+) of 15 planned runs done|(\d+) of the 15", plan) == [("14", ""), ("", "5")]
    assert [
        (row.cells[0].detail, row.cells[1].text[:4]) for row in tables["equal"].rows if row.cells[0].text == "seeds"
    ] == [
        ("", "0–4:"),
        ("nsgan-twin only", "5–9:"),
    ]
    assert len(tables["runs"].rows) == 15
    assert "(ranks)" in tables["same-controlled"].rows[0].cells[2].detail
    # The others are ranked as if nothing had been lost: nothing of theirs was.
    assert {s.ranked_by for s in loaded.summaries if s.rank is not None} == {"mean"}


def test_a_hostile_arm_stays_text_and_the_report_can_be_verified(tmp_path: Path) -> None:
    with_twin(tmp_path / "runs", label=HOSTILE, seeds=2)
    paths = render(tmp_path / "runs", "example", tmp_path / "report")
    page, markdown = paths.html.read_text("utf-8"), paths.markdown.read_text("utf-8")
    assert "<script>alert" not in page + markdown
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in page
    assert text(f"{HOSTILE} against nsgan") in markdown
    assert [
        found for found in verify(tmp_path / "report", tmp_path / "runs") if found.outcome in ("FAILS", "UNPROVEN")
    ] == []

    comparisons = tmp_path / "report" / "comparisons.csv"
    comparisons.write_text(comparisons.read_text("utf-8").replace(",a/a,", ",primary,"), encoding="utf-8")
    failed = [found.what for found in verify(tmp_path / "report", tmp_path / "none") if found.outcome == "FAILS"]
    assert any("role: primary, recomputed a/a" in what for what in failed)
