"""Studies with labels: does a row draw what it is told, and how does each class fare?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.data.judge import KNOWN
from bench.formatting import PERCENT_95, format_number, joined
from bench.metrics.catalogue import of_a_part, part_title
from bench.report.metric_text import describe_metric, metric_heading
from bench.report.model import Block, Cell, Fold, Heading, Prose, Row, Table
from bench.report.sections.tables import (
    floor_cell,
    floor_detail,
    floor_images,
    ordered,
    row_kind,
    samples_text,
    value_cell,
)
from bench.report.sections.together import together
from bench.report.study import Entry, Study
from bench.report.subject import Subject

ACCURACY = "label_accuracy_judge"
UNCONDITIONAL = "effectively unconditional"
TOO_EASY = "GAN-test above its floor"
_CLASSES = {"mnist": 10, "cifar10": 10}  # each shown by as many images, or nearly


def labels_of(study: Study) -> list[str]:
    """Return the factors that both networks are told, the first one first; [] in a study without labels."""
    return list(study.plan.get("data", {}).get("labels") or ())


def accuracy_metric(study: Study) -> str:
    """Return the label accuracy where it was measured and what chance gives is known, else "".

    It is the judge's where there is one for the study's data; of other images what a linear classifier reads.
    """
    if not labels_of(study) or math.isnan(chance(study)):
        return ""
    measured = {s.metric for s in study.summaries if s.values}
    return next((metric for metric in (ACCURACY, f"gan_test_{study.extractor}") if metric in measured), "")


def chance(study: Study) -> float:
    """Return the label accuracy of images that ignore what they are told, where each value is shown equally often.

    NaN where the plan does not say how many values there are, or where some are rare, as CelebA's attributes are.
    """
    factors, source = _factors(study), study.plan.get("data", {}).get("source")
    if factors:
        return math.prod(1 / len(factors[name]) for name in labels_of(study))
    return 1 / _CLASSES[source] if source in _CLASSES else math.nan


def _factors(study: Study) -> Mapping[str, Sequence[str]]:
    """Return the values of each factor that the judge of the study's data knows; {} where they have no judge."""
    known = KNOWN.get(study.plan.get("data", {}).get("source"))
    return known.factors if known else {}


def is_unconditional(study: Study, entry: Entry) -> bool:
    """Tell whether the interval of a row's label accuracy reaches down to chance; without an interval nobody knows.

    By the judge alone: a linear classifier also misreads images that show what they were told, where they are poor.
    """
    if accuracy_metric(study) != ACCURACY:
        return False
    summary = study.summary(entry, ACCURACY)
    return summary.low is not None and summary.low <= chance(study)


def is_too_easy(study: Study, entry: Entry) -> bool:
    """Tell whether a row's images are easier to classify than real ones: GAN-test's interval lies above its floor."""
    summary = study.summary(entry, f"gan_test_{study.extractor}")
    return summary.low is not None and summary.floor is not None and summary.low > summary.floor


def accuracy_cell(study: Study, entry: Entry) -> Cell:
    """Return a row's label accuracy, and in words where it may be chance."""
    cell = value_cell(study.summary(entry, accuracy_metric(study)), middle=False)
    badges = (UNCONDITIONAL,) if is_unconditional(study, entry) else ()
    return Cell(cell.text, cell.detail, badges=badges, numeric=True, sort=cell.sort)


def accuracy_words(study: Study) -> str:
    """Return what label accuracy is held against, and which rows may as well not be told; "" where it is not there."""
    metric = accuracy_metric(study)
    if not metric:
        return ""
    reader = "the judge" if metric == ACCURACY else "a linear classifier that training images taught"
    words = (
        f"Label accuracy is the share of samples in which {reader} reads {joined(labels_of(study))} as told; images "
        f"that ignore their labels score {format_number(chance(study))}."
    )
    if metric != ACCURACY:
        words += " It misreads poor images too, so no row is called unconditional by it."
    elif told := _rows_where(study, is_unconditional):
        words += f" {UNCONDITIONAL.capitalize()}, as the {PERCENT_95} interval reaches that: {told}."
    elif all(s.low is None for s in study.summaries if s.metric == metric):
        words += " Fewer than three seeds have no interval, so no row is called unconditional."
    return words


def easy_words(study: Study) -> str:
    """Return which rows draw classes that are easier to tell apart than those of real images; "" without intervals."""
    if all(s.low is None for s in study.summaries if s.metric == f"gan_test_{study.extractor}"):
        return ""
    rows = _rows_where(study, is_too_easy)
    if not rows:
        return f"No row has {TOO_EASY}, the sign of AC-GAN’s bias towards classes that are easy to tell apart."
    return f"{TOO_EASY}, so easier to tell apart than real images, as AC-GAN’s bias makes them: {rows}."


def _rows_where(study: Study, holds: Callable[[Study, Entry], bool]) -> str:
    """Return the rows of which something holds, by protocol: "a and b (controlled)"; "" for none."""
    rows = {
        protocol: [entry.label for entry, _ in ordered(study, protocol) if holds(study, entry)]
        for protocol in study.protocols
    }
    told = [
        joined(labels) + (f" ({protocol})" if len(study.protocols) > 1 else "")
        for protocol, labels in rows.items()
        if labels
    ]
    return joined(told)


def grid_words(study: Study) -> str:
    """Return how a sample grid of a study with labels is read; "" of one without."""
    factors = labels_of(study)
    if not factors:
        return ""
    first, *others = factors
    values = f" ({joined([*_factors(study)[first]])}, from the top)" if first in _factors(study) else ""
    turn = f"; {joined(others)} change{'s' if len(others) == 1 else ''} from column to column" if others else ""
    return f"A grid has a row for each value of {first}{values} and the same latent down a column{turn}."


def labels_section(subject: Subject) -> tuple[Block, ...]:
    """Return how rows do over all classes, and a table of each metric by class; nothing in a study without labels."""
    study = subject.study
    if not labels_of(study):
        return ()
    parts = [metric for metric in study.results["metric"].dropna().unique() if of_a_part(metric)]
    kinds = (ACCURACY, f"coverage_{study.extractor}", f"kid_{study.extractor}")
    by_kind = {kind: [metric for metric in parts if metric.partition("+")[0] == kind] for kind in kinds}
    folds = tuple(
        Fold(
            _sentence(f"{describe_metric(kind).title}, class by class"),
            together([_class_table(study, protocol, kind, metrics) for protocol in study.protocols]),
        )
        for kind, metrics in by_kind.items()
        if metrics
    )
    words = " ".join(part for part in (accuracy_words(study), easy_words(study)) if part)
    metrics = [metric for metric in _overall(study) if metric in study.metrics]
    tables = [_overall_table(study, protocol, metrics) for protocol in study.protocols if metrics]
    return (*((Prose(words),) if words and (tables or folds) else ()), *together(tables), *folds)


def _overall(study: Study) -> tuple[str, ...]:
    """Return what is measured of images with labels over all classes."""
    of_features = ("fjd", "gan_test", "gan_train", "intra_kid", "worst_class_coverage")
    return (ACCURACY, "label_accuracy_gated_judge", *(f"{name}_{study.extractor}" for name in of_features))


def _class_table(study: Study, protocol: str, kind: str, metrics: list[str]) -> Table:
    """Return a metric of each class, and of each factor where there is one; classes in the order of their numbers."""
    shown = sorted(metrics, key=_place)
    caption = _sentence(
        f"{metric_heading(kind)} by class ({', '.join(labels_of(study))}), {protocol} protocol,{samples_text(study)}; "
        f"{PERCENT_95} intervals over seeds in brackets. In results.csv a class’s name follows a +: {shown[-1]}."
    )
    headings = {metric: Heading(_part_heading(metric), numeric=True) for metric in shown}
    return _table(study, protocol, f"classes-{kind}-{protocol}", caption, headings)


def _overall_table(study: Study, protocol: str, metrics: list[str]) -> Table:
    """Return what is measured of images with labels over all classes, GAN-test and GAN-train among it."""
    caption = (
        f"Over all classes, {protocol} protocol,{samples_text(study)}; {PERCENT_95} intervals over seeds in brackets."
    )
    headings = {metric: Heading(metric_heading(metric), metric, numeric=True) for metric in metrics}
    return _table(study, protocol, f"labels-{protocol}", caption, headings)


def _table(study: Study, protocol: str, name: str, caption: str, headings: Mapping[str, Heading]) -> Table:
    """Return a row for each entry and for real images, a column for each metric."""
    rows = [
        Row(
            (Cell(entry.label), *(value_cell(study.summary(entry, metric), middle=False) for metric in headings)),
            row_kind(study, entry),
        )
        for entry, _ in ordered(study, protocol)
    ]
    usual = floor_images(study, study.primary)
    floor = [
        replace(
            floor_cell(study, protocol, metric),
            detail=images if (images := floor_images(study, metric)) != usual else "",
        )
        for metric in headings
    ]
    rows.append(Row((Cell("real against real", floor_detail(study, study.primary)), *floor), "floor"))
    return Table(name, caption, (Heading("objective"), *headings.values()), tuple(rows))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _part_heading(metric: str) -> str:
    title = part_title(metric)
    return title.partition(": ")[2] or title


def _place(metric: str) -> tuple[bool, int, str]:
    """Order factors before classes, and these by their numbers."""
    number = metric.partition("+")[2].partition(".")[0]
    return number.isdigit(), int(number) if number.isdigit() else 0, metric
