"""A comparison of two reports as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.formatting import decimals, format_interval, format_number, joined, plural
from bench.report.metric_text import describe_metric, metric_heading
from bench.report.model import Cell as TableCell
from bench.report.model import Heading, Row, Table
from bench.report.render.markdown import table, text
from bench.review.compare.scores import Compared, MetricChanges, Order
from bench.review.compare.shipped import Cell
from bench.statistics import Change


def in_words(compared: Compared) -> str:
    """Return the whole comparison as Markdown: differences in setup first, then those in results."""
    blocks = [
        "# What changed",
        text(f"A is {compared.first}, B is {compared.second}."),
        *(f"> **Warning.** {text(warning)}; `bench verify` says more." for warning in compared.warnings),
        " ".join(map(text, _findings(compared))),
        "## Differences in setup",
        _settings(compared),
        *_entries(compared),
        *(block for metric in compared.metrics for block in _metric(metric)),
        *_orders(compared.orders),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _findings(compared: Compared) -> Iterator[str]:
    if not compared.cells:
        yield "The two reports have no entry in common under the same protocol."
        return
    if compared.same_runs:
        yield "Both reports rest on the same runs: agreement between them is no second sample."
    judged = [metric for metric in compared.metrics if metric.judged]
    if not judged:
        yield "The two declare different primary metrics, so nothing carries a verdict."
    for metric in judged:
        yield _changed(metric)
    for order in compared.orders:
        if order.reversed_pairs:
            named = joined([f"{a} before {b}" for a, b in order.reversed_pairs])
            yield f"{order.protocol}: the order of A is reversed in B beyond noise ({named} in A)."


def _changed(metric: MetricChanges) -> str:
    title = describe_metric(metric.metric).title
    if metric.refused:
        return f"{title} is not comparable ({metric.refused})."
    tested = [change for change in metric.changes if change.verdict]
    beyond = [change for change in tested if change.verdict != "undecided"]
    named = [f"{change.label} ({change.protocol}) is {change.verdict} in B" for change in beyond]
    rest = len(metric.changes) - len(tested)
    if not tested:
        return f"{title}: no entry could be tested."
    words = f"{title}: of {plural(len(tested), 'row')} tested, {len(beyond)} changed beyond noise"
    return f"{words}{': ' + joined(named) if named else ''}.{f' {rest} without a verdict.' if rest else ''}"


def _settings(compared: Compared) -> str:
    if not compared.settings:
        return "Nothing: settings, images, code and environments are the same, as far as the reports say."
    rows = [(setting.part, setting.what, setting.first, setting.second) for setting in compared.settings]
    return _table(
        "What differs between the two studies; what is not listed is equal.", ("part", "what", "A", "B"), rows
    )


def _entries(compared: Compared) -> Iterator[str]:
    if compared.only_first or compared.only_second:
        yield "## Entries"
        for name, cells in (("A", compared.only_first), ("B", compared.only_second)):
            if cells:
                yield text(f"Only in {name}: {joined(list(map(_named, cells)))}.")


def _named(cell: Cell) -> str:
    return f"{cell[1]} ({cell[0]})"


def _metric(metric: MetricChanges) -> Iterator[str]:
    yield f"## {text(metric_heading(metric.metric))} (`{metric.metric}`)"
    if metric.refused:
        yield text(f"Not comparable, no verdict: {metric.refused}. The values stand beside each other as they are.")
    elif metric.judged:
        yield (
            "Difference of means with Welch’s 95 % interval, uncorrected. A verdict says how B differs from A: Welch’s "
            "test at 5 %, by ranks with lost runs last where a planned run was lost, with Holm’s correction over all "
            "rows compared here. Runs that both reports have are no second sample and are not compared."
        )
    else:
        yield "Descriptive: not the primary metric of both, so no verdict."
    headings = ("entry", "protocol", "A", "B", "B − A", "verdict")
    yield _table(f"{describe_metric(metric.metric).title} at the final step.", headings, map(_row, metric.changes))


def _row(change: Change) -> tuple[str, ...]:
    places = None if change.second_mean is None else decimals(change.second_mean)
    places = None if change.second_mean is not None and abs(change.second_mean) < 0.001 else places
    bounds = format_interval(change.difference_low, change.difference_high, places, sign=True)
    return (
        change.label,
        change.protocol,
        _mean(change.first_mean, change.first_scored, change.first_planned, change.first_lost),
        _mean(change.second_mean, change.second_scored, change.second_planned, change.second_lost),
        f"{format_number(change.difference, places, sign=True)} {bounds}".strip(),
        _verdict(change),
    )


def _mean(mean: float | None, scored: int, planned: int, lost: int) -> str:
    runs = plural(planned, "run") if scored == planned else f"{scored} of {plural(planned, 'run')}"
    return f"{format_number(mean)} ({runs}{f', {lost} lost' if lost else ''})"


def _verdict(change: Change) -> str:
    if not change.verdict or change.p_holm is None:
        return change.unjudged
    how = "Welch" if change.test == "Welch" else "ranks"
    return f"{change.verdict} ({how}, p {format_number(change.p_holm)} by Holm over {change.family})"


def _orders(orders: Sequence[Order]) -> Iterator[str]:
    if orders:
        yield "## Order"
    for order in orders:
        yield text(f"{order.protocol}: {_order(order)}")


def _order(order: Order) -> str:
    if order.unordered:
        return f"{order.unordered}."
    words = f"A: {', '.join(order.first)}. B: {', '.join(order.second)}. "
    if not order.swapped and not order.reversed_pairs:
        return words + "The same order."
    swaps = f"{plural(len(order.swapped), 'pair')} swapped"
    told = f"of {plural(order.told_apart, 'pair')} that both tell apart, {len(order.reversed_pairs)} reversed"
    noise = "not beyond noise" if not order.reversed_pairs else "beyond noise"
    return f"{words}{swaps} ({'; '.join(f'{a}, {b}' for a, b in order.swapped)}); {told}: {noise}."


def _table(caption: str, headings: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    body = tuple(Row(tuple(TableCell(value) for value in row)) for row in rows)
    return table(Table("compare", caption, tuple(map(Heading, headings)), body))
