"""Diversity and copying: metrics that are neither good high nor good low, beside what real images give."""

from __future__ import annotations

import numpy as np

from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Study
from bench.report.tables import value_cell
from bench.report.words import NOTHING, number

# What is shown, in this order: the heading, and how to read it. {} is the primary metric's extractor.
_SHOWN = {
    "diversity_{}": (
        "diversity",
        "1 is as spread as real images; below it samples are too alike, above it they hold what no real image does, "
        "noise included.",
    ),
    "vendi_{}": ("Vendi score", "1 is as many different images as among real ones, 0.5 half as many."),
    "unique_{}": (
        "effective unique share",
        "near the real value there are no near-duplicates; at 0.1, nine images of ten are repeats.",
    ),
    "support_{}": (
        "support at most",
        "how many different images there may be; a small number means repeats, a large one proves nothing.",
    ),
    "ms_ssim": (
        "MS-SSIM of pairs",
        "above the real value samples are more alike than real images are; below it they are less alike, as noise is.",
    ),
    "nearest_train_{}": (
        "nearest training image",
        "1 is as far from the training set as unseen real images are; well below 1, copies.",
    ),
    "ct_{}": (
        "C_T",
        "0 is what unseen real images give; −3 and less speaks of copies, far above 0 of images unlike the training "
        "set. It grows with the number of samples.",
    ),
    "nearest_train": (
        "nearest training image, pixels",
        "the same in 16 × 16 pixels: well below 1, copies or blur, which is near to everything.",
    ),
    "ct_pixels": ("C_T, pixels", "the same in 16 × 16 pixels: −3 and less speaks of copies or of blur."),
}


def diversity_table(study: Study, protocol: str) -> Table | None:
    """Return the diversity and copying of each entry at the final step; None where nothing of it was measured."""
    shown = _measured(study)
    if not shown:
        return None
    rows = [
        Row((Cell(entry.label), *(value_cell(study.summary(entry, metric)) for metric in shown)))
        for entry in study.entries_of(protocol)
    ]
    floor = [_floor(study, protocol, metric) for metric in shown]
    rows.append(Row((Cell("real against real", detail="the floor at the same N"), *floor), "floor"))
    return Table(
        f"diversity-{protocol}",
        f"Diversity and copying at the final step, {protocol} protocol: what is near real images’ value is right, not "
        "what is greatest or least. Descriptive; samples can pass each of these and still be poor.",
        (Heading("objective"), *(Heading(title, metric, numeric=True) for metric, (title, _) in shown.items())),
        tuple(rows),
    )


def diversity_notes(study: Study) -> tuple[str, ...]:
    """Return a sentence on how to read each of the table's columns."""
    return tuple(f"{title}: {reading}" for title, reading in _measured(study).values())


def _measured(study: Study) -> dict[str, tuple[str, str]]:
    named = {metric.format(study.extractor): words for metric, words in _SHOWN.items()}
    return {metric: words for metric, words in named.items() if metric in study.metrics}


def _floor(study: Study, protocol: str, metric: str) -> Cell:
    found = [summary.floor for _, summary in study.summaries_of(protocol, metric) if summary.floor is not None]
    return Cell(number(float(np.mean(found))) if found else NOTHING, numeric=True)
