"""The report's content: every number, every state, nothing that runs, the same bytes every time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from helpers.report_fixture import Rendered, hostile_report, rendered
from helpers.study_fixture import HOSTILE, Fate, StudyFixture, plan_of

from bench.api import render_report
from bench.errors import BenchError
from bench.formatting import format_number
from bench.report import render
from bench.report.sections.tables import headline_table
from bench.report.study import load_study
from bench.review.findings import is_sound
from bench.review.verify import verify


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return hostile_report(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Two finished objectives under two protocols, two seeds, with a notice."""
    fixture = StudyFixture(objectives=("nsgan", "wgan-gp"), protocols=("controlled", "published"))
    return rendered(tmp_path_factory.mktemp("small"), fixture)


class Reader(HTMLParser):
    """Collects what the tests ask about: elements with attributes, headings, and table cells by caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._caption: str | None = None
        self._cell: list[str] | None = None
        self._in_caption = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "caption":
            self._in_caption, self._caption = True, ""
        elif tag == "tr" and self._caption is not None:
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._in_caption = False
        elif tag in ("td", "th") and self._cell is not None and self._caption is not None:
            self.tables[self._caption][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._in_caption and self._caption is not None:
            self._caption += data
        elif self._cell is not None:
            self._cell.append(data)

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)

    def table(self, caption: str) -> list[list[str]]:
        (found,) = (rows for name, rows in self.tables.items() if caption in name)
        return found


def test_the_page_can_run_nothing_and_ask_for_nothing(report: Rendered) -> None:
    reader = Reader(report.html)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in report.html
    tags = {tag for tag, _ in reader.elements}
    assert list(reader.named("script")) == [{}]  # the page's own, which its policy names by its digest
    assert not tags & {"iframe", "object", "embed", "link", "base", "form", "svg"}
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    for attributes in (*reader.named("img"), *reader.named("source")):
        assert (attributes.get("src") or attributes.get("srcset") or "").startswith("data:image/")
    links = [attributes["href"] or "" for attributes in reader.named("a")]
    known = r"#[\w-]+|https://arxiv\.org/abs/\d{4}\.\d{4,5}|figures/[\w.@+-]+|\.\./\.\./docs/\w+\.md"
    assert [link for link in links if not re.fullmatch(known, link)] == []
    assert "url(" not in report.html
    assert "@import" not in report.html


def test_documents_are_linked_only_where_links_lead_to_them(tmp_path: Path) -> None:
    """A report that is moved keeps its bytes: what it was made with stands in its manifest."""
    StudyFixture(objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs")
    shutil.copytree(Path(__file__).parents[2] / "docs", tmp_path / "docs", ignore=lambda *_: {"images", "site"})
    for place, linked in (("reports/example", True), ("elsewhere/reports/example", False)):
        paths = render_report("example", tmp_path / place, runs=tmp_path / "runs")
        for page in (paths.html, paths.markdown):
            links = set(re.findall(r"\.\./\.\./docs/\w+\.md", page.read_text("utf-8")))
            assert bool(links) == linked
            assert all((page.parent / link).is_file() for link in links)
            assert "docs/statistics.md" in page.read_text("utf-8")
        moved = shutil.copytree(paths.html.parent, tmp_path / f"moved-{linked}")
        assert is_sound(verify(moved, tmp_path / "runs"))


def test_hostile_text_stays_text(report: Rendered) -> None:
    assert report.html.count("<script") == 1
    assert report.html.count("&lt;script&gt;") >= 5  # reason, title, paper, notes, caption
    assert report.html.count("</style>") == 1
    outside_code = re.sub(r"```math\n.*?\n```|`[^`\n]*`", "", report.markdown, flags=re.DOTALL)
    assert "<script" not in report.markdown
    assert not re.search(r"<(?!br>|sup>|/sup>|/?details>|/?summary>)", outside_code)
    assert "](javascript" not in re.sub(r"\\\]\(", "", report.markdown)
    for line in report.markdown.splitlines():
        if line.startswith("|") and "alert" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 7  # six cells: the reason did not open another


def columns_of(header: list[str]) -> dict[str, int]:
    """Return each column's place by its metric's name, or else by its first word."""
    return {
        (re.findall(r"[a-z]+_lite0", name) or name.split())[0] if "difference" not in name else "difference": i
        for i, name in enumerate(header)
    }


def label_of(cell: str) -> str:
    return re.sub(r"(?<=[a-z])[\d, ]+$", "", cell)


def test_every_row_of_the_comparison_says_what_the_statistics_say(report: Rendered) -> None:
    header, *body, floor = Reader(report.html).table("Controlled protocol, generator step")
    at = columns_of(header)
    summary = report.summary.set_index(["label", "metric"])
    comparisons, standings = report.csv("comparisons").set_index("label"), report.csv("standings").set_index("label")
    assert len(body) == 8
    for row in body:
        label = label_of(row[at["objective"]])
        for metric in ("fd_lite0", "coverage_lite0", "recall_lite0", "precision_lite0"):
            cell = summary.loc[label, metric]
            places = 1 if abs(cell["mean"]) >= 10 else 2 if abs(cell["mean"]) >= 1 else 3
            texts = [f"{cell[name]:.{places}f}" for name in ("mean", "low", "high")]
            assert row[at[metric]].startswith(f"{texts[0]} [{texts[1]}, {texts[2]}]"), (label, metric)
        primary, standing = summary.loc[label, "fd_lite0"], standings.loc[label]
        assert row[at["rank"]].split(" ")[0] == ("–" if pd.isna(primary["rank"]) else f"{primary['rank']:.0f}")
        assert row[at["tie"]].split(" ")[0] == ("–" if pd.isna(standing["letters"]) else standing["letters"])
        assert row[at["runs"]].startswith(f"{primary['done']}/{primary['planned']}")
        if label == "nsgan":
            assert row[at["verdict"]] == "baseline"
            continue
        assert row[at["difference"]].startswith(f"{primary['difference']:+.1f} ".replace("-", "−"))
        found = comparisons.loc[label]
        if pd.isna(found["verdict"]):
            assert row[at["verdict"]] == f"not judged {found['unjudged']}"
        else:
            least = format_number(found["permutation_smallest_p"])
            assert row[at["verdict"]].startswith(f"{found['verdict']} p {format_number(found['p_holm'])} (Holm")
            assert row[at["verdict"]].endswith(f"least possible {least}")
    assert "worse" in {row[at["verdict"]].split(" ")[0] for row in body}
    assert floor[at["fd_lite0"]] == "1.42"


def test_lost_runs_are_ranked_last_and_counted_with_their_rate(report: Rendered) -> None:
    header, *body, _ = Reader(report.html).table("Controlled protocol, generator step")
    at = columns_of(header)
    rows = {label_of(row[at["objective"]]): row for row in body}
    assert "survivors 4/5" in rows["minimax"][at["fd_lite0"]]
    assert rows["minimax"][at["runs"]] == "4/5 lost: 1 to 72\u00a0% 1 diverged".replace("\u00a0", " ")
    assert "lost ones last" in report.html
    assert rows["minimax"][at["tie"]] == "–"
    assert "ranks" in rows["minimax"][at["verdict"]]


def test_no_row_is_the_winner_but_the_tie_group_is_marked_as_a_set(small: Rendered, report: Rendered) -> None:
    letters = report.csv("standings")["letters"].fillna("")
    # In the board, the short table and the whole one.
    assert report.html.count('<tr class="set"') == 3 * sum("a" in held for held in letters) > 0
    assert "is the best as a set" in report.html
    assert '<tr class="set"' not in small.html
    assert "<strong>nsgan" not in report.html


def test_a_row_whose_runs_mostly_collapsed_is_not_marked(tmp_path: Path) -> None:
    fates = {("lsgan", "controlled", seed): Fate(collapsed=True) for seed in range(3)}
    made = StudyFixture(objectives=("nsgan", "lsgan", "wgan-gp"), seeds=tuple(range(6)), fates=fates)
    made.write(tmp_path)
    study = load_study(tmp_path, made.name)
    assert all("a" in standing.letters for standing in study.statistics.standings if standing.label != "wgan-gp")
    kinds = {row.cells[2].text: row.kind for row in headline_table(study, "controlled").rows}
    assert (kinds["nsgan"], kinds["lsgan"]) == ("set", "")


def test_the_resolution_is_told_once_for_each_protocol(report: Rendered) -> None:
    found = report.csv("resolution").set_index("metric").loc["fd_lite0"]
    _, row = Reader(report.html).table("Resolution: ")
    assert row[0] == "controlled"
    assert row[3].startswith(f"{format_number(found['single_gap'])} ")
    assert row[4].endswith(f"of {found['comparisons']} comparisons")
    assert report.markdown.count("Resolution: ") == report.html.count("Resolution: ") == 1
    assert "<code>bench plan --study troubled --resolve A,B</code>" in report.html


def test_all_pairs_say_the_probability(report: Rendered) -> None:
    header, *rows = Reader(report.html).table("All 28 pairs")
    pairs = report.csv("pairs")
    assert 0 < pairs["probability"].count() < len(pairs) == 28  # some await runs
    assert [row[0] for row in rows] == [f"{a} / {b}" for a, b in zip(pairs["first"], pairs["second"], strict=True)]
    assert [row[5] for row in rows] == [format_number(value, 2) for value in pairs["probability"].astype(float)]
    assert header[5] == "first is better"


def test_ranked_rows_come_first_then_the_others_by_name(report: Rendered) -> None:
    header, *body, _ = Reader(report.html).table("Controlled protocol, generator step")
    labels = [label_of(row[columns_of(header)["objective"]]) for row in body]
    ranks = report.summary[report.summary["metric"] == "fd_lite0"].set_index("label")["rank"]
    assert labels == sorted(labels, key=lambda label: (pd.isna(ranks[label]), ranks[label], label))
    assert pd.isna(ranks[labels[-1]])


def test_every_lost_run_is_told_with_its_reason(report: Rendered) -> None:
    rows = Reader(report.html).table("ended otherwise than planned")
    told = {(row[0], row[2]): (row[3], row[5]) for row in rows[1:]}
    assert told["minimax", "4"] == ("diverged", "non-finite loss in generator step 412")
    assert told["wgan", "4"] == ("failed", " ".join(HOSTILE.split()))
    assert told["lsgan", "4"][0] == "not begun"
    assert told["vae", "4"][0] == "interrupted"
    assert told["ebgan", "4"][0] == "not evaluated"
    assert told["began", "0"][0] == "collapsed"
    assert len(told) == 6
    assert "1 not begun and 1 interrupted" in report.html
    assert "1 trained run without fd_lite0" in report.html


def test_a_moved_run_is_marked(report: Rendered) -> None:
    (row,) = Reader(report.html).table("continued on another kind of machine")[1:]
    assert row == ["wgan-gp", "controlled", "0", "torch 2.12.0, Other CPU, AVX2"]
    assert "another kind of machine: seed 0." in report.html


def test_unequal_backbones_are_a_loud_warning(report: Rendered, small: Rendered) -> None:
    assert "The backbones are not equal" in report.html
    assert "ffff000011112222: began (controlled)" in report.html
    assert "The backbones are not equal" in report.markdown
    assert "The backbones are not equal" not in small.html


def test_structure_is_accessible(report: Rendered) -> None:
    reader = Reader(report.html)
    assert next(reader.named("html"))["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert all(attributes.get("alt") for attributes in reader.named("img"))
    assert all(attributes.get("scope") in ("row", "col") for attributes in reader.named("th"))
    counts = {tag: sum(1 for _ in reader.named(tag)) for tag in ("table", "caption", "figure", "figcaption")}
    assert counts["table"] == counts["caption"]
    assert counts["figure"] == counts["figcaption"]
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for attributes in reader.named("a")}
    assert {str(target)[1:] for target in targets if str(target).startswith("#")} <= set(ids)
    boxes = [attributes for attributes in reader.named("div") if "scroll" in (attributes.get("class") or "").split()]
    boards = [attributes for attributes in reader.named("table") if "board" in (attributes.get("class") or "").split()]
    assert len(boxes) + len(boards) == counts["table"]
    assert all(box["tabindex"] == "0" for box in (*boxes, *reader.named("pre")))
    # What axe calls serious: roles in a list of terms, and anything but its pairs.
    assert not [attributes for tag in ("dl", "dt", "dd") for attributes in reader.named(tag) if "role" in attributes]
    lists = re.findall(r"<dl[^>]*>(.*?)</dl>", report.html, re.DOTALL)
    assert lists
    beside_pairs = [re.sub(r"<(d[td])\b.*?</\1>", "", inner, flags=re.DOTALL) for inner in lists]
    assert {tag for inner in beside_pairs for tag in re.findall(r"<(\w+)", inner)} <= {"div"}


def test_two_seeds_are_dots_and_the_notice_is_on_every_page(small: Rendered) -> None:
    notice = "This is a check of the machinery. It compares nothing."
    assert small.html.count(notice) == 2
    assert small.markdown.count(notice) == 2
    assert small.html.count("Not ranked: fewer than three seeds.") == 2  # under the short tables and the whole ones
    assert "With 2 seeds nothing is ranked" in small.html
    assert "2 seeds rank nothing" in small.html
    reader = Reader(small.html)
    rows = [reader.table("Controlled protocol, gen"), reader.table("Published protocol, gen")]
    values = small.summary.set_index(["protocol", "label", "metric"])["values"]
    for protocol, table in zip(("controlled", "published"), rows, strict=True):
        assert table[0][0] == "objective"
        for row in table[1:-1]:
            label = re.sub(r"[\d, ]+$", "", row[0])
            pairs = str(values[protocol, label, "fd_lite0"]).split()
            assert row[1] == " · ".join(format_number(float(pair.split(":")[1])) for pair in pairs)
    assert "difference to" not in small.html


def test_the_studys_words_and_each_list_stand_once(small: Rendered) -> None:
    for written in (small.html, small.markdown):
        assert written.count("Controlled rows share learning rate") == 1
        assert written.index("These seeds do not decide:") < written.index("Described, not tested:")
        assert written.count("No planned run diverged") == 1
        assert "These seeds decide:" not in written
        assert "Every score" in written
        assert "Every number" not in written


def test_what_differs_from_the_controlled_recipe_is_printed(small: Rendered) -> None:
    assert "discriminator steps 5" in small.html
    assert "Not its authors&#39; algorithm" in small.html
    assert "Published: each objective" in small.markdown


def test_markdown_names_figures_that_are_there(small: Rendered) -> None:
    folder = small.paths.markdown.parent
    named = re.findall(r"\]\((figures/[^)]+)\)", small.markdown)
    assert len(named) > 10
    assert all((folder / name).is_file() for name in named)
    stems = {path.stem for path in small.paths.figures if path.suffix == ".svg"}
    assert "scores" in stems
    for stem in stems:
        if not stem.endswith(("-seen", "-of-training")):  # a curve against another axis
            kinds = (".svg", ".png", ".csv")
            assert all((folder / "figures" / f"{stem}{suffix}").is_file() for suffix in kinds)
    data = pd.read_csv(folder / "figures" / "scores.csv")
    values = small.summary.set_index(["protocol", "label", "metric"])["values"]["controlled", "nsgan", "fd_lite0"]
    mine = data[(data["label"] == "nsgan") & (data["protocol"] == "controlled")]
    written = " ".join(f"{seed}:{value!r}" for seed, value in zip(mine["seed"], mine["value"].tolist(), strict=True))
    assert written == values


def test_markdown_links_every_drawing_and_says_what_its_pictures_hold(small: Rendered, report: Rendered) -> None:
    drawings = {path.name for path in small.paths.figures if path.suffix == ".svg"}
    assert set(re.findall(r"\]\(figures/([^)]+\.svg)\)", small.markdown)) == drawings
    assert "seconds of training](figures/curve-" in small.markdown
    # The page shows rows of a grid, the file beside it is all of it.
    assert "4 rows of 8 samples of nsgan" in report.html
    assert "![8 rows of 8 samples of nsgan" in report.markdown
    worst = r"of nsgan, seed \d, the worst of the 5 finished runs\."
    assert re.search(rf'alt="8 samples {worst}"', report.html)
    assert re.search(rf"!\[8 rows of 8 samples {worst}\]", report.markdown)


def test_markdown_folds_its_long_tables_and_marks_the_best_as_a_set(report: Rendered) -> None:
    folded = re.findall(r"<details><summary>([^<]+)</summary>\n\n(.+?)\n\n</details>", report.markdown, re.DOTALL)
    assert {"The whole comparison", "Every metric", "All pairs, controlled protocol"} <= {
        summary for summary, _ in folded
    }
    assert all("\n\n| " in table for _, table in folded if "\n| " in table)  # a table begins after an empty line
    letters = report.csv("standings").set_index("label")["letters"].fillna("")
    marked = set(re.findall(r"^\|.*\| \*\*([\w-]+)\*\*", report.markdown, flags=re.MULTILINE))
    assert marked == {label for label, held in letters.items() if "a" in held} != set()


def test_the_sample_wall_is_the_median_seeds_and_its_grid_lies_beside_untouched(report: Rendered) -> None:
    summary = report.summary.set_index(["label", "metric"])
    pairs = [pair.split(":") for pair in str(summary.loc[("nsgan", "fd_lite0"), "values"]).split()]
    seed = sorted(pairs, key=lambda pair: float(pair[1]))[2][0]
    heading = f'<h3 class="set" id="t-wall-nsgan-controlled">nsgan <span>seed {seed} (the median'
    assert heading in report.html
    (run,) = (r for r in plan_of(report.study)["runs"] if r["label"] == "nsgan" and str(r["seed"]) == seed)
    grid = report.study / run["path"] / "samples" / "step-00000900.png"
    beside = report.paths.html.parent / "figures" / "samples-nsgan-controlled.png"
    assert beside.read_bytes() == grid.read_bytes()


def test_the_same_runs_give_the_same_bytes(small: Rendered, tmp_path: Path) -> None:
    render(small.study.parent, "example", tmp_path / "again")
    mine, other = small.paths.html.parent, tmp_path / "again"
    names = sorted(path.relative_to(mine) for path in mine.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert [str(name) for name in names if (mine / name).read_bytes() != (other / name).read_bytes()] == []


def test_figures_of_an_earlier_report_go_and_other_files_stay(tmp_path: Path) -> None:
    both = StudyFixture(objectives=("nsgan", "wgan"), seeds=(0,))
    both.write(tmp_path / "runs")
    out = tmp_path / "report"
    render(tmp_path / "runs", "example", out)
    assert (out / "figures" / "losses-wgan-controlled.svg").exists()
    (out / "figures" / "mine.png").write_bytes(b"mine")
    StudyFixture(objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs")
    render(tmp_path / "runs", "example", out)
    assert not (out / "figures" / "losses-wgan-controlled.svg").exists()
    assert (out / "figures" / "losses-nsgan-controlled.svg").exists()
    assert (out / "figures" / "mine.png").read_bytes() == b"mine"


def test_a_study_of_which_nothing_ran_has_a_report(tmp_path: Path) -> None:
    fates = {(label, "controlled", 0): None for label in ("nsgan", "wgan")}
    found = rendered(tmp_path, StudyFixture(objectives=("nsgan", "wgan"), seeds=(0,), fates=fates))
    assert "of 2 planned runs, 2 not begun" in found.html
    assert "No samples." in found.html
    assert "0 of 2 planned runs done" in found.html


def test_a_run_that_diverged_before_its_first_snapshot_is_reported(tmp_path: Path) -> None:
    fates = {("nsgan", "controlled", 0): Fate("diverged", 100, "non-finite loss in generator step 88")}
    found = rendered(tmp_path, StudyFixture(objectives=("nsgan", "wgan"), seeds=(0,), fates=fates))
    assert "non-finite loss in generator step 88" in found.html
    assert "no samples yet" in found.html


def test_a_damaged_grid_does_not_stop_the_report(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs")
    for grid in study.rglob("step-*.png"):
        grid.write_bytes(grid.read_bytes()[:200])
    paths = render(tmp_path / "runs", "example", tmp_path / "report")
    assert "its grids cannot be read" in paths.html.read_text("utf-8")


def test_different_code_versions_are_a_warning(tmp_path: Path) -> None:
    study = StudyFixture(objectives=("nsgan",), seeds=(0, 1)).write(tmp_path / "runs")
    spec = study / plan_of(study)["runs"][1]["path"] / "spec.json"
    spec.write_text(json.dumps({"schema": 1, "code": {"objective": "0bnsgan", "training": "other"}}))
    html = render(tmp_path / "runs", "example", tmp_path / "report").html.read_text("utf-8")
    assert "2 versions of the training code" in html


def test_a_study_that_was_never_planned_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has no runs"):
        render(tmp_path, "nothing", tmp_path / "report")


def test_the_page_of_eight_objectives_is_light(report: Rendered) -> None:
    assert report.paths.html.stat().st_size < 5_000_000
