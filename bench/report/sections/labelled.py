"""Studies with labels: does a row draw what it is told, and how does each class fare?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.data.judge import KNOWN
from bench.formatting import PERCENT_95, format_number, joined
from bench.metrics.catalogue import of_a_part, part_title
from bench.report.metric_text import describe_metric, metric_heading
from bench.report.model import Block, Cell, Fold, Heading, Prose, Row, Table
from bench.report.sections.tables import floor_cell, floor_detail, ordered, row_kind, samples_text, value_cell
from bench.report.sections.together import together
from bench.report.study import Entry, Study
from bench.report.subject import Subject

ACCURACY = "label_accuracy_judge"
UNCONDITIONAL = "effectively unconditional"


def labels_of(study: Study) -> list[str]:
    """Return the factors that both networks are told, the first one first; [] in a study without labels."""
    return list(study.plan.get("data", {}).get("labels") or ())


def accuracy_metric(study: Study) -> str:
    """Return the label accuracy where it was measured and what chance gives is known, else ""."""
    known = labels_of(study) and set(labels_of(study)) <= set(_factors(study))
    return ACCURACY if known and any(s.values for s in study.summaries if s.metric == ACCURACY) else ""


def chance(study: Study) -> float:
    """Return the label accuracy of images that ignore what they are told: each value is shown equally often."""
    return math.prod(1 / len(_factors(study)[factor]) for factor in labels_of(study))


def _factors(study: Study) -> Mapping[str, Sequence[str]]:
    """Return the values of each factor that the judge of the study's data knows; {} where they have no judge."""
    known = KNOWN.get(study.plan.get("data", {}).get("source"))
    return known.factors if known else {}


def is_unconditional(study: Study, entry: Entry) -> bool:
    """Tell whether the interval of a row's label accuracy reaches down to chance; without an interval nobody knows."""
    summary = study.summary(entry, ACCURACY)
    return summary.low is not None and summary.low <= chance(study)


def accuracy_cell(study: Study, entry: Entry) -> Cell:
    """Return a row's label accuracy, and in words where it may be chance."""
    cell = value_cell(study.summary(entry, ACCURACY), middle=False)
    badges = (UNCONDITIONAL,) if is_unconditional(study, entry) else ()
    return Cell(cell.text, cell.detail, badges=badges, numeric=True, sort=cell.sort)


def accuracy_words(study: Study) -> str:
    """Return what label accuracy is held against, and which rows may as well not be told; "" where it is not there."""
    if not accuracy_metric(study):
        return ""
    rows = {
        protocol: [entry.label for entry, _ in ordered(study, protocol) if is_unconditional(study, entry)]
        for protocol in study.protocols
    }
    told = [
        joined(labels) + (f" ({protocol})" if len(study.protocols) > 1 else "")
        for protocol, labels in rows.items()
        if labels
    ]
    words = (
        f"Label accuracy is the share of samples in which the judge reads {joined(labels_of(study))} as told; images "
        f"that ignore their labels score {format_number(chance(study))}."
    )
    if told:
        words += f" {UNCONDITIONAL.capitalize()}, as the {PERCENT_95} interval reaches that: {joined(told)}."
    elif all(s.low is None for s in study.summaries if s.metric == ACCURACY):
        words += " Fewer than three seeds have no interval, so no row is called unconditional."
    return words


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
    """Return how the classes fare, a table a metric and protocol; nothing in a study without labels."""
    study = subject.study
    parts = [metric for metric in study.results["metric"].dropna().unique() if of_a_part(metric)]
    kinds = (ACCURACY, f"coverage_{study.extractor}", f"kid_{study.extractor}")
    by_kind = {kind: [metric for metric in parts if metric.partition("+")[0] == kind] for kind in kinds}
    folds = tuple(
        Fold(
            _sentence(f"{describe_metric(kind).title}, class by class"),
            together([_table(study, protocol, kind, metrics) for protocol in study.protocols]),
        )
        for kind, metrics in by_kind.items()
        if metrics
    )
    words = accuracy_words(study)
    return (*((Prose(words),) if words and folds else ()), *folds)


def _table(study: Study, protocol: str, kind: str, metrics: list[str]) -> Table:
    """Return a metric of each class, and of each factor where there is one; classes in the order of their numbers."""
    shown = sorted(metrics, key=_place)
    rows = [
        Row(
            (Cell(entry.label), *(value_cell(study.summary(entry, metric), middle=False) for metric in shown)),
            row_kind(study, entry),
        )
        for entry, _ in ordered(study, protocol)
    ]
    floor = (floor_cell(study, protocol, metric) for metric in shown)
    rows.append(Row((Cell("real against real", floor_detail(study, study.primary)), *floor), "floor"))
    named = ", ".join(labels_of(study))
    return Table(
        f"classes-{kind}-{protocol}",
        _sentence(
            f"{metric_heading(kind)} by class ({named}), {protocol} protocol,{samples_text(study)}; {PERCENT_95} "
            f"intervals over seeds in brackets. In results.csv a class’s name follows a +: {shown[-1]}."
        ),
        (
            Heading("objective"),
            *(Heading(_part_heading(metric), numeric=True) for metric in shown),
        ),
        tuple(rows),
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _part_heading(metric: str) -> str:
    title = part_title(metric)
    return title.partition(": ")[2] or title


def _place(metric: str) -> tuple[bool, int, str]:
    """Order factors before classes, and these by their numbers."""
    number = metric.partition("+")[2].partition(".")[0]
    return number.isdigit(), int(number) if number.isdigit() else 0, metric
