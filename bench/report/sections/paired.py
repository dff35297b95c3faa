"""Studies of pairs: what do rows keep of their inputs, do their latents matter, and which of them draw averages?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.formatting import NOTHING, PERCENT_95, format_number, joined
from bench.report.figures.captioned import metric_floor
from bench.report.metric_text import metric_heading
from bench.report.model import Block, Cell, Heading, Prose, Row, Table
from bench.report.sections.tables import floor_cell, ordered, row_kind, samples_text, value_cell
from bench.report.sections.together import together
from bench.report.study import Entry, Study
from bench.report.subject import Subject

KEPT, NEAR, VARIETY = "kept_judge", "l1", "hidden_entropy"
AVERAGING = "averages"
UNHEARD = "latents unheard"
_ALIKE = 0.05  # of what a perfect generator has: the outputs of one input are all alike


def input_of(study: Study) -> str:
    """Return what the inputs of a study of pairs are; "" in any other."""
    return str(study.plan.get("data", {}).get("input") or "")


def beside_metric(study: Study) -> str:
    """Return what stands beside the score of pairs: what is kept of the input, else L1; "" where none is measured."""
    there = {summary.metric for summary in study.summaries if summary.values}
    return next((metric for metric in (KEPT, NEAR) if metric in there), "") if input_of(study) else ""


def averages(study: Study, entry: Entry) -> bool:
    """Tell whether every run's L1 lies below its floor: nearer to the target than a perfect generator's outputs are."""
    floor = metric_floor(study, entry.protocol, NEAR)
    return _in_all_runs(study, entry, NEAR, lambda value: floor is not None and value < floor)


def ignores_latents(study: Study, entry: Entry) -> bool:
    """Tell whether every run draws one image for an input, whatever the latent: by the judge where it sees that."""
    if metric_floor(study, entry.protocol, VARIETY) is not None:
        return _in_all_runs(study, entry, VARIETY, lambda value: value < _ALIKE)
    return _in_all_runs(study, entry, f"intra_diversity_{study.extractor}", lambda value: value < _ALIKE)


def beside_cell(study: Study, entry: Entry) -> Cell:
    """Return what a row keeps of its inputs, and in words where it draws averages, or its latents decide nothing."""
    cell = value_cell(study.summary(entry, beside_metric(study)), middle=False)
    return replace(cell, badges=_badges(study, entry))


def beside_words(study: Study) -> str:
    """Return how the metric beside the score is read, and which rows draw averages; "" without pairs."""
    metric = beside_metric(study)
    if not metric:
        return ""
    words = (
        "Kept of the input is the share of samples in which the judge sees the glasses and the hat that the input "
        f"shows; images that ignore it score {format_number(1 / 9)}. "
        if metric == KEPT
        else ""
    )
    return words + _found_words(study)


def grid_words(study: Study) -> str:
    """Return how a sample grid of pairs is read; "" of other studies."""
    if not input_of(study):
        return ""
    words = (
        "A column is a held-out pair: from the top the input, three outputs, each row of one latent, and the target."
    )
    if study.plan["data"]["source"] != "faces":
        words += " As these may be photographs, the outputs alone are shown unless the report is asked for all."
    return words


def pairs_section(subject: Subject) -> tuple[Block, ...]:
    """Return what is measured of pairs, and what it says of rows; nothing in other studies."""
    study = subject.study
    metrics = [metric for metric in _metrics(study) if metric in study.metrics]
    if not input_of(study) or not metrics:
        return ()
    tables = [_table(study, protocol, metrics) for protocol in study.protocols]
    return Prose(_found_words(study)), *together(tables)


def _found_words(study: Study) -> str:
    floor = metric_floor(study, study.protocols[0], NEAR)
    nearer, alike = _rows_where(study, averages), _rows_where(study, ignores_latents)
    parts = []
    if floor is not None:
        parts.append(
            f"Faces with the same map in other colours, as right as the target, are on average {format_number(floor)} "
            "from it in L1."
        )
        if nearer:
            parts.append(
                f"L1 lies below that in every run of {nearer}: nearer than a perfect generator comes, so these draw "
                "averages of what is possible, which is blur and not quality."
            )
        else:
            parts.append("L1 lies below that in all runs of no row: none draws averages.")
    else:
        parts.append("L1, PSNR and SSIM reward averages wherever an input leaves something open, so they rank nothing.")
    if alike:
        seen = "are alike" if floor is None else "have one skin, background and shirt, as far as the judge sees any"
        parts.append(f"{UNHEARD.capitalize()}: the outputs of one input {seen}, whatever the latent, in {alike}.")
    return " ".join(parts)


def _metrics(study: Study) -> tuple[str, ...]:
    of = study.extractor
    return (KEPT, VARIETY, "hidden_law", f"intra_diversity_{of}", NEAR, "psnr", "ssim", f"pair_distance_{of}")


def _table(study: Study, protocol: str, metrics: list[str]) -> Table:
    rows = [
        Row(
            (
                Cell(entry.label, badges=_badges(study, entry)),
                *(value_cell(study.summary(entry, metric), middle=False) for metric in metrics),
            ),
            row_kind(study, entry),
        )
        for entry, _ in ordered(study, protocol)
    ]
    floor = tuple(floor_cell(study, protocol, metric) for metric in metrics)
    if any(cell.text != NOTHING for cell in floor):
        rows.append(Row((Cell("a perfect generator", _FLOOR_OF.get(input_of(study), "the targets")), *floor), "floor"))
    caption = (
        f"Of pairs, {protocol} protocol,{samples_text(study)}, inputs: {input_of(study)}; {PERCENT_95} intervals over "
        "seeds in brackets."
    )
    headings = (Heading(metric_heading(metric), metric, numeric=True) for metric in metrics)
    return Table(f"inputs-{protocol}", caption, (Heading("objective"), *headings), tuple(rows))


_FLOOR_OF = {"parts": "the same maps in other colours"}


def _badges(study: Study, entry: Entry) -> tuple[str, ...]:
    found = ((AVERAGING, averages), (UNHEARD, ignores_latents))
    return tuple(word for word, holds in found if holds(study, entry))


def _in_all_runs(study: Study, entry: Entry, metric: str, holds: Callable[[float], bool]) -> bool:
    values = study.summary(entry, metric).scores if metric in study.metrics else []
    return bool(values) and all(holds(value) for value in values)


def _rows_where(study: Study, holds: Callable[[Study, Entry], bool]) -> str:
    """Return the rows of which something holds: "l1 and pix2pix"; "" for none."""
    several = len(study.protocols) > 1
    return joined(
        [
            f"{entry.label} ({protocol})" if several else entry.label
            for protocol in study.protocols
            for entry, _ in ordered(study, protocol)
            if holds(study, entry)
        ]
    )
