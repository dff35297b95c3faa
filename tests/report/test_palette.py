"""How rows look: the same in every study, and told apart by those who see fewer colours."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from helpers.vision import VISIONS, contrast, distance

from bench.config.models import expanded_entries
from bench.config.reading import load_config
from bench.report.figures.palette import DARK, INK, MARKERS, PALETTE, PAPER, Look, colour_of, mark_of

CONFIG = Path(__file__).parents[2] / "bench.toml"
LEAST = {"normal": 0.16, "deuteranopia": 0.11, "protanopia": 0.09}
FACES = ("nsgan", "minimax", "lsgan", "wgan", "wgan-gp", "r3gan", "ebgan", "began", "vae")


def rows_of_studies() -> dict[str, dict[str, str]]:
    return {
        name: {entry.label: entry.objective for entry in expanded_entries(study)}
        for name, study in load_config(CONFIG).studies.items()
    }


@pytest.mark.parametrize("page", ["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
def test_all_colours_are_told_apart(vision: str, page: str) -> None:
    colours = [colour if page == "light" else DARK[colour] for colour in PALETTE]
    nearest = min((distance(one, other, vision), one, other) for one, other in combinations(colours, 2))
    assert nearest[0] >= LEAST[vision], nearest


def test_colours_stand_out_from_the_page_and_from_its_ink() -> None:
    for colour in PALETTE:
        for page, ink, shown in ((PAPER, INK, colour), (DARK[PAPER], DARK[INK], DARK[colour])):
            assert contrast(shown, page) >= 3
            assert distance(shown, ink) >= 0.08


def test_every_row_of_every_shipped_study_has_its_own_look() -> None:
    for name, rows in rows_of_studies().items():
        look = Look(rows)
        for one, other in combinations(rows, 2):
            first, second = look.of(one), look.of(other)
            differ = (first.marker, first.hollow) != (second.marker, second.hollow)
            apart = all(distance(first.colour, second.colour, vision) >= LEAST[vision] for vision in VISIONS)
            assert differ or apart, (name, one, other)


def test_the_nine_objectives_of_the_example_have_a_colour_each() -> None:
    assert len({colour_of(name) for name in FACES}) == len(FACES)


def test_an_objective_has_one_colour_in_every_study() -> None:
    for rows in rows_of_studies().values():
        look = Look(rows)
        for label, objective in rows.items():
            assert look.of(label).colour == colour_of(objective)
            if label == objective:
                assert look.of(label) == mark_of(objective, label)


def test_rows_that_are_added_change_nothing() -> None:
    rows = {"mine": "mine", "nsgan-a": "nsgan"} | {f"nsgan-{index}": "nsgan" for index in range(9)}
    before, after = Look(rows), Look(rows | {name: name for name in (*FACES, "yours")} | {"nsgan-z": "nsgan"})
    assert [before.of(label) for label in rows] == [after.of(label) for label in rows]


def test_variants_share_a_colour_and_differ_in_their_marks() -> None:
    look = Look({"nsgan": "nsgan"} | {f"nsgan-{index}": "nsgan" for index in range(len(MARKERS))})
    marks = [look.of(label) for label in look.labels]
    assert len({mark.colour for mark in marks}) == 1
    assert len({(mark.marker, mark.hollow) for mark in marks}) == len(marks)
    assert [mark.hollow for mark in marks] == [False] + [True] * len(MARKERS)
    assert len({mark.face for mark in marks}) == 2
