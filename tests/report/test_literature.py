"""Published figures: they are what the sources say, and stand only beside studies of the same images and metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.study_fixture import StudyFixture, write_json

from bench.files import read_json
from bench.metrics.settings import EvaluationSettings
from bench.objectives import names
from bench.report import ReportOptions, render
from bench.report.literature import PublishedTable, matching_tables, protocol_differences, published_tables
from bench.report.sections.published import published_figures, published_frames
from bench.report.study import load_study
from bench.report.subject import Subject


def plan_of(**data: Any) -> dict[str, Any]:
    """Return what matching reads of the plan of celeba64; `data` goes above its own."""
    shown = {"source": "celeba", "resolution": 64, "recipe": "crop128", "partial": False}
    return {
        "data": shown | {"train_count": None, "heldout_count": None} | data,
        "backbone": {"width": 64, "latent": 100, "latent_law": "normal"},
        "schedule": {"generator_steps": 100_000, "batch": 64},
        "evaluation": EvaluationSettings(extractors=("inception", "lite0")).model_dump(mode="json"),
        "generator": "raw",
        "protocols": ["controlled", "published"],
        "seeds": [0, 1, 2, 3, 4],
    }


def table(name: str) -> PublishedTable:
    return next(table for table in published_tables() if table.name == name)


def found(plan: dict[str, Any]) -> set[str]:
    return {table.name for table in matching_tables(plan)}


def test_frozen_figures_and_their_protocols() -> None:
    celeba = {row.method: row.figures["fid"] for row in table("lucic-celeba").rows}
    assert {method: figure.value for method, figure in celeba.items()} == {
        "MM GAN": 65.6, "NS GAN": 55.0, "LSGAN": 53.9, "WGAN": 41.3,
        "WGAN-GP": 30.0, "DRAGAN": 42.3, "BEGAN": 38.9, "VAE": 85.7,
    }  # fmt: skip
    assert celeba["MM GAN"].spread == 4.2
    assert [row.mark for row in table("lucic-celeba").rows] == ["V"] * 7 + ["M"]
    assert [row.figures["fid"].value for row in table("ttur-celeba").rows] == [21.4, 12.5]
    mimicry = table("mimicry-celeba64")
    assert mimicry.metrics == ("fid", "is", "kid_inception")
    assert (mimicry.generated, mimicry.crop, mimicry.rows[0].figures["kid_inception"].value) == (
        50_000,
        "crop178",
        0.0033,
    )
    assert [row.figures["fid"].value for row in table("mmgeneration-celeba").rows] == [11.93, 20.18]
    assert (table("lucic-celeba").generated, table("lucic-celeba").runs) == (10_000, 50)


def test_every_table_has_its_provenance() -> None:
    tables = published_tables()
    assert len({table.name for table in tables}) == len(tables)
    for table in tables:
        assert table.seen_in
        assert table.mark in ("V", "M")
        assert bool(table.arxiv) != bool(table.url), table.name
        assert table.rows
        assert {row.objective for row in table.rows} - {""} <= set(names()), table.name
        assert all(row.figures for row in table.rows)


def test_celeba_at_64_has_its_tables_and_no_others() -> None:
    assert found(plan_of()) == {
        "lucic-celeba", "lucic-defaults-celeba", "dai-wipf-infogan", "dai-wipf-wae", "mimicry-celeba64", "ttur-celeba",
        "mmgeneration-celeba",
    }  # fmt: skip
    assert found(plan_of(resolution=128, recipe="crop178")) == {"mimicry-celeba128"}
    assert "lucic-cifar10" in found(plan_of(source="cifar10", resolution=32, recipe="square"))


def test_what_another_protocol_forbids_is_not_shown() -> None:
    assert not found(plan_of(source="faces", recipe="none"))
    assert not found(plan_of(source="folder", recipe="square"))
    assert not found(plan_of(resolution=32))
    assert not found(plan_of(partial=True))
    assert not found(plan_of(source="mnist", resolution=32, recipe="square")), "28 pixels are not 32"
    lite0 = plan_of()
    lite0["evaluation"]["extractors"] = ["lite0", "judge"]
    assert not found(lite0), "a distance in other features is no FID"
    own_weights = plan_of()
    own_weights["evaluation"]["inception_weights_sha256"] = "a" * 64
    assert not found(own_weights)


def test_every_difference_of_protocol_is_named_and_nothing_else() -> None:
    lucic = {d.what: (d.theirs, d.ours) for d in protocol_differences(table("lucic-celeba"), plan_of())}
    assert lucic["crop"] == ("crop160", "crop128")
    assert lucic["trainings"] == ("50", "5")
    assert set(lucic) == {
        "crop", "scaling filter", "network", "optimiser", "budget", "extractor", "selection", "trainings",
        "what ± or the interval is",
    }  # fmt: skip
    fewer = plan_of(train_count=1000) | {"schedule": {"generator_steps": 100_000, "batch": 32}}
    also = {d.what for d in protocol_differences(table("lucic-celeba"), fewer)} - set(lucic)
    assert also == {"training images", "batch"}
    mimicry = {d.what: (d.theirs, d.ours) for d in protocol_differences(table("mimicry-celeba64"), plan_of())}
    assert mimicry["generated images (N)"] == ("50,000", "10,000")
    assert mimicry["reference"] == ("all", "test")
    assert mimicry["scaling filter"][0] == "not stated in what was read"
    same_crop = {d.what for d in protocol_differences(table("lucic-celeba"), plan_of(recipe="crop160"))}
    assert "crop" not in same_crop


@pytest.fixture(scope="module")
def celeba_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small study that is, by its plan and its metrics' names, one of CelebA at 64 px in FID."""
    root = tmp_path_factory.mktemp("celeba")
    fixture = StudyFixture(name="celeba", objectives=("nsgan", "wgan-gp"), seeds=(0, 1, 2), resolution=64)
    study = fixture.write(root / "runs")
    plan = read_json(study / "plan.json")
    evaluation = fixture.evaluation.model_copy(update={"extractors": ("inception",)})
    plan |= {"evaluation": evaluation.model_dump(mode="json"), "evaluation_id": evaluation.id()}
    plan["data"] |= {"source": "celeba", "recipe": "crop128", "train_count": None, "heldout_count": None}
    write_json(study / "plan.json", plan)
    for path in [study / "plan.json", *study.rglob("metrics.jsonl")]:
        text = (
            path.read_text("utf-8").replace("fd_lite0", "fid").replace("is_lite0", "is").replace("_lite0", "_inception")
        )
        path.write_text(text.replace(fixture.evaluation.id(), evaluation.id()), encoding="utf-8")
    render(root / "runs", "celeba", root / "report")
    return root / "report"


def test_a_report_on_celeba_shows_them_beside_its_own(celeba_report: Path) -> None:
    html, markdown = (
        (celeba_report / "report.html").read_text("utf-8"),
        (celeba_report / "report.md").read_text("utf-8"),
    )
    for page in (html, markdown):
        assert "Published figures" in page
        assert "55.0 ± 3.3" in page
        assert "Lucic et al. 2018 (arXiv 1711.10337)" in page
        assert "crop160" in page
    figures = pd.read_csv(celeba_report / "published.csv", keep_default_na=False, na_values=[""])
    lucic = figures[figures["table"] == "lucic-celeba"].set_index("method")
    summary = pd.read_csv(celeba_report / "summary.csv").set_index(["label", "metric"])
    assert lucic.loc["NS GAN", "here_controlled"] == pytest.approx(summary.loc[("nsgan", "fid"), "mean"])
    assert pd.isna(lucic.loc["BEGAN", "here_controlled"]), "the study has no such row"
    differences = pd.read_csv(celeba_report / "published-differences.csv", keep_default_na=False)
    assert set(differences["table"]) == set(figures["table"])
    listed = read_json(celeba_report / "manifest.json")["files"]
    assert {"published.csv", "published-differences.csv"} <= set(listed)


def test_a_report_on_drawn_faces_shows_none(tmp_path: Path) -> None:
    StudyFixture(objectives=("nsgan",), seeds=(0,), resolution=64).write(tmp_path / "runs")
    study = load_study(tmp_path / "runs", "example")
    assert published_figures(Subject(study, ReportOptions())) == ()
    assert published_frames(study) == {}
