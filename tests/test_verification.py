"""`bench verify`: a changed file, a hand-edited number and a missing run are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from study_fixture import realistic, troubled

from bench.cli import bench
from bench.errors import BenchError
from bench.files import read_json, sha256_file, write_json
from bench.report import render
from bench.verification import Finding, verify, verify_metrics


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and the report of one study."""
    folder = tmp_path_factory.mktemp("written")
    realistic(seeds=(0, 1, 2), objectives=("nsgan", "wgan-gp", "vae")).write(folder / "runs")
    render(folder / "runs", "quick", folder / "report")
    return folder


@pytest.fixture
def place(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "place"))


def failures(place: Path) -> list[Finding]:
    return [finding for finding in verify(place / "report", place / "runs") if finding.outcome == "FAILS"]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def sign(place: Path, name: str) -> None:
    """Put a changed file's checksum into the manifest, as a careful forger would."""
    manifest = read_json(place / "report" / "manifest.json")
    manifest["files"][name] = sha256_file(place / "report" / name)
    write_json(place / "report" / "manifest.json", manifest)


def test_an_honest_report_holds_at_every_level(place: Path) -> None:
    findings = verify(place / "report", place / "runs")
    assert [finding for finding in findings if finding.outcome != "holds"] == []
    assert {finding.level for finding in findings} == {"files", "statistics", "runs"}


def test_an_unfinished_study_holds_too(tmp_path: Path) -> None:
    troubled(seeds=2).write(tmp_path / "runs")
    render(tmp_path / "runs", "troubled", tmp_path / "report")
    assert [finding for finding in verify(tmp_path / "report", tmp_path / "runs") if finding.outcome == "FAILS"] == []


def test_without_its_runs_a_report_says_what_was_not_checked(place: Path) -> None:
    shutil.rmtree(place / "runs")
    findings = verify(place / "report", place / "runs")
    assert [finding.level for finding in findings if finding.outcome == "not checked"] == ["runs"]
    assert not failures(place)


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
    assert [finding.what for finding in failures(place)] == ["report.html is not what these runs give"]


def test_what_the_manifest_says_of_machines_is_checked_too(place: Path) -> None:
    edit(place / "report" / "manifest.json", "Example CPU", "Faster CPU")
    assert [finding.what for finding in failures(place)] == [
        "manifest.json: its environments are not what these runs say"
    ]


def test_missing_and_changed_runs_are_named(place: Path) -> None:
    first, second, *_ = sorted((place / "runs" / "quick").glob("*/seed-*"))
    shutil.rmtree(first)
    with (second / "metrics.jsonl").open("a") as file:
        file.write("\n")
    words = [finding.what for finding in failures(place)]
    assert any(first.name in text and "is missing" in text for text in words)
    assert any(second.name in text and "metrics.jsonl is not the one reported" in text for text in words)


def test_measured_again(place: Path) -> None:
    def honest(run: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def other(run: Path) -> list[dict[str, Any]]:
        return [line | {"value": line["value"] * 1.01 + 1} for line in honest(run)]

    assert {f.outcome for f in verify_metrics(place / "report", place / "runs", honest)} == {"holds"}
    assert {f.outcome for f in verify_metrics(place / "report", place / "runs", other)} == {"FAILS"}


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
