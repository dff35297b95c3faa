"""What came out otherwise: each metric of the entries that two reports share, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.review.compare.settings import Setting, data_differences, differing_settings
from bench.review.compare.shipped import Cell, Shipped, ShippedRun, common
from bench.statistics import Change, Matched, Summary, compare_changes

_KID_SETTINGS, _IS_SETTINGS = ("kid_subsets", "kid_subset_size"), ("inception_splits",)


@dataclass(frozen=True)
class MetricChanges:
    """One metric of all common entries; `refused` says why its values cannot be compared, "" where they can."""

    metric: str
    judged: bool
    refused: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Order:
    """The order of the common entries of a protocol by the primary metric, best first, in both reports.

    `swapped` are the pairs that stand the other way round in B; `reversed_pairs` those of them that each report's seeds
    tell apart. `told_apart` counts the pairs that both reports tell apart. `unordered` says why there is no order.
    """

    protocol: str
    metric: str
    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    swapped: tuple[tuple[str, str], ...] = ()
    told_apart: int = 0
    reversed_pairs: tuple[tuple[str, str], ...] = ()
    unordered: str = ""


@dataclass(frozen=True)
class Compared:
    """Everything that `bench compare` says; `cells` (protocol, label) are the entries that both reports have."""

    first: str
    second: str
    warnings: tuple[str, ...]
    same_runs: bool
    settings: tuple[Setting, ...]
    cells: tuple[Cell, ...]
    only_first: tuple[Cell, ...]
    only_second: tuple[Cell, ...]
    metrics: tuple[MetricChanges, ...]
    orders: tuple[Order, ...]


def compare(first: Shipped, second: Shipped, *, every_metric: bool = False) -> Compared:
    """Compare two reports: A, then B. With `every_metric` also the metrics that carry no verdict."""
    cells = common(first, second, first.aside | second.aside)
    declared = list(dict.fromkeys([first.primary, second.primary]))
    shared = [metric for metric in first.metrics if metric in second.metrics]
    metrics = list(dict.fromkeys([*declared, *(shared if every_metric else [])]))
    return Compared(
        first=str(first.folder),
        second=str(second.folder),
        warnings=tuple(_warnings(first, "A") + _warnings(second, "B")),
        same_runs=bool(cells) and all(_same_runs(first, second, cell) for cell in cells),
        settings=tuple(differing_settings(first, second, cells)),
        cells=tuple(cells),
        only_first=tuple(cell for cell in first.entries if cell not in second.entries),
        only_second=tuple(cell for cell in second.entries if cell not in first.entries),
        metrics=tuple(_metric(first, second, cells, metric) for metric in metrics) if cells else (),
        orders=tuple(_orders(first, second, cells)),
    )


def incomparable(first: Shipped, second: Shipped, metric: str) -> str:
    """Return why a metric's values in two reports mean different things, "" where they mean the same."""
    lacking = [name for name, report in (("A", first), ("B", second)) if metric not in report.measured]
    if lacking:
        return f"not measured in {' and '.join(lacking)}"
    data = data_differences(first, second)
    if data:
        return f"other images: {'; '.join(data)}"
    if first.plan["generator"] != second.plan["generator"]:
        return f"another generator is scored: {first.plan['generator']} and {second.plan['generator']}"
    if first.measured[metric] != second.measured[metric]:
        return f"measured on {'; '.join(first.measured[metric])} in A, on {'; '.join(second.measured[metric])} in B"
    return _measured_otherwise(first, second, metric)


def _measured_otherwise(first: Shipped, second: Shipped, metric: str) -> str:
    one, other = first.plan["evaluation"], second.plan["evaluation"]
    told = (first.evaluation_version, second.evaluation_version)
    if told[0] != told[1] or (told[0] == "another" and first.plan["evaluation_id"] != second.plan["evaluation_id"]):
        return f"another version of the evaluation: {told[0]} and {told[1]}"
    named = _KID_SETTINGS if metric.startswith("kid") else _IS_SETTINGS if metric.split("_")[0] == "is" else ()
    return "; ".join(
        f"{name} {one.get(name)} and {other.get(name)}" for name in named if one.get(name) != other.get(name)
    )


def _warnings(report: Shipped, name: str) -> list[str]:
    return [f"{file} of {name} was changed after the report was written" for file in report.edited]


def _metric(first: Shipped, second: Shipped, cells: Sequence[Cell], metric: str) -> MetricChanges:
    judged = metric == first.primary == second.primary
    refused = incomparable(first, second, metric)
    matched = []
    for cell in cells:
        one, other = first.summaries.get((cell, metric)), second.summaries.get((cell, metric))
        if one is not None and other is not None:
            repeated = "" if refused else _repetition(_both(first, second, cell), one, other)
            matched.append(Matched(one, other, refused, repeated))
    return MetricChanges(metric, judged, refused, tuple(compare_changes(matched, judged=judged)))


def _both(first: Shipped, second: Shipped, cell: Cell) -> list[tuple[ShippedRun, ShippedRun]]:
    """Return the runs of an entry that both reports have: the same specification and the same seed."""
    there = {run.id: run for run in second.runs.get(cell, [])}
    return [(run, there[run.id]) for run in first.runs.get(cell, []) if run.id in there]


def _other_code(pair: tuple[ShippedRun, ShippedRun]) -> bool:
    """Tell whether one specification was trained by code that is known to differ: two experiments, not one."""
    return bool(pair[0].code and pair[1].code) and pair[0].code != pair[1].code


def _same_runs(first: Shipped, second: Shipped, cell: Cell) -> bool:
    both = _both(first, second, cell)
    count = len(first.runs.get(cell, []))
    return len(both) == count == len(second.runs.get(cell, [])) and not any(map(_other_code, both))


def _repetition(both: Sequence[tuple[ShippedRun, ShippedRun]], first: Summary, second: Summary) -> str:
    """Return why an entry's runs are no two samples: runs that both reports have. "" where all of them differ.

    A run is its specification, seed and code. One that other code trained to the very same score counts as repeated.
    """
    scores, again = dict(first.values), dict(second.values)
    exact = [pair for pair in both if pair[0].seed in scores and scores[pair[0].seed] == again.get(pair[0].seed)]
    same = [pair for pair in both if pair in exact or not _other_code(pair)]
    if not same:
        return ""
    of = max(first.planned, second.planned)
    copied = all(one.log_sha256 == other.log_sha256 for one, other in same)
    whose = "the same runs" if copied else "the same runs, trained again"
    if len(same) < of:
        whose = f"{len(same)} of {of} runs are {whose}"
    scored = [pair for pair in same if pair[0].seed in scores or pair[0].seed in again]
    if len(exact) == len(scored):
        return f"{whose}: repeated exactly" if scored else whose
    gaps = [abs(again[one.seed] - scores[one.seed]) for one, _ in scored if one.seed in scores and one.seed in again]
    furthest = f", others differ by up to {max(gaps):.4g}" if gaps and max(gaps) > 0 else ""
    lacking = f", {len(scored) - len(gaps)} with a score in one report alone" if len(gaps) < len(scored) else ""
    return f"{whose}: {len(exact)} of {len(scored)} scores repeated exactly{furthest}{lacking}"


def _orders(first: Shipped, second: Shipped, cells: Sequence[Cell]) -> list[Order]:
    orders = []
    for protocol in dict.fromkeys(protocol for protocol, _ in cells):
        labels = [label for of, label in cells if of == protocol]
        if len(labels) > 1:
            orders.append(_order(first, second, protocol, labels))
    return orders


def _order(first: Shipped, second: Shipped, protocol: str, labels: Sequence[str]) -> Order:
    if first.primary != second.primary:
        return Order(protocol, first.primary, unordered=f"A ranks by {first.primary}, B by {second.primary}")
    ranks = [
        {label: report.summaries[(protocol, label), report.primary].rank for label in labels}
        for report in (first, second)
    ]
    placed = [label for label in labels if ranks[0][label] is not None and ranks[1][label] is not None]
    if len(placed) < 2:
        return Order(protocol, first.primary, unordered="fewer than two entries are ranked in both")
    # Both maps hold a number for every label that is placed.
    one, other = ({label: found[label] or 0 for label in placed} for found in ranks)
    swapped = [
        pair
        for pair in combinations(placed, 2)
        if (one[pair[0]] - one[pair[1]]) * (other[pair[0]] - other[pair[1]]) < 0
    ]
    winners, later = _winners(first, protocol), _winners(second, protocol)
    told = {pair for pair in winners.keys() & later.keys() if pair <= set(placed)}
    reversed_pairs = sorted((winners[pair], later[pair]) for pair in told if winners[pair] != later[pair])
    return Order(
        protocol,
        first.primary,
        tuple(sorted(placed, key=lambda label: (one[label], label))),
        tuple(sorted(placed, key=lambda label: (other[label], label))),
        tuple((a, b) if one[a] < one[b] else (b, a) for a, b in swapped),
        len(told),
        tuple(reversed_pairs),
    )


def _winners(report: Shipped, protocol: str) -> dict[frozenset[str], str]:
    """Return the better one of every pair that a report's seeds tell apart."""
    pairs = (pair for pair in report.statistics.pairs if pair.protocol == protocol and pair.winner)
    return {frozenset((pair.first, pair.second)): pair.winner for pair in pairs}
