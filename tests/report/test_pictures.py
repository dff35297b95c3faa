"""Pictures under the walls: time-lapse, interpolations, nearest training images; where they stand and where not."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.report_fixture import Rendered, hostile_report
from helpers.study_fixture import OBJECTIVES, StudyFixture, plan_of
from PIL import EpsImagePlugin, Image
from PIL.PngImagePlugin import PngInfo

from bench.errors import BenchError
from bench.report import ReportOptions, render
from bench.report.figures.svg import draw_equation
from bench.report.pictures.closer import closer_pictures
from bench.report.pictures.images import fitted, read_pixels, webp
from bench.report.render.manifest import options_of
from bench.report.study import load_study
from bench.review.verify import verify

TITLES = ("Time-lapse", "Between latents", "Nearest training images")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    return hostile_report(tmp_path_factory.getbasetemp())


class Details(HTMLParser):
    """Collects the <details> of the sample section: their class, summary, sources and images."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.beside: list[str] = []
        self._in_summary = self._in_caption = False
        self.feed(page[page.index('id="samples">') : page.index('id="comparison">')])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "details":
            self.found.append({"class": given.get("class"), "summary": "", "caption": "", "sources": [], "images": []})
        elif tag == "a":
            self.beside.append(str(given["href"]))
        elif tag in ("source", "img") and self.found:
            self.found[-1]["sources" if tag == "source" else "images"].append(given)
        self._in_summary = tag == "summary"
        self._in_caption = tag == "figcaption" or (self._in_caption and tag == "a")

    def handle_data(self, data: str) -> None:
        if self._in_summary and self.found:
            self.found[-1]["summary"] += data
        elif self._in_caption and self.found:
            self.found[-1]["caption"] += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("summary", "figcaption"):
            self._in_summary = self._in_caption = False


def decoded(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def small(root: Path, **changes: Any) -> Path:
    """Write the runs of one finished objective and return the study's folder."""
    return StudyFixture(objectives=("nsgan",), seeds=(0,), **changes).write(root / "runs")


def page_of(root: Path, options: ReportOptions | None = None) -> str:
    return render(root / "runs", "example", root / "report", options).html.read_text("utf-8")


def test_a_lapse_moves_only_for_who_wants_motion(report: Rendered) -> None:
    lapses = [found for found in Details(report.html).found if found["class"] == "lapse"]
    assert len(lapses) == len(OBJECTIVES)
    for found in lapses:
        (source,), (image,) = found["sources"], found["images"]
        assert source["media"] == "(prefers-reduced-motion: no-preference)"
        moving, still = decoded(source["srcset"]), decoded(image["src"])
        assert getattr(moving, "n_frames", 1) >= 2
        assert getattr(still, "n_frames", 1) == 1
        assert still.size == moving.size == (int(image["width"]), int(image["height"]))
        assert re.match(r"Time-lapse of [\w-]+, seed \d: .* 16 latents .* 225", image["alt"])
        assert re.match(r"Seed \d, ", found["caption"])


def test_every_finished_entry_has_its_three_pictures_and_their_files(report: Rendered) -> None:
    folder = report.paths.html.parent
    found = Details(report.html)
    titles = [details["summary"] for details in found.found]
    assert {title: titles.count(title) for title in TITLES} == dict.fromkeys(TITLES, len(OBJECTIVES))
    assert all((folder / name).is_file() for name in found.beside)
    seed = re.search(r">nsgan <span>seed (\d)", report.html)
    assert seed
    (run,) = (r for r in plan_of(report.study)["runs"] if r["label"] == "nsgan" and str(r["seed"]) == seed[1])
    for name in ("interpolations", "nearest"):
        beside = read_pixels(folder / "figures" / f"{name}-nsgan-controlled.webp")
        made = read_pixels(report.study / run["path"] / "samples" / f"{name}.png")
        assert beside is not None
        assert made is not None
        assert beside.shape == made.shape
        assert np.abs(beside.astype(int) - made).mean() < 8  # of 255: what WebP costs on grain


def test_how_neighbours_were_found_is_said_and_stays_text(report: Rendered) -> None:
    nearest = [found for found in Details(report.html).found if found["summary"] == TITLES[2]]
    for found in nearest:
        assert re.search(r"nearest of 10,000 .*16 x 16 pixels; .* <script>", found["caption"])
    assert report.html.count("<script") == 1


def test_markdown_links_to_what_is_there(report: Rendered) -> None:
    links = re.findall(r"^- \[([^]]+)\]\((figures/[^)]+)\): ", report.markdown, flags=re.MULTILINE)
    assert [title for title, _ in links] == [*TITLES] * len(OBJECTIVES)
    assert all((report.paths.markdown.parent / file).is_file() for _, file in links)


def test_markdown_has_the_tables_that_the_page_folds_away(report: Rendered) -> None:
    for caption in ("All 28 pairs by", "Every metric at the final step", "Every planned run."):
        assert report.markdown.count(f"*{caption}") == 1
    pair = report.csv("pairs").iloc[0]
    (row,) = (
        line for line in report.markdown.splitlines() if line.startswith(f"| {pair['first']} / {pair['second']} |")
    )
    assert f"| {pair['probability']:.2f} |" in row


def test_old_runs_without_pictures_have_none_and_damaged_ones_neither(tmp_path: Path) -> None:
    study = small(tmp_path)
    for picture in study.rglob("interpolations.png"):
        picture.unlink()
    for picture in study.rglob("nearest.png"):
        picture.write_bytes(picture.read_bytes()[:300])
    for grid in study.rglob("step-*0.png"):  # 450 and 900 of 225, 450, 900
        grid.unlink()
    page = page_of(tmp_path)
    assert not any(title in page for title in TITLES)
    assert not any(word in page for word in ("interpolations-", "nearest-nsgan", "lapse-"))
    assert "To open or to follow" not in page


@pytest.mark.parametrize("text", ["", "no JSON", '{"row": 1}', '["generated", 3]', "[]", "[" * 100_000])
def test_neighbours_without_a_description_are_shown_still(tmp_path: Path, text: str) -> None:
    study = small(tmp_path)
    (picture,) = study.rglob("nearest.png")
    with Image.open(picture) as image:
        pixels = image.convert("RGB")
    facts = PngInfo()
    facts.add_text("bench", text)
    pixels.save(picture, pnginfo=facts)
    loaded = load_study(tmp_path / "runs", "example")
    (entry,) = loaded.entries
    *_, nearest = closer_pictures(loaded, entry, entry.runs[0], [], ReportOptions())
    assert nearest.caption.endswith("the nearest training images.")


def with_source(study: Path, source: str) -> None:
    plan = plan_of(study)
    plan["data"]["source"] = source
    (study / "plan.json").write_text(json.dumps(plan), encoding="utf-8")


def test_photographs_are_shown_on_request_alone_and_the_report_still_verifies(tmp_path: Path) -> None:
    with_source(small(tmp_path), "celeba")
    page = page_of(tmp_path)
    assert TITLES[1] in page
    assert TITLES[2] not in page
    assert not list((tmp_path / "report" / "figures").glob("nearest-*"))
    asked = page_of(tmp_path, ReportOptions(show_training_images=True))
    assert TITLES[2] in asked
    findings = verify(tmp_path / "report", tmp_path / "runs")
    assert {finding.outcome for finding in findings if finding.level in ("files", "statistics")} == {"holds"}


@pytest.mark.parametrize(
    "options", [{"colour": "blue"}, {"wall_rows": "4"}, {"points_per_curve": 0}, ["wall_rows"], {"wall_rows": None}]
)
def test_options_of_another_version_are_named(options: Any) -> None:
    assert options_of({}) == ReportOptions()
    assert options_of({"options": {"show_training_images": True}}).show_training_images
    with pytest.raises(BenchError, match="not those of this version"):
        options_of({"options": options})


def test_large_images_stay_beside_the_page(tmp_path: Path) -> None:
    study = small(tmp_path)
    plan = plan_of(study)
    plan["backbone"]["resolution"] = 128
    (study / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    found = Details(page_of(tmp_path))
    assert [details for details in found.found if details["summary"] in TITLES] == []
    names = [f"figures/{name}" for name in ("lapse-nsgan-controlled.webp", "interpolations-nsgan-controlled.webp")]
    assert found.beside == [*names, "figures/nearest-nsgan-controlled.webp"]
    assert all((tmp_path / "report" / name).is_file() for name in found.beside)


def test_what_fits_in_no_quality_is_said() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    best = webp(noise, 90)
    assert fitted(lambda quality: webp(noise, quality), len(best)) == (best, True)
    smaller, fits = fitted(lambda quality: webp(noise, quality), len(best) - 1)
    assert fits
    assert len(smaller) < len(best)
    assert fitted(lambda quality: webp(noise, quality), 100) == (webp(noise, 30), False)


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [15, 25])
def test_the_page_of_many_objectives_keeps_its_weight(tmp_path: Path, objectives: int) -> None:
    """15 under two protocols are the most whose pictures stand in the page at 64 pixels; 25 link to them."""
    labels = [*OBJECTIVES, *(f"{name}-{again}" for again in range(1, 4) for name in OBJECTIVES)][:objectives]
    fixture = StudyFixture(
        objectives=tuple(labels), protocols=("controlled", "published"), seeds=(0, 1, 2, 3, 4), resolution=64
    )
    fixture.write(tmp_path / "runs")
    page = page_of(tmp_path)
    assert ('<details class="lapse">' in page) == (objectives == 15)
    assert len(page.encode()) < 8_000_000


def test_postscript_under_a_pictures_name_reaches_no_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghostscript, marker = tmp_path / "gs", tmp_path / "executed"
    ghostscript.write_text(f"#!/bin/sh\ntouch {marker}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # it is looked for once
    script = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    (tmp_path / "step-00000900.png").write_text(script)
    assert read_pixels(tmp_path / "step-00000900.png") is None
    assert not marker.exists()


@pytest.mark.parametrize("size", [(3_000, 3_000), (64, 20_000), (4, 4)])
def test_a_picture_of_a_size_that_no_run_writes_is_none(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "grid.png")
    assert read_pixels(tmp_path / "grid.png") is None


def test_a_formula_of_two_hundred_thousand_letters_is_not_drawn() -> None:
    assert draw_equation("x" * 200_000).svg is None
    assert draw_equation("x").svg is not None
