"""`bench theory`: the page, its figure and its table, also for a user's own objective."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers.browser import Browser

from bench.cli.shared import Roots
from bench.cli.verbs.theory import theory
from bench.errors import BenchError
from bench.report.render.markdown import text as markdown_text
from bench.validation.dirac.behaviour import Behaviour
from bench.validation.dirac.page import COMPUTED, LEAD, PREDICTS, PREDICTS_NOT, READING, Claim
from bench.validation.dirac.predictions import PREDICTIONS
from bench.validation.dirac.survey import eigenvalue_text, portrait

OWN = '''
from typing import ClassVar
from bench.objectives.base import Card, Golden, Objective, Published

class Own(Objective):
    """Both players descend: no game."""

    card: ClassVar[Card] = Card(
        title="Own", paper="", authors="", year=2024, arxiv="", family="own", published=Published(source=""),
        golden=(Golden(),),
    )

    def discriminator_loss(self, D, real, fake, step):
        return {"pull": D.psi.square().sum()}

    def generator_loss(self, D, fake, real, step):
        return {"pull": 0.25 * fake.square().mean()}
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("theory")
    own = root / "mine.py"
    own.write_text(OWN)
    roots = Roots(config=None, runs=root, reports=root / "reports", data=root)
    done = CliRunner().invoke(theory, ["nsgan", "r1", "lsgan", str(own)], obj=roots, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "±0.5i" in done.output
    return root / "reports" / "theory"


def test_the_table_says_what_was_predicted_and_found(folder: Path) -> None:
    table = pd.read_csv(folder / "portraits.csv", keep_default_na=False).set_index("objective")
    assert list(table.index) == ["mine", "r1", "nsgan", "lsgan"]  # by what the flow does
    assert table.loc["nsgan", "eigenvalues_found"] == table.loc["nsgan", "eigenvalues_predicted"] == "0-0.5j 0+0.5j"
    assert table.loc["lsgan", "flow_found"] == table.loc["lsgan", "flow_predicted"] == "stops short"
    assert table.loc["r1", "settings"] == "gamma=0.3"
    assert table.loc["mine", "eigenvalues_found"] == "-2+0j -0.5+0j"
    assert table.loc["mine", "flow_predicted"] == ""
    assert table.loc["mine", "flow_found"] == "converges"


def test_the_page_is_whole_and_offline(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    assert "default-src 'none'" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    alt = re.search(r'alt="(Phase portraits[^"]*)"', html)
    assert alt is not None
    assert "stops short: lsgan" in alt[1]
    assert "theory agree on all 3 " in html
    assert "prefers-color-scheme: dark" in html
    markdown = (folder / "theory.md").read_text()
    assert "![Phase portraits" in markdown
    assert "| nsgan | ±0.5i | closes in slowly |" in markdown
    assert "## What it does not" in markdown


def test_the_figure_is_a_drawing_of_every_objective(folder: Path) -> None:
    svg = (folder / "images" / "phase-portraits.svg").read_text()
    ET.fromstring(svg)
    for name in ("nsgan", "r1", "lsgan", "mine"):
        assert f"<!-- {name} -->" in svg
    assert (folder / "images" / "phase-portraits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(chromium: Browser, folder: Path, width: int, dark: bool) -> None:
    chromium.show(folder / "index.html", width, dark=dark)
    chromium.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    assert chromium.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_the_page_says_nothing_of_objectives_that_were_not_simulated(folder: Path) -> None:
    text = (folder / "theory.md").read_text().partition("How it is computed")[0]
    for name in set(PREDICTIONS) - {"nsgan", "r1", "lsgan"}:
        assert not re.search(rf"(?<!\w){name}(?!\w)", text), name


def test_a_claim_is_made_of_those_that_bear_it_out_alone() -> None:
    claim = Claim(("r1", "nsgan", "r3gan"), "Some ({names}) do.")
    r1, nsgan = portrait("r1"), portrait("nsgan")
    assert claim.about([r1, nsgan, portrait("lsgan")]) == "Some (r1, nsgan) do."
    assert claim.about([replace(r1, flow_does=Behaviour.DRIFTS), nsgan]) == "Some (nsgan) do."
    assert claim.about([replace(r1, flow_does=Behaviour.DRIFTS)]) is None


def test_the_committed_page_is_todays() -> None:
    """docs/theory.md is a copy of what `bench theory` writes: every sentence of it is still in the code."""
    docs = Path(__file__).parents[2] / "docs"
    committed = (docs / "theory.md").read_text()
    for sentence in (*LEAD, READING, *PREDICTS, *PREDICTS_NOT, *COMPUTED):
        text = sentence if isinstance(sentence, str) else sentence.sentence.partition("{names}")[2]
        assert markdown_text(text) in committed
    for name, prediction in PREDICTIONS.items():
        assert re.search(rf"^\| {name}\W.*{re.escape(markdown_text(prediction.why))} \|$", committed, re.MULTILINE), (
            name
        )
    assert (docs / "images" / "phase-portraits.png").stat().st_size < 250_000


def test_an_unknown_objective_is_told_plainly(tmp_path: Path) -> None:
    roots = Roots(config=None, runs=tmp_path, reports=tmp_path, data=tmp_path)
    with pytest.raises(BenchError, match='did you mean "nsgan"'):
        CliRunner().invoke(theory, ["nsgn"], obj=roots, catch_exceptions=False)


def test_an_objective_that_cannot_be_played_is_told_plainly(tmp_path: Path) -> None:
    own = tmp_path / "broken.py"
    own.write_text(OWN.replace("fake.square().mean()", "fake.no_such_thing()"))
    roots = Roots(config=None, runs=tmp_path, reports=tmp_path, data=tmp_path)
    with pytest.raises(BenchError, match=r"broken.* on one point: AttributeError"):
        CliRunner().invoke(theory, [str(own)], obj=roots, catch_exceptions=False)


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((-0.5j, 0.5j), "±0.5i"),
        ((-1j, 1j), "±i"),
        ((-0.15 - 0.4769696j, -0.15 + 0.4769696j), "−0.15 ± 0.477i"),
        ((-1.866025, -0.133975), "−1.87, −0.134"),
        ((0j, 0j), "0, twice"),
        (None, "none: the field jumps"),
    ],
)
def test_eigenvalues_are_written_in_short(pair: tuple[complex, complex] | None, text: str) -> None:
    assert eigenvalue_text(pair) == text
