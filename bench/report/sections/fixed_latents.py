"""What the images of the fixed latents show: their borders, and whether they keep their mode while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.formatting import NOTHING, format_number
from bench.report.model import Block, Cell, Heading, Prose, Row, Table
from bench.report.sections.together import together
from bench.report.study import Study
from bench.report.subject import Subject

_BORDERS = {
    "border_mean": "border: mean",
    "border_between": "border: share in (−0.9, 0.9)",
    "border_amplitude": "border: mean absolute value",
}


def fixed_latents(subject: Subject) -> tuple[Block, ...]:
    """Return what the sample grids show; nothing before they were measured."""
    grids = subject.study.grids
    tables = [table for protocol in subject.study.protocols if (table := _table(subject.study, protocol, grids))]
    words = (
        "Every snapshot of every run draws the same latents, and its grid shows their images. The border is the outer "
        "two pixels, on [−1, 1]: a share of 0 in (−0.9, 0.9) is black and white alone, a mean absolute value of 0 is "
        "mid-grey. Last column: the share of latents whose image has the mode that it had in the snapshot before, as "
        "the judge sees it, however sure it is; also a generator that draws one image for all keeps its mode."
    )
    return (Prose(words), *together(tables)) if tables else ()


def _table(study: Study, protocol: str, grids: dict[str, Any] | None) -> Table | None:
    if grids is None:
        return None
    measured = [
        (entry.label, [grids["runs"][run.path] for run in entry.runs if run.path in grids["runs"]])
        for entry in study.entries_of(protocol)
    ]
    rows = [
        Row(
            (
                Cell(label),
                *(_cell([run[name][-1] for run in runs]) for name in _BORDERS),
                _cell([run["same_mode"][-1] for run in runs if run["same_mode"] and run["same_mode"][-1] is not None]),
            )
        )
        for label, runs in measured
        if runs
    ]
    if not rows:
        return None
    real = (Cell("real images"), *(_cell([grids["real"][name]]) for name in _BORDERS), Cell(NOTHING, numeric=True))
    return Table(
        f"fixed-latents-{protocol}",
        f"Images of the fixed latents at the last snapshot, {protocol} protocol: the mean over runs and in brackets "
        "the lowest and the highest.",
        (
            Heading("objective"),
            *(Heading(title, name, numeric=True) for name, title in _BORDERS.items()),
            Heading("kept their mode", "same_mode", numeric=True),
        ),
        (*rows, Row(real, kind="floor")),
    )


def _cell(values: Sequence[float]) -> Cell:
    if not values:
        return Cell(NOTHING, numeric=True)
    mean = sum(values) / len(values)
    ends = f"[{format_number(min(values), 2)}, {format_number(max(values), 2)}]" if len(values) > 1 else ""
    return Cell(format_number(mean, 2), ends, numeric=True, sort=mean)
