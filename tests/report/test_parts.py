"""Parts of the report alone: words, equations, SVG, thinned curves, file names, Markdown's escaping."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.objectives import load, names
from bench.report.figures.chart import Line, Panel, chart
from bench.report.figures.plots import MARKERS, PALETTE, Look
from bench.report.figures.raster import png_of_chart, points_of
from bench.report.figures.svg import DARK, dark, draw_equation, equations, on_white, tidy
from bench.report.render.html import anchor
from bench.report.render.markdown import text
from bench.report.render.naming import file_stem
from bench.report.sections.losses import draw_losses, thinned
from bench.report.words import interval, number, plain, rate


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.5, "1,234"),
        (96.034, "96.0"),
        (4.567, "4.57"),
        (0.6123, "0.612"),
        (0.0, "0.000"),
        (-0.5, "−0.500"),
        (0.000123, "1.2e-04"),
        (-0.000123, "−1.2e-04"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_three_or_four_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_signs_and_intervals() -> None:
    assert number(12.06, 1, sign=True) == "+12.1"
    assert number(-12.06, 1, sign=True) == "−12.1"
    assert interval(-1.0, 2.0, 1, sign=True) == "[−1.0, +2.0]"
    assert interval(None, 2.0) == ""


@pytest.mark.parametrize(
    ("value", "shown"), [(2e-4, "2e-4"), (5e-5, "5e-5"), (1e-3, "1e-3"), (0.01, "0.01"), (10.0, "10"), (0.0, "0")]
)
def test_rates(value: float, shown: str) -> None:
    assert rate(value) == shown


def test_settings_are_plain() -> None:
    assert plain([0.5, 0.999]) == "(0.5, 0.999)"
    assert plain(None) == "none"
    assert plain({"generator_steps": 25, "repeat_every": None}) == "generator_steps 25"


@pytest.mark.parametrize("name", names())
def test_every_objectives_equations_can_be_drawn(name: str) -> None:
    card = load(name).card
    losses = [loss for loss in (card.discriminator_loss, card.generator_loss, card.joint_loss) if loss]
    assert losses
    for line in (line for loss in losses for line in equations(loss)):
        assert line.svg is not None, line.latex
        assert 0 < line.width < 40
        assert 0 < line.height < 5


@pytest.mark.parametrize("latex", [r"\input{/etc/passwd}", r"\frac{1", "a_", r"\notacommand x", ""])
def test_what_cannot_be_drawn_stays_text(latex: str) -> None:
    assert draw_equation(latex).svg is None


def test_a_quad_starts_a_line() -> None:
    assert [line.latex for line in equations(r"a, \quad b = 1")] == ["a", "b = 1"]


def test_dark_figures_use_no_light_colour() -> None:
    changed = {light for light, other in DARK.items() if light != other}
    assert dark(" ".join(DARK)) == " ".join(DARK.values())
    curves = pd.DataFrame(
        {"player": "generator", "term": "fake", "seed": 0, "generator_steps": [1.0, 2.0, 3.0], "value": [1.0, 2.0, 1.5]}
    )
    svg = draw_losses(curves, "<script> $\\frac \x00")
    assert "<script" not in svg
    ElementTree.fromstring(svg)
    assert any(colour in svg for colour in changed)
    assert not any(colour in dark(svg) for colour in changed)
    used = {colour for colour in changed if colour in on_white(svg)}
    rules = svg[svg.index("@media") : svg.index("</style>")]
    assert used
    assert all(colour in rules and DARK[colour] in rules for colour in used)
    assert 'fill="#ffffff"' in on_white(svg)
    assert "@media" not in on_white(svg)


def test_a_charts_png_shows_what_its_svg_shows() -> None:
    line = Line(np.array([0.0, 10.0]), np.array([0.0, 1.0]), "#d55e00", name="fake")
    svg = chart([Panel("one", (line,))], 1, 250, 100, "steps", "<title> $x$")
    content = png_of_chart(svg)
    assert content == png_of_chart(svg)
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.median(pixels) == 255
    near = np.abs(pixels - (0xD5, 0x5E, 0x00)).sum(axis=2) < 120
    rows, columns = np.nonzero(near[pixels.shape[0] // 3 :])
    assert len(rows) > 100
    assert np.corrcoef(rows, columns)[0, 1] < -0.99  # it rises from left to right
    ink = (pixels.sum(axis=2) < 3 * 100)[: pixels.shape[0] // 6]
    assert ink.sum() > 50  # the title


def test_path_data_is_read_as_it_was_written() -> None:
    assert list(points_of("M1 2l.5 -1l1 1M4 4h0M5 5H9M1 1v2.5")) == [
        [(1, 2), (1.5, 1), (2.5, 2)],
        [(4, 4), (4, 4)],
        [(5, 5), (9, 5)],
        [(1, 1), (1, 3.5)],
    ]


def test_svg_is_shortened_without_being_changed() -> None:
    whole = '<?xml version="1.0"?><svg a="1"><metadata>x</metadata> <path d="M 1.23456 2.0\nL 3 4.999"/></svg>'
    assert tidy(whole) == '<svg a="1"><path d="M 1.23 2 L 3 5"/></svg>'


def test_a_diverging_loss_leaves_a_gap_and_does_not_flatten_the_rest() -> None:
    steps = np.arange(1.0, 11.0)
    values = [*np.linspace(1, 0.5, 8), 1e9, np.nan]
    curves = pd.DataFrame({"player": "generator", "term": "fake", "seed": 0, "generator_steps": steps, "value": values})
    svg = draw_losses(curves, "x")
    (drawn,) = re.findall(r'<path d="(M[^"]*)"[^>]*opacity', svg)
    places = [float(y) for _, y in re.findall(r"l(-?[\d.]+) (-?[\d.]+)", drawn)]
    assert len(places) == 8  # nine finite values, joined
    assert max(abs(place) for place in places[:7]) > 0.1  # still seen beside 1e9: a linear axis would show 0


def test_thinned_curves_are_means_of_neighbours() -> None:
    curves = pd.DataFrame(
        {
            "player": "generator",
            "term": "fake",
            "seed": [0] * 10 + [1] * 3,
            "generator_steps": [*np.arange(1.0, 11.0), 1.0, 2.0, 3.0],
            "value": [*np.arange(10.0), 5.0, np.nan, 7.0],
        }
    )
    found = thinned(curves, 5)
    assert list(found[found["seed"] == 0]["value"]) == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert list(found[found["seed"] == 0]["generator_steps"]) == [1.5, 3.5, 5.5, 7.5, 9.5]
    assert found[found["seed"] == 1]["value"].isna().tolist() == [False, True, False]


def test_a_label_looks_the_same_everywhere_and_many_labels_differ() -> None:
    labels = [f"label-{index}" for index in range(40)]
    looks = [Look(labels).of(label) for label in labels]
    assert len(set(looks)) == len(labels)
    assert len(set(PALETTE)) == 10
    assert len(set(MARKERS)) == len(MARKERS)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".hidden", "<script>", "a" * 300, "con\n"])
def test_file_names_are_plain_and_distinct(name: str) -> None:
    stem = file_stem(name)
    assert "/" not in stem
    assert not stem.startswith(".")
    assert 0 < len(stem) < 100
    assert stem != file_stem(name + "x")


def test_ordinary_names_are_kept() -> None:
    assert file_stem("losses-nsgan@0.0002-controlled") == "losses-nsgan@0.0002-controlled"
    assert anchor("a b<c>") == "t-a-b-c-"


def test_markdown_text_cannot_leave_its_place() -> None:
    assert text("a | b") == r"a \| b"
    assert text("<b>&amp;") == "&lt;b&gt;&amp;amp;"
    assert text("one\n\ntwo\r\n# three") == r"one two \# three"
    assert text("[x](javascript:y) ![i](z) `c` *d* _e_ $f$ ~g~") == (
        r"\[x\](javascript:y) \!\[i\](z) \`c\` \*d\* \_e\_ \$f\$ \~g\~"
    )
    assert text("\\") == "\\\\"
