"""`bench verify`: a changed file, a hand-edited number and a missing run are named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.study_fixture import realistic, sum_records, troubled

from bench.cli import bench
from bench.data import DataRequest, prepare
from bench.errors import BenchError
from bench.files import CHECKSUM, read_json, read_jsonl, sha256_file, write_json, write_jsonl
from bench.metrics.tolerances import TOLERANCE, Machine, allowed
from bench.report import render
from bench.review.findings import Finding, Outcome, is_sound
from bench.review.measuring import verify_metrics
from bench.review.verify import check_images, verify
from bench.runs.folder import PLAN_FILE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and the report of one study."""
    folder = tmp_path_factory.mktemp("written")
    realistic(seeds=(0, 1, 2), objectives=("nsgan", "wgan-gp", "vae")).write(folder / "runs")
    sum_records(folder / "runs" / "quick")
    render(folder / "runs", "quick", folder / "report")
    return folder


@pytest.fixture
def place(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "place"))


def failures(place: Path) -> list[Finding]:
    return [finding for finding in verify(place / "report", place / "runs") if finding.outcome == "FAILS"]


def named(findings: list[Finding]) -> list[str]:
    """Return the file that each finding begins with."""
    return [finding.what.partition(" ")[0].rstrip(":") for finding in findings]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    if file.suffix == ".json":  # a careful forger leaves no checksum that is not its own
        write_json(file, {key: value for key, value in json.loads(file.read_text()).items() if key != CHECKSUM})


def sign(place: Path, name: str) -> None:
    """Put a changed file's checksum into the manifest, as a careful forger would."""
    manifest = read_json(place / "report" / "manifest.json")
    manifest["files"][name] = sha256_file(place / "report" / name)
    write_json(place / "report" / "manifest.json", manifest)


def make_elsewhere(place: Path, **makers: str) -> None:
    """Let the manifest say that other packages or other code made the report."""
    manifest = read_json(place / "report" / "manifest.json")
    write_json(place / "report" / "manifest.json", manifest | {"made_by": manifest["made_by"] | makers})


def test_an_honest_report_holds_at_every_level(place: Path) -> None:
    findings = verify(place / "report", place / "runs")
    assert [finding for finding in findings if finding.outcome != "holds"] == []
    assert {finding.level for finding in findings} == {"files", "plan", "statistics", "runs"}


def test_an_unfinished_study_holds_too(tmp_path: Path) -> None:
    troubled(seeds=2).write(tmp_path / "runs")
    render(tmp_path / "runs", "troubled", tmp_path / "report")
    findings = verify(tmp_path / "report", tmp_path / "runs")
    assert [finding for finding in findings if finding.outcome == "FAILS"] == []
    assert "4 LaTeX tables made again, all the same" in [finding.what for finding in findings]


def test_without_its_runs_a_report_says_what_was_not_checked(place: Path) -> None:
    shutil.rmtree(place / "runs")
    findings = verify(place / "report", place / "runs")
    missing, alone = [finding.what for finding in findings if finding.outcome == "not checked"]
    assert missing.startswith("its 9 runs do not lie in ")
    named, _, why = alone.partition(": ")
    assert named.startswith("plan.json, report.html, report.md, results.csv, ")
    assert "summary.csv" not in named
    assert "manifest.json alone" in why
    assert not failures(place)
    result = CliRunner().invoke(bench, ["--runs", str(place / "runs"), "verify", str(place / "report")])
    assert "what was checked holds; 2 not checked" in result.output.splitlines()[-1]


def test_a_hand_edited_latex_table_is_named_without_its_runs(place: Path) -> None:
    shutil.rmtree(place / "runs")
    table = place / "report" / "latex" / "results-controlled.tex"
    edit(table, " & nsgan & ", " & nsgan & 1")
    sign(place, "latex/results-controlled.tex")
    assert named(failures(place)) == ["latex/results-controlled.tex"]
    make_elsewhere(place, code="0123456789abcdef")
    assert not failures(place)  # other code may have written it in other words
    findings = verify(place / "report", place / "runs")
    (unproven,) = [finding for finding in findings if finding.outcome == "UNPROVEN"]
    assert "latex/results-controlled.tex" in unproven.what
    assert not is_sound(findings)  # and a forger may say so


def test_a_latex_table_that_older_code_did_not_write_is_not_checked(place: Path) -> None:
    shutil.rmtree(place / "runs")
    name = "latex/short-controlled.tex"
    (place / "report" / name).unlink()
    manifest = place / "report" / "manifest.json"
    written = read_json(manifest)
    del written["files"][name]
    manifest.write_text(json.dumps(written), encoding="utf-8")
    assert any(name in what for what in named(failures(place)))
    make_elsewhere(place, code="0123456789abcdef")
    findings = verify(place / "report", place / "runs")
    assert [f.outcome for f in findings if name in f.what] == ["not checked"]
    assert is_sound(findings)


def test_what_another_matplotlib_drew_is_not_called_forged(place: Path) -> None:
    edit(place / "report" / "figures" / "scores.svg", "<svg ", "<svg  ")
    sign(place, "figures/scores.svg")
    assert named(failures(place)) == ["figures/scores.svg"]
    make_elsewhere(place, matplotlib="2.0.0")
    (open_question,) = (f for f in verify(place / "report", place / "runs") if f.outcome != "holds")
    assert (open_question.level, open_question.outcome) == ("runs", "UNPROVEN")
    assert open_question.what.startswith("figures/scores.svg: ")
    assert f"matplotlib 2.0.0 (here {version('matplotlib')})" in open_question.what


def test_a_rounding_holds_and_a_number_does_not_wherever_the_report_was_made(place: Path) -> None:
    summary = place / "report" / "summary.csv"
    table = pd.read_csv(summary, dtype="string", keep_default_na=False)
    mean = float(table.loc[0, "mean"])
    for factor, found in ((1 + 1e-12, 0), (1 + 1e-4, 1)):
        table.loc[0, "mean"] = repr(mean * factor)
        table.to_csv(summary, index=False, lineterminator="\n")
        sign(place, "summary.csv")
        for packages in ({}, {"scipy": "1.0.0"}):
            make_elsewhere(place, **packages)
            assert sum(f.level == "statistics" for f in failures(place)) == found


def test_columns_of_other_code_are_left_open(place: Path) -> None:
    pairs = place / "report" / "pairs.csv"
    pd.read_csv(pairs).drop(columns="p_holm").to_csv(pairs, index=False, lineterminator="\n")
    sign(place, "pairs.csv")
    assert any("its columns are" in finding.what for finding in failures(place))
    make_elsewhere(place, code="0123456789abcdef")
    assert not failures(place)
    about = [f for f in verify(place / "report", place / "runs") if f.what.startswith("pairs.csv")]
    (columns,) = [f for f in about if "columns" in f.what]
    assert columns.outcome == "not checked"


def test_a_table_that_an_older_report_never_had_is_left_open(place: Path) -> None:
    (place / "report" / "limits.csv").unlink()
    manifest = read_json(place / "report" / "manifest.json")
    del manifest["files"]["limits.csv"]
    write_json(place / "report" / "manifest.json", manifest)
    shutil.rmtree(place / "runs")
    assert [finding.level for finding in failures(place)] == ["statistics"]
    make_elsewhere(place, code="0123456789abcdef")
    assert not failures(place)
    open_questions = [f.what for f in verify(place / "report", place / "runs") if f.outcome == "not checked"]
    assert any("limits.csv" in what for what in open_questions)


def test_a_hand_edited_mean_is_named_even_when_its_checksum_was_forged(place: Path) -> None:
    summary = place / "report" / "summary.csv"
    heading, first, *_ = summary.read_text().splitlines()
    edit(summary, first.split(",")[heading.split(",").index("mean")], "1.25")
    assert any("summary.csv was changed" in finding.what for finding in failures(place))
    sign(place, "summary.csv")
    shutil.rmtree(place / "runs")
    found = failures(place)
    assert {finding.level for finding in found} == {"statistics"}
    assert any("1.25, recomputed" in finding.what for finding in found)


def test_a_hand_edited_result_fits_neither_its_statistics_nor_its_run(place: Path) -> None:
    results = place / "report" / "results.csv"
    heading, *lines = results.read_text().splitlines()
    columns = heading.split(",")
    line = next(line for line in lines if ",fd_lite0," in line and ",True,raw," in line)
    edit(results, line, line.replace(line.split(",")[columns.index("value")], "0.5"))
    sign(place, "results.csv")
    found = failures(place)
    assert any(finding.level == "statistics" and "summary.csv" in finding.what for finding in found)
    assert any(finding.level == "runs" and "value: 0.5, recomputed" in finding.what for finding in found)


def test_an_edited_page_with_a_forged_checksum_is_not_what_the_runs_give(place: Path) -> None:
    edit(place / "report" / "report.html", "nsgan", "msgan")
    sign(place, "report.html")
    assert named(failures(place)) == ["report.html"]


def test_what_the_manifest_says_of_machines_is_checked_too(place: Path) -> None:
    edit(place / "report" / "manifest.json", "Example CPU", "Faster CPU")
    (failure,) = failures(place)
    assert failure.what.startswith("manifest.json: its environments")


def test_missing_and_changed_runs_are_named(place: Path) -> None:
    first, second, *_ = sorted((place / "runs" / "quick").glob("*/seed-*"))
    shutil.rmtree(first)
    with (second / "metrics.jsonl").open("a") as file:
        file.write("\n")
    words = [finding.what for finding in failures(place)]
    assert any(first.name in text and "is missing" in text for text in words)
    assert any(second.name in text and "metrics.jsonl is not the one reported" in text for text in words)


def test_a_report_of_a_study_that_has_lost_a_row_since_says_so(place: Path) -> None:
    file = place / "runs" / "quick" / PLAN_FILE
    plan = {key: value for key, value in read_json(file).items() if key != CHECKSUM}
    for what in ("entries", "runs"):
        plan[what] = [each for each in plan[what] if each["label"] != "vae"]
    write_json(file, plan)
    told = [finding.what for finding in failures(place) if finding.what.startswith(PLAN_FILE)]
    assert ["without vae-controlled" in text and "bench report" in text for text in told] == [True]


def test_a_manifest_that_hides_what_it_is_of_does_not_pass(place: Path) -> None:
    file = place / "report" / "manifest.json"
    honest = read_json(file)
    shutil.move(place / "runs", place / "away")

    def outcomes(**changes: Any) -> tuple[set[tuple[str, Outcome]], bool]:
        write_json(file, honest | changes)
        findings = verify(place / "report", place / "runs")
        return {(finding.level, finding.outcome) for finding in findings}, is_sound(findings)

    assert outcomes()[1]
    assert ("files", "FAILS") in outcomes(files={})[0]
    for changes in ({"runs": []}, {"study": "ghost"}, {"plan_sha256": "0" * 64}, {"evaluation_id": "0" * 12}):
        found, sound = outcomes(**changes)
        assert ("plan", "FAILS") in found
        assert not sound


def test_a_report_that_names_another_study_than_its_runs_lie_in_fails(place: Path) -> None:
    for file in (place / "report" / "plan.json", place / "report" / "manifest.json"):
        write_json(file, read_json(file) | {"study": "ghost"})
    results = place / "report" / "results.csv"
    results.write_text(results.read_text().replace("quick,", "ghost,"))
    findings = verify(place / "report", place / "runs")
    assert any(f.level == "runs" and f.outcome == "FAILS" and "lie in quick" in f.what for f in findings)


def test_without_plan_or_results_nothing_was_checked(place: Path) -> None:
    manifest = read_json(place / "report" / "manifest.json")
    manifest["files"] = {name: manifest["files"][name] for name in ("report.html", "report.md")}
    for name in ("plan.json", "results.csv"):
        (place / "report" / name).unlink()
    write_json(place / "report" / "manifest.json", manifest)
    result = CliRunner().invoke(
        bench, ["--runs", str(place / "no"), "verify", str(place / "report")], standalone_mode=False
    )
    assert result.return_value == 1


def test_the_level_that_was_reached_stands_in_the_first_line(place: Path) -> None:
    words = ["--runs", str(place / "runs"), "verify", str(place / "report")]
    for level in ("runs", "statistics"):
        result = CliRunner().invoke(bench, words, standalone_mode=False)
        assert result.output.startswith(f"reached {level}: ")
        assert result.return_value == 0
        shutil.rmtree(place / "runs", ignore_errors=True)


def test_images_that_changed_after_the_runs_are_named(tmp_path: Path) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=4, heldout_count=3)
    train = prepare(request, tmp_path).train
    written = {"data_sha256": {"train": train.sha256}}
    assert [finding.outcome for finding in check_images(written, tmp_path)] == ["holds"]
    times = train.images_path.stat()
    content = bytearray(train.images_path.read_bytes())
    content[-1] ^= 4
    train.images_path.write_bytes(content)
    os.utime(train.images_path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as the disk itself would
    assert [finding.outcome for finding in check_images(written, tmp_path)] == ["FAILS"]


CARD: Machine = {
    "torch": "2.14.1+cu130",
    "device": "Example Card",
    "device_type": "cuda",
    "capability": "sm_90",
    "threads": 1,
}
HERE: Machine = CARD | {"device": "Example CPU", "device_type": "cpu", "capability": "AVX512", "processor": "V/25/17/1"}


def measured(run: Path, machine: Machine, factor: float = 1.0) -> list[dict[str, Any]]:
    """Return a run's lines as if a machine had measured them again, each value `factor` times what it was."""
    lines = read_jsonl(run / "metrics.jsonl")
    return [line | {"value": line["value"] * factor, "measured_on": machine} for line in lines]


@pytest.fixture
def outcomes(place: Path) -> Callable[..., set[Outcome]]:
    def found(was: Machine | None, here: Machine, factor: float) -> set[Outcome]:
        """Let all runs say that `was` measured them, and return what measuring `factor` times as much here gives."""
        for run in (place / "runs" / "quick").glob("*/seed-*"):
            if was is not None:
                write_jsonl(run / "metrics.jsonl", measured(run, was))
        findings = verify_metrics(place / "report", place / "runs", lambda run: measured(run, here, factor))
        return {finding.outcome for finding in findings}

    return found


def test_the_same_kind_of_machine_must_give_the_same_value(outcomes: Callable[..., set[Outcome]]) -> None:
    assert outcomes(HERE, HERE, 1) == {"holds"}
    assert "FAILS" in outcomes(HERE, HERE, 1 + 1e-5)
    assert "FAILS" in outcomes(CARD, CARD | {"threads": 8}, 1 + 1e-5)


def test_another_processor_may_move_a_value_as_far_as_was_measured() -> None:
    elsewhere = HERE | {"capability": "AVX2", "processor": "W/6/85/7"}
    slack = allowed("fd_lite0", elsewhere, HERE, 1_000)
    assert slack is not None
    assert TOLERANCE <= slack < 1e-2
    assert allowed("fd_lite0", HERE, HERE, 1_000) == TOLERANCE
    assert allowed("fd_lite0@500", HERE | {"threads": 4}, HERE, 500) == slack
    for metric in ("precision_lite0", "coverage_lite0", "unique_lite0", "judge_confident"):
        assert allowed(metric, elsewhere, HERE, 10_000) == pytest.approx(4 / 10_000)  # images
    # Nothing was measured of these, so nothing is said of them.
    for metric, was in (
        ("fd_lite0", HERE | {"torch": "1.9.0"}),
        ("fd_lite0", HERE | {"capability": "SVE256"}),
        ("fd_lite0", CARD),
        ("fd_lite0", None),
        ("fid", elsewhere),
    ):
        assert allowed(metric, was, HERE, 1_000) is None


def test_the_page_on_evaluation_has_the_table_of_what_was_measured() -> None:
    table = read_json(ROOT / "bench" / "metrics" / "tolerances.json")
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for metric, largest in table["largest"].items():
        assert f"| `{metric}` | {largest:.1e} |" in page
    for condition in table["conditions"]:
        assert condition in page


def test_a_forged_value_fails_between_processors_too(outcomes: Callable[..., set[Outcome]]) -> None:
    elsewhere = HERE | {"capability": "AVX2"}
    assert outcomes(elsewhere, HERE, 1) == {"holds"}
    assert "FAILS" in outcomes(elsewhere, HERE, 1.05)


def test_what_a_card_measured_is_never_called_false_by_a_processor(
    place: Path, outcomes: Callable[..., set[Outcome]]
) -> None:
    assert outcomes(CARD, HERE, 1) == {"holds"}
    found = outcomes(CARD, HERE, 1.5)  # honest or forged: no value of it holds either
    assert found == {"not checked"}
    (first, *_) = verify_metrics(place / "report", place / "runs", lambda run: measured(run, HERE, 1.5))
    assert "Example Card with torch 2.14.1+cu130" in first.what


def test_older_lines_were_measured_where_their_run_was_trained(
    place: Path, outcomes: Callable[..., set[Outcome]]
) -> None:
    def trained_on(**environment: Any) -> None:
        for file in (place / "runs" / "quick").glob("*/seed-*/environment.json"):
            write_json(file, read_json(file) | environment)

    trained_on(packages={"torch": HERE["torch"]})
    assert outcomes(None, HERE, 1) == {"holds"}
    assert "FAILS" in outcomes(None, HERE, 1.05)
    trained_on(device="Example Card", device_type="cuda", capability="sm_90")
    assert outcomes(None, HERE, 1.05) == {"not checked"}


def test_what_measuring_does_not_give_is_named(place: Path) -> None:
    (run, *_) = sorted((place / "runs" / "quick").glob("nsgan-*/seed-*"))
    lines = measured(run, HERE)
    final = [line for line in lines if line["generator_steps"] == 900]

    def findings(again: list[dict[str, Any]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for finding in verify_metrics(place / "report", place / "runs", lambda _: again):
            if run.name in finding.what and run.parent.name in finding.what:
                found.setdefault(finding.outcome, []).append(finding.what.split(": ", 1)[1])
        return found

    assert findings(lines) == {"holds": [f"{len(lines)} of {len(lines)} values measured again"]}
    # Weights of the final step alone: what the others gave stays open.
    found = findings(final)
    assert found["holds"] == [f"{len(final)} of {len(lines)} values measured again"]
    (left_open,) = found["not checked"]
    assert left_open.startswith(f"{len(lines) - len(final)} values of step 225, 450 ")
    assert set(found) == {"holds", "not checked"}
    # A line that measuring this step does not give was written by hand.
    invented = next(line for line in final if line["generator"] == "raw")
    found = findings([line for line in lines if line is not invented])
    assert set(found) == {"FAILS"}
    assert found["FAILS"][0].startswith(invented["metric"])
    assert "measuring does not give it" in found["FAILS"][0]
    # One that measuring gives and the file lacks was taken out; a whole sample may not have been measured yet.
    extra = invented | {"metric": "another"}
    (failure,) = findings([*lines, extra])["FAILS"]
    assert failure.startswith("another (raw, step 900, sample seed 0) ")
    later = [line | {"sample_seed": 7} for line in final]
    (left_open,) = findings([*lines, *later])["not checked"]
    assert left_open.startswith(f"{len(later)} values of step 900 ")
    # Lines of other settings are no part of the report.
    others = [line | {"evaluation_id": "other"} for line in lines]
    write_jsonl(run / "metrics.jsonl", [*lines, *others])
    assert findings(lines) == {"holds": [f"{len(lines)} of {len(lines)} values measured again"]}


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"holds no manifest\.json"):
        verify(tmp_path, tmp_path)


def test_the_command(place: Path) -> None:
    roots = ["--runs", str(place / "runs"), "--reports", str(place)]
    result = CliRunner().invoke(bench, [*roots, "verify", str(place / "report")])
    assert result.exit_code == 0, result.output
    assert "what was checked holds" in result.output
    (place / "report" / "summary.csv").unlink()
    result = CliRunner().invoke(bench, [*roots, "verify", str(place / "report"), "--json"])
    assert any(finding["outcome"] == "FAILS" for finding in json.loads(result.output))
