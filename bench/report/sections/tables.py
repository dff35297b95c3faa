"""The tables of results: one per protocol, and every metric behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse

import numpy as np

from bench.formatting import (
    NOTHING,
    PERCENT_95,
    decimals,
    format_count,
    format_deviations,
    format_duration,
    format_interval,
    format_number,
    format_percents,
    plural,
)
from bench.metrics.catalogue import of_a_part
from bench.report.metric_text import (
    describe_metric,
    format_difference,
    format_mean,
    format_metric,
    mean_decimals,
    metric_heading,
    unscored_runs,
)
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.verdicts import beside, rank_cell, verdict_cell
from bench.report.study import Entry, Study
from bench.statistics import NEVER_RANKS, SEEDS_FOR_INTERVAL, Stability, Standing, Summary, difference_interval
from bench.statistics.results import matching


@dataclass(frozen=True)
class _Column:
    """One column of the comparison: its head, an entry's cell, and what stands in the floor's row."""

    heading: Heading
    cell: Callable[[Entry, Summary], Cell]
    floor: str = ""


def ordered(study: Study, protocol: str) -> list[tuple[Entry, Summary]]:
    """Return a protocol's rows: ranked ones by rank, then the others by name."""
    rows = list(study.summaries_of(protocol, study.primary))
    return sorted(rows, key=lambda row: (row[1].rank is None, row[1].rank or 0, row[0].label))


def headline_table(study: Study, protocol: str) -> Table:
    """Return the comparison under one protocol: ranks, tie groups, headline metrics, verdicts, runs, cost."""
    rows = ordered(study, protocol)
    notes = Notes()
    columns = _columns(study, protocol, rows, notes)
    body = [Row(tuple(column.cell(*row) for column in columns), row_kind(study, row[0])) for row in rows]
    other = beside(study, protocol)
    if other is not None:
        primary = study.summary(other, study.primary)
        body.append(Row(tuple(column.cell(other, primary) for column in columns), "beside"))
    floor = tuple(_floor_cell(study, column) for column in columns)
    ranked = columns[0].heading.text == "rank"
    return Table(
        f"results-{protocol}",
        _caption(study, protocol, ranked),
        tuple(column.heading for column in columns),
        (*body, *([Row(floor, kind="floor")] if any(column.floor for column in columns) else [])),
        tuple(notes.texts),
        header=next(i for i, column in enumerate(columns) if column.heading.text == "objective"),
    )


def _columns(study: Study, protocol: str, rows: list[tuple[Entry, Summary]], notes: Notes) -> list[_Column]:
    baseline, other = study.plan["baseline"], beside(study, protocol)
    ranked = any(summary.rank is not None for _, summary in rows)
    tied = any((standing := study.standing(entry)) and standing.letters for entry, _ in rows)
    compared = any(summary.difference is not None for _, summary in rows)
    judged = any((comparison := study.comparison(entry)) and not comparison.unjudged for entry, _ in rows)
    columns = []
    if ranked:
        columns.append(_Column(Heading("rank"), lambda entry, s: rank_cell(study.standing(entry), s.rank)))
    if tied:
        columns.append(_Column(Heading("tie group"), lambda entry, _: _letters_cell(study.standing(entry))))
    columns += [
        _Column(Heading("objective"), lambda entry, _: _name_cell(entry, protocol, notes), "real against real"),
        _metric_column(study, protocol, study.primary),
        _Column(Heading("runs done"), lambda entry, s: _runs_cell(study.stability(entry), s)),
    ]
    if compared:
        columns.append(
            _Column(Heading(f"difference to {baseline}", study.primary, numeric=True), lambda _, s: _difference_cell(s))
        )
    if other is not None:
        base = study.summary(other, study.primary)
        columns.append(
            _Column(
                Heading(f"difference to {baseline}, controlled", study.primary, numeric=True),
                lambda _, s: difference_cell(s, base, "descriptive"),
            )
        )
    if judged:
        columns.append(
            _Column(
                Heading("verdict"),
                lambda entry, _: verdict_cell(study.comparison(entry), entry.label == baseline, study.limit(entry)),
            )
        )
    columns += [_metric_column(study, protocol, metric) for metric in study.headline_metrics()[1:]]
    columns.append(_Column(Heading("training time", numeric=True), lambda entry, _: _time_cell(entry)))
    return columns


def _metric_column(study: Study, protocol: str, metric: str) -> _Column:
    floor = floor_cell(study, protocol, metric).text
    return _Column(
        Heading(metric_heading(metric), metric, numeric=True),
        lambda entry, _: _marked_cell(study, entry, metric),
        "" if floor == NOTHING else floor,
    )


def _marked_cell(study: Study, entry: Entry, metric: str) -> Cell:
    """Return a mean with its interval, and whether it is of runs of two kinds, for which that does not hold."""
    cell = value_cell(study.summary(entry, metric))
    if study.mixture(entry, metric) is None:
        return cell
    return replace(cell, detail="\n".join(part for part in (cell.detail, "two kinds of runs") if part))


def is_of_the_best(study: Study, entry: Entry) -> bool:
    """Tell whether a row is in group a, and did not mostly collapse: such rows are in it because their seeds spread."""
    standing, stability = study.standing(entry), study.stability(entry)
    best = standing is not None and "a" in standing.letters
    return best and (not stability.judged or 2 * stability.collapsed < stability.judged)


def row_kind(study: Study, entry: Entry) -> str:
    """Mark the best rows as a set."""
    return "set" if is_of_the_best(study, entry) else ""


def _name_cell(entry: Entry, protocol: str, notes: Notes) -> Cell:
    detail = f"{entry.protocol}, for comparison" if entry.protocol != protocol else ""
    return Cell(entry.label, notes=notes.of(entry), detail=detail)


def _letters_cell(standing: Standing | None) -> Cell:
    return Cell(standing.letters if standing and standing.letters else NOTHING)


def _runs_cell(stability: Stability, summary: Summary) -> Cell:
    """Return done of planned runs, what became of the others, and the rates of loss and collapse where there is one."""
    rates = (
        (stability.diverged + stability.failed, "lost", stability.loss_rate_low, stability.loss_rate_high),
        (stability.collapsed, "collapsed", stability.collapse_rate_low, stability.collapse_rate_high),
    )
    lines = [f"{word}: {format_percents(low, high)}" for runs, word, low, high in rates if runs]
    return Cell(f"{summary.done}/{summary.planned}", detail="\n".join(lines), badges=states(summary))


def every_metric_table(study: Study, protocol: str) -> Table:
    """Return every metric (rows) of every entry (columns) under one protocol."""
    entries, usual = study.entries_of(protocol), floor_images(study, study.primary)
    rows = []
    for metric in filterfalse(of_a_part, study.metrics):
        cells = [Cell(metric_heading(metric), detail=metric)]
        cells += [measured_cell(study, entry, metric) for entry in entries]
        images = floor_images(study, metric)
        detail = images if images != usual else ""
        rows.append(Row((*cells, replace(floor_cell(study, protocol, metric), detail=detail))))
    return Table(
        f"every-metric-{protocol}",
        f"Every metric at the final step, {protocol} protocol, {study.plan['generator']} generator"
        f"{samples_text(study)}: mean and {PERCENT_95} interval from three seeds on, else each seed’s value."
        + (f" Real against real: {usual}." if usual else ""),
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
    named = dict.fromkeys([*study.metrics, *sorted(study.results["metric"].dropna().unique())])
    for metric in filterfalse(of_a_part, named):
        info = describe_metric(metric)
        neither = "neither" if info.name.startswith(("kid_deviation", "support")) else "near real images’"
        better = info.better or neither
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


class Notes:
    """Numbers notes from 1 in the order in which rows need them; the same text keeps its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def of(self, entry: Entry, deviations: bool = True) -> tuple[int, ...]:
        texts = list(entry.notes)
        if entry.deviations and deviations:
            texts.append(f"Differs from the controlled row: {format_deviations(entry.deviations)}.")
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
    measured = samples_text(study) if some else ""
    against = {"heldout": " against held-out images", "train": " against training images"}.get(
        (some[0].reference or "") if some else "", ""
    )
    order = f"Not ranked: {why_not_ranked(study)}. Rows stand in the order of their names."
    if ranked:
        order = (
            f"Ranked by {ranked_by_words(study, protocol)}; under a rank, the ranks that these seeds "
            f"do not exclude. Brackets are {PERCENT_95} intervals over seeds (IQM: the interquartile mean)."
        )
        if any(summary.unranked for _, summary in study.summaries_of(protocol, study.primary)):
            order += " A row whose runs are not all there has no rank."
        if any((standing := study.standing(entry)) and standing.letters for entry in study.entries_of(protocol)):
            order += (
                " Rows that share a letter are not told apart; group a is the best as a set. Its rows are marked, save "
                "those of which half of the runs or more collapsed. A row that lost a run, or lacks one, has no letter."
            )
    return (
        f"{protocol.capitalize()} protocol, generator step {study.plan['final_step']:,}, {study.plan['generator']} "
        f"generator{measured}{against}. {order}{of_training_images(study)}"
    )


def ranked_by_words(study: Study, protocol: str) -> str:
    """Return by what the rows of a protocol are ranked."""
    by = {s.ranked_by for _, s in study.summaries_of(protocol, study.primary)}
    what = "the mean rank of all planned runs, lost ones last," if "mean rank" in by else "the mean"
    return f"{what} of {describe_metric(study.primary).title}"


def of_training_images(study: Study) -> str:
    """Return a sentence where the floor is of training images, because fewer than 2 N are held out."""
    found = study.floor_of(study.primary)
    if found is None or found[0] == "heldout":
        return ""
    return (
        f" The floor is of training images, which a generator that copies them reaches too: fewer than "
        f"{format_count(2 * study.settings.samples)} images are held out."
    )


def why_not_ranked(study: Study) -> str:
    """Return why no row of the study has a rank."""
    reasons = {s.unranked for s in study.summaries if s.metric == study.primary}
    if NEVER_RANKS in reasons:
        return "the primary metric never ranks"
    if len(study.seeds) < SEEDS_FOR_INTERVAL:
        return "fewer than three seeds"
    return "fewer than two rows have all their runs"


def states(summary: Summary) -> tuple[str, ...]:
    """Return how many of a row's planned runs have no score, and why, and how many collapsed."""
    return (*unscored_runs(summary), *([f"{summary.collapsed} collapsed"] if summary.collapsed else []))


def value_cell(summary: Summary, middle: bool = True) -> Cell:
    """Return a mean with its interval; with `middle` also the primary metric's median and interquartile mean."""
    text, bounds = format_mean(summary)
    parts = [bounds, summary.basis if summary.values else ""]
    differ = len(set(summary.scores)) > 1
    if middle and differ and summary.role == "primary" and summary.interquartile_low is not None:
        places = mean_decimals(summary)
        bounds = format_interval(summary.interquartile_low, summary.interquartile_high, places)
        parts.append(f"median {format_number(summary.median, places)}")
        parts.append(f"IQM {format_number(summary.interquartile_mean, places)} {bounds}")
    return Cell(text, detail="\n".join(part for part in parts if part), numeric=True, sort=summary.mean)


def measured_cell(study: Study, entry: Entry, metric: str) -> Cell:
    """Return a value with its interval and, of a support, how many runs reached the most that N samples can give.

    Such a value is a lower bound, and so is a mean over it.
    """
    summary = study.summary(entry, metric)
    cell = value_cell(summary)
    if not metric.startswith("support_") or not summary.values:
        return cell
    key = {"protocol": entry.protocol, "label": entry.label, "generator": summary.generator}
    lines = matching(study.results, metric=metric, final=True, **key)
    full = lines["value"] >= 0.999 * lines["samples"].map(most_support)
    seeds = set(lines[full]["seed"]) & {seed for seed, _ in summary.values}
    if not seeds:
        return cell
    told = f"censored: {len(seeds)} of {len(summary.values)} at the ceiling"
    return replace(cell, text=f"≥ {cell.text}", detail="\n".join(part for part in (told, cell.detail) if part))


def most_support(samples: int) -> float:
    """Return the most that the birthday paradox lets N samples say: no two of them are near-duplicates."""
    return samples * (samples - 1) / (2 * math.log(2))


def floor_cell(study: Study, protocol: str, metric: str) -> Cell:
    """Return what real images score against real ones in a metric."""
    floors = [summary.floor for _, summary in study.summaries_of(protocol, metric) if summary.floor is not None]
    return Cell(format_metric(metric, float(np.mean(floors)) if floors else None), numeric=True)


def floor_images(study: Study, metric: str) -> str:
    """Return "1,500 held-out images": which real ones stand in for generated ones; "" where the results do not say."""
    found = study.floor_of(metric)
    if found is None:
        return ""
    split, count = found
    return f"{format_count(count)} {'held-out' if split == 'heldout' else 'training'} images"


def real_images(study: Study, metric: str) -> str:
    """Return "real held-out images": what a metric's floor is of, its split named where the results say it."""
    found = study.floor_of(metric)
    split = {"heldout": "held-out ", "train": "training "}.get(found[0], "") if found else ""
    return f"real {split}images"


def floor_detail(study: Study, metric: str) -> str:
    """Return what stands under "real against real" in a table whose metrics are measured as `metric` is."""
    images = floor_images(study, metric)
    return f"the floor: {images}" if images else "the floor at the same N"


def samples_text(study: Study) -> str:
    """Return " on 1,500 samples": the number of generated images behind the final step's metrics."""
    return f" on {format_count(study.settings.samples)} samples"


def _difference_cell(summary: Summary) -> Cell:
    if summary.baseline == summary.label:
        return Cell("baseline", numeric=True, sort=0.0)
    text, bounds = format_difference(summary)
    descriptive = "descriptive" if summary.difference_role == "descriptive" and summary.difference is not None else ""
    detail = "\n".join(part for part in (bounds, descriptive) if part)
    return Cell(text, detail=detail, numeric=True, sort=summary.difference)


def difference_cell(first: Summary | None, second: Summary | None, note: str = "") -> Cell:
    """Return first's mean less second's with Welch's interval, where both have scores."""
    if first is None or second is None or first.mean is None or second.mean is None or first is second:
        return Cell(NOTHING, numeric=True)
    gap, places = first.mean - second.mean, decimals(second.mean)
    bounds = difference_interval(first.scores, second.scores)
    parts = [format_interval(*bounds, places, sign=True) if bounds else "", note]
    return Cell(
        format_number(gap, places, sign=True), "\n".join(part for part in parts if part), numeric=True, sort=gap
    )


def _floor_cell(study: Study, column: _Column) -> Cell:
    if column.heading.text == "objective":
        return Cell(column.floor, detail=floor_detail(study, study.primary))
    return Cell(column.floor, numeric=column.heading.numeric)


def _time_cell(entry: Entry) -> Cell:
    seconds = [run.status.device_seconds for run in entry.runs if run.state == "done"]
    mean = float(np.mean(seconds)) if seconds else None
    return Cell(NOTHING if mean is None else format_duration(mean), numeric=True, sort=mean)


def _seeds(seeds: Sequence[int]) -> str:
    return f"{plural(len(seeds), 'seed').split()[1]} {', '.join(map(str, seeds))}"
