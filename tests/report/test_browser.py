"""The report in a real browser: phone and desktop, light and dark. Skipped, with the reason, where there is none."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import Browser
from helpers.report_fixture import hostile_report
from helpers.study_fixture import OBJECTIVES, StudyFixture
from PIL import Image

from bench.report.model import ReportOptions
from bench.report.page import OUTLINE, compose
from bench.report.render.html import render_html
from bench.report.study import load_study


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_report(tmp_path_factory.getbasetemp()).paths.html


@pytest.fixture(scope="module")
def first_screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of nine rows, two protocols and five seeds, up to its first tables."""
    root = tmp_path_factory.mktemp("minute")
    fixture = StudyFixture(
        objectives=(*OBJECTIVES, "nsgan-ema"), protocols=("controlled", "published"), seeds=tuple(range(5)), notice=None
    )
    fixture.write(root)
    study = load_study(root, fixture.name)
    whole = compose(study, ReportOptions(), tuple(part for part in OUTLINE if part.anchor in ("minute", "results")))
    page = root / "report.html"
    page.write_text(render_html(whole, ReportOptions()), encoding="utf-8")
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_window(
    chromium: Browser, page: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    chromium.show(page, width, dark=dark)
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    overflowing = chromium.evaluate(
        """[...document.querySelectorAll('main *')].filter(element => {
            if (element.closest('.scroll, .formula, pre, .unseen')) return false;
            const box = element.getBoundingClientRect();
            return box.width > 0 && box.right > document.documentElement.clientWidth + 1;
        }).map(element => element.outerHTML.slice(0, 120))"""
    )
    assert overflowing == []
    # Open every table behind a figure: none may widen the page either.
    chromium.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    picture = tmp_path / f"report-{width}-{'dark' if dark else 'light'}.png"
    chromium.screenshot(picture, whole=False)
    corner = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("L"))[-20:, :8].mean()
    assert (corner < 60) if dark else (corner > 200)


def test_nothing_is_asked_for_and_nothing_complained_about(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    requests = [
        event["params"]["request"]["url"]
        for event in chromium.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in chromium.events if event.get("method") in complaints] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_picture_is_shown(chromium: Browser, page: Path, width: int, dark: bool) -> None:
    chromium.show(page, width, dark=dark)
    sizes = chromium.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth])")
    assert len(sizes) > 30
    assert all(complete and natural > 0 for complete, natural, _ in sizes)
    # The phone gets figures drawn for it: their letters are as high as in the text, not scaled down.
    chosen = chromium.evaluate(
        "[...document.querySelectorAll('picture img')].map(i => [i.naturalWidth, i.clientWidth])"
    )
    seen = [(natural, shown) for natural, shown in chosen if shown]
    assert len(seen) > 10
    assert all(shown >= 0.9 * natural for natural, shown in seen)


def test_figures_take_the_pages_colours(chromium: Browser, page: Path) -> None:
    lightest = """(() => {
        const image = document.querySelector('picture img'), canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const pen = canvas.getContext('2d');
        pen.drawImage(image, 0, 0);
        const values = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0, weight = 0;
        for (let i = 0; i < values.length; i += 4) { sum += values[i] * values[i + 3]; weight += values[i + 3]; }
        return sum / weight;
    })()"""
    brightness = {}
    for dark in (False, True):
        chromium.show(page, 1280, dark=dark)
        brightness[dark] = chromium.evaluate(lightest)
    assert brightness[True] != brightness[False]


def test_tables_can_be_reached_and_scrolled_by_keyboard(chromium: Browser, page: Path) -> None:
    chromium.show(page, 360)
    assert chromium.evaluate(
        """(() => { const box = document.querySelector('[aria-labelledby="t-short-controlled"]');
            box.focus(); box.scrollLeft = 200;
            return document.activeElement === box && box.scrollLeft > 0 && box.scrollWidth > box.clientWidth; })()"""
    )
    # The row's name stays in sight.
    assert chromium.evaluate("document.activeElement.querySelector('tbody th').getBoundingClientRect().left >= 0")


def test_tables_sort_by_their_headings_with_the_keyboard(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    press = """(() => {
        const table = document.querySelector('[aria-labelledby="t-short-controlled"] table');
        const heads = [...table.tHead.rows[0].cells];
        const column = heads.findIndex(head => head.textContent.includes('fd_lite0'));
        const button = heads[column].querySelector('button');
        button.focus();
        const focused = document.activeElement === button;
        button.click();
        const rows = [...table.tBodies[0].rows].map(row => [row.className, parseFloat(row.cells[column].textContent)]);
        return [focused, heads[column].getAttribute('aria-sort'), rows];
    })()"""
    for direction, sign in (("ascending", 1), ("descending", -1)):
        focused, said, rows = chromium.evaluate(press)
        assert focused
        assert said == direction
        values = [sign * value for _, value in rows[:-1]]
        assert values == sorted(values)
        assert rows[-1][0] == "floor"
    assert chromium.evaluate("document.querySelectorAll('[aria-sort]').length") == 1


def test_a_figures_axis_can_be_switched(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    shown = """[...document.querySelectorAll('.axes')].map(axes => [0, 1, 2].map(
        i => axes.parentElement.querySelector('.axis-' + i).getBoundingClientRect().height > 0))"""
    assert chromium.evaluate(shown)[0] == [True, False, False]
    chromium.evaluate("document.querySelectorAll('.axes input')[2].click()")
    assert chromium.evaluate(shown)[0] == [False, False, True]


def test_it_prints_what_is_open_and_no_more(chromium: Browser, page: Path) -> None:
    chromium.show(page, 718)  # A4 within Chromium's margins
    printed = base64.b64decode(chromium.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    assert len(printed) > 100_000
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 25
    seen = """[...document.querySelectorAll('details')].map(
        details => details.lastElementChild.checkVisibility({contentVisibilityAuto: true}))"""
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert not any(chromium.evaluate(seen))
        chromium.evaluate("document.querySelector('#comparison').open = true")
        assert chromium.evaluate("document.querySelector('#comparison table').checkVisibility()")
        # A table much wider than the paper would make the browser print everything smaller.
        assert chromium.evaluate("document.documentElement.scrollWidth") < 1.05 * 718
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize(("width", "height", "boards"), [(1440, 900, 2), (360, 740, 1)])
def test_a_minute_needs_no_scrolling(
    chromium: Browser, first_screen: Path, width: int, height: int, boards: int
) -> None:
    """What was compared, what came out, and every row with its seeds, score and samples."""
    chromium.show(first_screen, width, height)
    ends = chromium.evaluate(
        """[...document.querySelectorAll('header .lead, header .verdict, .board tbody tr:not(.floor)')].map(
            element => element.getBoundingClientRect().bottom)"""
    )
    assert len(ends) == 2 + 2 * 9
    assert max(ends[: 2 + boards * 9]) <= height
    shown = chromium.evaluate(
        """[...document.querySelectorAll('.board tbody tr:not(.floor)')].map(row => [
            row.querySelectorAll('.line i').length, row.querySelector('.num').textContent,
            row.querySelector('.strip img').clientWidth, row.getBoundingClientRect().right])"""
    )
    assert all(dots == 5 and float(mean) > 0 and strip > 60 and right <= width for dots, mean, strip, right in shown)


@pytest.mark.parametrize("width", [360, 1440])
def test_a_boards_names_break_at_their_marks_alone(
    chromium: Browser, first_screen: Path, tmp_path: Path, width: int
) -> None:
    names = tmp_path / "report.html"
    names.write_text(
        first_screen.read_text("utf-8").replace("wgan-gp", "projection").replace("--word:7", "--word:10"), "utf-8"
    )
    for page, word in ((first_screen, "minimax"), (names, "projection")):
        chromium.show(page, width)
        lines = chromium.evaluate(
            f"""[...document.querySelectorAll('.board tbody th')].filter(name => name.innerText.startsWith('{word}'))
                .map(name => {{
                    const range = document.createRange();
                    range.selectNodeContents(name.firstChild);
                    return range.getClientRects().length;
                }})"""
        )
        assert set(lines) == {1}


def test_an_address_opens_the_section_that_it_is_in(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    assert chromium.evaluate("document.querySelector('#glossary').open") is False
    chromium.evaluate("document.querySelector('a.word').click()")
    chromium.evaluate("new Promise(done => setTimeout(done, 100))")
    assert chromium.evaluate("document.querySelector('#glossary').open")
    chromium.evaluate("document.querySelector('.strip a').click()")
    chromium.evaluate("new Promise(done => setTimeout(done, 100))")
    assert chromium.evaluate("document.querySelector('#samples').open")


def test_a_wide_table_says_that_it_goes_on(chromium: Browser, page: Path) -> None:
    chromium.show(page, 360)
    told = chromium.evaluate(
        """(() => { const box = document.querySelector('.scroll'), hint = box.previousElementSibling;
            return [hint.className, hint.hidden, hint.textContent]; })()"""
    )
    assert told[:2] == ["more", False]
    assert int(told[2].split()[0]) >= 2
    # The primary metric is in sight without scrolling.
    assert chromium.evaluate("document.querySelector('.scroll tbody td.num').getBoundingClientRect().right") <= 360


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(chromium: Browser, page: Path, width: int) -> None:
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        pytest.skip("axe is not installed (pip install axe-core-python; it is among the test extras)")
    chromium.show(page, width)
    chromium.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    script = (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    problems = chromium.evaluate(
        f"""{script};
        axe.run(document, {{resultTypes: ['violations']}}).then(found => found.violations.map(
            rule => [rule.impact, rule.id, rule.nodes[0].html.slice(0, 120)]))"""
    )
    assert [problem for problem in problems if problem[0] in ("serious", "critical")] == []


OPENED = "document.querySelectorAll('details').forEach(details => { details.open = true; })"


@pytest.mark.parametrize("still", [False, True])
def test_a_lapse_stands_still_where_less_motion_is_asked_for(chromium: Browser, page: Path, still: bool) -> None:
    chromium.show(page, 360, still=still)
    chromium.evaluate(OPENED)
    shown = chromium.evaluate(
        """Promise.all([...document.querySelectorAll('.lapse img')].map(image => image.decode().then(
            () => [image.currentSrc, image.clientWidth])))"""
    )
    assert len(shown) == 8
    for source, width in shown:
        assert 0 < width <= 256
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
            assert (getattr(image, "n_frames", 1) > 1) is not still


def test_pictures_on_demand_open_by_keyboard_and_fit_a_phone(chromium: Browser, page: Path) -> None:
    chromium.show(page, 360)
    chromium.evaluate("document.querySelector('#samples').open = true")
    closed = "document.querySelector('.walls details:not(.lapse)')"
    assert chromium.evaluate(f"{closed}.querySelector('img').checkVisibility()") is False
    chromium.evaluate(f"{closed}.querySelector('summary').focus()")
    for kind in ("keyDown", "keyUp"):
        chromium.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert chromium.evaluate(f"{closed}.open")
    assert chromium.evaluate(f"{closed}.querySelector('img').checkVisibility()")
    chromium.evaluate(OPENED)
    assert chromium.evaluate("document.documentElement.scrollWidth") == 360
