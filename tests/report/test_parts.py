"""Parts of the report alone: words, equations, SVG, thinned curves, file names, Markdown's escaping."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.objectives import load, names
from bench.report.figures.palette import DARK, PALETTE
from bench.report.figures.panels import Line, Panel, draw_panels
from bench.report.figures.plots import NARROW, one_width, style
from bench.report.figures.svg import dark, draw_equation, equations, on_white, tidy
from bench.report.render.html import anchor
from bench.report.render.markdown import text
from bench.report.render.naming import file_stem
from bench.report.sections.losses import draw_losses, thinned


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
    svg, _ = one_width(lambda width: draw_losses(curves, "<script> $\\frac \x00", PALETTE[0], width), NARROW)
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


def test_a_panels_png_and_svg_show_its_line() -> None:
    line = Line(np.array([0.0, 10.0]), np.array([0.0, 1.0]), "#d55e00", name="fake")
    panel = Panel("one", (line,))
    svg, content = one_width(lambda width: draw_panels([panel], 1, width, 1.4, "steps", "<title> $x$"), NARROW)
    assert (svg, content) == one_width(
        lambda width: draw_panels([panel], 1, width, 1.4, "steps", "<title> $x$"), NARROW
    )
    assert {"one", "steps", "<title> $x$", "fake"} <= {element.text for element in ElementTree.fromstring(svg).iter()}
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.median(pixels) == 255
    near = np.abs(pixels - (0xD5, 0x5E, 0x00)).sum(axis=2) < 120
    rows, columns = np.nonzero(near[pixels.shape[0] // 3 :])
    assert len(rows) > 100
    assert np.corrcoef(rows, columns)[0, 1] < -0.99  # it rises from left to right
    ink = (pixels.sum(axis=2) < 3 * 100)[: pixels.shape[0] // 6]
    assert ink.sum() > 50  # the title


def test_gaps_split_a_curve_and_a_lone_point_is_a_dot() -> None:
    line = Line(np.arange(6.0), np.array([np.nan, 2.0, np.nan, np.nan, 1.0, 3.0]), "#d55e00")
    with style():
        (axes,) = draw_panels([Panel("one", (line,))], 1, NARROW, 1.4, "steps").axes
    dot, rest = axes.collections[0].get_segments()
    assert dot[:, 0] == pytest.approx([1.0, 1.005])
    assert list(dot[:, 1]) == [2.0, 2.0]
    assert rest.tolist() == [[4.0, 1.0], [5.0, 3.0]]


def test_svg_is_shortened_without_being_changed() -> None:
    path = '<g id="a"><path d="M 1.2345 2.0\nL 3 4.999\nL 5.04 6 z"/></g><g id="b"/>'
    curve = '<path d="M 1.2345 2.0 C 3 4.999 5 6 7 8 L 1 1"/>'
    whole = f'<?xml version="1.0"?><svg a="1"><metadata>x</metadata> {path} {curve}</svg>'
    assert tidy(whole) == (
        '<svg a="1"><g><path d="M 1.2 2 3 5 5 6 z"/></g><path d="M 1.23 2 C 3 5 5 6 7 8 L 1 1"/></svg>'
    )


def test_a_diverging_loss_leaves_a_gap_and_does_not_flatten_the_rest() -> None:
    steps = np.arange(1.0, 11.0)
    values = [*np.linspace(1, 0.5, 8), 1e9, np.nan]
    curves = pd.DataFrame({"player": "generator", "term": "fake", "seed": 0, "generator_steps": steps, "value": values})
    with style():
        (axes,) = draw_losses(curves, "x", PALETTE[0], NARROW).axes
        (segment,) = axes.collections[0].get_segments()
        places = axes.transData.transform(segment)[:, 1] / axes.figure.dpi
    assert len(places) == 9  # the finite values
    assert np.ptp(places[:8]) > 0.01  # inches: still seen beside 1e9, where a linear axis would show none


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
