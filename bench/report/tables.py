"""The tables of results: one per protocol, and every metric behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Entry, Study
from bench.report.words import (
    NOTHING,
    PERCENT_95,
    count,
    describe_metric,
    difference_text,
    losses,
    metric_heading,
    number,
    plural,
    readable,
    value_text,
)
from bench.statistics import SEEDS_FOR_INTERVAL, Summary
from bench.wording import duration


def ordered(study: Study, protocol: str) -> list[tuple[Entry, Summary]]:
    """Return a protocol's rows: ranked ones by rank, then the others by name."""
    rows = list(study.summaries_of(protocol, study.primary))
    return sorted(rows, key=lambda row: (row[1].rank is None, row[1].rank or 0, row[0].label))


def headline_table(study: Study, protocol: str) -> Table:
    """Return the comparison under one protocol: runs, headline metrics, difference to the baseline, cost."""
    rows = ordered(study, protocol)
    beside = study.headline_metrics()[1:]
    ranked = any(summary.rank is not None for _, summary in rows)
    compared = any(summary.difference is not None for _, summary in rows)
    notes = _Notes()
    baseline = next((s.baseline for _, s in rows if s.baseline), None)
    headings = [
        *([Heading("rank")] if ranked else []),
        Heading("objective"),
        Heading(metric_heading(study.primary), study.primary, numeric=True),
        Heading("runs done"),
        *([Heading(f"difference to {baseline}", study.primary, numeric=True)] if compared else []),
        *(Heading(metric_heading(metric), metric, numeric=True) for metric in beside),
        Heading("training time", numeric=True),
    ]
    body = []
    for entry, primary in rows:
        cells = [
            *([Cell(NOTHING if primary.rank is None else str(primary.rank))] if ranked else []),
            Cell(entry.label, notes=notes.of(entry)),
            _value_cell(primary),
            Cell(f"{primary.done}/{primary.planned}", badges=_states(primary)),
            *([_difference_cell(primary)] if compared else []),
            *(_value_cell(study.summary(entry, metric)) for metric in beside),
            Cell(_mean_time(entry), numeric=True),
        ]
        body.append(Row(tuple(cells)))
    floor = _floor_row(study, protocol, beside, ranked, compared)
    return Table(
        f"results-{protocol}",
        _caption(study, protocol, ranked),
        tuple(headings),
        (*body, *([floor] if floor else [])),
        tuple(notes.texts),
        header=1 if ranked else 0,
    )


def every_metric_table(study: Study, protocol: str) -> Table:
    """Return every metric (rows) of every entry (columns) under one protocol."""
    entries = study.entries_of(protocol)
    rows = []
    for metric in study.metrics:
        summaries = [study.summary(entry, metric) for entry in entries]
        floors = [summary.floor for summary in summaries if summary.floor is not None]
        cells = [Cell(metric_heading(metric), detail=metric)]
        cells += [_value_cell(summary) for summary in summaries]
        rows.append(Row((*cells, Cell(number(float(np.mean(floors)) if floors else None), numeric=True))))
    return Table(
        f"every-metric-{protocol}",
        f"Every metric at the final step, {protocol} protocol, {study.plan['generator']} generator: mean and "
        f"{PERCENT_95} interval from three seeds on, else each seed’s value.",
        (
            Heading("metric"),
            *(Heading(entry.label, numeric=True) for entry in entries),
            Heading("real against real", numeric=True),
        ),
        tuple(rows),
    )


def metrics_table(study: Study) -> Table:
    """Return what each metric of this report is, and where it comes from."""
    rows = []
    for metric in dict.fromkeys([*study.metrics, *sorted(study.results["metric"].dropna().unique())]):
        info = describe_metric(metric)
        better = {"lower": "lower", "higher": "higher", None: "near real images’"}[info.better]
        use = "may rank" if info.ranks else "never ranks"
        rows.append(
            Row(
                (
                    Cell(metric, code=True),
                    Cell(info.title),
                    Cell(f"{better}; {use}"),
                    Cell(info.description),
                    Cell(info.source),
                )
            )
        )
    return Table(
        "metrics",
        "The metrics of this report.",
        tuple(map(Heading, ("name", "title", "better", "what it is", "source"))),
        tuple(rows),
    )


class _Notes:
    """Numbers notes from 1 in the order in which rows need them; the same text keeps its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def of(self, entry: Entry) -> tuple[int, ...]:
        texts = list(entry.notes)
        if entry.deviations:
            texts.append(f"Differs from the controlled recipe: {readable(entry.deviations)}.")
        moved = [run.seed for run in entry.runs if run.status.continued_on]
        if moved:
            texts.append(f"Continued on another kind of machine: {_seeds(moved)}.")
        return tuple(self._number(text) for text in texts)

    def _number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _caption(study: Study, protocol: str, ranked: bool) -> str:
    some = [summary for _, summary in study.summaries_of(protocol, study.primary) if summary.samples]
    measured = f" on {count(some[0].samples)} samples" if some and some[0].samples else ""
    against = {"heldout": " against held-out images", "train": " against training images"}.get(
        (some[0].reference or "") if some else "", ""
    )
    unranked = any(summary.unranked for _, summary in study.summaries_of(protocol, study.primary))
    order = (
        f"Ranked by the mean of {describe_metric(study.primary).title}; brackets are {PERCENT_95} intervals over seeds."
        + (" A row whose runs are not all there has no rank." if unranked else "")
        if ranked
        else f"Not ranked: {_why_not(study)}. Rows stand in the order of their names."
    )
    caption = f" {study.plan['caption']}" if study.plan["caption"] else ""
    return (
        f"{protocol.capitalize()} protocol, generator step {study.plan['final_step']:,}, {study.plan['generator']} "
        f"generator{measured}{against}. {order}{caption}"
    )


def _why_not(study: Study) -> str:
    reasons = {s.unranked for s in study.summaries if s.metric == study.primary}
    if "this metric never ranks" in reasons:
        return "the primary metric never ranks"
    if len(study.seeds) < SEEDS_FOR_INTERVAL:
        return "fewer than three seeds"
    return "fewer than two rows have all their runs"


def _states(summary: Summary) -> tuple[str, ...]:
    return (*losses(summary), *([f"{summary.collapsed} collapsed"] if summary.collapsed else []))


def _value_cell(summary: Summary) -> Cell:
    text, bounds = value_text(summary)
    basis = summary.basis if summary.values else ""
    return Cell(text, detail="\n".join(part for part in (bounds, basis) if part), numeric=True)


def _difference_cell(summary: Summary) -> Cell:
    if summary.baseline == summary.label:
        return Cell("baseline", numeric=True)
    text, bounds = difference_text(summary)
    descriptive = "descriptive" if summary.difference_role == "descriptive" else ""
    return Cell(text, detail="\n".join(part for part in (bounds, descriptive) if part), numeric=True)


def _floor_row(study: Study, protocol: str, beside: Sequence[str], ranked: bool, compared: bool) -> Row | None:
    primary, *others = (_floor_cell(study, protocol, metric) for metric in (study.primary, *beside))
    if all(cell.text == NOTHING for cell in (primary, *others)):
        return None
    rank = [Cell("")] if ranked else []
    name = Cell("real against real", detail="the floor at the same N")
    middle = [Cell("")] * (2 if compared else 1)
    return Row((*rank, name, primary, *middle, *others, Cell("")), kind="floor")


def _floor_cell(study: Study, protocol: str, metric: str) -> Cell:
    floors = [summary.floor for _, summary in study.summaries_of(protocol, metric) if summary.floor is not None]
    return Cell(number(float(np.mean(floors)) if floors else None), numeric=True)


def _mean_time(entry: Entry) -> str:
    seconds = [run.status.device_seconds for run in entry.runs if run.state == "done"]
    return duration(float(np.mean(seconds))) if seconds else NOTHING


def _seeds(seeds: Sequence[int]) -> str:
    return f"{plural(len(seeds), 'seed').split()[1]} {', '.join(map(str, seeds))}"
