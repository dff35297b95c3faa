"""A study that was trained on several backbones: which objectives survive which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.formatting import NOTHING, PERCENT_95, format_interval, format_number, format_percents, plural
from bench.metrics.catalogue import find_metric
from bench.report.literature import architectures
from bench.report.metric_text import describe_metric, format_metric
from bench.report.model import Block, Cell, Fold, Heading, Prose, Row, Table
from bench.report.sections.together import together
from bench.report.study import Study
from bench.report.subject import Subject
from bench.statistics.backbones import OWN, RankAgreement, Survival, rank_agreements, survivals


def backbones_section(subject: Subject) -> tuple[Block, ...]:
    """Return what each row does on each backbone; nothing of a study that was trained on one."""
    study, record = subject.study, subject.study.backbones
    if record is None:
        return ()
    found, ranks = list(survivals(record)), list(rank_agreements(record))
    tables = [_survival_table(record, protocol, found) for protocol in study.protocols]
    return (
        Prose(_words(study, record)),
        *together(tables),
        _networks_table(record),
        _ranks_table(study, ranks),
        Prose(RANK_WORDS),
        Fold("As published: losses on other architectures", _published()),
    )


RANK_WORDS = (
    "Spearman’s correlation of the rows’ mean scores on a backbone with those on the study’s own: 1 where the ranking "
    f"survives, 0 where it says nothing. A row without a finished run ranks last. The {PERCENT_95} interval (Bonett "
    "and Wright) takes the rows for a sample of objectives; it says nothing of how far seeds vary."
)


def _words(study: Study, record: Mapping[str, Any]) -> str:
    info = find_metric(record["metric"])
    title = describe_metric(study.primary).title
    rule = "it neither diverged nor collapsed"
    if info is not None and info.better == "lower":
        rule += f", and its {title} is below half of what the untrained generator of that backbone scores"
    unmeasured = [one["name"] for one in record["backbones"] if one["untrained"] is None]
    lacking = f" That was not measured on {', '.join(unmeasured)}." if unmeasured and "half" in rule else ""
    return (
        f"The rows on {plural(len(record['backbones']), 'backbone')}. A run trains when {rule}.{lacking} Cells give "
        f"the runs that train, and under them the mean score and, in brackets, its ratio to the same seeds’ scores on "
        f"the study’s own backbone, with its interval over seeds. Shares have {PERCENT_95} Clopper-Pearson intervals."
    )


def _survival_table(record: Mapping[str, Any], protocol: str, found: Sequence[Survival]) -> Table:
    names = [one["name"] for one in record["backbones"]]
    cells = {(one.label, one.backbone): one for one in found if one.protocol == protocol}
    labels = dict.fromkeys(label for label, _ in cells)
    # Who survives most often comes first.
    ordered = sorted(labels, key=lambda label: -_share(cells[label, None]))
    rows = [
        Row(
            (
                Cell(label),
                *(_cell(record["metric"], cells[label, name]) for name in names),
                _whole(cells[label, None]),
            )
        )
        for label in ordered
    ]
    heads = [Heading("own backbone" if name == OWN else name, numeric=True) for name in names]
    return Table(
        f"backbones-{protocol}",
        f"Runs that train on each backbone, {protocol} protocol.",
        (Heading("objective"), *heads, Heading("all backbones", numeric=True)),
        tuple(rows),
    )


def _share(one: Survival) -> float:
    return one.trained / one.runs if one.runs else 0.0


def _count(one: Survival) -> str:
    return f"{one.trained} of {one.runs}" if one.runs else NOTHING


def _cell(metric: str, one: Survival) -> Cell:
    detail = "" if one.mean is None else format_metric(metric, one.mean)
    if one.relative is not None:
        interval = "" if one.relative_low is None else f", {format_interval(one.relative_low, one.relative_high, 2)}"
        detail += f" (× {format_number(one.relative, 2)}{interval})"
    return Cell(_count(one), detail, numeric=True, sort=_share(one))


def _whole(one: Survival) -> Cell:
    return Cell(_count(one), format_percents(one.low, one.high), numeric=True, sort=_share(one))


def _networks_table(record: Mapping[str, Any]) -> Table:
    metric = record["metric"]
    rows = [
        Row(
            (
                Cell("own backbone" if one["name"] == OWN else one["name"]),
                Cell(one["title"]),
                Cell(one["study"], code=True),
                Cell(NOTHING if one["untrained"] is None else format_metric(metric, one["untrained"]), numeric=True),
            )
        )
        for one in record["backbones"]
    ]
    return Table(
        "backbones-networks",
        "The backbones. Each has a report of its own under its study’s name.",
        (Heading("backbone"), Heading("network"), Heading("study"), Heading("untrained generator", numeric=True)),
        tuple(rows),
    )


def _ranks_table(study: Study, ranks: Sequence[RankAgreement]) -> Table:
    several = len(study.protocols) > 1
    rows = [
        Row(
            (
                Cell(one.backbone),
                *((Cell(one.protocol),) if several else ()),
                Cell(str(one.rows), numeric=True),
                Cell(
                    NOTHING if one.rho is None else format_number(one.rho, 2, sign=True),
                    "" if one.low is None else format_interval(one.low, one.high, 2, sign=True),
                    numeric=True,
                ),
            )
        )
        for one in ranks
    ]
    return Table(
        "backbones-ranks",
        "Does the ranking survive the backbone?",
        (
            Heading("backbone"),
            *((Heading("protocol"),) if several else ()),
            Heading("rows", numeric=True),
            Heading("rank correlation with the own backbone", numeric=True),
        ),
        tuple(rows),
    )


def _published() -> tuple[Block, ...]:
    heads = ("minimum", "only GAN", "only WGAN-GP", "both", "neither")
    counts = tuple(
        Row((Cell(f"{row.minimum:.1f}"), *(Cell(str(value), numeric=True) for value in row[1:])))
        for row in architectures.SUCCESSES
    )
    arms = tuple(Row(tuple(map(Cell, arm))) for arm in architectures.SEVEN)
    return (
        Prose("Quoted, none of it is ours; data, networks, budget and measure differ from this study’s."),
        Table(
            "published-successes",
            f"{architectures.SOURCE}: {architectures.PROTOCOL}.",
            tuple(Heading(head, numeric=head != "minimum") for head in heads),
            counts,
        ),
        Table(
            "published-arms",
            f"{architectures.SEVEN_SOURCE}: {architectures.SEVEN_WORDS}",
            tuple(map(Heading, ("arm", "G", "D"))),
            arms,
        ),
    )
