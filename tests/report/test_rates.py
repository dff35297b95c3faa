"""A study at several learning rates, as its report shows it."""

from __future__ import annotations

from pathlib import Path

from helpers.study_fixture import Fate, realistic

from bench.files import read_json, write_json
from bench.report.model import Prose, ReportOptions, Table
from bench.report.sections.rates import rates_section
from bench.report.study import load_study
from bench.report.subject import Subject


def at_rates(folder: Path, rates: dict[str, float]) -> None:
    """Give entries of a written study the names and rates of one row at several learning rates."""
    plan = read_json(folder / "plan.json")
    for entry in plan["entries"]:
        rate = rates[entry["label"]]
        entry["recipe"] |= {"learning_rate_discriminator": rate, "learning_rate_generator": rate}
    for one in (*plan["entries"], *plan["runs"]):
        one["label"] = f"row@{rates[one['label']]:g}"
    plan["baseline"] = plan["entries"][0]["label"]
    write_json(folder / "plan.json", plan)


def test_the_section_names_the_rate_to_share_and_each_best(tmp_path: Path) -> None:
    fates = {("minimax", "controlled", 1): Fate(state="diverged", reason="the loss was not finite")}
    study = realistic("quick", objectives=("wgan", "nsgan", "minimax"), fates=fates, seeds=(0, 1)).write(tmp_path)
    subject = Subject(load_study(tmp_path, "quick"), ReportOptions())
    assert rates_section(subject) == ()
    at_rates(study, {"wgan": 1e-4, "nsgan": 2e-4, "minimax": 4e-4})
    blocks = rates_section(Subject(load_study(tmp_path, "quick"), ReportOptions()))
    tables = {block.name: block for block in blocks if isinstance(block, Table)}
    assert set(tables) == {"rates-controlled", "rates-tuned-controlled", "rates-ranks-controlled"}
    (scores,) = tables["rates-controlled"].rows
    assert [heading.text for heading in tables["rates-controlled"].headings[1:]] == ["1e-4", "2e-4", "4e-4"]
    assert [cell.detail for cell in scores.cells[1:]] == ["", "best", ""]
    assert scores.cells[3].text == "1 of 2 lost"
    (tuned,) = tables["rates-tuned-controlled"].rows
    assert [cell.text == "lost" for cell in tuned.cells[1:]] == [True, True, False]
    assert len(tables["rates-ranks-controlled"].rows) == 2
    (words,) = (block for block in blocks if isinstance(block, Prose))
    assert "2e-4" in str(words)
