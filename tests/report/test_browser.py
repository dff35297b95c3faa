"""The report in a real browser: phone and desktop, light and dark. Skipped, with the reason, where there is none."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import Browser, browser, find_browser
from helpers.report_fixture import hostile_report
from PIL import Image


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_report(tmp_path_factory.getbasetemp()).paths.html


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = find_browser()
    if executable is None:
        missing = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with browser(executable) as found:
        yield found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_page_is_wider_than_its_window(
    chromium: Browser, page: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    chromium.show(page, width, dark=dark)
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    overflowing = chromium.evaluate(
        """[...document.querySelectorAll('main *')].filter(element => {
            if (element.closest('.scroll, .losses dd, pre')) return false;
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
        """(() => { const box = document.querySelector('.scroll'); box.focus(); box.scrollLeft = 200;
            return document.activeElement === box && box.scrollLeft > 0 && box.scrollWidth > box.clientWidth; })()"""
    )
    # The row's name stays in sight.
    assert chromium.evaluate("document.querySelector('.scroll tbody th').getBoundingClientRect().left >= 0")


def test_tables_sort_by_their_headings_with_the_keyboard(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    press = """(() => {
        const table = document.querySelector('.scroll table');
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


def test_it_prints(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    assert len(chromium.call("Page.printToPDF", printBackground=False)["data"]) > 100_000


def test_what_is_folded_away_is_on_paper(chromium: Browser, page: Path) -> None:
    chromium.show(page, 718)  # A4 within Chromium's margins
    seen = """[...document.querySelectorAll('details')].map(
        details => details.lastElementChild.checkVisibility({contentVisibilityAuto: true}))"""
    assert not any(chromium.evaluate(seen))
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        shown = chromium.evaluate(seen)
        assert len(shown) > 10
        assert all(shown)
        # A table much wider than the paper would make the browser print everything smaller.
        assert chromium.evaluate("document.documentElement.scrollWidth") < 1.05 * 718
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")


OPENED = "document.querySelectorAll('.walls details').forEach(details => { details.open = true; })"


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
