"""How values become text: numbers, intervals, units, lists and Markdown tables, written here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

NOTHING = "–"
PERCENT_95 = "95\u00a0%"


def decimals(value: float) -> int:
    """Return how many decimals leave a value three or four digits."""
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3


def format_number(value: float | None, places: int | None = None, sign: bool = False) -> str:
    """Write a value with three or four digits (or `places` decimals); tiny ones as 2.1e-05, None as a dash."""
    if value is None or math.isnan(value):
        return NOTHING
    plus = "+" if sign else ""
    if value != 0 and abs(value) < 0.001 and places is None:
        return f"{value:{plus}.1e}".replace("-", "−", 1) if value < 0 else f"{value:{plus}.1e}"
    text = f"{value:{plus},.{decimals(value) if places is None else places}f}"
    return text.replace("-", "−")


def format_count(value: int) -> str:
    """Write a whole number with thousands separated."""
    return f"{value:,}"


def format_interval(low: float | None, high: float | None, places: int | None = None, sign: bool = False) -> str:
    """Write an interval as [low, high]; "" where there is none."""
    if low is None or high is None:
        return ""
    return f"[{format_number(low, places, sign)}, {format_number(high, places, sign)}]"


def format_percents(low: float | None, high: float | None) -> str:
    """Write a rate's interval in per cent: 1 to 72 %; "" where there is none."""
    return "" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f}\u00a0%"


def format_rate(value: float) -> str:
    """Write a small value, such as a learning rate, as papers do: 2e-4."""
    if value == 0 or abs(value) >= 0.01:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def format_setting(value: object) -> str:
    """Write a setting's value: floats without trailing digits, lists in parentheses, None as "none"."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return format_rate(value)
    if isinstance(value, dict):
        named = (f"{key} {format_setting(item)}" for key, item in value.items() if item is not None)
        return ", ".join(named) or "none"
    if isinstance(value, list | tuple):
        items = (f"{item:g}" if isinstance(item, float) else format_setting(item) for item in value)
        return f"({', '.join(items)})"
    return str(value)


def format_tick(value: float) -> str:
    """Write a number beside an axis as shortly as it can be: 0.25, 40, 12k, 1.5M, 3e-05, 1e+12."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 0.001:
        text = f"{value:.0e}"
    else:
        power, unit = next((step for step in ((9, "G"), (6, "M"), (3, "k")) if size >= 10 ** step[0]), (0, ""))
        text = f"{value / 10**power:.3g}{unit}"
    return text.replace("-", "−", 1) if value < 0 else text


def format_duration(seconds: float) -> str:
    """Write seconds as people say them: 45 s, 3 min 20 s, 2 h 05 min, 3 d 04 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


def format_estimate(seconds: float) -> str:
    """Write a time that is only estimated, without digits that nobody knows: 25 s, 12 min, 2 h 10 min, 3 d 04 h."""
    if seconds < 60:
        return f"{max(5 * round(seconds / 5), 5)} s" if seconds < 57.5 else "1 min"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    return format_duration(600 * round(seconds / 600) if seconds < 172_800 else seconds)


def format_bytes(size_bytes: int) -> str:
    """Write an amount of data as people say it: 512 bytes, 4.2 kB, 83 MB, 2.1 GB."""
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{size_bytes} bytes" if size_bytes < 1000 else f"{value:.3g} {unit}"


def format_deviations(deviations: Sequence[str]) -> str:
    """Join a plan's deviations ("discriminator_steps 5"), their keys as words."""
    return "; ".join(deviation.replace("_", " ") for deviation in deviations)


def joined(words: Sequence[str]) -> str:
    """Join words as prose: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def plural(number: int, word: str) -> str:
    """Write "1 run", "2 runs"."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def markdown_cell(value: object) -> str:
    """Write a cell that is Markdown already, so that no line's end or border in it ends the cell."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def markdown_table(
    headings: Sequence[str], rows: Iterable[Iterable[str]], numeric: Sequence[bool] | None = None
) -> str:
    """Write a table of cells that are Markdown; with `numeric`, columns stand at the right where it is true."""
    rules = ["---"] * len(headings) if numeric is None else ["---:" if right else ":---" for right in numeric]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))
