"""The colour of each row, the one that the report's figures give it."""

from __future__ import annotations

from collections.abc import Sequence


def colours_of(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return each label's colour on a light and on a dark page."""
    from bench.report.figures.plots import Look  # takes a second: matplotlib
    from bench.report.figures.svg import dark

    look = Look(list(dict.fromkeys(labels)))
    return {label: (look.of(label)[0], dark(look.of(label)[0])) for label in look.labels}
