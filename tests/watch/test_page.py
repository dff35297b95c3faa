"""The page of `bench watch` in a real browser. Skipped, with the reason, where there is none."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from helpers.browser import Browser
from helpers.study_fixture import HOSTILE, Fate, StudyFixture
from PIL import Image

from bench.files import append_jsonl
from bench.runs.folder import RunFolder, Status
from bench.watch.server import WatchServer
from bench.watch.state import WatchedStudy


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fates = {("vae", "controlled", 1): Fate("failed", 300, HOSTILE), ("vae", "controlled", 0): None}
    fixture = StudyFixture(title=HOSTILE, objectives=("nsgan", "wgan-gp", "vae"), fates=fates)
    return fixture.write(tmp_path_factory.mktemp("watched") / "runs")


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    with WatchServer(WatchedStudy(study.parent, study.name, study.parent / "data")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def until(chromium: Browser, expression: str, seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := chromium.evaluate(expression)):
        assert time.monotonic() < end, expression
        time.sleep(0.1)
    return value


DRAWN = "document.querySelectorAll('.losses polyline').length > 3"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_it_fits_every_window_in_its_colours(
    chromium: Browser, address: str, tmp_path: Path, width: int, dark: bool
) -> None:
    chromium.show(address, width, height=3000, dark=dark)  # cards draw their curves once they are in sight
    until(chromium, DRAWN)
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in chromium.events if event.get("method") in complaints] == []
    asked = {
        event["params"]["request"]["url"]
        for event in chromium.events
        if event.get("method") == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith((address, "data:"))} == set()
    picture = tmp_path / "page.png"
    chromium.screenshot(picture, whole=False)
    corner = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("L"))[-20:, :6].mean()
    assert (corner < 60) if dark else (corner > 200)


def test_runs_stand_with_their_curves_samples_and_reasons(chromium: Browser, address: str) -> None:
    chromium.show(address, 1440, height=2000)
    until(chromium, DRAWN)
    cards = chromium.evaluate(
        """[...document.querySelectorAll('.run')].map(card => [card.querySelector('.name').textContent,
            card.querySelector('.state').textContent, card.querySelector('.reason').textContent])"""
    )
    assert [state for _, state, _ in cards] == ["failed", "done", "done", "done", "done", "planned"]  # the urgent first
    assert cards[0][0] == "vae-controlled/seed-1"
    assert "<script>" in cards[0][2]  # as text
    assert chromium.evaluate("document.querySelectorAll('#scores polyline').length") == 4
    until(chromium, "[...document.querySelectorAll('.grid img')].filter(image => image.naturalWidth > 0).length >= 4")


def test_runs_can_be_found(chromium: Browser, address: str) -> None:
    chromium.show(address, 1440)
    until(chromium, "document.querySelectorAll('.run').length === 6")
    chromium.evaluate("document.getElementById('words').value = 'GP seed-1'; arrange()")
    assert chromium.evaluate("document.getElementById('runs').textContent.match(/seed-./g).join()") == "seed-1"
    chromium.evaluate("document.getElementById('words').value = ''; document.getElementById('state').value = 'failed'")
    chromium.evaluate("arrange()")
    assert chromium.evaluate("document.querySelectorAll('#runs .run').length") == 1


def test_it_updates_by_itself(chromium: Browser, address: str, study: Path) -> None:
    folder = RunFolder(next(study.glob("nsgan-*/seed-1-*")))
    before = folder.status()
    chromium.show(address, 1440, height=2000)
    until(chromium, "document.querySelectorAll('.run').length === 6")
    with FileLock(folder.path / ".lock"):
        folder.write_status(Status("running", 450, 900, steps_per_second=9.0, phase="training", device="cpu"))
        append_jsonl(folder.log_file, [{"generator_steps": 901, "generator": {"fake": 123.0}}])
        until(chromium, "document.querySelector('.run .state').textContent === 'training'")
        assert "450 of 900" in chromium.evaluate("document.querySelector('.run .steps').textContent")
        assert "left" in chromium.evaluate("document.getElementById('summary').textContent")
        until(chromium, "document.querySelector('.run .losses').textContent.includes('fake 123')")
    folder.write_status(before)
    until(chromium, "document.querySelector('.run .state').textContent === 'failed'")
