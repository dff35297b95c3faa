"""Numbers and states in words, as the report prints them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.errors import BenchError
from bench.metrics.catalogue import MetricInfo, metric_info
from bench.statistics import Summary

NOTHING = "–"
PERCENT_95 = "95\u00a0%"
MOST_EXTRA = 3  # decimals
_COUNTED = ("images", "modes")  # units


def decimals(value: float) -> int:
    """Return how many decimals leave a value three or four digits."""
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3


def number(value: float | None, places: int | None = None, sign: bool = False) -> str:
    """Write a value with three or four digits (or `places` decimals); tiny ones as 2.1e-05, None as a dash."""
    if value is None or math.isnan(value):
        return NOTHING
    plus = "+" if sign else ""
    if value != 0 and abs(value) < 0.001 and places is None:
        return f"{value:{plus}.1e}".replace("-", "−", 1) if value < 0 else f"{value:{plus}.1e}"
    text = f"{value:{plus},.{decimals(value) if places is None else places}f}"
    return text.replace("-", "−")


def count(value: int) -> str:
    """Write a whole number with thousands separated."""
    return f"{value:,}"


def interval(low: float | None, high: float | None, places: int | None = None, sign: bool = False) -> str:
    """Write an interval as [low, high]; "" where there is none."""
    if low is None or high is None:
        return ""
    return f"[{number(low, places, sign)}, {number(high, places, sign)}]"


def percents(low: float | None, high: float | None) -> str:
    """Write a rate's interval in per cent: 1 to 72 %; "" where there is none."""
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}\u00a0%"


def value_text(summary: Summary) -> tuple[str, str]:
    """Return what a cell says: mean and interval from three values on, else the values themselves, and ""."""
    if not summary.values:
        return NOTHING, ""
    if summary.mean is None or summary.low is None:
        return " · ".join(metric_number(summary.metric, score) for score in summary.scores), ""
    return (
        number(summary.mean, mean_decimals(summary)),
        mean_interval_text(summary.scores, summary.low, summary.high, mean_decimals(summary)),
    )


def mean_decimals(summary: Summary) -> int | None:
    """Return the decimals of a mean and its interval; None where each is printed as small as it is."""
    if summary.mean is None or counts(summary.metric):
        return 0
    small = abs(summary.mean) < 0.001 and (summary.low is None or abs(summary.low) < 0.001)
    return None if small else decimals(summary.mean)


def mean_interval_text(
    scores: Sequence[float], low: float | None, high: float | None, places: int | None = None
) -> str:
    """Write a mean's interval, in as many decimals more as its ends need to differ.

    Of scores that are all equal, whose interval has no width, say that they are.
    """
    if low is not None and len(set(scores)) == 1:
        return f"in all {len(scores)}"
    if places is None:
        return interval(low, high)
    enough = (more for more in range(places, places + MOST_EXTRA) if number(low, more) != number(high, more))
    return interval(low, high, next(enough, places))


def counts(metric: str) -> bool:
    """Tell whether a metric counts things: its values are printed as whole numbers."""
    return describe_metric(metric).unit in _COUNTED


def metric_number(metric: str, value: float | None) -> str:
    """Write one value of a metric: a count as a whole number, anything else with three or four digits."""
    return number(value, 0 if counts(metric) else None)


def difference_text(summary: Summary) -> tuple[str, str]:
    """Return the difference to the baseline and its interval, in the decimals of the mean it belongs to."""
    if summary.difference is None or summary.mean is None:
        return NOTHING, ""
    small = abs(summary.mean) < 0.001
    places = None if small else decimals(summary.mean)
    bounds = interval(summary.difference_low, summary.difference_high, places, sign=True)
    return number(summary.difference, places, sign=True), bounds


def rate(value: float) -> str:
    """Write a small value, such as a learning rate, as 2e-4."""
    if value == 0 or abs(value) >= 0.01:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def plain(value: object) -> str:
    """Write a setting's value: floats without trailing digits, lists in parentheses, nothing as "none"."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return rate(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items() if item is not None) or "none"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(f"{item:g}" if isinstance(item, float) else plain(item) for item in value) + ")"
    return str(value)


def losses(summary: Summary) -> list[str]:
    """Return which of a row's planned runs have no score, and why: "1 diverged", "2 not evaluated"."""
    unevaluated = summary.done - len(summary.values)
    named = (
        (summary.diverged, "diverged"),
        (summary.failed, "failed"),
        (unevaluated, "not evaluated"),
        (summary.missing - unevaluated, "missing"),
    )
    return [f"{number_of} {state}" for number_of, state in named if number_of]


def readable(deviations: Sequence[str]) -> str:
    """Join the plan's deviations ("discriminator_steps 5"), their keys as words."""
    return "; ".join(deviation.replace("_", " ") for deviation in deviations)


def joined(words: Sequence[str]) -> str:
    """Join words as prose: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def plural(number_of: int, word: str) -> str:
    """Write "1 run", "2 runs"."""
    return f"{number_of:,} {word}" + ("" if number_of == 1 else "s")


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
