"""A study at several learning rates: which one the rows could share, and every row at its best of equally many."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from bench.formatting import NOTHING, format_interval, format_number, format_rate, joined, plural
from bench.report.metric_text import describe_metric, format_metric
from bench.report.model import Block, Cell, Heading, Prose, Row, Table
from bench.report.sections.together import together
from bench.report.study import Entry, Study
from bench.report.subject import Subject
from bench.runs.folder import LOST
from bench.statistics.arms import Better, ranking_direction
from bench.statistics.backbones import spearman
from bench.statistics.rates import RatedRow, neighbouring, regrets

_AT_RATE = re.compile(r"(.+)@([0-9.e+-]+)")


def rates_section(subject: Subject) -> tuple[Block, ...]:
    """Return what each rate makes of the rows of a study with `learning_rates`; nothing of any other study."""
    study = subject.study
    found = [(protocol, rows) for protocol in study.protocols if (rows := rated_rows(study, protocol))]
    tables = [_scores_table(study, protocol, rows) for protocol, rows in found]
    tuned = [_tuned_table(study, protocol, rows) for protocol, rows in found]
    ranks = [_ranks_table(protocol, rows) for protocol, rows in found]
    words = tuple(Prose(text) for protocol, rows in found if (text := _words(study, protocol, rows)))
    return (*words, *(block for blocks in (tables, tuned, ranks) for block in together(blocks)))


def rated_rows(study: Study, protocol: str) -> list[RatedRow]:
    """Return the rows that a protocol has at two rates or more, those with a finished or lost run."""
    better = ranking_direction(study.primary)
    if better is None:
        return []
    rows: defaultdict[str, dict[float, dict[int, float]]] = defaultdict(dict)
    for entry in study.entries_of(protocol):
        named = _AT_RATE.fullmatch(entry.label)
        rate = float(entry.recipe.get("learning_rate_generator", math.nan))
        if named is not None and named[2] == f"{rate:g}":
            rows[named[1]][rate] = _scores(study, entry, better)
    return [
        RatedRow(label, dict(sorted(scores.items())), better)
        for label, scores in rows.items()
        if len(scores) > 1 and any(scores.values())
    ]


def _scores(study: Study, entry: Entry, better: Better) -> dict[int, float]:
    worst = math.inf if better == "lower" else -math.inf
    lost = {run.seed: worst for run in entry.runs if run.state in LOST}
    summary = study.find_summary(entry.protocol, entry.label)
    return lost | dict(summary.values if summary is not None else ())


def _words(study: Study, protocol: str, rows: Sequence[RatedRow]) -> str:
    told = []
    costs = regrets(rows) if describe_metric(study.primary).better == "lower" else {}
    finite = {rate: cost for rate, cost in costs.items() if math.isfinite(cost)}
    if finite:
        shared = min(finite, key=lambda rate: finite[rate])
        others = [f"{_over(cost)} at {format_rate(rate)}" for rate, cost in finite.items() if rate != shared]
        told.append(
            f"Of the rates that all rows have, {format_rate(shared)} is the best to share ({protocol}): there, rows "
            f"score {_over(finite[shared])} what they do at their own best rate, by the geometric mean over rows"
            + (f" ({joined(others)})." if others else ".")
        )
    if at_end := [row.label for row in rows if row.best_at_end]:
        told.append(f"At an end of the rates lies the best of {joined(at_end)}: a rate beyond may be better still.")
    return " ".join(told)


def _over(cost: float) -> str:
    return f"{100 * math.expm1(cost):.0f} % above"


def _scores_table(study: Study, protocol: str, rows: Sequence[RatedRow]) -> Table:
    rates = sorted({rate for row in rows for rate in row.scores})
    body = tuple(
        Row((Cell(row.label), *(_score_cell(study.primary, row, rate) for rate in rates)))
        for row in sorted(rows, key=lambda row: _cost(None if row.best is None else row.mean(row.best), row.better))
    )
    title = describe_metric(study.primary).title
    caption = (
        f"{title} of every row at every rate, {protocol} protocol: means over seeds; below, which is a row’s best."
    )
    return Table(
        f"rates-{protocol}",
        caption,
        (Heading("objective"), *(Heading(format_rate(rate), numeric=True) for rate in rates)),
        body,
    )


def _score_cell(metric: str, row: RatedRow, rate: float) -> Cell:
    mean = row.mean(rate) if rate in row.scores else None
    if mean is None:
        return Cell(NOTHING, numeric=True)
    lost = sum(not math.isfinite(score) for score in row.scores[rate].values())
    if lost:
        return Cell(f"{lost} of {len(row.scores[rate])} lost", numeric=True)
    return Cell(format_metric(metric, mean), "best" if rate == row.best else "", numeric=True, sort=mean)


def _tuned_table(study: Study, protocol: str, rows: Sequence[RatedRow]) -> Table:
    most = min(len(row.rates) for row in rows)
    found = {row.label: [row.expected_best(tried) for tried in range(1, most + 1)] for row in rows}
    costs = {label: [_cost(value, rows[0].better) for value in values] for label, values in found.items()}

    def cell(label: str, column: int) -> Cell:
        value = found[label][column]
        if value is None:
            return Cell(NOTHING, numeric=True)
        rank = 1 + sum(other[column] < costs[label][column] for other in costs.values())
        text = format_metric(study.primary, value) if math.isfinite(value) else "lost"
        return Cell(text, f"rank {rank}", numeric=True, sort=value)

    ordered = sorted(found, key=lambda label: costs[label][-1])
    body = tuple(Row((Cell(label), *(cell(label, column) for column in range(most)))) for label in ordered)
    caption = (
        f"Equal tuning, {protocol} protocol: the {describe_metric(study.primary).title} to be expected of a row when "
        "so many of the rates are tried and the best is kept. The rate is chosen by all seeds but one and scored on "
        "that one, averaged over seeds and over all such sets of rates."
    )
    heads = (Heading(f"best of {tried}" if tried > 1 else "one rate", numeric=True) for tried in range(1, most + 1))
    return Table(f"rates-tuned-{protocol}", caption, (Heading("objective"), *heads), body)


def _cost(value: float | None, better: Better) -> float:
    return math.inf if value is None else value if better == "lower" else -value


def _ranks_table(protocol: str, rows: Sequence[RatedRow]) -> Table:
    body = []
    for (low, high), pairs in neighbouring(rows).items():
        rho, bottom, top = spearman(pairs)
        interval = "" if bottom is None else format_interval(bottom, top, 2, sign=True)
        shown = NOTHING if rho is None else format_number(rho, 2, sign=True)
        cells = Cell(f"{format_rate(low)} and {format_rate(high)}"), Cell(str(len(pairs)), numeric=True)
        body.append(Row((*cells, Cell(shown, interval, numeric=True))))
    return Table(
        f"rates-ranks-{protocol}",
        f"Does the ranking depend on the rate ({protocol})? Spearman’s correlation of the rows’ means between "
        f"neighbouring rates, of {plural(len(rows), 'row')}; its interval takes rows for a sample of objectives.",
        (Heading("rates"), Heading("rows", numeric=True), Heading("rank correlation", numeric=True)),
        tuple(body),
    )
