"""The published example: its report holds, fits a repository, and the README says what it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.formatting import format_interval, format_number
from bench.review.verify import verify

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "reports" / "faces"


def test_the_example_holds_without_its_runs(tmp_path: Path) -> None:
    findings = verify(EXAMPLE, tmp_path / "runs")
    assert {finding.level for finding in findings if finding.outcome == "holds"} == {"files", "plan", "statistics"}
    assert [finding for finding in findings if finding.outcome == "FAILS"] == []


def test_the_example_is_a_finished_study() -> None:
    summary = pd.read_csv(EXAMPLE / "summary.csv")
    assert (summary.missing == 0).all()
    assert (summary.planned >= 5).all()


def test_the_example_fits_a_repository() -> None:
    megabytes = sum(file.stat().st_size for file in EXAMPLE.rglob("*") if file.is_file()) / 1e6
    assert megabytes < 15


def test_the_readme_shows_the_examples_numbers() -> None:
    table = readme_table()
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md should have\n{table}"


def readme_table() -> str:
    """Return the README's table of the example, in Markdown: a line for each objective, best controlled row first."""
    summary = pd.read_csv(EXAMPLE / "summary.csv")
    standings = pd.read_csv(EXAMPLE / "standings.csv")
    scores = summary[summary.role == "primary"].merge(standings, on=["protocol", "metric", "label"])
    covered = summary[summary.metric == "coverage_judge"].set_index(["protocol", "label"])["mean"]
    controlled = scores[scores.protocol == "controlled"].sort_values("rank_x").label
    lines = ["| | controlled | group | covers | published | group | covers |", "|---|---:|---|---:|---:|---|---:|"]
    for label in controlled:
        cells = [label]
        for protocol in ("controlled", "published"):
            row = scores[(scores.label == label) & (scores.protocol == protocol)].iloc[0]
            lost = f", {row.collapsed} of {row.planned} collapsed" if row.collapsed else ""
            cells += [f"{format_number(row['mean'])} {format_interval(row.low, row.high)}", f"{row.letters}{lost}"]
            cells.append(f"{100 * covered[protocol, label]:.1f} %")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
