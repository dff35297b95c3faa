"""The colour of each row, the one that the report's figures give it."""

from __future__ import annotations

from collections.abc import Mapping


def colours_of(objectives: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return each label's colour on a light and on a dark page; `objectives` are by label."""
    from bench.report.figures.palette import Look
    from bench.report.figures.svg import dark  # takes a second: matplotlib

    look = Look(objectives)
    return {label: (look.of(label).colour, dark(look.of(label).colour)) for label in look.labels}
