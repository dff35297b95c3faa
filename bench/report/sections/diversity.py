"""Diversity and copying: metrics that are neither good high nor good low, beside what real images give."""

from __future__ import annotations

import math

from bench.formatting import format_count, format_number
from bench.metrics.catalogue import extractor_title
from bench.report.figures.plane import declared_extractor
from bench.report.metric_text import with_unit
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.tables import floor_cell, floor_detail, measured_cell, most_support, samples_text
from bench.report.study import Study

# What is shown, in this order: the heading, and how to read it. {} is the declared extractor.
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
        "how many different images there may be; a small number means repeats, a large one proves nothing: noise, no "
        "two images of which are alike, has the largest.",
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
        "unseen real images give −3 to 3; −3 and less speaks of copies, far above of images unlike the training set.",
    ),
    "nearest_train": (
        "nearest training image, pixels",
        "the same in 16 × 16 pixels: well below 1, copies or blur, which is near to everything.",
    ),
    "ct_pixels": ("C_T, pixels", "the same in 16 × 16 pixels: −3 and less speaks of copies or of blur."),
}


def diversity_table(study: Study, protocol: str) -> Table | None:
    """Return the diversity and copying of each entry at the final step; None where nothing of it was measured."""
    extractor, shown = _measured(study)
    if not shown:
        return None
    rows = [
        Row((Cell(entry.label), *(measured_cell(study, entry, metric) for metric in shown)))
        for entry in study.entries_of(protocol)
    ]
    floor = [floor_cell(study, protocol, metric) for metric in shown]
    rows.append(Row((Cell("real against real", detail=floor_detail(study, next(iter(shown)))), *floor), "floor"))
    return Table(
        f"diversity-{protocol}",
        f"Diversity and copying at the final step, {protocol} protocol,{samples_text(study)} (features: "
        f"{extractor_title(extractor)}): what is near real images’ value is right, not what is greatest or least. "
        "Descriptive; samples can pass each of these and still be poor.",
        (
            Heading("objective"),
            *(Heading(with_unit(title, metric), metric, numeric=True) for metric, (title, _) in shown.items()),
        ),
        tuple(rows),
    )


def diversity_notes(study: Study) -> tuple[str, ...]:
    """Return a sentence on how to read each of the table's columns."""
    most = {"ct": _most_copying_z(study), "support": _most_images(study)}
    return tuple(
        f"{title}: {reading}" + most.get(metric.partition("_")[0], "")
        for metric, (title, reading) in _measured(study)[1].items()
    )


def _most_copying_z(study: Study) -> str:
    """Return how far C_T can go: Mann and Whitney's z where every distance of one side is above all of the other's."""
    samples = study.settings.samples
    heldout = min(samples, study.plan["data"].get("heldout_count") or samples)
    most = math.sqrt(3 * samples * heldout / (samples + heldout + 1))
    return (
        f" With {format_count(samples)} samples it ends at ±{format_number(most)}: rows there are not told apart by it."
    )


def _most_images(study: Study) -> str:
    samples = study.settings.samples
    most = format_count(round(most_support(samples)))
    return f" {format_count(samples)} samples give {most} at most; ≥ marks a mean over a run that reached this."


def _measured(study: Study) -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the extractor and what is shown by the metric's name: in the declared features, else in the primary's."""
    for extractor in (declared_extractor(study), study.extractor):
        named = {metric.format(extractor): words for metric, words in _SHOWN.items()}
        if any(metric in study.metrics for metric in named if metric.endswith(f"_{extractor}")):
            break
    return extractor, {metric: words for metric, words in named.items() if metric in study.metrics}
