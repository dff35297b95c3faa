"""Tables of the report without rendering a page: LaTeX, custom rows, protocols, equal seconds, the manifest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.study_fixture import HOSTILE, StudyFixture, plan_of
from scipy.stats import ranksums

from bench.files import read_json, sha256_file, write_record
from bench.formatting import format_number
from bench.report import render
from bench.report.figures.palette import Look
from bench.report.figures.plane import declared_extractor, plane_figure
from bench.report.metric_text import format_mean
from bench.report.model import Row, Table
from bench.report.render.latex import escape, latex_tables
from bench.report.sections.cards import method_cards
from bench.report.sections.costs import cost_table, repeat_table
from bench.report.sections.diversity import diversity_notes, diversity_table
from bench.report.sections.protocols import protocols_table
from bench.report.sections.tables import every_metric_table, headline_table, metrics_table
from bench.report.sections.verdicts import what_seeds_say
from bench.report.study import Study, load_study
from bench.statistics import mean_interval

OBJECTIVES = ("nsgan", "lsgan", "wgan")


def changed(root: Path, fixture: StudyFixture, change: Any) -> Study:
    """Write a study, change its plan, and load it."""
    study = fixture.write(root)
    plan = plan_of(study)
    change(plan)
    (study / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    return load_study(root, fixture.name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three objectives under both protocols, five seeds."""
    fixture = StudyFixture(objectives=OBJECTIVES, protocols=("controlled", "published"), seeds=(0, 1, 2, 3, 4))
    root = tmp_path_factory.mktemp("tables")
    fixture.write(root)
    return load_study(root, "example")


def row_of(table: Table, label: str) -> Row:
    (found,) = (row for row in table.rows if row.cells[table.header].text == label)
    return found


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"a_b & 50 % of $x^2$ #1 {y} ~", r"a\_b \& 50 \% of \$x\textasciicircum{}2\$ \#1 \{y\} \textasciitilde{}"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("−1.0 [0, 2] – 95\u00a0%", r"$-$1.0 {[}0, 2{]} -- 95~\%"),
        ("one\ntwo\x00\x1b%", r"one two\texttt{U+0000}\texttt{U+001B}\%"),
        ("é 猫 ^^M", r"é \texttt{U+732B} \textasciicircum{}\textasciicircum{}M"),
    ],
)
def test_latex_text_is_printed_as_it_is(text: str, written: str) -> None:
    assert escape(text) == written


def test_escaped_latex_holds_no_command_of_the_text() -> None:
    without_ours = re.sub(r"\\(text\w+|cdot|times)\{?\}?|\\[&%$#_{}]", "", escape(HOSTILE + "\\\\[1em]\\end{tabular}"))
    assert not re.search(r"[\\&%$#_^~]", without_ours)


def test_latex_tables_have_as_many_cells_as_columns(study: Study) -> None:
    tables = latex_tables(study)
    comparisons = {f"{kind}-{protocol}.tex" for kind in ("short", "results", "pairs") for protocol in study.protocols}
    assert set(tables) == {*comparisons, "metrics.tex"}
    for text in tables.values():
        columns = re.search(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}", text)
        assert columns
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(rows) > len(OBJECTIVES)
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns[1])}
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
        assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    mean = study.summary(study.entries_of("controlled")[0], "fd_lite0").mean
    assert f"nsgan & {format_number(mean)} " in tables["results-controlled.tex"]


def test_custom_rows_stand_beside_the_controlled_baseline_without_a_verdict(tmp_path: Path) -> None:
    def custom(plan: dict[str, Any]) -> None:
        for part in (*plan["entries"], *plan["runs"]):
            if part["label"] != "nsgan":
                part["protocol"] = "custom"

    loaded = changed(tmp_path, StudyFixture(objectives=OBJECTIVES, seeds=(0, 1, 2, 3, 4)), custom)
    table = headline_table(loaded, "custom")
    headings = [heading.text for heading in table.headings]
    assert "verdict" not in headings
    at = headings.index("difference to nsgan, controlled")
    base = loaded.find_summary("controlled", "nsgan")
    mine = loaded.find_summary("custom", "lsgan")
    assert base is not None and mine is not None and base.mean is not None and mine.mean is not None  # noqa: PT018
    cell = row_of(table, "lsgan").cells[at]
    assert cell.text == format_number(mine.mean - base.mean, 1, sign=True)
    assert cell.detail.endswith("descriptive")
    beside = row_of(table, "nsgan")
    assert (beside.kind, beside.cells[table.header].detail) == ("beside", "controlled, for comparison")
    assert "no row carries a verdict" in " ".join(what_seeds_say(loaded, "custom"))


def test_controlled_and_published_are_compared_within_and_between(study: Study) -> None:
    table = protocols_table(study)
    assert table is not None
    means = {
        (entry.protocol, entry.label): float(np.mean(study.summary(entry, "fd_lite0").scores))
        for entry in study.entries
    }
    cells = row_of(table, "wgan").cells
    expected = (
        means["published", "wgan"] - means["controlled", "wgan"],
        means["controlled", "wgan"] - means["controlled", "nsgan"],
        means["published", "wgan"] - means["published", "nsgan"],
    )
    assert [cell.sort for cell in cells[3:]] == pytest.approx(expected)
    assert all(cell.detail.startswith("[") for cell in cells[3:])


def test_diversity_stands_beside_what_real_images_give(study: Study) -> None:
    table = diversity_table(study, "controlled")
    assert table is not None
    codes = [heading.code for heading in table.headings[1:]]
    assert codes == ["diversity_lite0", "vendi_lite0", "unique_lite0", "support_lite0", "ms_ssim", "ct_lite0",
                     "nearest_train"]  # fmt: skip
    assert len(diversity_notes(study)) == len(codes)
    mine = study.summary(study.entries_of("controlled")[0], "vendi_lite0")
    assert row_of(table, "nsgan").cells[2].sort == mine.mean
    floor = table.rows[-1]
    assert floor.kind == "floor"
    assert floor.cells[2].text == format_number(mine.floor)
    assert not any("↑" in heading.text or "↓" in heading.text for heading in table.headings)
    assert "on 1,000 samples" in table.caption
    units = {heading.code: heading.text.partition(", ")[2] for heading in table.headings[1:]}
    assert units["vendi_lite0"] == "×\u00a0real"
    assert (units["support_lite0"], units["ct_lite0"], units["ms_ssim"]) == ("images", "z", "")


def test_diversity_says_where_its_scales_end(study: Study) -> None:
    notes = {note.partition(":")[0]: note for note in diversity_notes(study)}
    # Every one of 1,000 distances above every one of 1,000 others, and no near-duplicates among 1,000 samples.
    most = ranksums(np.arange(1000) + 1000, np.arange(1000)).statistic
    assert f"With 1,000 samples it ends at ±{most:.1f}" in notes["C_T"]
    assert "0 is what unseen real images give" not in notes["C_T"]
    assert "1,000 samples give 720,626 at most" in notes["support at most"]


def test_a_support_at_its_ceiling_is_a_lower_bound_and_has_no_arrow(study: Study) -> None:
    results = study.results.copy()
    mine = (results["metric"] == "support_lite0") & (results["label"] == "lsgan") & (results["seed"] == 2)
    results.loc[mine, "value"] = 1000 * 999 / (2 * np.log(2))
    full = replace(study, results=results)
    for table, at in ((diversity_table(full, "controlled"), 4), (every_metric_table(full, "controlled"), 2)):
        assert table is not None
        (cell,) = (
            row.cells[at]
            for row in table.rows
            if row.cells[0].text == "lsgan" or row.cells[0].detail == "support_lite0"
        )
        assert cell.text.startswith("≥ ")
        assert cell.detail.startswith("censored: 1 of 5 at the ceiling\n[")
    headings = [row.cells[0].text for row in every_metric_table(full, "controlled").rows]
    assert any("birthday paradox (EfficientNet-Lite0), images" in heading for heading in headings)
    assert "modes found ↑" in headings


def test_the_every_metric_table_says_n_and_counts_in_whole_numbers(study: Study) -> None:
    table = every_metric_table(study, "controlled")
    assert "raw generator on 1,000 samples: mean" in table.caption
    (modes,) = (row.cells for row in table.rows if row.cells[0].detail == "modes_judge")
    for cell in modes[1:]:
        assert re.fullmatch(r"\d+", cell.text)
        assert re.fullmatch(r"(\[−?\d+, −?\d+\])?", cell.detail)


def test_scores_that_are_all_equal_have_no_interval(study: Study) -> None:
    deviation = study.summary(study.entries_of("controlled")[0], "kid_deviation_lite0")
    assert format_mean(deviation) == ("3.1e-04", "in all 5")
    some = replace(deviation, values=((0, 0.0), (1, 0.0), (2, 0.0)), mean=0.0, low=0.0, high=0.0)
    assert format_mean(some) == ("0.000", "in all 3")
    close = replace(deviation, values=((0, 47.41), (1, 47.42), (2, 47.43)), mean=47.42, low=47.392, high=47.448)
    assert format_mean(close) == ("47.4", "[47.39, 47.45]")  # not [47.4, 47.4]


def test_only_runs_that_took_a_step_are_counted_as_cost(tmp_path: Path) -> None:
    fates = {("nsgan", "controlled", 1): None, **{("wgan", "controlled", seed): None for seed in (0, 1)}}
    fixture = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0, 1), fates=fates)
    fixture.write(tmp_path)
    table = cost_table(load_study(tmp_path, "example"))
    assert [(row.cells[-1].text, row.cells[-1].detail) for row in table.rows] == [("32 s", "1 run"), ("0 s", "")]


def test_kids_deviation_over_subsets_is_a_value_of_its_own_and_nobodys_error(study: Study) -> None:
    texts = [*latex_tables(study).values(), *(str(headline_table(study, protocol)) for protocol in study.protocols)]
    assert not any("deviation" in text and "kid" in text.lower() for text in texts)
    kid = study.summary(study.entries_of("controlled")[0], "kid_lite0")
    bounds = mean_interval(kid.scores)
    assert bounds is not None
    assert (kid.low, kid.high) == pytest.approx(bounds)  # over the seeds
    (row,) = (row for row in metrics_table(study).rows if row.cells[0].text == "kid_deviation_lite0")
    assert row.cells[2].text == "neither; never ranks"
    assert "nor its spread over seeds" in row.cells[3].text


def test_every_row_has_its_command(study: Study) -> None:
    rows = repeat_table(study).rows
    for column, verb in ((2, "replay"), (3, "show")):
        assert re.fullmatch(rf"bench {verb} nsgan-published/[0-4] --study example", rows[1].cells[column].text)


def test_settings_of_any_kind_print_well(tmp_path: Path) -> None:
    settings = {
        "base": {"default": "hinge", "description": "the loss"},
        "base_settings": {"default": {}, "description": ""},
        "rates": {"default": [0.5, "x"], "description": ""},
    }
    fixture = StudyFixture(
        objectives=("nsgan",), seeds=(0,), card_changes={"nsgan": {"settings": settings, "fakes_per_real": 2}}
    )
    fixture.write(tmp_path)
    (card,) = method_cards(load_study(tmp_path, "example"))
    facts = dict(card.facts)
    assert facts["settings"].split("; ") == ["base hinge (the loss)", "base_settings none", "rates (0.5, x)"]
    assert facts["generated images per real one"] == "2"


def test_a_report_takes_away_what_only_the_one_before_it_had(tmp_path: Path) -> None:
    """And nothing else: no file of the reader's own, none that was changed, none outside of its folder."""
    StudyFixture(objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs")
    out = tmp_path / "out"
    manifest = render(tmp_path / "runs", "example", out).manifest
    written = read_json(manifest)
    earlier = ("external.csv", "figures/dots-published.svg", "changed.csv", "../elsewhere.csv")
    for name in (*earlier, "own.csv"):
        (out / name).write_text("label,value\n")
    digest = sha256_file(out / "own.csv")
    written["files"] |= dict.fromkeys(earlier, digest)
    write_record(manifest, written)
    (out / "changed.csv").write_text("label,value\nmine,1\n")
    render(tmp_path / "runs", "example", out)
    kept = {name: (out / name).exists() for name in (*earlier, "own.csv")}
    assert kept == {name: name not in earlier[:2] for name in kept}
    manifest.write_text("{")
    assert "own.csv" not in read_json(render(tmp_path / "runs", "example", out).manifest)["files"]


def test_the_manifest_names_every_file_and_run(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=("nsgan",), seeds=(0, 1))
    folder = fixture.write(tmp_path / "runs")
    (folder / plan_of(folder)["runs"][1]["path"] / "metrics.jsonl").unlink()
    paths = render(tmp_path / "runs", "example", tmp_path / "out")
    said = json.loads(paths.manifest.read_text("utf-8"))
    assert said["schema"] == 1
    assert said["evaluation_id"] == fixture.evaluation.id()
    on_disk = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert set(said["files"]) == on_disk - {"manifest.json"}
    for name, digest in said["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert (tmp_path / "out" / "plan.json").read_bytes() == (folder / "plan.json").read_bytes()
    assert said["files"]["plan.json"] == said["plan_sha256"]
    first, second = said["runs"]
    assert set(first["files"]) == {"spec.json", "metrics.jsonl", "log.jsonl", "status.json"}
    assert set(second["files"]) == {"spec.json", "log.jsonl", "status.json"}
    log = folder / first["path"] / "log.jsonl"
    assert first["files"]["log.jsonl"] == hashlib.sha256(log.read_bytes()).hexdigest()
    assert first["state"] == "done"


def test_diversity_is_told_in_the_declared_features(tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=OBJECTIVES)
    for file in fixture.write(tmp_path).rglob("metrics.jsonl"):
        text = file.read_text(encoding="utf-8")
        judged = re.sub(r"(vendi|unique|ct|precision)_lite0", r"\1_judge", text)
        file.write_text(text + judged, encoding="utf-8")
    plan_file = tmp_path / fixture.name / "plan.json"
    plan_file.write_text(json.dumps(plan_of(plan_file.parent) | {"secondary": ["precision_judge"]}), encoding="utf-8")
    table = diversity_table(load_study(tmp_path, fixture.name), "controlled")
    assert table is not None
    assert "(features: judge)" in table.caption
    shown = [heading.code for heading in table.headings[1:]]
    assert shown == ["vendi_judge", "unique_judge", "ms_ssim", "ct_judge", "nearest_train"]


def test_the_plane_and_the_headline_follow_the_declared_metrics(study: Study, tmp_path: Path) -> None:
    fixture = StudyFixture(objectives=OBJECTIVES)
    for file in fixture.write(tmp_path).rglob("metrics.jsonl"):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"(precision|recall|density|coverage)_lite0", r"\1_judge", text), encoding="utf-8")
    plan_file = tmp_path / fixture.name / "plan.json"
    plan = plan_of(tmp_path / fixture.name) | {"secondary": ["coverage_judge", "precision_judge"]}
    plan_file.write_text(json.dumps(plan), encoding="utf-8")
    judged = load_study(tmp_path, fixture.name)
    for name, loaded in (("lite0", study), ("judge", judged)):
        figure = plane_figure(loaded, "controlled", Look(loaded.objectives))
        assert figure is not None
        shown = {heading.code for heading in figure.table.headings} - {""}
        assert shown == {f"{metric}_{name}" for metric in ("precision", "recall", "density", "coverage")}
    assert declared_extractor(judged) == "judge"
    diversity = diversity_table(judged, "controlled")
    assert diversity is not None
    assert "(features: EfficientNet-Lite0)" in diversity.caption  # nothing of it was measured in the judge's
    assert judged.headline_metrics() == ["fd_lite0", "coverage_judge", "precision_judge", "recall_judge"]


@pytest.mark.parametrize(
    ("split", "under", "in_caption"),
    [("heldout", "the floor: 1,000 held-out images", 0), ("train", "the floor: 1,000 training images", 1)],
)
def test_floors_name_their_split(tmp_path: Path, split: str, under: str, in_caption: int) -> None:
    StudyFixture(objectives=OBJECTIVES, floor_source=split).write(tmp_path)
    study = load_study(tmp_path, "example")
    tables = [headline_table(study, "controlled"), diversity_table(study, "controlled")]
    figure = plane_figure(study, "controlled", Look({label: label for label in OBJECTIVES}))
    assert figure is not None
    for table in (*tables, figure.table):
        assert table is not None
        (floor,) = (row for row in table.rows if row.kind == "floor")
        assert under in {cell.detail for cell in floor.cells}
    assert tables[0] is not None
    assert tables[0].caption.count("training images") == in_caption
    every = every_metric_table(study, "controlled")
    assert every.caption.endswith(f"Real against real: {under.removeprefix('the floor: ')}.")
    of_train = next(row for row in every.rows if row.cells[0].detail == "fd_lite0_train")
    assert of_train.cells[-1].detail == ("" if split == "heldout" else "1,000 held-out images")


def test_results_that_do_not_say_leave_the_split_open(tmp_path: Path) -> None:
    StudyFixture(objectives=OBJECTIVES, floor_source=None).write(tmp_path)
    table = headline_table(load_study(tmp_path, "example"), "controlled")
    (floor,) = (row for row in table.rows if row.kind == "floor")
    assert "the floor at the same N" in {cell.detail for cell in floor.cells}
    assert "training images" not in table.caption
