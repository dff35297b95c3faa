"""The page about the portraits: HTML, Markdown, figure and table. What theory says of each stands in predictions.py."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

from bench.files import write_atomic
from bench.formatting import joined, plural
from bench.report.figures.plots import NARROW, png_of, style, svg_of
from bench.report.figures.svg import dark, on_white
from bench.report.model import Cell, Heading, Row, Table
from bench.report.render.markdown import table as markdown_table
from bench.report.render.markdown import text as markdown_text
from bench.validation.dirac.behaviour import Behaviour
from bench.validation.dirac.portraits import draw_portraits
from bench.validation.dirac.predictions import PREDICTIONS
from bench.validation.dirac.survey import DURATION, START, STEP, Portrait, as_table, eigenvalue_text
from bench.version import __version__

Section = tuple[str, tuple[str, ...]]
"""A heading and the points under it."""

TITLE = "Every objective on one point"
FIGURE = "phase-portraits"
_WIDE = 7.0
_COLOURS = 64  # of the PNG: lines on white need no more

LEAD = (
    "The smallest GAN there is: the data are one point, 0; the generator makes one point, θ; the discriminator is a "
    "straight line through the origin, C(x) = ψx (Mescheder et al. 2018, arXiv 1801.04406). All of training is then "
    "one dot (θ, ψ) that moves in a plane, and whatever it can do can be seen.",
    "Every arrow and path was computed from the objective’s own losses by automatic differentiation: no formula was "
    "drawn. What theory says of each stands in the table, beside what the simulation did.",
)
READING = (
    "G is right where θ = 0, on the upright line; both players rest at the cross. The blue line is training with "
    f"infinitely small steps, the orange dots are plain gradient steps of {STEP}, first D’s, then G’s. Over each panel "
    "stand the settings that are not the defaults, the eigenvalues of the field at the cross, and what the blue line "
    "does. A pair such as ±0.5i says that near the cross the players chase each other round and round; a negative real "
    "part is a pull inwards; where the field jumps, there is nothing to linearise."
)


@dataclass(frozen=True)
class Claim:
    """A sentence of theory, printed only beside portraits whose simulation bears it out: `{names}` are those drawn."""

    objectives: tuple[str, ...]
    sentence: str

    def about(self, portraits: Sequence[Portrait]) -> str | None:
        """Return the sentence about the portraits that theory foresaw; None where there is none."""
        borne_out = [p.name for p in portraits if p.name in self.objectives and p.agrees]
        return self.sentence.format(names=", ".join(borne_out)) if borne_out else None


def _foreseen(behaviour: Behaviour) -> tuple[str, ...]:
    return tuple(name for name, prediction in PREDICTIONS.items() if prediction.behaviour is behaviour)


PREDICTS = (
    Claim(
        _foreseen(Behaviour.CIRCLES),
        "Circles ({names}): the players chase each other. Neither loss settles, and samples get better and worse in "
        "turns. What ends the chase is then not the loss but a falling learning rate, or averaging of G’s weights: the "
        "mean of a circle is its centre.",
    ),
    Claim(
        _foreseen(Behaviour.CLOSES_IN),
        "Closing in slowly ({names}): G does arrive, but the nearer, the slower (the distance falls as 1/√t): the last "
        "stretch takes most of the training.",
    ),
    Claim(
        ("r1", "r1r2", "r3gan"),
        "Zero-centred penalties ({names}) converge exponentially. There is a best strength: far above the critical γ, "
        "D is so flat that G creeps, under R1 at the rate 1/(4γ).",
    ),
    Claim(
        ("wgan-gp", "dragan"),
        "Penalties that want slope 1 ({names}) hold D steep where G has already arrived, so that G cannot rest. In "
        "training such a G goes on moving by as much as the learning rate lets it.",
    ),
    Claim(("wgan", "wgan-lp"), "Clipping and the one-sided penalty ({names}) only cap the circle."),
    Claim(
        ("cramer", "mmd-gan", "ebgan", "began", "vae"),
        "Distances and reconstructions ({names}) do not chase: D cannot turn their sign. Where the speed does not fall "
        "on approach, discrete steps overshoot and rattle by about a step; a falling learning rate ends that.",
    ),
)
PREDICTS_NOT = (
    "There is one point: nothing here speaks of modes dropped, of diversity or of how images look. An objective that "
    "circles here can make better images than one that converges; that is for a study’s seeds to decide.",
    "D is a line with one number and no bias, and an autoencoder remembers a single point.",
    Claim(("lsgan",), "{names} suffers from the missing bias alone: with one, D could say ½ everywhere."),
    Claim(("san",), "{names} has no direction to turn."),
    Claim(("fisher", "sobolev"), "A single number leaves no room for the constraint of {names}."),
    "The steps are plain gradient descent: no Adam, no batch noise, no norm, no learning-rate schedule.",
    "Penalty weights and the clip are those of a game of unit size; their defaults belong to images of thousands of "
    "numbers. Settings that are not named over a panel are at their defaults.",
)
COMPUTED = (
    "The stand-in for each head: a score, an embedding and an encoder’s mean are ψx; an autoencoder reconstructs ψ "
    "whatever it is shown, so that it remembers one point. A batch is two equal points. Random draws are their means.",
    f"The flow starts at θ = {START[0]}, ψ = {START[1]} and is solved for {DURATION:g} units of time by Runge-Kutta, "
    "or by Euler steps of 0.02 where the field jumps. Its state (BEGAN’s k, Fisher’s and Sobolev’s multiplier, LeCam’s "
    "anchors) is held at its start; in the discrete steps it follows after every step of D, as in training. Clipping "
    "bounds both.",
    "Converges: |θ| stays below a twentieth of the start’s distance at the end. Closes in slowly: not yet, but each "
    "third of the time has less swing than the one before. A circle and a cycle both swing on for ever; a second "
    "start, three times nearer, tells them apart: circles keep their distance, a cycle has its own.",
)


@dataclass(frozen=True)
class TheoryPaths:
    """What `write` wrote."""

    html: Path
    markdown: Path
    table: Path
    svg: Path
    png: Path


@dataclass(frozen=True)
class _Figure:
    """The drawing at two widths and as PNG, and its words."""

    alt: str
    caption: str
    wide: str
    narrow: str
    png: bytes


def write(portraits: Sequence[Portrait], folder: Path, command: str = "bench theory") -> TheoryPaths:
    """Write the page, its figure and its table into `folder`; the same portraits give the same bytes."""
    ordered = sorted(portraits, key=lambda p: (list(Behaviour).index(p.flow_does), p.name))
    figure, table = _figure(ordered), _table(ordered)
    paths = TheoryPaths(
        folder / "index.html",
        folder / "theory.md",
        folder / "portraits.csv",
        folder / "images" / f"{FIGURE}.svg",
        folder / "images" / f"{FIGURE}.png",
    )
    write_atomic(paths.svg, on_white(figure.wide))
    write_atomic(paths.png, figure.png)
    write_atomic(paths.table, as_table(ordered).to_csv(index=False, lineterminator="\n"))
    sections = _sections(ordered)
    write_atomic(paths.markdown, _render_markdown(figure, table, sections, command))
    write_atomic(paths.html, _render_html(figure, table, sections, command))
    return paths


def _render_markdown(figure: _Figure, table: Table, sections: Sequence[Section], command: str) -> str:
    blocks = [
        f"# {TITLE}",
        *map(markdown_text, LEAD),
        markdown_text(READING),
        f"![{markdown_text(figure.alt)}](images/{FIGURE}.png)",
        markdown_text(figure.caption),
        markdown_table(table),
    ]
    for heading, points in sections:
        blocks += [f"## {heading}", "\n".join(f"- {markdown_text(point)}" for point in points)]
    blocks += ["## To repeat it", f"    {command}"]
    return "\n\n".join(blocks) + "\n"


def _sections(portraits: Sequence[Portrait]) -> list[Section]:
    """Return headings with their points; a section without a point is left out."""
    sections = (
        ("What theory predicts for training, where the simulation agrees", _borne_out(PREDICTS, portraits)),
        ("What it does not predict", _borne_out(PREDICTS_NOT, portraits)),
        ("How it is computed", COMPUTED),
    )
    return [(heading, tuple(points)) for heading, points in sections if points]


def _borne_out(points: Sequence[str | Claim], portraits: Sequence[Portrait]) -> list[str]:
    told = (point if isinstance(point, str) else point.about(portraits) for point in points)
    return [point for point in told if point is not None]


def _render_html(figure: _Figure, table: Table, sections: Sequence[Section], command: str) -> str:
    environment = Environment(  # the report's style sheet, so that both look alike
        loader=ChoiceLoader([PackageLoader("bench.validation.dirac"), PackageLoader("bench.report.render")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"dark": dark, "svg_uri": _svg_uri}
    text = environment.get_template("theory.html.j2").render(
        title=TITLE,
        lead=LEAD,
        reading=READING,
        portraits=figure,
        table=table,
        sections=sections,
        command=command,
        version=__version__,
    )
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


def _svg_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _figure(portraits: Sequence[Portrait]) -> _Figure:
    does: dict[str, list[str]] = {}
    for p in portraits:
        does.setdefault(p.flow_does, []).append(p.name)
    told = "; ".join(f"{behaviour}: {', '.join(names)}" for behaviour, names in does.items())
    with style():
        wide = draw_portraits(portraits, _WIDE, 5)
        return _Figure(
            alt=f"Phase portraits of {plural(len(portraits), 'objective')}, by what the flow does. {told}.",
            caption=f"Every objective from the same start, ordered by what the flow does. {_verdict(portraits)}",
            wide=svg_of(wide),
            narrow=svg_of(draw_portraits(portraits, NARROW, 2)),
            png=_few_colours(png_of(wide)),
        )


def _verdict(portraits: Sequence[Portrait]) -> str:
    """Return how many portraits theory had foreseen, naming those that it had not."""
    foreseen = [p for p in portraits if p.prediction is not None]
    wrong = [p.name for p in foreseen if not p.agrees]
    if not foreseen:
        return "None of them has a prediction."
    if wrong:
        return f"Simulation and theory disagree on {joined(wrong)}."
    if len(foreseen) == 1:
        return f"Simulation and theory agree on {foreseen[0].name}."
    return f"Simulation and theory agree on all {len(foreseen)} that have a prediction."


def _table(portraits: Sequence[Portrait]) -> Table:
    return Table(
        "portraits",
        "What the simulation did, marked where theory predicts otherwise. u = θψ, and σ is the logistic function.",
        tuple(map(Heading, ("objective", "eigenvalues at the cross", "flow", f"steps of {STEP}", "what theory says"))),
        tuple(map(_row, portraits)),
    )


def _row(portrait: Portrait) -> Row:
    prediction = portrait.prediction
    settings = ", ".join(f"{key.replace('_', ' ')} = {value:g}" for key, value in portrait.settings.items())
    eigenvalues, behaviour = eigenvalue_text(portrait.eigenvalues), str(portrait.flow_does)
    predicted = eigenvalue_text(portrait.predicted_eigenvalues)
    differs = prediction is not None and predicted != eigenvalues
    surprise = prediction is not None and prediction.behaviour is not portrait.flow_does
    return Row(
        (
            Cell(portrait.name, detail=settings),
            Cell(eigenvalues, badges=(f"theory: {predicted}",) if differs else ()),
            Cell(behaviour, badges=(f"theory: {prediction.behaviour}",) if prediction and surprise else ()),
            Cell(str(portrait.steps_do)),
            Cell(prediction.why if prediction else "no prediction"),
        )
    )


def _few_colours(png: bytes) -> bytes:
    """Return the picture with a palette: a third of the bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()
