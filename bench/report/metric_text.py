"""What the report prints of metrics and of their summaries: titles, means, differences, runs without a score."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.formatting import NOTHING, decimals, format_interval, format_number
from bench.metrics.catalogue import MetricInfo, metric_info
from bench.statistics import Summary

MOST_EXTRA = 3  # decimals
_COUNTED = ("images", "modes")  # units


def format_mean(summary: Summary) -> tuple[str, str]:
    """Return what a cell says: mean and interval from three values on, else the values themselves, and ""."""
    if not summary.values:
        return NOTHING, ""
    if summary.mean is None or summary.low is None:
        return " · ".join(format_metric(summary.metric, score) for score in summary.scores), ""
    return (
        format_number(summary.mean, mean_decimals(summary)),
        format_mean_interval(summary.scores, summary.low, summary.high, mean_decimals(summary)),
    )


def mean_decimals(summary: Summary) -> int | None:
    """Return the decimals of a mean and its interval; None where each is printed as small as it is."""
    if summary.mean is None or is_count(summary.metric):
        return 0
    small = abs(summary.mean) < 0.001 and (summary.low is None or abs(summary.low) < 0.001)
    return None if small else decimals(summary.mean)


def format_mean_interval(
    scores: Sequence[float], low: float | None, high: float | None, places: int | None = None
) -> str:
    """Write a mean's interval, in as many decimals more as its ends need to differ.

    Of scores that are all equal, whose interval has no width, say that they are.
    """
    if low is not None and len(set(scores)) == 1:
        return f"in all {len(scores)}"
    if places is None:
        return format_interval(low, high)
    enough = (
        more for more in range(places, places + MOST_EXTRA) if format_number(low, more) != format_number(high, more)
    )
    return format_interval(low, high, next(enough, places))


def is_count(metric: str) -> bool:
    """Tell whether a metric counts things: its values are printed as whole numbers."""
    return describe_metric(metric).unit in _COUNTED


def format_metric(metric: str, value: float | None) -> str:
    """Write one value of a metric: a count as a whole number, anything else with three or four digits."""
    return format_number(value, 0 if is_count(metric) else None)


def format_difference(summary: Summary) -> tuple[str, str]:
    """Return the difference to the baseline and its interval, in the decimals of the mean it belongs to."""
    if summary.difference is None or summary.mean is None:
        return NOTHING, ""
    small = abs(summary.mean) < 0.001
    places = None if small else decimals(summary.mean)
    bounds = format_interval(summary.difference_low, summary.difference_high, places, sign=True)
    return format_number(summary.difference, places, sign=True), bounds


def unscored_runs(summary: Summary) -> list[str]:
    """Return which of a row's planned runs have no score, and why: "1 diverged", "2 not evaluated"."""
    unevaluated = summary.done - len(summary.values)
    named = (
        (summary.diverged, "diverged"),
        (summary.failed, "failed"),
        (unevaluated, "not evaluated"),
        (summary.missing - unevaluated, "missing"),
    )
    return [f"{number_of} {state}" for number_of, state in named if number_of]


def describe_metric(name: str) -> MetricInfo:
    """Describe a metric; one that this version does not know keeps its bare name and never ranks."""
    try:
        return metric_info(name)
    except BenchError:
        return MetricInfo(name, name, "", None, False, "Written by another version of bench.", "")


def metric_heading(name: str) -> str:
    """Return a metric's title with its unit and an arrow for the better direction."""
    info = describe_metric(name)
    arrow = {"lower": " ↓", "higher": " ↑", None: ""}[info.better]
    return with_unit(info.title, name) + arrow


def with_unit(title: str, metric: str) -> str:
    """Return a title with the metric's unit, where it has one that the title does not say."""
    unit = describe_metric(metric).unit
    return title + ", " + unit.replace(" ", "\u00a0") if unit and unit not in title.split() else title


def protocol_title(protocol: str) -> str:
    """Return what a protocol is, as a heading."""
    titles = {
        "controlled": "Controlled: everything but the losses is equal",
        "published": "Published: each objective with its authors’ recipe",
        "custom": "Custom: each entry as the study writes it",
    }
    return titles.get(protocol, protocol)
