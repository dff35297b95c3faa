"""How rows look: a colour for each objective, the same in every figure of every study, and a mark for each row.

Ten colours are told apart in normal vision, deuteranopia and protanopia, on light and dark pages (tests/report/
test_palette.py simulates them); more objectives than that share colours, and differ in their marks. A row that varies
an objective has its colour, and a hollow mark and a dashed line of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Dash = Literal["-"] | tuple[float, tuple[float, ...]]
"""Solid, or an offset and the lengths of strokes and gaps, in line widths."""

SOLID: Dash = "-"
PAPER, INK, MUTED, GREY, GRID = "#fcfbf8", "#2b3036", "#6b737c", "#949494", "#dfe1e3"
# Searched for the greatest least distance; a colour and its dark counterpart share their hue.
STEEL, BLUE, TEAL, MUSTARD, GREEN = "#3b649b", "#2807be", "#299f9c", "#9f7100", "#2b5b07"
CORAL, VIOLET, PLUM, CRIMSON, INDIGO = "#fb556d", "#c16cf0", "#69037b", "#ad3665", "#7142ee"
PALETTE = (STEEL, MUSTARD, CORAL, GREEN, VIOLET, BLUE, TEAL, PLUM, CRIMSON, INDIGO)
DARK = {
    PAPER: "#15181b",
    INK: "#dcd9d2",
    MUTED: "#9aa3ab",
    GREY: "#b3b3b3",
    GRID: "#353b41",
    STEEL: "#6b9fc6",
    BLUE: "#2a6cc9",
    TEAL: "#80ffe5",
    MUSTARD: "#fcdc67",
    GREEN: "#88c809",
    CORAL: "#d71809",
    VIOLET: "#deadfd",
    PLUM: "#98518b",
    CRIMSON: "#e87684",
    INDIGO: "#9e71fd",
}
"""Every colour that figures use, and what it becomes on a dark page."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
DASHES: tuple[Dash, ...] = ((0, (4.4, 1.7)), (0, (1.4, 1.6)), (0, (6.7, 1.7, 1.4, 1.7)))
# Relatives share a colour; the nine objectives of the published example have one each.
_OBJECTIVES = {
    "nsgan": (STEEL, "o"),
    "dragan": (STEEL, "s"),
    "r1": (STEEL, "^"),
    "minimax": (BLUE, "s"),
    "r1r2": (BLUE, "o"),
    "lsgan": (TEAL, "^"),
    "ralsgan": (TEAL, "s"),
    "lecam": (TEAL, "X"),
    "wgan": (MUSTARD, "D"),
    "fisher": (MUSTARD, "o"),
    "sobolev": (MUSTARD, "^"),
    "wgan-gp": (GREEN, "v"),
    "wgan-lp": (GREEN, "o"),
    "cramer": (GREEN, "s"),
    "r3gan": (CORAL, "P"),
    "rsgan": (CORAL, "o"),
    "rasgan": (CORAL, "^"),
    "ebgan": (VIOLET, "X"),
    "mmd-gan": (VIOLET, "o"),
    "began": (PLUM, "<"),
    "vae": (CRIMSON, ">"),
    "hinge": (INDIGO, "*"),
    "rahinge": (INDIGO, "o"),
    "san": (INDIGO, "s"),
    "matching": (STEEL, "D"),
    "acgan": (PLUM, "o"),
    "tacgan": (PLUM, "s"),
    "adcgan": (PLUM, "^"),
    "contragan": (CRIMSON, "o"),
    "reacgan": (CRIMSON, "s"),
    "infogan": (TEAL, "o"),
    "pix2pix": (TEAL, "D"),
}


@dataclass(frozen=True)
class Mark:
    """How a row is drawn: its colour, its marker (one of MARKERS), whether that is hollow, and its line's dashes."""

    colour: str
    marker: str
    hollow: bool = False
    dash: Dash = SOLID

    @property
    def face(self) -> str:
        """Return the colour inside the marker."""
        return PAPER if self.hollow else self.colour

    @property
    def line(self) -> dict[str, Any]:
        """Return what matplotlib draws a marked line of the row with."""
        return {"color": self.colour, "linestyle": self.dash, "marker": self.marker, "markerfacecolor": self.face,
                "markeredgecolor": self.colour}  # fmt: skip


_SHIPPED = frozenset(Mark(colour, marker) for colour, marker in _OBJECTIVES.values())  # no other row gets these


class Look:
    """The mark of every row of a study, from the row's label and its objective's name.

    The colour depends on the objective alone, the mark on objective and label: it moves on to the next one only where a
    row earlier in the study looks the same, so that rows added later change nothing.
    """

    def __init__(self, objectives: Mapping[str, str]) -> None:
        self.labels = list(objectives)
        self._marks: dict[str, Mark] = {}
        for label, objective in objectives.items():
            self._marks[label] = self._free(mark_of(objective, label))

    def of(self, label: str) -> Mark:
        return self._marks[label]

    def _free(self, wanted: Mark) -> Mark:
        if wanted in _SHIPPED:
            return wanted
        taken = {(mark.colour, mark.marker, mark.hollow) for mark in (*self._marks.values(), *_SHIPPED)}
        start = MARKERS.index(wanted.marker)
        for hollow in (wanted.hollow, not wanted.hollow):
            for marker in (*MARKERS[start:], *MARKERS[:start]):
                if (wanted.colour, marker, hollow) not in taken:
                    return Mark(wanted.colour, marker, hollow, wanted.dash)
        return wanted


def colour_of(objective: str) -> str:
    """Return an objective's colour, in every figure of every study."""
    return _OBJECTIVES[objective][0] if objective in _OBJECTIVES else PALETTE[_hash(objective) % len(PALETTE)]


def mark_of(objective: str, label: str) -> Mark:
    """Return how a row looks where no other row looks the same."""
    if label == objective and objective in _OBJECTIVES:
        return Mark(*_OBJECTIVES[objective])
    number, marker = divmod(_hash(label), len(MARKERS))
    if label == objective:
        return Mark(colour_of(objective), MARKERS[marker])
    return Mark(colour_of(objective), MARKERS[marker], hollow=True, dash=DASHES[number % len(DASHES)])


def _hash(text: str) -> int:
    """Return a number that is the same in every process, as Python's own hash is not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
